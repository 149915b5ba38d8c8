"""A file appears whole or not at all, and what was there before stays."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.volume import Region, Volume

# other names of a format are not worth the time; NIfTI's second one is a second way
WRITTEN = [row.suffixes[0] for row in io.FORMATS if row.create] + [".nii.gz"]


class Failing:
    """Voxels of which the second half cannot be read."""

    shape = (64, 1024, 1024)
    dtype = np.dtype(np.uint8)

    def __getitem__(self, region: Region) -> NDArray[Any]:
        planes = range(*region[0].indices(64))
        if planes[-1] >= 32:
            raise InputError("the source is gone")
        return np.zeros((len(planes), 1024, 1024), np.uint8)


def content(path: Path) -> dict[str, bytes]:
    """All bytes of a file and of its sidecar, or of all files in a folder."""
    beside = path.parent.glob(f"{path.name}*")
    files = path.rglob("*") if path.is_dir() else beside
    return {str(file): file.read_bytes() for file in files if file.is_file()}


@pytest.fixture(params=WRITTEN)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file that is there; nothing may be new in its folder afterwards."""
    path = tmp_path / f"volume{request.param}"
    io.write(Volume(np.arange(60, dtype=np.uint8).reshape(3, 4, 5)), path)
    before = sorted(tmp_path.iterdir())
    yield path
    assert sorted(tmp_path.iterdir()) == before


def test_a_write_that_fails_leaves_the_old_file_as_it_was(path: Path) -> None:
    before = content(path)
    with pytest.raises(InputError, match="the source is gone"):
        io.write(Volume(Failing()), path)
    assert content(path) == before


FILL_THE_DISK = """
import resource, sys
import numpy as np
from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume
noise = np.random.default_rng(0).integers(0, 2**16, (40, 64, 64), np.uint16)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    io.write(Volume(noise), sys.argv[1])
except io.InputError as error:
    print(error)
"""


def test_a_disk_that_becomes_full_leaves_the_old_file_as_it_was(path: Path) -> None:
    pytest.importorskip("resource", reason="limits of file size are POSIX ones")
    before = content(path)
    command = [sys.executable, "-c", FILL_THE_DISK, str(path)]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert run.stderr == ""
    (sentence,) = run.stdout.splitlines()
    assert sentence.startswith(f"{path}: could not be written (")
    assert sentence.endswith("choose another folder; nothing was changed")
    assert content(path) == before


def test_a_volume_is_written_over_the_file_it_is_read_from(path: Path) -> None:
    volume = io.read(path)
    before = volume.read()
    io.write(volume, path)
    assert np.array_equal(io.read(path).read(), before)
    assert np.array_equal(volume.read(), before)


def test_a_file_too_large_for_the_disk_is_refused_before_it_is_written(
    tmp_path: Path,
) -> None:
    entered = False
    with (
        pytest.raises(InputError, match=r"big: needs 1e\+09 GB and .* GB are free"),
        atomic_path(tmp_path / "big", needed_bytes=10**18),
    ):
        entered = True
    assert not entered


def test_an_interruption_removes_the_unfinished_file(tmp_path: Path) -> None:
    def interrupted() -> None:
        with atomic_path(tmp_path / "model.safetensors") as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_the_file_is_not_there_until_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "scan.v2.nii.gz"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"whole")
        assert not target.exists()
        assert temporary.parent == target.parent
        assert temporary.name.endswith(".nii.gz")
    assert target.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_still_points_to_the_file_that_is_written(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "data" / "file.txt")
    with atomic_path(link) as temporary:
        temporary.write_text("new", encoding="utf-8")
    assert link.is_symlink()
    assert (tmp_path / "data" / "file.txt").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("suffix", WRITTEN)
def test_of_a_missing_folder_the_file_is_named_that_was_asked_for(
    suffix: str, tmp_path: Path
) -> None:
    """Not the one that goes beside it, with what a format has no room for."""
    placed = Volume(
        np.zeros((2, 3, 4), np.uint8), np.diag([3.0, 1, 1, 1]), "micrometer"
    )
    path = tmp_path / "nowhere" / f"a{suffix}"
    with pytest.raises(InputError) as refusal:
        io.write(placed, path)
    said = f"{path}: the folder {path.parent} does not exist; create it or choose"
    assert str(refusal.value).startswith(said)


def test_a_missing_folder_and_a_folder_as_target_are_refused(tmp_path: Path) -> None:
    volume = Volume(np.zeros((2, 3, 4), np.uint8))
    with pytest.raises(InputError, match="nowhere does not exist; create it"):
        io.write(volume, tmp_path / "nowhere" / "a.tif")
    with pytest.raises(InputError, match="nowhere does not exist; create it"):
        io.write(volume, tmp_path / "nowhere" / "a.zarr")
    (tmp_path / "b.tif").mkdir()
    with pytest.raises(InputError, match=r"b\.tif: is a folder; give the name"):
        io.write(volume, tmp_path / "b.tif")
    with pytest.raises(InputError, match=r"c\.png: .* known are \.tif"):
        io.write(volume, tmp_path / "c.png")
