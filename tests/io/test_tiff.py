import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.units import unit_name
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io import tiff

Coordinates = Callable[..., NDArray[Any]]

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "pages without a description": {"metadata": None},
    "BigTIFF": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "big-endian compressed": {"byteorder": ">", "compression": "zlib"},
    "compressed": {"compression": "zlib"},
    "compressed with a predictor": {"compression": "zlib", "predictor": True},
    "compressed with LZMA": {"compression": "lzma"},
    "strips": {"rowsperstrip": 4},
    "tiled": {"tile": (16, 16)},
    "tiled and compressed": {"tile": (16, 16), "compression": "zlib"},
    "ImageJ": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "ImageJ without named slices": {"imagej": True},
    "ImageJ slices called frames": {"imagej": True, "metadata": {"axes": "TYX"}},
    "OME": {"ome": True, "metadata": {"axes": "ZYX"}},
    "OME tiled": {"ome": True, "metadata": {"axes": "ZYX"}, "tile": (16, 16)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_stack_is_read_as_z_y_x(
    kind: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((5, 33, 40))
    tifffile.imwrite(tmp_path / "a.tif", voxels, **KINDS[kind])
    volume = io.read(tmp_path / "a.tif")
    assert volume.shape == (5, 33, 40)
    assert volume.dtype == np.uint16
    assert volume.dtype.isnative
    assert np.array_equal(volume.read(), voxels)
    region = (slice(1, 4), slice(3, 30), slice(17, 18))
    assert np.array_equal(volume.read(region), voxels[region])
    assert (volume.spacing, volume.unit) == ((1, 1, 1), "pixel")


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_image_is_a_volume_of_one_slice(
    kind: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    image = coordinates((33, 40))
    options = dict(KINDS[kind])
    if options.get("metadata"):
        options["metadata"] = {"axes": "YX"}
    tifffile.imwrite(tmp_path / "a.tif", image, **options)
    volume = io.read(tmp_path / "a.tif")
    assert volume.shape == (1, 33, 40)
    assert np.array_equal(volume.read()[0], image)


def test_axes_of_length_one_are_dropped(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((1, 5, 1, 33, 40))
    options = {"imagej": True, "metadata": {"axes": "TZCYX"}}
    tifffile.imwrite(tmp_path / "a.tif", voxels, **options)
    assert np.array_equal(io.read(tmp_path / "a.tif").read(), voxels[0, :, 0])


def test_truth_values_come_back_as_truth_values(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    mask = coordinates((5, 33, 41), "bool")
    io.write(Volume(mask), tmp_path / "mask.tif")
    volume = io.read(tmp_path / "mask.tif")
    assert volume.dtype == bool
    assert np.array_equal(volume.read(), mask)


@pytest.mark.parametrize(
    "kind", ["plain", "compressed", "tiled", "ImageJ", "BigTIFF", "OME"]
)
def test_a_stack_cut_off_anywhere_is_refused_unless_nothing_is_lost(
    kind: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((5, 12, 14), "uint8")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, voxels, **KINDS[kind])
    data = path.read_bytes()
    padding = 20
    for length in range(1, len(data), 5):
        path.unlink()
        path.write_bytes(data[:length])
        try:
            read = io.read(path).read()
        except InputError:
            continue
        assert length > len(data) - padding
        assert np.array_equal(read, voxels)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("um", "micrometer"),
        ("micron", "micrometer"),
        (r"\u00B5m", "micrometer"),
        (r"\xb5m", "micrometer"),
        ("mm", "millimeter"),
        ("nm", "nanometer"),
        ("cm", "centimeter"),
        ("inch", "inch"),
        ("pixel", "pixel"),
        ("furlong", "pixel"),
    ],
)
def test_the_voxel_size_of_an_imagej_stack_is_read(
    written: str, name: str, tmp_path: Path
) -> None:
    metadata = {"axes": "ZYX", "spacing": 2.5, "unit": written}
    voxels = np.zeros((3, 4, 5), np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif",
        voxels,
        imagej=True,
        resolution=(1 / 0.325, 2),
        metadata=metadata,
    )
    volume = io.read(tmp_path / "a.tif")
    assert volume.spacing == pytest.approx((2.5, 0.5, 0.325), rel=1e-6)
    assert volume.unit == name
    assert volume.origin == (0, 0, 0)


def test_sizes_in_different_units_are_brought_to_that_of_x(tmp_path: Path) -> None:
    metadata = {"axes": "ZYX", "spacing": 2, "unit": "um", "yunit": "nm", "zunit": "mm"}
    voxels = np.zeros((3, 4, 5), np.uint8)
    options = {"imagej": True, "resolution": (4, 0.002), "metadata": metadata}
    tifffile.imwrite(tmp_path / "a.tif", voxels, **options)
    volume = io.read(tmp_path / "a.tif")
    assert volume.spacing == pytest.approx((2000, 0.5, 0.25))
    assert volume.unit == "micrometer"


def test_slices_of_a_stack_are_1_apart_where_imagej_says_nothing(
    tmp_path: Path,
) -> None:
    metadata = {"axes": "ZYX", "unit": "um"}
    voxels = np.zeros((3, 4, 5), np.uint8)
    options = {"imagej": True, "resolution": (2, 2), "metadata": metadata}
    tifffile.imwrite(tmp_path / "a.tif", voxels, **options)
    assert io.read(tmp_path / "a.tif").spacing == (1, 0.5, 0.5)


def test_dots_per_inch_are_no_voxel_size(tmp_path: Path) -> None:
    voxels = np.zeros((5, 4, 5), np.uint8)
    for name, imagej, dpi in [("a", True, 72), ("b", False, 300)]:
        tifffile.imwrite(
            tmp_path / f"{name}.tif",
            voxels,
            imagej=imagej,
            resolution=(dpi, dpi),
            resolutionunit="INCH",
        )
        volume = io.read(tmp_path / f"{name}.tif")
        assert (volume.spacing, volume.unit) == ((1, 1, 1), "pixel")


@pytest.mark.parametrize(
    ("sizes", "spacing", "unit"),
    [
        ({"X": 0.325, "Y": 0.5, "Z": 2.5}, (2.5, 0.5, 0.325), "micrometer"),
        ({"X": 65, "Y": 65, "XUnit": "nm", "YUnit": "nm"}, (65, 65, 65), "nanometer"),
        ({"X": 0.5, "Y": 0.5, "Z": 300, "ZUnit": "nm"}, (0.3, 0.5, 0.5), "micrometer"),
        ({"X": 2, "XUnit": "pixel"}, (2, 2, 2), "pixel"),
        ({"Z": 3}, (1, 1, 1), "pixel"),
        ({"X": 0.5, "Y": 0, "Z": -2}, (2, 0.5, 0.5), "micrometer"),
    ],
)
def test_the_voxel_size_of_an_ome_stack_is_read(
    sizes: dict[str, Any],
    spacing: tuple[float, ...],
    unit: str,
    tmp_path: Path,
) -> None:
    metadata = {f"PhysicalSize{key}": value for key, value in sizes.items()}
    voxels = np.zeros((3, 4, 5), np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", voxels, ome=True, metadata={"axes": "ZYX", **metadata}
    )
    volume = io.read(tmp_path / "a.tif")
    assert volume.spacing == pytest.approx(spacing)
    assert volume.unit == unit


def test_a_length_and_a_pixel_count_as_voxel_sizes_are_refused(tmp_path: Path) -> None:
    metadata = {"PhysicalSizeX": 2, "PhysicalSizeY": 2, "PhysicalSizeYUnit": "pixel"}
    voxels = np.zeros((3, 4, 5), np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", voxels, ome=True, metadata={"axes": "ZYX", **metadata}
    )
    with pytest.raises(InputError, match="in pixel and micrometer cannot be compared"):
        io.read(tmp_path / "a.tif")


def test_the_voxel_size_that_fiji_stored_is_read(
    real_data: Callable[[str], Path],
) -> None:
    volume = io.read(real_data("microct_qim3d_mit/bone_128x128x128.tif"))
    assert volume.spacing == (1.953125, 1.953125, 1.953125)
    assert volume.shape == (128, 128, 128)


def test_a_real_compressed_stack_reads_as_tifffile_reads_it(
    real_data: Callable[[str], Path],
) -> None:
    path = real_data("microct_fibre_gpl3/fibre_crop_z000-127_y0-255_x0-255_u16.tif")
    assert np.array_equal(io.read(path).read(), tifffile.imread(path))


OBLIQUE = np.array(
    [[2.4, 0.1, -0.1, 11], [0.3, -0.5, 0.1, -7], [-0.2, 0.1, 0.3, 1 / 3], [0, 0, 0, 1]]
)


@pytest.mark.parametrize("dtype", ["float32", "int16"])
@pytest.mark.parametrize(
    "unit", ["pixel", "micrometer", "millimeter", "nanometer", "inch", "angstrom"]
)
def test_the_whole_affine_and_the_unit_come_back_exactly(
    dtype: str, unit: str, tmp_path: Path
) -> None:
    volume = Volume(np.zeros((3, 4, 5), dtype), OBLIQUE, unit)
    io.write(volume, tmp_path / "a.tif")
    again = io.read(tmp_path / "a.tif")
    assert np.array_equal(again.affine, OBLIQUE)
    assert again.unit == unit


def test_what_fiji_reads_of_a_written_stack_is_its_voxel_size(tmp_path: Path) -> None:
    voxels = np.zeros((3, 4, 5), np.uint16)
    volume = Volume(voxels, np.diag([2.5, 0.5, 0.25, 1]), "micrometer")
    io.write(volume, tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_imagej
        assert not tif.is_bigtiff
        assert tif.imagej_metadata is not None
        assert tif.imagej_metadata["spacing"] == 2.5
        assert tif.imagej_metadata["unit"] == "um"
        assert tif.imagej_metadata["slices"] == 3
        assert tif.pages.first.resolution == (4, 2)
        assert tif.series[0].dataoffset is not None


def test_an_ome_stack_states_voxel_size_and_place_of_each_plane(
    tmp_path: Path,
) -> None:
    affine = np.diag([2.5, 0.5, 0.25, 1])
    affine[:3, 3] = (10, 20, 30)
    volume = Volume(np.zeros((3, 4, 5), np.int32), affine, "millimeter")
    io.write(volume, tmp_path / "a.tif")
    metadata = tifffile.xml2dict(tifffile.tiffcomment(tmp_path / "a.tif"))
    pixels = metadata["OME"]["Image"]["Pixels"]
    assert [pixels[f"PhysicalSize{axis}"] for axis in "ZYX"] == [2.5, 0.5, 0.25]
    assert [pixels[f"PhysicalSize{axis}Unit"] for axis in "ZYX"] == ["mm"] * 3
    assert [plane["PositionZ"] for plane in pixels["Plane"]] == [10, 12.5, 15]
    assert {plane["PositionX"] for plane in pixels["Plane"]} == {30}


def test_metadata_copied_onto_a_crop_do_not_put_it_in_the_wrong_place(
    tmp_path: Path,
) -> None:
    """What a script does that reads, crops, and writes with the old metadata."""
    voxels = np.zeros((6, 4, 5), np.uint16)
    io.write(Volume(voxels, OBLIQUE, "micrometer"), tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        metadata, resolution = tif.imagej_metadata, tif.pages.first.resolution
    tifffile.imwrite(
        tmp_path / "crop.tif",
        voxels[2:],
        imagej=True,
        metadata={**(metadata or {}), "axes": "ZYX", "slices": 4, "images": 4},
        resolution=resolution,
    )
    volume = io.read(tmp_path / "crop.tif")
    assert np.array_equal(volume.affine, np.diag(np.diag(volume.affine)))
    spacing = np.linalg.norm(OBLIQUE[:3, :3], axis=0)
    assert volume.spacing == pytest.approx(tuple(spacing), rel=1e-6)


def test_only_what_imagej_can_open_becomes_an_imagej_stack() -> None:
    def empty(shape: tuple[int, ...], dtype: str = "uint8", size: float = 1) -> Volume:
        voxels = np.broadcast_to(np.zeros(1, dtype), shape)
        return Volume(voxels, np.diag([size, size, size, 1]))

    assert tiff.fits_imagej(empty((2000, 1000, 1000)))
    assert not tiff.fits_imagej(empty((5000, 1000, 1000)))
    assert not tiff.fits_imagej(empty((5, 6, 7), "int16"))
    assert not tiff.fits_imagej(empty((5, 6, 1)))
    assert not tiff.fits_imagej(empty((5, 6, 7), size=1e-9))


def test_reading_a_slice_of_an_uncompressed_stack_loads_about_a_slice(
    tmp_path: Path,
) -> None:
    stored = tifffile.memmap(
        tmp_path / "a.tif", shape=(128, 1024, 1024), dtype=np.uint16, imagej=True
    )
    stored[70, 5, 6] = 1234
    stored.flush()
    del stored
    assert_reads_little(tmp_path / "a.tif", 8e6)


def test_reading_a_slice_of_a_compressed_stack_loads_about_a_slice(
    tmp_path: Path,
) -> None:
    voxels = np.zeros((128, 1024, 1024), np.uint8)
    voxels[70, 5, 6] = 210
    tifffile.imwrite(tmp_path / "a.tif", voxels, compression="zlib")
    del voxels
    assert_reads_little(tmp_path / "a.tif", 16e6)


def assert_reads_little(path: Path, limit: float) -> None:
    tracemalloc.start()
    try:
        volume = io.read(path)
        part = volume.read((slice(70, 71), slice(None), slice(None)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert part[0, 5, 6] > 0
    assert np.count_nonzero(part) == 1
    assert peak < limit


@pytest.mark.parametrize("written", ["µm", "μm", "Âµm", "UM", " micron ", "Micrometre"])
def test_every_spelling_of_the_micrometer_is_known(written: str) -> None:
    assert unit_name(written) == "micrometer"


def test_a_compressed_stack_is_read_by_several_threads_at_once(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((40, 64, 64))
    tifffile.imwrite(tmp_path / "a.tif", voxels, compression="zlib", tile=(16, 16))
    volume = io.read(tmp_path / "a.tif")
    regions = [(slice(z, z + 4), slice(z, None), slice(None)) for z in range(36)]
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(volume.read, regions))
    for region, part in zip(regions, parts, strict=True):
        assert np.array_equal(part, voxels[region])
