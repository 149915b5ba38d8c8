"""One grey slice in a PNG file, with 8 or 16 bits."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region, Shape, Volume
from napari_cyclegan3d.io.guard import one_sentence

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_START = struct.Struct(">8sI4sIIBB")
_GREY = 0
_GREY_MODES = ("1", "L", "I", "I;16", "I;16B")
_OPAQUE = 255
# beyond it, Pillow warns of files made to exhaust the memory
MOST_PIXELS = 89_478_485
# deflate never packs more than 1032 bytes into one; a pixel may have but one bit
_DENSEST = 1032 * 8
_DAMAGE = (EOFError, OverflowError, SyntaxError, ValueError, struct.error)
_REMEDY = (
    "is no PNG image that can be read (damaged, cut off, or another format under this "
    "name); copy it again or save the slice as TIFF"
)
COLOURED = (
    "is a colour image; save it as a grey one with 8 or 16 bits (in Fiji: Image > Type)"
)


def read(path: Path) -> Volume:
    """Open a PNG image as a volume of one slice; pixels are read when asked for.

    Colour images are taken if all their pixels are grey and opaque, which is found out
    when they are read. PNG states no voxel size that can be trusted: it is 1 pixel.

    Raises:
        InputError: The file is damaged, or has colours of 16 bits.
    """
    with one_sentence(path, _REMEDY, _DAMAGE):
        with path.open("rb") as file:
            start = _START.unpack(file.read(_START.size))
        signature, _, chunk, width, height, bits, colours = start
        if signature != _SIGNATURE or chunk != b"IHDR" or not width * height:
            raise InputError(f"{path}: {_REMEDY}")
        if bits == 16 and colours != _GREY:
            raise InputError(f"{path}: {COLOURED}")
        limit = min(MOST_PIXELS, path.stat().st_size * _DENSEST)
        if width * height > limit:
            raise InputError(
                f"{path}: promises {width} × {height} pixels, which is damage or more "
                f"than {MOST_PIXELS}; save the slice as TIFF"
            )
    narrow = np.bool_ if (bits, colours) == (1, _GREY) else np.uint8
    dtype = np.dtype(np.uint16 if bits == 16 else narrow)
    pixels = Pixels(path, (1, height, width), dtype, "PNG", _REMEDY)
    return Volume(pixels, name=path.name)


class Pixels:
    """The pixels of a picture, decoded where they are read."""

    def __init__(
        self, path: Path, shape: Shape, dtype: np.dtype[Any], kind: str, remedy: str
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self._path = path
        self._kind = kind
        self._remedy = remedy

    def __getitem__(self, region: Region) -> NDArray[Any]:
        with one_sentence(self._path, self._remedy, _DAMAGE):
            # decoding takes no notice of check sums, and verifying uses the image up
            with Image.open(self._path, formats=[self._kind]) as image:
                image.verify()
            with Image.open(self._path, formats=[self._kind]) as image:
                grey = image.mode in _GREY_MODES
                pixels = np.asarray(image if grey else image.convert("RGBA"))
        if pixels.ndim == 3:
            *colours, opacity = np.moveaxis(pixels, 2, 0)
            pixels = colours[0]
            if opacity.min() < _OPAQUE or any((c != pixels).any() for c in colours):
                raise InputError(f"{self._path}: {COLOURED}")
        if (1, *pixels.shape) != self.shape:
            raise InputError(f"{self._path}: has changed; open it again")
        return np.array(pixels[np.newaxis][region], dtype=self.dtype, order="C")
