"""A report in a folder is there as a whole or not at all, and nothing else is lost."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from napari_cyclegan3d import inspection, io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import Review
from napari_cyclegan3d.engine.volume import Planned, Volume

Pair = tuple[Volume, Volume]
OBLIQUE = np.array(
    [[2, 0.3, 0, -30], [-0.45, 1.2, 0.2, 12], [0.1, -0.2, 1.4, 7.5], [0, 0, 0, 1]]
)
REVIEW = Review(decision="real", comment="seen before", reviewer="me", time="now")


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_report_has_a_page_a_record_a_table_labels_and_maps(
    inspected: Inspected, pair: Pair, tmp_path: Path
) -> None:
    saved = inspection.save(inspected, *pair, tmp_path / "new" / "report")
    assert saved.folder == tmp_path / "new" / "report"
    assert saved.page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert saved.record.stat().st_size > 0
    assert len(saved.table.read_text(encoding="utf-8").splitlines()) == 7
    labels = io.read(saved.labels)
    assert np.array_equal(labels.read(), inspected.labels.read())
    names = {path.name for path in saved.maps.iterdir()}
    assert names == {"residual.zarr", "suspicion.zarr"}
    assert {path.name for path in saved.folder.parent.iterdir()} == {"report"}


@pytest.mark.parametrize("unit", ["micrometer", "nanometer", "pixel"])
def test_maps_and_labels_keep_their_voxels_and_their_place_in_the_world(
    unit: str, inspected: Inspected, pair: Pair, tmp_path: Path
) -> None:
    maps = {
        name: replace(one, affine=OBLIQUE, unit=unit)
        for name, one in inspected.maps.items()
    }
    labels = replace(inspected.labels, affine=OBLIQUE, unit=unit)
    inspection.save(
        replace(inspected, maps=maps, labels=labels), *pair, tmp_path / "report"
    )
    loaded = inspection.load(tmp_path / "report")
    assert loaded.labels is not None
    assert loaded.labels.dtype == np.int32
    for before, after in (
        (labels, loaded.labels),
        *zip(maps.values(), (loaded.maps[name] for name in maps), strict=True),
    ):
        assert np.allclose(after.affine, OBLIQUE)
        assert after.unit == unit
        assert np.array_equal(after.read(), before.read())


def test_what_is_there_already_stays_untouched_without_overwrite(
    inspected: Inspected, pair: Pair, report: Path
) -> None:
    before = bytes_in(report)
    with pytest.raises(InputError, match="--overwrite"):
        inspection.save(inspected, *pair, report)
    assert bytes_in(report) == before


def test_a_report_is_replaced_as_a_whole(
    inspected: Inspected, pair: Pair, report: Path
) -> None:
    fewer = replace(inspected, maps={"residual": inspected.maps["residual"]})
    inspection.save(fewer, *pair, report, overwrite=True)
    assert [path.name for path in (report / "maps").iterdir()] == ["residual.zarr"]
    assert [path.name for path in report.parent.iterdir()] == ["report"]


def test_a_loaded_report_can_replace_itself(pair: Pair, report: Path) -> None:
    loaded = inspection.load(report)
    assert loaded.labels is not None
    again = Inspected(loaded.inspection, loaded.maps, loaded.labels)
    before = bytes_in(report)
    inspection.save(again, *pair, report, overwrite=True)
    assert bytes_in(report) == before
    assert loaded.labels.read().max() == 6


@pytest.mark.parametrize("name", ["photo.jpg", "maps/scan.tif"])
def test_a_folder_with_anything_else_is_never_replaced(
    name: str, inspected: Inspected, pair: Pair, report: Path
) -> None:
    (report / name).write_bytes(b"mine")
    before = bytes_in(report)
    with pytest.raises(InputError, match="which is no part of a report"):
        inspection.save(inspected, *pair, report, overwrite=True)
    assert bytes_in(report) == before


def test_a_file_is_no_place_for_a_report(
    inspected: Inspected, pair: Pair, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"mine")
    for folder, message in ((file, "is a file"), (file / "report", "can be made")):
        with pytest.raises(InputError, match=message):
            inspection.save(inspected, *pair, folder, overwrite=True)
    assert file.read_bytes() == b"mine"


def test_decisions_of_a_reviewer_are_not_replaced_by_an_inspection_without_them(
    inspected: Inspected, pair: Pair, report: Path, reviewed: Callable[..., Any]
) -> None:
    decided = reviewed(inspected.inspection, {2: REVIEW})
    inspection.update_reviews(report, decided.findings)
    before = bytes_in(report)
    with pytest.raises(InputError, match="decisions of a reviewer about 1 finding"):
        inspection.save(inspected, *pair, report, overwrite=True)
    assert bytes_in(report) == before
    inspection.save(
        replace(inspected, inspection=decided), *pair, report, overwrite=True
    )
    assert inspection.load(report).inspection.findings[1].review == REVIEW


def test_a_full_disk_leaves_everything_as_it_was(
    inspected: Inspected,
    pair: Pair,
    report: Path,
    limited: Callable[[int], AbstractContextManager[None]],
) -> None:
    before = bytes_in(report)
    for folder in (report, report.parent / "other"):
        with limited(5000), pytest.raises(InputError, match="could not be written"):
            inspection.save(inspected, *pair, folder, overwrite=True)
    assert bytes_in(report) == before
    assert [path.name for path in report.parent.iterdir()] == ["report"]


class Interrupted(Planned):
    """Voxels during whose reading the user presses Ctrl+C."""

    def __getitem__(self, region: object, /) -> NoReturn:
        raise KeyboardInterrupt


def test_an_interruption_leaves_everything_as_it_was(
    inspected: Inspected, pair: Pair, report: Path
) -> None:
    before = bytes_in(report)
    residual = inspected.maps["residual"]
    broken = replace(residual, array=Interrupted(residual.shape, residual.dtype))
    maps = {"rse": residual, "zzz": broken}
    with pytest.raises(KeyboardInterrupt):
        inspection.save(replace(inspected, maps=maps), *pair, report, overwrite=True)
    assert bytes_in(report) == before
    assert [path.name for path in report.parent.iterdir()] == ["report"]
