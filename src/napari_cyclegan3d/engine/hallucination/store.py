"""Where maps are kept: on disk, so that memory does not grow with the volume."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_cyclegan3d.engine.volume import Region, Shape

LARGEST = 60000.0


def new_map(shape: Shape, dtype: DTypeLike = np.float16) -> NDArray[Any]:
    """An array of zeros in a temporary file that goes when nobody uses it any more.

    Args:
        shape: Voxels (z, y, x).
        dtype: Of a voxel.
    """
    with tempfile.TemporaryFile() as file:  # the mapping keeps a handle of its own
        file.truncate(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        return np.memmap(file, dtype=dtype, mode="r+", shape=shape)


def bounded(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Values that a map of float16 can hold; what is no number becomes 0."""
    held: NDArray[np.floating] = np.clip(np.nan_to_num(values), -LARGEST, LARGEST)
    return held


@dataclass(frozen=True)
class Block:
    """A part of a volume that is worked on at a time.

    Attributes:
        core: What it is for; the cores of all blocks cover the volume once.
        read: The core with its halo, within the volume.
    """

    core: Region
    read: Region

    @property
    def inner(self) -> Region:
        """The core, counted from the beginning of what is read."""
        z, y, x = (
            slice(core.start - read.start, core.stop - read.start)
            for core, read in zip(self.core, self.read, strict=True)
        )
        return z, y, x

    def owns(self, place: tuple[float, float, float]) -> bool:
        """Whether a place (z, y, x), counted from the block's reading, is its own."""
        return all(
            part.start <= one < part.stop
            for one, part in zip(place, self.inner, strict=True)
        )


def blocks(shape: Shape, side: int, halo: int, step: int = 1) -> Iterator[Block]:
    """A volume in blocks.

    Args:
        shape: Voxels (z, y, x).
        side: Longest side of a core; one may be longer by less than `step`.
        halo: Voxels around it, where the volume has them.
        step: Cores begin at multiples of it.
    """
    axes = []
    for size in shape:
        count = -(-size // side)
        edges = [round(n * size / count / step) * step for n in range(count)] + [size]
        axes.append(
            [
                (slice(a, b), slice(max(0, a - halo), min(size, b + halo)))
                for a, b in pairwise(edges)
            ]
        )
    for (z, rz), (y, ry), (x, rx) in product(*axes):
        yield Block((z, y, x), (rz, ry, rx))


def finer(region: Region, scale: int) -> Region:
    """The same place on a grid that is finer by `scale`."""
    z, y, x = (slice(part.start * scale, part.stop * scale) for part in region)
    return z, y, x
