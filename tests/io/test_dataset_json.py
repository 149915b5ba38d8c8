import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.domains import open_domain

Coordinates = Callable[..., NDArray[Any]]


@pytest.fixture
def lists(tmp_path: Path, coordinates: Coordinates) -> Callable[..., str]:
    """Writes a JSON file beside `data/scan.h5`, which is 9 × 10 × 11."""
    (tmp_path / "data").mkdir()
    io.write(Volume(coordinates((9, 10, 11))), tmp_path / "data" / "scan.h5")

    def write(content: object) -> str:
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "lists.json").write_text(text, encoding="utf-8")
        return str(tmp_path / "lists.json")

    return write


def entry(**values: Any) -> dict[str, Any]:
    return {"path": "data/scan.h5", "dset": "data", **values}


def test_a_region_is_start_and_stop_and_negative_ends_count_from_the_end(
    lists: Callable[..., str], coordinates: Coordinates
) -> None:
    voxels = coordinates((9, 10, 11))
    path = lists(
        {
            "train": [
                entry(ROI0=[2, 7], ROI1=[0, -1], ROI2=[-4, -2]),
                {"path": "data/scan.h5"},
            ],
            "validate": [entry(ROI2=[0, 1])],
        }
    )
    part, whole = open_domain([path])
    assert np.array_equal(part.read(), voxels[2:7, 0:-1, -4:-2])
    assert part.origin == (2, 0, 7)
    assert part.metadata["region"] == ((2, 7), (0, 9), (7, 9))
    assert np.array_equal(whole.read(), voxels)
    (held_out,) = open_domain([path], "validate")
    assert np.array_equal(held_out.read(), voxels[:, :, 0:1])


@pytest.mark.parametrize("other", [{}, {"train": []}, {"validate": []}])
@pytest.mark.parametrize("given", ["train", "validate"])
def test_a_single_list_is_for_training_only(
    given: str, other: dict[str, Any], lists: Callable[..., str]
) -> None:
    path = lists({**other, given: [entry()]})
    assert len(open_domain([path])) == 1
    assert open_domain([path], "validate") == []


def test_paths_count_from_the_file_then_from_the_current_folder(
    lists: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    coordinates: Coordinates,
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "data").mkdir(parents=True)
    io.write(Volume(coordinates((2, 3, 4))), elsewhere / "data" / "scan.h5")
    io.write(Volume(coordinates((5, 6, 7))), elsewhere / "here.tif")
    monkeypatch.chdir(elsewhere)
    absolute = str(elsewhere / "data" / "scan.h5")
    names = ["data/scan.h5", "here.tif", absolute]
    path = lists({"train": [{"path": name} for name in names]})
    shapes = [volume.shape for volume in open_domain([path])]
    assert shapes == [(9, 10, 11), (5, 6, 7), (2, 3, 4)]


MISTAKES: list[tuple[object, str]] = [
    (
        '{"train": [\n  {"path": "a.h5" "dset": "data"}]}',
        "line 2, column 19: expecting",
    ),
    ("", "line 1, column 1: expecting value"),
    ("[" * 100_000, "is no valid JSON"),
    ('{"train": ' + "9" * 5000 + "}", "is no valid JSON"),
    ({}, "has something else where only the lists"),
    ([entry()], "has something else where only the lists"),
    ({"train": [entry()], "test": []}, "has 'train', 'test' where only the lists"),
    ({"train": {"path": "data/scan.h5"}}, "train is no list"),
    ({"train": [], "validate": []}, "lists no volume"),
    ({"train": ["data/scan.h5"]}, r"train\[0\] is no entry; write it like"),
    ({"train": [entry(), {"dset": "data"}]}, r"train\[1\]: setting path"),
    ({"train": [entry(ROI=[[0] * 3, [-1] * 3])]}, r"train\[0\]: unknown setting 'ROI'"),
    ({"train": [entry(ROI0=[0])]}, r"train\[0\]: setting ROI0"),
    ({"train": [entry(ROI0=[0, "x"])]}, r"train\[0\]: setting ROI0, entry 2, = 'x'"),
    (
        {"train": [entry(ROI0=[0, 10])]},
        r"train\[0\]: .*scan\.h5: goes beyond .*\(9, 10",
    ),
    ({"train": [entry(ROI1=[-11, 5])]}, r"train\[0\]: .*scan\.h5: goes beyond"),
    ({"train": [entry(ROI2=[5, 5])]}, r"train\[0\]: .*holds no voxel"),
    ({"train": [entry(ROI2=[0, -11])]}, r"train\[0\]: .*holds no voxel"),
    ({"train": [entry(path="gone.h5")]}, r"train\[0\]: gone\.h5 is neither in"),
    ({"train": [entry(dset="raw")]}, r"train\[0\]: .*scan\.h5::raw: there is no such"),
]


@pytest.mark.parametrize(("content", "sentence"), MISTAKES)
def test_a_mistake_is_named_with_its_place(
    content: object, sentence: str, lists: Callable[..., str]
) -> None:
    path = lists(content)
    with pytest.raises(InputError, match=sentence) as refusal:
        open_domain([path])
    assert str(refusal.value).startswith(path)
    assert len(str(refusal.value).splitlines()) == 1


def test_the_list_that_is_not_asked_for_may_name_files_that_are_not_here(
    lists: Callable[..., str],
) -> None:
    path = lists({"train": [entry()], "validate": [entry(path="/cluster/b.h5")]})
    assert len(open_domain([path])) == 1
    with pytest.raises(InputError, match=r"validate\[0\]: /cluster/b\.h5 is neither"):
        open_domain([path], "validate")
