"""Small pictures of volumes, from a bounded number of voxels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtGui import QIcon, QImage, QPixmap

from napari_cyclegan3d.engine.volume import Volume

PLANES = 5
# of a larger plane its middle is read: at most 40 MB of float64 for all planes
LONGEST_SIDE = 1024
SIDE = 40
CONTRAST = (0.5, 99.5)


def sampled_planes(volume: Volume) -> list[NDArray[Any]]:
    """A few planes across z, of large ones their middle, each (rows, columns).

    It reads files: call it off the GUI thread.

    Raises:
        InputError: The voxels cannot be read.
    """
    depth, height, width = volume.shape
    rows, columns = (
        slice((n - min(n, LONGEST_SIDE)) // 2, (n + min(n, LONGEST_SIDE)) // 2)
        for n in (height, width)
    )
    places = sorted({int(z) for z in np.linspace(0, depth - 1, PLANES)})
    return [volume.read((slice(z, z + 1), rows, columns))[0] for z in places]


def thumbnail(planes: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
    """The middle one of some planes in grey, at most `SIDE` pixels a side."""
    plane = planes[len(planes) // 2]
    step = max(1, -(-max(plane.shape) // SIDE))
    small = plane[::step, ::step].astype(np.float64)
    finite = np.isfinite(small)
    if not finite.any():
        return np.zeros(small.shape, np.uint8)
    low, high = np.percentile(small[finite], CONTRAST)
    grey = (np.where(finite, small, low) - low) / max(high - low, 1e-300)
    return np.asarray(np.round(grey.clip(0, 1) * 255), np.uint8)


def to_icon(grey: NDArray[np.uint8]) -> QIcon:
    """A grey picture (rows, columns) as an icon of `SIDE` pixels; GUI thread only."""
    rows, columns = grey.shape
    pixels = np.ascontiguousarray(grey).tobytes()
    image = QImage(pixels, columns, rows, columns, QImage.Format.Format_Grayscale8)
    return QIcon(QPixmap.fromImage(image.scaled(*_fitted(rows, columns))))


def _fitted(rows: int, columns: int) -> tuple[int, int]:
    """Width and height that fill the icon, with the picture's proportions."""
    factor = SIDE / max(rows, columns)
    return max(1, round(columns * factor)), max(1, round(rows * factor))
