"""Small pictures that a model carries, to show what it does."""

import base64
import binascii
from collections.abc import Mapping
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from napari_cyclegan3d.engine.settings import Settings

SIDE = 64
SHOWN: tuple[Literal["real_a", "fake_b", "real_b"], ...] = (
    "real_a",
    "fake_b",
    "real_b",
)
# what is shown black and white: of the real images, in percent
CONTRAST = (0.5, 99.5)


class Thumbnail(Settings):
    """One slice as 8-bit grey, row by row as base64."""

    rows: int = Field(ge=1, le=SIDE)
    columns: int = Field(ge=1, le=SIDE)
    grey: str = Field(max_length=4 * (SIDE * SIDE + 2) // 3)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        try:
            size = len(base64.b64decode(self.grey, validate=True))
        except binascii.Error as error:
            raise ValueError(f"no base64: {error}") from None
        if size != self.rows * self.columns:
            raise ValueError(f"{size} voxels for {self.rows} × {self.columns}")
        return self

    @classmethod
    def of(cls, grey: NDArray[np.uint8]) -> Self:
        """The thumbnail of an image (rows, columns) of at most 64 × 64."""
        rows, columns = grey.shape
        text = base64.b64encode(grey.tobytes()).decode("ascii")
        return cls(rows=rows, columns=columns, grey=text)

    def image(self) -> NDArray[np.uint8]:
        """The slice, (rows, columns)."""
        grey = np.frombuffer(base64.b64decode(self.grey), np.uint8)
        return grey.reshape(self.rows, self.columns)


def thumbnails(images: Mapping[str, NDArray[np.float32]]) -> dict[str, Thumbnail]:
    """The middle slices of a preview's real_a, fake_b and real_b, in one grey window.

    Args:
        images: Those of a `PreviewReady`, each (z, y, x) or (rows, columns).
    """
    slices = {name: _middle(images[name]) for name in SHOWN}
    reals = np.concatenate([slices[name].ravel() for name in ("real_a", "real_b")])
    finite = reals[np.isfinite(reals)]
    low, high = np.percentile(finite, CONTRAST) if finite.size else (0.0, 1.0)
    return {
        name: Thumbnail.of(_grey(plane, float(low), float(high)))
        for name, plane in slices.items()
    }


def _middle(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The middle slice; of a large one, the means of blocks of voxels."""
    plane = image if image.ndim == 2 else image[image.shape[0] // 2]
    step = -(-max(plane.shape) // SIDE)
    rows, columns = (size // step * step for size in plane.shape)
    if min(rows, columns) == 0:
        return plane[::step, ::step]
    blocks = plane[:rows, :columns].reshape(rows // step, step, columns // step, step)
    means: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means


def _grey(plane: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    span = max(high - low, float(np.finfo(np.float32).tiny))
    share = np.clip(np.nan_to_num((plane - low) / span), 0, 1)
    return np.asarray(np.round(255 * share), dtype=np.uint8)
