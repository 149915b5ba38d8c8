"""Where the volumes of a training came from, and that they are found again."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import torch
import zarr

from napari_cyclegan3d import io
from napari_cyclegan3d.engine import events
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.sections.steps import RecordConfig
from napari_cyclegan3d.engine.sources import Domains
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.domains import open_domain
from napari_cyclegan3d.io.journal import Journal
from napari_cyclegan3d.io.origins import (
    read_sources,
    text_of,
    without_origin,
    write_sources,
)

VOXELS = np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32)


def make_files(folder: Path) -> None:
    """One of each kind that a domain may be named by."""
    volume = Volume(VOXELS)
    for name in ("scan.tif", "scan.nii.gz", "scan.zarr", "scan [1].tif"):
        io.write(volume, folder / name)
    with h5py.File(folder / "scan.h5", "w") as file:
        file["entry/fine"], file["entry/coarse"] = VOXELS, VOXELS[::2]
    for name in ("slices", "mixed"):
        (folder / name).mkdir()
        for z, plane in enumerate(VOXELS):
            tifffile.imwrite(folder / name / f"s{z}.tif", plane)
            tifffile.imwrite(folder / name / f"t{z}.tif", 2 * plane)
    for path in (folder / "slices").glob("t*"):
        path.unlink()
    (folder / "with_others").mkdir()
    for z, plane in enumerate(VOXELS):
        tifffile.imwrite(folder / "with_others" / f"s{z}.tif", plane)
    io.write(volume, folder / "with_others" / "scan.nii")
    (folder / "tensors").mkdir()
    for subject in ("001", "0012"):
        for z, plane in enumerate(VOXELS):
            path = folder / "tensors" / f"IMG_{subject}_{z}_T1.pt"
            torch.save(torch.from_numpy(plane * int(subject))[None].clone(), path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    make_files(folder)
    return folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scan.tif", "scan.tif"),
        ("scan [1].tif", "scan [1].tif"),
        ("scan [1].tif[1:4,:,2:]", "scan [1].tif[1:4,0:7,2:8]"),
        ("scan.nii.gz[-3:,:,:]", "scan.nii.gz[3:6,0:7,0:8]"),
        ("scan.zarr", "scan.zarr"),
        ("scan.zarr[0:2,1:3,:]", "scan.zarr[0:2,1:3,0:8]"),
        ("scan.h5::entry/coarse", "scan.h5::entry/coarse"),
        ("scan.h5::/entry/fine[:,:,4:6]", "scan.h5::entry/fine[0:6,0:7,4:6]"),
        ("slices", "slices"),
        ("slices[2:5,:,:]", "slices[2:5,0:7,0:8]"),
        ("mixed/s*.tif", "mixed/s*.tif"),
        ("with_others/*.tif", "with_others/s*.tif"),
        ("tensors/IMG_001_*.pt", "tensors/IMG_001_*_T1.pt"),
    ],
)
def test_a_volume_tells_what_opens_it_again(
    files: Path, text: str, expected: str
) -> None:
    (volume,) = open_domain([str(files / text)])
    found = text_of(volume)
    assert found == str(files.resolve() / expected)
    (again,) = open_domain([found])
    np.testing.assert_array_equal(again.read(), volume.read())
    np.testing.assert_allclose(again.affine, volume.affine)


def test_each_subject_of_a_folder_of_tensors_tells_its_own_files(files: Path) -> None:
    volumes = open_domain([str(files / "tensors")])
    assert len(volumes) == 2
    for volume in volumes:
        text = text_of(volume)
        assert text is not None
        (again,) = open_domain([text])
        np.testing.assert_array_equal(again.read(), volume.read())


def test_slices_that_no_pattern_means_tell_nothing(files: Path) -> None:
    chosen = [str(files / "slices" / f"s{z}.tif") for z in (0, 3, 4)]
    (volume,) = open_domain(chosen)
    assert volume.shape[0] == 3
    assert text_of(volume) is None


def test_volumes_that_came_from_no_file_tell_nothing(files: Path) -> None:
    assert text_of(Volume(VOXELS)) is None
    (volume,) = open_domain([str(files / "scan.h5::entry/fine[:,:,4:6]")])
    result = without_origin(volume.resampled(volume.read(), Fraction(1)))
    assert text_of(result) is None


def names(texts: Sequence[str | None]) -> list[str | None]:
    return [text and Path(text).name for text in texts]


def test_a_run_remembers_the_volumes_of_each_domain(
    files: Path, tmp_path: Path
) -> None:
    a = open_domain([str(files / "scan.tif"), str(files / "slices")])
    domains = Domains(a, [Volume(VOXELS)], [], open_domain([str(files / "scan.zarr")]))
    journal = Journal(tmp_path, RecordConfig(), domains)
    assert not list(tmp_path.iterdir())  # before the training has begun
    journal.handle(events.Started(0, 1, "cpu"))
    found = read_sources(tmp_path)
    assert {key: names(texts) for key, texts in found.items()} == {
        "a": ["scan.tif", "slices"],
        "b": [None],
        "validate_a": [],
        "validate_b": ["scan.zarr"],
    }
    assert [v.shape for v in open_domain([t for t in found["a"] if t])] == [
        (6, 7, 8),
        (6, 7, 8),
    ]


def test_a_run_of_an_earlier_version_remembers_none(tmp_path: Path) -> None:
    Journal(tmp_path, RecordConfig()).handle(events.Started(0, 1, "cpu"))
    assert not (tmp_path / "sources.yaml").exists()
    empty: list[str] = []
    assert read_sources(tmp_path) == dict.fromkeys(
        ("a", "b", "validate_a", "validate_b"), empty
    )


@pytest.mark.parametrize(
    "text",
    ["- a", "a: 3", "c: [x]", "a: [[x]]", "a: [", "a: [!!python/name:os.system]"],
)
def test_a_changed_list_of_volumes_is_refused_in_a_sentence(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "sources.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"sources.yaml: is no list of volumes; rem"):
        read_sources(tmp_path)


def test_letters_of_any_alphabet_survive(tmp_path: Path) -> None:
    path = tmp_path / "Größe 粒.tif"
    io.write(Volume(VOXELS), path)
    volumes = open_domain([str(path)])
    write_sources(tmp_path, Domains(volumes, volumes))
    assert read_sources(tmp_path)["b"] == [str(path.resolve())]
    assert "粒" in (tmp_path / "sources.yaml").read_text(encoding="utf-8")


def test_a_store_without_a_name_of_its_own_kind_is_found(tmp_path: Path) -> None:
    io.write(Volume(VOXELS), tmp_path / "scan.zarr")
    (tmp_path / "scan.zarr").rename(tmp_path / "renamed")
    assert zarr.open_group(tmp_path / "renamed", mode="r")
    (volume,) = open_domain([str(tmp_path / "renamed")])
    text = text_of(volume)
    assert text == str((tmp_path / "renamed").resolve())
