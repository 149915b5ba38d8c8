"""Where maps are kept: on disk, so that memory does not grow with the volume."""

import mmap
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_cyclegan3d.engine.volume import Region, Shape

LARGEST = 60000.0
# of all maps, those of other inspections in this process included
_mappings: WeakSet[mmap.mmap] = WeakSet()


def new_map(shape: Shape, dtype: DTypeLike = np.float16) -> NDArray[Any]:
    """An array of zeros in a temporary file that goes when nobody uses it any more.

    Args:
        shape: Voxels (z, y, x).
        dtype: Of a voxel.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    with tempfile.TemporaryFile() as file:  # the mapping keeps a handle of its own
        file.truncate(size)
        mapping = mmap.mmap(file.fileno(), size)
    _mappings.add(mapping)
    return np.frombuffer(mapping, dtype).reshape(shape)


def forget_pages() -> None:
    """Leave what was read and written of maps to the system's cache of files.

    Otherwise all of it counts as memory of this process, though the system could take
    it. Nothing is lost, also while another thread is writing.
    """
    if hasattr(mmap, "MADV_DONTNEED"):  # there is none on Windows
        for mapping in list(_mappings):
            mapping.madvise(mmap.MADV_DONTNEED)


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
