"""Reading and writing in pieces of bounded size."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.volume import Region

SLAB_BYTES = 2**25


def slabs(length: int, item_bytes: int) -> Iterator[slice]:
    """Consecutive slices of an axis, each of at most 32 MiB (or of one item)."""
    step = max(1, SLAB_BYTES // item_bytes)
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


class Mapped:
    """Voxels of a memory-mapped file: what is read is copied, the rest stays there.

    The copy is contiguous, writable and in the byte order of the machine.
    """

    def __init__(self, stored: NDArray[Any]) -> None:
        self._stored = stored
        self.shape = stored.shape
        self.dtype = stored.dtype.newbyteorder("=")

    def __getitem__(self, region: Region) -> NDArray[Any]:
        return np.array(self._stored[region], dtype=self.dtype, order="C")
