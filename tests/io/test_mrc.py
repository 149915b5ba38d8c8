"""MRC images of other programs, and what other programs find in ours."""

import struct
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io import mrc
from napari_cyclegan3d.io.series import read_series, write_series

Coordinates = Callable[..., NDArray[Any]]
IMOD_STAMP = 1146047817


def foreign(path: Path, voxels: NDArray[Any], **changes: Any) -> Path:
    """A file as mrcfile writes it, with fields of its header changed afterwards."""
    mrcfile.write(path, voxels, voxel_size=(2.5, 5, 10), overwrite=True)
    with mrcfile.open(path, "r+") as file:
        for field, value in changes.items():
            file.header[field] = value
    return path


def imod(path: Path, voxels: NDArray[Any], flags: int, **changes: Any) -> Path:
    """A file with IMOD's stamp and flags."""
    foreign(path, voxels, **changes)
    data = bytearray(path.read_bytes())
    data[152:160] = struct.pack("<ii", IMOD_STAMP, flags)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float16", "float32"])
def test_types_of_mrcfile_are_read(
    dtype: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((3, 4, 5), dtype)
    volume = io.read(foreign(tmp_path / "a.mrc", voxels))
    assert volume.dtype == dtype
    assert np.array_equal(volume.read(), voxels)
    assert volume.spacing == (10, 5, 2.5)
    assert volume.unit == "angstrom"


@pytest.mark.parametrize("dtype", [">i2", ">u2", ">f4"])
def test_big_endian_files_are_read(
    dtype: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((3, 4, 5), np.dtype(dtype).name)
    volume = io.read(foreign(tmp_path / "a.mrc", voxels.astype(dtype)))
    assert np.array_equal(volume.read(), voxels)
    assert volume.dtype.isnative
    assert volume.spacing == (10, 5, 2.5)


def test_a_wrong_stamp_of_the_byte_order_does_no_harm(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((3, 4, 5))
    path = foreign(tmp_path / "a.mrc", voxels, machst=(0x11, 0x11, 0, 0))
    assert np.array_equal(io.read(path).read(), voxels)


@pytest.mark.parametrize("axes", permutations((1, 2, 3)))
def test_axes_may_be_stored_in_any_order(
    axes: tuple[int, int, int], tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((3, 4, 5))
    stored = voxels.transpose([3 - axis for axis in axes[::-1]])
    mrcfile.write(tmp_path / "a.map", np.ascontiguousarray(stored))
    with mrcfile.open(tmp_path / "a.map", "r+") as file:
        head = file.header
        head.mapc, head.mapr, head.maps = axes
        # as the standard has it, these belong to x, y and z, not to columns …
        head.mx, head.my, head.mz = 5, 4, 3
        head.cella = (5 * 2.5, 4 * 5, 3 * 10)
        # … and these belong to columns, rows and sections
        starts = [{1: 7, 2: 8, 3: 9}[axis] for axis in axes]
        head.nxstart, head.nystart, head.nzstart = starts
    volume = io.read(tmp_path / "a.map")
    assert np.array_equal(volume.read(), voxels)
    assert volume.spacing == (10, 5, 2.5)
    assert volume.origin == (9 * 10, 8 * 5, 7 * 2.5)


def test_an_origin_counts_more_than_the_start_in_the_cell(tmp_path: Path) -> None:
    voxels = np.zeros((3, 4, 5), np.int16)
    path = foreign(tmp_path / "a.mrc", voxels, nxstart=3, origin=(1, 2, 3))
    assert io.read(path).origin == (3, 2, 1)


def test_voxels_come_after_the_extended_header(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((3, 4, 5))
    foreign(tmp_path / "a.mrc", voxels)
    with mrcfile.open(tmp_path / "a.mrc", "r+") as file:
        file.set_extended_header(np.arange(700, dtype=np.uint8))
    volume = io.read(tmp_path / "a.mrc")
    assert np.array_equal(volume.read(), voxels)


@pytest.mark.parametrize(("flags", "dtype"), [(0, "uint8"), (1, "int8"), (4, "uint8")])
def test_bytes_of_imod_are_signed_if_its_flag_says_so(
    flags: int, dtype: str, tmp_path: Path
) -> None:
    voxels = np.arange(-30, 30, dtype=np.int8).reshape(3, 4, 5)
    volume = io.read(imod(tmp_path / "a.rec", voxels, flags))
    assert np.array_equal(volume.read(), voxels.view(dtype))


@pytest.mark.parametrize(("flags", "sign"), [(0, -1), (4, 1)])
def test_the_origin_of_imod_has_the_other_sign_unless_its_flag_says_so(
    flags: int, sign: int, tmp_path: Path
) -> None:
    path = imod(
        tmp_path / "a.rec", np.zeros((3, 4, 5), np.int16), flags, origin=(1, 2, 3)
    )
    assert io.read(path).origin == (3 * sign, 2 * sign, sign)


def test_without_a_cell_voxels_are_pixels(tmp_path: Path) -> None:
    voxels = np.zeros((3, 4, 5), np.int16)
    volume = io.read(foreign(tmp_path / "a.mrc", voxels, cella=(0, 0, 0)))
    assert (volume.spacing, volume.unit) == ((1, 1, 1), "pixel")


def test_a_length_that_is_missing_is_that_of_the_other_axes(tmp_path: Path) -> None:
    voxels = np.zeros((3, 4, 5), np.int16)
    volume = io.read(foreign(tmp_path / "a.mrc", voxels, cella=(12.5, 12.5, 0)))
    assert volume.spacing == (3.125, 3.125, 2.5)


def test_a_stack_of_volumes_is_a_series(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((6, 4, 5))
    path = foreign(tmp_path / "a.mrc", voxels, ispg=401, mz=3, cella=(12.5, 20, 30))
    first, second = mrc.read_series(path)
    assert np.array_equal(first.read(), voxels[:3])
    assert np.array_equal(second.read(), voxels[3:])
    assert second.spacing == (10, 5, 2.5)


def test_mrcfile_finds_a_stack_of_the_volumes_that_are_written(
    tmp_path: Path, coordinates: Coordinates, capsys: pytest.CaptureFixture[str]
) -> None:
    voxels = coordinates((2, 3, 4, 5), "float32")
    affine = np.array([[0, 0, 2, 5], [0, 1, 0, 6], [3, 0, 0, 7], [0, 0, 0, 1.0]])
    write_series(
        [Volume(one, affine, "nanometer") for one in voxels], tmp_path / "a.mrc"
    )
    assert mrcfile.validate(tmp_path / "a.mrc"), capsys.readouterr().out
    with mrcfile.open(tmp_path / "a.mrc") as file:
        assert file.is_volume_stack()
        assert np.array_equal(file.data, voxels)
        assert np.allclose(file.voxel_size.tolist(), (20, 10, 30))
        head = file.header
        assert (head.dmin, head.dmax) == (voxels.min(), voxels.max())
        assert np.isclose(head.dmean, voxels.mean(dtype=float))
        assert np.isclose(head.rms, voxels.std(dtype=float))
    frames = read_series(tmp_path / "a.mrc")
    assert len(frames) == 2
    for frame, expected in zip(frames, voxels, strict=True):
        assert np.array_equal(frame.read(), expected)
        assert np.array_equal(frame.affine, affine)
        assert frame.unit == "nanometer"


def test_mrcfile_finds_voxels_size_origin_and_statistics_and_nothing_wrong(
    tmp_path: Path, coordinates: Coordinates, capsys: pytest.CaptureFixture[str]
) -> None:
    voxels = coordinates((3, 4, 5), "float32")
    affine = np.diag([0.003, 0.002, 0.001, 1])
    affine[:3, 3] = (7, -8, 9)
    io.write(Volume(voxels, affine, "micrometer"), tmp_path / "a.mrc")
    assert mrcfile.validate(tmp_path / "a.mrc"), capsys.readouterr().out
    with mrcfile.open(tmp_path / "a.mrc") as file:
        head = file.header
        assert np.array_equal(file.data, voxels)
        assert np.allclose(file.voxel_size.tolist(), (10, 20, 30))
        assert np.allclose(head.origin.tolist(), (9e4, -8e4, 7e4))
        assert (head.dmin, head.dmax) == (voxels.min(), voxels.max())
        assert np.isclose(head.dmean, voxels.mean(dtype=float))
        assert np.isclose(head.rms, voxels.std(dtype=float))


def test_simpleitk_finds_size_and_origin(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="needs the extra mri")
    affine = np.diag([3.0, 2, 1, 1])
    affine[:3, 3] = (7, -8, 9)
    voxels = coordinates((3, 4, 5), "int16")
    io.write(Volume(voxels, affine, "nanometer"), tmp_path / "a.mrc")
    image = sitk.ReadImage(str(tmp_path / "a.mrc"))
    assert np.array_equal(sitk.GetArrayFromImage(image), voxels)
    assert np.allclose(image.GetSpacing(), (10, 20, 30))
    assert np.allclose(image.GetOrigin(), (90, -80, 70))


def test_statistics_are_those_of_the_finite_voxels(tmp_path: Path) -> None:
    voxels = np.array([np.nan, np.inf, 1, 3], np.float32).reshape(1, 2, 2)
    io.write(Volume(voxels), tmp_path / "a.mrc")
    io.write(Volume(voxels * np.nan), tmp_path / "b.mrc")
    with mrcfile.open(tmp_path / "a.mrc") as file:
        assert (file.header.dmin, file.header.dmax, file.header.dmean) == (1, 3, 2)
    with mrcfile.open(tmp_path / "b.mrc") as file:
        assert (file.header.dmin, file.header.dmax) == (0, 0)


def test_bytes_are_stored_in_the_type_that_every_program_understands(
    tmp_path: Path,
) -> None:
    voxels = np.arange(196, 256, dtype=np.uint8).reshape(3, 4, 5)
    io.write(Volume(voxels), tmp_path / "a.mrc")
    with mrcfile.open(tmp_path / "a.mrc") as file:
        assert file.data.dtype == np.uint16
        assert np.array_equal(file.data, voxels)


def test_numbers_that_another_program_has_changed_count_more_than_the_labels(
    tmp_path: Path,
) -> None:
    affine = np.array([[0, 0, 2, 5], [0, 1, 0, 6], [3, 0, 0, 7], [0, 0, 0, 1.0]])
    volume = Volume(np.zeros((3, 4, 5), np.int16), affine, "nanometer")
    io.write(volume, tmp_path / "a.mrc")
    assert np.array_equal(io.read(tmp_path / "a.mrc").affine, affine)
    with mrcfile.open(tmp_path / "a.mrc", "r+") as file:
        file.voxel_size = (1, 2, 3)
    changed = io.read(tmp_path / "a.mrc")
    assert changed.unit == "angstrom"
    assert np.allclose(changed.affine[:3, :3], np.diag([3, 2, 1]))


def test_labels_that_are_damaged_are_left_alone(tmp_path: Path) -> None:
    volume = Volume(np.zeros((3, 4, 5), np.int16), np.diag([3.0, 2, 1, 1]), "nanometer")
    for row in (b"a b c d", b"nan 0 0 0", b"0 0 0 0", b"1 2", b"\xff\xfe"):
        io.write(volume, tmp_path / "a.mrc")
        with mrcfile.open(tmp_path / "a.mrc", "r+") as file:
            file.header.label[1] = row
        got = io.read(tmp_path / "a.mrc")
        assert got.unit == "angstrom"
        assert np.allclose(got.spacing, (30, 20, 10))


def test_a_file_replaced_while_it_is_open_is_read_anew(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((3, 4, 5))
    volume = io.read(foreign(tmp_path / "a.mrc", voxels))
    foreign(tmp_path / "a.mrc", voxels + 1)
    with mrcfile.open(tmp_path / "a.mrc", "r+") as file:
        file.set_extended_header(np.arange(100, dtype=np.uint8))
    assert np.array_equal(volume.read(), voxels + 1)
