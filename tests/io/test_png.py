from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError

Coordinates = Callable[..., NDArray[Any]]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool"])
def test_a_grey_image_is_a_volume_of_one_slice(
    dtype: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    image = coordinates((33, 40), dtype) * (257 if dtype == "uint16" else 1)
    image = image.astype(dtype)
    Image.fromarray(image).save(tmp_path / "a.png")
    volume = io.read(tmp_path / "a.png")
    assert volume.dtype == image.dtype
    assert np.array_equal(volume.read(), image[np.newaxis])
    region = (slice(0, 1), slice(3, 30, 4), slice(17, 18))
    part = volume.read(region)
    assert np.array_equal(part, image[np.newaxis][region])
    assert part.flags.writeable


def test_slices_are_stacked_in_natural_order_and_previews_of_tiff_left_out(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((12, 6, 7), "uint8")
    for index, image in enumerate(voxels):
        Image.fromarray(image).save(tmp_path / f"Image #{index + 95}.PNG")
    assert io.can_read(tmp_path)
    volume = io.read(tmp_path)
    assert np.array_equal(volume.read(), voxels)
    assert volume.name == tmp_path.name
    tifffile.imwrite(tmp_path / "scan.tif", voxels[0])
    assert io.read(tmp_path).shape == (1, 6, 7)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_an_image_in_colours_that_are_all_grey_is_taken_as_grey(
    mode: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    image = coordinates((6, 7), "uint8")
    Image.fromarray(image).convert(mode).save(tmp_path / "a.png")
    assert np.array_equal(io.read(tmp_path / "a.png").read()[0], image)


@pytest.mark.parametrize("channel", range(4))
def test_colours_and_transparency_are_refused(
    channel: int, tmp_path: Path, coordinates: Coordinates
) -> None:
    image = np.stack([coordinates((6, 7), "uint8")] * 4, axis=2)
    image[..., 3] = 255
    image[2, 3, channel] ^= 1
    Image.fromarray(image).save(tmp_path / "a.png")
    volume = io.read(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: is a colour image; save it as a gr"):
        volume.read()


def test_pixels_that_are_cut_off_or_damaged_are_refused_when_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    for length in range(60, len(data) - 60, 97):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"a\.png: (is no PNG|could not be read)"):
            io.read(path).read()
    for index in range(33, len(data) - 30, 61):
        path.write_bytes(data[:index] + b"\xff\x00\xff\x00" + data[index + 4 :])
        with pytest.raises(InputError, match=r"a\.png: (is no PNG|could not be read)"):
            io.read(path).read()


def test_an_image_that_has_changed_its_size_is_named(tmp_path: Path) -> None:
    Image.new("L", (7, 6)).save(tmp_path / "a.png")
    volume = io.read(tmp_path / "a.png")
    Image.new("L", (8, 6)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: has changed"):
        volume.read()
