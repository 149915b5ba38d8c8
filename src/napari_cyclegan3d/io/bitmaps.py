"""One grey slice in a BMP or JPEG file, with 8 bits."""

import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.png import COLOURED, MOST_PIXELS, Pixels

_KINDS = {".bmp": "BMP", ".jpg": "JPEG", ".jpeg": "JPEG"}
# in these, equal colours are grey; a JPEG for print has inks
_MODES = ("1", "L", "P", "RGB", "RGBA")
_DAMAGE = (
    EOFError,
    OverflowError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def read(path: Path) -> Volume:
    """Open a picture as a volume of one slice; pixels are read when asked for.

    Coloured ones are taken if all their pixels are grey, which is found out when they
    are read. No voxel size is read: it is 1 pixel.

    Raises:
        InputError: The file is damaged, too large, or made for print.
    """
    kind = _KINDS[path.suffix.lower()]
    remedy = (
        f"is no {kind} picture that can be read (damaged, cut off, larger than "
        f"{MOST_PIXELS} pixels, or another format under this name); copy it again or "
        "save the slice as TIFF"
    )
    # what Pillow does not know is an OSError without a number
    path.open("rb").close()
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=[kind]) as image:
                (width, height), mode = image.size, image.mode
        except (OSError, *_DAMAGE) as error:
            raise InputError(f"{path}: {remedy}") from error
    if mode not in _MODES:
        raise InputError(f"{path}: {COLOURED}")
    dtype = np.dtype(np.bool_ if mode == "1" else np.uint8)
    pixels = Pixels(path, (1, height, width), dtype, kind, remedy)
    return Volume(pixels, name=path.name)
