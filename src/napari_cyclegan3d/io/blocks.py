"""Reading and writing in pieces of bounded size."""

from collections.abc import Iterator
from typing import Any, Protocol

from napari_cyclegan3d.engine.volume import ArraySource, Region

SLAB_BYTES = 2**25


class Sink(ArraySource, Protocol):
    """A volume that is being written, region by region, in any order.

    What was written can be read back. A region is three slices with step 1.
    """

    def __setitem__(self, region: Region, block: Any, /) -> None:
        """Store the voxels of a region."""

    def parts(self) -> Iterator[Region]:
        """Regions of bounded size that fill the volume, in the fastest order."""


def slabs(length: int, item_bytes: int) -> Iterator[slice]:
    """Consecutive slices of an axis, each of at most 32 MiB (or of one item)."""
    step = max(1, SLAB_BYTES // item_bytes)
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))
