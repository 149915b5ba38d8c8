"""What is written region by region, in every format."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import inv_ornt_aff
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Planned, Region, Volume

Coordinates = Callable[..., NDArray[Any]]
Limited = Callable[[int], AbstractContextManager[None]]

SHAPE = (40, 130, 140)
# other names of a format are not worth the time; NIfTI's second one is a second way
WRITTEN = [row.suffixes[0] for row in io.FORMATS if row.create] + [".nii.gz"]


def planned(shape: tuple[int, int, int] = SHAPE, dtype: str = "float32") -> Volume:
    return Volume(
        Planned(shape, np.dtype(dtype)), np.diag([2, 1, 0.5, 1]), "millimeter"
    )


def tiles(shape: tuple[int, ...], side: tuple[int, ...]) -> Iterator[Region]:
    z, y, x = (
        [slice(start, min(start + step, size)) for start in range(0, size, step)]
        for size, step in zip(shape, side, strict=True)
    )
    yield from product(z, y, x)


@pytest.fixture(params=WRITTEN)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"volume{request.param}"


@pytest.mark.parametrize("dtype", ["float32", "uint8", "bool"])
def test_regions_come_in_any_order_and_can_be_read_back_before_the_end(
    path: Path, dtype: str, coordinates: Coordinates
) -> None:
    row = io.format_of(path)
    if row is None or dtype not in row.dtypes:
        pytest.skip(f"the format has no {dtype}")
    voxels = coordinates(SHAPE, dtype)
    regions = list(tiles(SHAPE, (32, 128, 128)))
    np.random.default_rng(0).shuffle(regions)
    with io.create(planned(dtype=dtype), path) as sink:
        assert (sink.shape, sink.dtype) == (SHAPE, voxels.dtype)
        for region in map(tuple, regions):
            sink[region] = voxels[region]
            assert np.array_equal(sink[region], voxels[region])
        across = (slice(20, 35), slice(100, 130), slice(3, 9))
        assert np.array_equal(sink[across], voxels[across])
        assert not path.exists()
    volume = io.read(path)
    assert np.array_equal(volume.read(), voxels)
    assert (volume.spacing, volume.unit) == ((2, 1, 0.5), "millimeter")


@pytest.mark.parametrize(
    "side", [(1, 1, 140), (40, 7, 9), (3, 130, 140), (40, 130, 70)]
)
@pytest.mark.parametrize("suffix", [".tif", ".nii", ".nii.gz", ".h5"])
def test_a_file_is_the_same_whatever_the_regions_were(
    suffix: str, side: tuple[int, int, int], tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates(SHAPE, "uint16")
    volume = planned(dtype="uint16")
    io.write(volume.resampled(voxels, 1), tmp_path / f"a{suffix}")
    with io.create(volume, tmp_path / f"b{suffix}") as sink:
        for region in tiles(SHAPE, side):
            sink[region] = voxels[region]
    written = (tmp_path / f"b{suffix}").read_bytes()
    assert written == (tmp_path / f"a{suffix}").read_bytes()


@pytest.mark.parametrize("axes", permutations(range(3)))
def test_a_nifti_image_is_written_by_regions_in_its_own_orientation(
    axes: tuple[int, ...], tmp_path: Path
) -> None:
    ijk = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(">f4")
    for flips in product((1, -1), repeat=3):
        orientation = np.array(list(zip(axes, flips, strict=True)))
        header = nib.Nifti1Header(endianness=">")
        header.set_data_dtype(">f4")
        affine = np.diag([1, 2, 3, 1.0]) @ inv_ornt_aff(orientation, ijk.shape)
        nib.Nifti1Image(ijk, affine, header).to_filename(tmp_path / "a.nii")
        volume = io.read(tmp_path / "a.nii")
        with io.create(volume, tmp_path / "b.nii") as sink:
            for region in tiles(volume.shape, (2, 3, 4)):
                sink[region] = volume.read(region)
                assert np.array_equal(sink[region], volume.read(region))
        again = nib.Nifti1Image.from_filename(tmp_path / "b.nii")
        assert np.array_equal(again.get_fdata(), ijk)
        assert np.array_equal(again.affine, affine)


def test_threads_write_different_regions_at_once(
    path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates(SHAPE, "uint16")
    with io.create(planned(dtype="uint16"), path) as sink:

        def store(region: Region) -> None:
            sink[region] = voxels[region]

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(store, tiles(SHAPE, (32, 128, 128))))
    assert np.array_equal(io.read(path).read(), voxels)


def test_an_error_in_the_block_leaves_nothing(path: Path) -> None:
    def fail() -> None:
        with io.create(planned(), path) as sink:
            sink[0:32, 0:128, 0:128] = 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not list(path.parent.iterdir())


def test_a_disk_that_becomes_full_under_a_region_is_told_in_one_sentence(
    path: Path, limited: Limited
) -> None:
    noise = np.random.default_rng(0).random(SHAPE, np.float32)

    def write() -> None:
        with io.create(planned(), path) as sink:
            for region in tiles(SHAPE, (32, 128, 128)):
                sink[region] = noise[region]

    with (
        limited(50_000),
        pytest.raises(InputError, match=r"could not be written .* nothing was changed"),
    ):
        write()
    assert not list(path.parent.iterdir())


def test_what_is_only_planned_has_no_voxels_to_read() -> None:
    with pytest.raises(ValueError, match="0:2, :, : are only planned"):
        planned().read((slice(0, 2), slice(None), slice(None)))


@pytest.mark.parametrize("suffix", [".tif", ".nii", ".h5"])
def test_a_file_replaced_while_it_is_open_is_read_anew_or_refused(
    suffix: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    path = tmp_path / f"a{suffix}"
    io.write(Volume(coordinates((5, 6, 7))), path)
    volume = io.read(path)
    io.write(Volume(coordinates((5, 6, 7)) + 1, unit="millimeter"), path)
    assert np.array_equal(volume.read(), coordinates((5, 6, 7)) + 1)
    io.write(Volume(coordinates((5, 6, 8))), path)
    with pytest.raises(InputError, match="has changed since it was opened; open it"):
        volume.read()
    path.unlink()
    with pytest.raises(InputError, match=r"could not be read \(No such file"):
        volume.read()


def test_no_file_stays_open_however_many_slices_a_volume_has(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    resource = pytest.importorskip("resource", reason="limits are those of POSIX")
    for z in range(80):
        io.write(Volume(coordinates((1, 4, 5)) + z), tmp_path / f"{z}.tif")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    try:
        voxels = io.read(tmp_path).read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert np.array_equal(voxels[:, 0, 0], coordinates((1, 4, 5))[0, 0, 0] + range(80))
