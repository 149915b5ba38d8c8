"""One list of volumes, every format that can be written."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region, Volume

Coordinates = Callable[..., NDArray[Any]]


def placed(
    spacing: tuple[float, ...],
    origin: tuple[float, ...] = (0, 0, 0),
    angles: tuple[float, ...] = (0, 0, 0),
) -> NDArray[np.float64]:
    affine = np.eye(4)
    turn = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


AFFINES = {
    "isotropic": (placed((0.65, 0.65, 0.65)), "micrometer"),
    "anisotropic": (placed((3.3, 0.5989581, 0.25)), "millimeter"),
    "far origin": (placed((1, 1, 1), (-1234.5678, 1e3 / 3, 0.1)), "millimeter"),
    "flipped": (placed((2, -0.5, -0.25), (7, -8, 9.1)), "micrometer"),
    "oblique": (placed((2.5, 0.7, 0.33), (-90, 30, 12), (19, -7, 11)), "millimeter"),
    "turned over": (placed((2, 1, 0.5), (5, 6, 7), (100, 170, -80)), "millimeter"),
}
SHAPES = [(5, 6, 7), (1, 6, 7), (5, 1, 7), (5, 6, 1), (3, 5, 4), (7, 6, 3), (2, 33, 4)]
TYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "float32", "float64", "complex64",
)  # fmt: skip


# other names of a format are not worth the time; NIfTI's second one is a second way
WRITTEN = [row.suffixes[0] for row in io.FORMATS if row.create] + [".nii.gz"]
READ = sorted({*WRITTEN, *(row.suffixes[0] for row in io.FORMATS)} - {".zarr"})


@pytest.fixture(params=WRITTEN)
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def row_of(suffix: str) -> io.Format:
    row = io.format_of(Path(f"volume{suffix}"))
    assert row is not None
    return row


def assert_same_image(got: Volume, expected: Volume) -> None:
    """Each voxel has the same value at the same place in the world."""
    assert got.unit == expected.unit
    assert got.dtype == expected.dtype
    assert sorted(got.shape) == sorted(expected.shape)
    index = np.indices(expected.shape).reshape(3, -1)
    there = np.vstack([index, np.ones(index.shape[1])])
    voxels = (np.linalg.inv(got.affine) @ expected.affine @ there)[:3]
    nearest = np.rint(voxels).astype(int)
    assert np.abs(voxels - nearest).max() < 1e-3
    assert (nearest >= 0).all()
    assert np.array_equal(got.read()[tuple(nearest)], expected.read().ravel())


@pytest.mark.parametrize("case", AFFINES)
def test_write_then_read_gives_every_voxel_at_its_place(
    suffix: str, case: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    affine, unit = AFFINES[case]
    volume = Volume(coordinates((5, 6, 7)), affine, unit)
    io.write(volume, tmp_path / f"volume{suffix}")
    assert_same_image(io.read(tmp_path / f"volume{suffix}"), volume)


@pytest.mark.parametrize("shape", SHAPES)
def test_write_then_read_gives_every_shape_back(
    suffix: str, shape: tuple[int, int, int], tmp_path: Path, coordinates: Coordinates
) -> None:
    affine, unit = AFFINES["oblique"]
    volume = Volume(coordinates(shape), affine, unit)
    io.write(volume, tmp_path / f"volume{suffix}")
    assert_same_image(io.read(tmp_path / f"volume{suffix}"), volume)


@pytest.mark.parametrize("dtype", TYPES)
def test_each_type_comes_back_as_the_table_says_or_is_refused_with_those_that_do(
    suffix: str, dtype: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    row, path = row_of(suffix), tmp_path / f"volume{suffix}"
    affine, unit = AFFINES["anisotropic"]
    if dtype not in (*row.dtypes, *row.widened):
        with pytest.raises(InputError, match=f"{dtype}; convert the voxels to one of"):
            io.write(Volume(np.zeros((2, 3, 4), dtype)), path)
        assert not list(tmp_path.iterdir())
        return
    volume = Volume(coordinates((5, 6, 7), dtype), affine, unit)
    io.write(volume, path)
    got = io.read(path)
    if dtype in row.widened:
        assert np.can_cast(volume.dtype, got.dtype, "safe")
        volume = replace(volume, array=volume.read().astype(got.dtype))
    assert_same_image(got, volume)


@pytest.mark.parametrize("dtype", [">u2", ">i2", ">f4", ">f8"])
def test_big_endian_voxels_are_written_with_their_values(
    suffix: str, dtype: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((3, 4, 5), np.dtype(dtype).name)
    if voxels.dtype.name in row_of(suffix).dtypes:
        io.write(Volume(voxels.astype(dtype)), tmp_path / f"v{suffix}")
        got = io.read(tmp_path / f"v{suffix}")
        assert got.dtype == voxels.dtype
        assert np.array_equal(got.read(), voxels)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_that_are_no_numbers_come_back(
    suffix: str, dtype: str, tmp_path: Path
) -> None:
    if dtype not in row_of(suffix).dtypes:
        pytest.skip(f"the format has no {dtype}")
    voxels = np.zeros((3, 4, 5), dtype)
    voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    io.write(Volume(voxels), tmp_path / f"v{suffix}")
    assert np.array_equal(io.read(tmp_path / f"v{suffix}").read(), voxels, True)


def test_a_region_equals_the_same_part_of_the_whole(
    suffix: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    affine, unit = AFFINES["flipped"]
    io.write(Volume(coordinates((9, 10, 11)), affine, unit), tmp_path / f"v{suffix}")
    volume = io.read(tmp_path / f"v{suffix}")
    region = (slice(2, 7), slice(0, 10, 3), slice(8, None))
    part = volume.read(region)
    assert np.array_equal(part, volume.read()[region])
    assert part.dtype.isnative
    assert part.flags.c_contiguous
    assert part.flags.writeable


def test_a_crop_is_written_and_read_at_its_place_in_the_whole(
    suffix: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    affine, unit = AFFINES["oblique"]
    io.write(Volume(coordinates((9, 10, 11)), affine, unit), tmp_path / f"v{suffix}")
    crop = io.read(tmp_path / f"v{suffix}").crop((slice(2, 7), slice(3, 9), slice(5)))
    io.write(crop, tmp_path / f"crop{suffix}")
    assert_same_image(io.read(tmp_path / f"crop{suffix}"), crop)


def test_twice_the_size_is_written_and_read_over_its_source(
    suffix: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    affine, unit = AFFINES["oblique"]
    io.write(Volume(coordinates((4, 5, 6)), affine, unit), tmp_path / f"v{suffix}")
    larger = io.read(tmp_path / f"v{suffix}").resampled(coordinates((8, 10, 12)), 2)
    io.write(larger, tmp_path / f"larger{suffix}")
    assert_same_image(io.read(tmp_path / f"larger{suffix}"), larger)


@pytest.mark.parametrize("suffix", io.WRITABLE_SUFFIXES)
def test_a_volume_is_named_like_its_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"Femur_07{suffix.upper()}"
    io.write(Volume(np.zeros((2, 3, 4), np.uint8)), path)
    assert io.read(path).name == path.name


class Computed:
    """Voxels that exist only where they are asked for; counts none of them twice."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.uint16)
        self.largest = 0

    def __getitem__(self, region: Region) -> NDArray[Any]:
        shape = [
            len(range(*part.indices(size)))
            for part, size in zip(region, self.shape, strict=True)
        ]
        voxels = np.ones(shape, self.dtype)
        self.largest = max(self.largest, voxels.nbytes)
        return voxels


def test_writing_needs_far_less_memory_than_the_volume(
    suffix: str, tmp_path: Path
) -> None:
    source = Computed((256, 768, 512))
    size = 2 * 256 * 768 * 512
    tracemalloc.start()
    try:
        io.write(Volume(source), tmp_path / f"v{suffix}")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert source.largest < size / 5
    assert peak < size / 2


def written(path: Path) -> None:
    """Any readable file: 16-bit noise of 20 × 24 pixels, where possible as a volume."""
    noise = np.random.default_rng(0).integers(0, 2**16, (5, 20, 24), np.uint16)
    suffix = path.suffix.lower()
    if path.name.lower().endswith(io.WRITABLE_SUFFIXES):
        io.write(Volume(noise), path)
    elif suffix == ".nxs":
        io.write(Volume(noise), path.with_suffix(".h5"))
        path.with_suffix(".h5").rename(path)
    elif suffix == ".pt":
        torch.save(torch.from_numpy(noise[0].astype(np.float32)), path)
    elif suffix in (".dcm", ".dicom", ".ima"):
        sitk = pytest.importorskip("SimpleITK", reason="DICOM needs the extra mri")
        sitk.WriteImage(sitk.GetImageFromArray(noise[:1]), str(path.parent / "a.dcm"))
        (path.parent / "a.dcm").rename(path)
    else:
        bits = 16 if suffix == ".png" else 8
        image = PIL.Image.fromarray(noise[0].astype(f"uint{bits}"))
        image.save(path, io.format_of(path).name)  # type: ignore[union-attr]


@pytest.fixture(params=READ)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A readable file of every kind."""
    path = tmp_path / f"volume{request.param}"
    written(path)
    assert io.can_read(path)
    assert io.read(path).shape[1:] == (20, 24)
    return path


def assert_refused(path: Path) -> None:
    """One sentence that names the file, and no more memory than the file is large."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as refusal:
            io.read(path).read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(path) in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
    assert peak < 20e6


def test_every_file_that_is_empty_is_refused(file: Path) -> None:
    file.write_bytes(b"")
    assert_refused(file)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.97])
def test_every_file_that_is_cut_off_is_refused(file: Path, share: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: max(1, int(share * len(data)))])
    assert_refused(file)


@pytest.mark.parametrize("filling", [b"This is no image.\n", b"\0", b"\xff"])
def test_every_file_that_is_something_else_is_refused(
    file: Path, filling: bytes
) -> None:
    length = file.stat().st_size + 7
    file.write_bytes((filling * length)[:length])
    assert_refused(file)


@pytest.mark.parametrize("other", [".tif", ".nii", ".nii.gz", ".h5", ".mrc", ".npy"])
def test_every_file_with_the_content_of_another_format_is_refused(
    file: Path, other: str, tmp_path: Path
) -> None:
    written(tmp_path / f"other{other}")
    packed = {path.suffix == ".gz" for path in (file, Path(other))}
    if row_of(other).read is row_of(file.name).read and len(packed) == 1:
        pytest.skip("both names are of one format")
    (tmp_path / f"other{other}").replace(file)
    assert_refused(file)


def test_suffixes_are_known_in_any_case_and_gz_alone_is_not(tmp_path: Path) -> None:
    assert io.can_read("A.NII.GZ")
    assert io.can_write(tmp_path / "b.TIFF")
    assert not io.can_read("archive.tar.gz")
    assert not io.can_write("volume.gz")
    assert io.format_of(tmp_path / "scan.gz") is None
    assert not io.can_read(tmp_path)


def test_no_two_rows_of_the_table_claim_a_suffix() -> None:
    suffixes = io.READABLE_SUFFIXES
    assert len(set(suffixes)) == len(suffixes)
    assert set(io.WRITABLE_SUFFIXES) < set(suffixes)
    for suffix in suffixes:
        assert suffix in row_of(suffix).suffixes
        assert suffix == suffix.lower()


def test_every_format_that_is_written_keeps_the_place_of_a_volume() -> None:
    for row in io.FORMATS:
        kept = {row.spacing, row.origin, row.rotation, row.unit}
        assert kept <= {"yes", "here"} if row.create else not row.dtypes
