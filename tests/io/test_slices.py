import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError

Coordinates = Callable[..., NDArray[Any]]


@pytest.fixture(params=[None, "zlib"], ids=["uncompressed", "compressed"])
def folder(
    request: pytest.FixtureRequest, tmp_path: Path, coordinates: Coordinates
) -> Path:
    """Twelve slices s_0.tif … s_11.tif, and files that a scanner leaves beside them."""
    folder = tmp_path / "scan"
    folder.mkdir()
    for index, image in enumerate(coordinates((12, 6, 7))):
        path = folder / f"s_{index}.tif"
        tifffile.imwrite(path, image, compression=request.param)
    (folder / "scan.log").write_text("voltage 80 kV", encoding="utf-8")
    (folder / "._s_0.tif").write_bytes(b"\0" * 100)
    return folder


def test_slices_are_stacked_in_natural_order(
    folder: Path, coordinates: Coordinates
) -> None:
    assert io.can_read(folder)
    volume = io.read(folder)
    voxels = coordinates((12, 6, 7))
    assert volume.name == "scan"
    assert volume.shape == (12, 6, 7)
    assert volume.dtype == np.uint16
    assert np.array_equal(volume.read(), voxels)
    region = (slice(1, 11, 4), slice(2, 5), slice(6, None))
    assert np.array_equal(volume.read(region), voxels[region])


def test_a_slice_of_another_size_is_named(folder: Path) -> None:
    tifffile.imwrite(folder / "s_5.tif", np.zeros((6, 8), np.uint16))
    with pytest.raises(InputError, match=r"s_5\.tif: is 6 × 8 uint16, .*is 6 × 7"):
        io.read(folder)


def test_a_slice_of_another_type_is_named(folder: Path) -> None:
    tifffile.imwrite(folder / "s_11.tif", np.zeros((6, 7), np.uint8))
    with pytest.raises(InputError, match=r"s_11\.tif: is 6 × 7 uint8, .*uint16"):
        io.read(folder)


def test_a_stack_among_the_slices_is_named(folder: Path) -> None:
    tifffile.imwrite(folder / "s_3.tif", np.zeros((5, 6, 7), np.uint16))
    with pytest.raises(InputError, match=r"s_3\.tif: holds 5 slices; open this file"):
        io.read(folder)


def test_a_damaged_slice_is_named(folder: Path) -> None:
    (folder / "s_7.tif").write_bytes((folder / "s_7.tif").read_bytes()[:50])
    with pytest.raises(InputError, match=r"s_7\.tif: is "):
        io.read(folder)


def test_a_compressed_slice_that_has_changed_is_named(tmp_path: Path) -> None:
    for index in range(3):
        tifffile.imwrite(
            tmp_path / f"{index}.tif", np.ones((6, 7), np.uint8), compression="zlib"
        )
    volume = io.read(tmp_path)
    tifffile.imwrite(tmp_path / "1.tif", np.ones((8, 9), np.uint8), compression="zlib")
    with pytest.raises(InputError, match=r"1\.tif: has changed .*; open the folder"):
        volume.read()
    (tmp_path / "2.tif").unlink()
    with pytest.raises(InputError, match=r"2\.tif: could not be read \(No such file"):
        volume.read((slice(2, 3), slice(None), slice(None)))


def test_pixel_size_comes_from_the_first_slice_and_slices_are_as_far_apart(
    tmp_path: Path,
) -> None:
    for index in range(3):
        tifffile.imwrite(
            tmp_path / f"{index}.tif",
            np.ones((6, 7), np.uint8),
            imagej=True,
            resolution=(2, 4),
            metadata={"unit": "um"},
        )
    volume = io.read(tmp_path)
    assert volume.spacing == (0.25, 0.25, 0.5)
    assert volume.unit == "micrometer"


def test_real_slices_are_read_in_their_order(
    real_data: Callable[[str], Path],
) -> None:
    folder = real_data("microct_bone_slices_mit")
    volume = io.read(folder)
    assert volume.shape == (200, 200, 200)
    assert volume.dtype == np.uint8
    for index in (0, 9, 10, 99, 100, 199):
        image = tifffile.imread(folder / f"3155_D_4_bc_{index:04d}.tif")
        part = volume.read((slice(index, index + 1), slice(None), slice(None)))
        assert np.array_equal(part[0], image)


def test_reading_a_few_slices_loads_only_these(
    real_data: Callable[[str], Path],
) -> None:
    volume = io.read(real_data("microct_bone_slices_mit"))
    tracemalloc.start()
    try:
        volume.read((slice(50, 60), slice(None), slice(None)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200 * 200 * 40
