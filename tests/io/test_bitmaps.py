"""Folders of BMP and JPEG pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError

Coordinates = Callable[..., NDArray[Any]]


def test_pictures_are_stacked_in_natural_order(
    tmp_path: Path, coordinates: Coordinates
) -> None:
    voxels = coordinates((12, 6, 7), "uint8")
    for index, image in enumerate(voxels):
        Image.fromarray(image).save(tmp_path / f"s_{index}.bmp")
    assert io.can_read(tmp_path)
    volume = io.read(tmp_path)
    assert np.array_equal(volume.read(), voxels)
    region = (slice(1, 11, 4), slice(2, 5), slice(6, None))
    assert np.array_equal(volume.read(region), voxels[region])


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_jpeg_slices_are_read_as_pillow_decodes_them(
    suffix: str, tmp_path: Path, coordinates: Coordinates
) -> None:
    for index, image in enumerate(coordinates((3, 16, 16), "uint8")):
        Image.fromarray(image).save(tmp_path / f"{index}{suffix}", "JPEG")
    volume = io.read(tmp_path)
    for index in range(3):
        with Image.open(tmp_path / f"{index}{suffix}") as image:
            assert np.array_equal(volume.read()[index], np.asarray(image))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_grey_pictures_of_every_kind_are_taken(mode: str, tmp_path: Path) -> None:
    grey = np.tile(np.array([0, 255], np.uint8), (6, 4))
    Image.fromarray(grey).convert(mode).save(tmp_path / "0.bmp")
    volume = io.read(tmp_path / "0.bmp")
    assert volume.dtype == (np.bool_ if mode == "1" else np.uint8)
    assert np.array_equal(volume.read()[0].astype(bool), grey > 0)


def test_colours_are_refused_when_they_are_seen(tmp_path: Path) -> None:
    image = np.zeros((6, 7, 3), np.uint8)
    image[2, 3, 0] = 200
    Image.fromarray(image).save(tmp_path / "0.bmp")
    with pytest.raises(InputError, match=r"0\.bmp: is a colour image"):
        io.read(tmp_path).read()


def test_previews_beside_slices_are_left_out(tmp_path: Path) -> None:
    for suffix in (".png", ".bmp", ".jpg"):
        image = Image.fromarray(np.zeros((6, 7), np.uint8))
        image.save(tmp_path / f"0{suffix}")
    assert io.read(tmp_path).metadata["files"] == (str(tmp_path / "0.png"),)
    (tmp_path / "0.png").unlink()
    assert io.read(tmp_path).metadata["files"] == (str(tmp_path / "0.bmp"),)


def test_a_picture_that_ends_in_its_header_is_refused_by_its_name(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jpeg"
    path.write_bytes(b"\xff\xd8\xff\xe0 JFIF")
    with pytest.raises(InputError, match="is no JPEG picture that can be read"):
        io.read(path)
