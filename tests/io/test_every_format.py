"""One list of volumes, every format that can be written."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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
EXACT_TYPES = [
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64",
]  # fmt: skip


@pytest.fixture(params=io.WRITABLE_SUFFIXES)
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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


@pytest.mark.parametrize("dtype", EXACT_TYPES)
def test_write_then_read_gives_every_type_back_without_loss(
    suffix: str, dtype: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    affine, unit = AFFINES["anisotropic"]
    volume = Volume(coordinates((5, 6, 7), dtype), affine, unit)
    io.write(volume, tmp_path / f"volume{suffix}")
    assert_same_image(io.read(tmp_path / f"volume{suffix}"), volume)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float16", "complex64"])
def test_other_types_come_back_or_are_refused_with_those_that_the_format_has(
    suffix: str, dtype: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    path = tmp_path / f"volume{suffix}"
    if suffix in (".h5", ".hdf5", ".zarr") and dtype != "complex64":
        volume = Volume(coordinates((2, 3, 4), dtype))
        io.write(volume, path)
        assert_same_image(io.read(path), volume)
        return
    with pytest.raises(InputError, match=f"{dtype}; convert the voxels to one of .*fl"):
        io.write(Volume(np.zeros((2, 3, 4), dtype)), path)
    assert not path.exists()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_that_are_no_numbers_come_back(
    suffix: str, dtype: str, tmp_path: Path
) -> None:
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


def test_suffixes_are_known_in_any_case_and_gz_alone_is_not(tmp_path: Path) -> None:
    assert io.can_read("A.NII.GZ")
    assert io.can_write(tmp_path / "b.TIFF")
    assert not io.can_read("archive.tar.gz")
    assert not io.can_write("volume.gz")
    assert not io.can_read(tmp_path)
