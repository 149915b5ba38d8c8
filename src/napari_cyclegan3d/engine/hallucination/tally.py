"""Sums over labelled voxels that are taken block by block."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination.store import blocks, finer, forget_pages

# side of the blocks that are worked on, in enhanced voxels
SIDE = 128

Values = NDArray[np.floating]
Rows = NDArray[np.integer]


class Tally:
    """What is known of components 1 to `count`, as arrays with one row for each.

    All of it adds up over blocks, so that nothing as large as the volume is kept.

    Attributes:
        voxels: How many.
        low: First voxel along z, y, x.
        high: Last voxel + 1 along z, y, x.
        total: By name of a map, the sum of its values.
        largest: By name of a map, its largest value.
        smallest: By name of a map, its smallest value.
    """

    def __init__(self, count: int) -> None:
        """Nothing is counted yet.

        Args:
            count: Components.
        """
        self.count = count
        self.voxels = np.zeros(count, np.int64)
        self.low = np.full((count, 3), np.iinfo(np.int32).max, np.int32)
        self.high = np.zeros((count, 3), np.int32)
        self.total: dict[str, NDArray[np.float64]] = {}
        self.largest: dict[str, NDArray[np.float32]] = {}
        self.smallest: dict[str, NDArray[np.float32]] = {}
        self._first = np.zeros((count, 3))
        self._second = np.zeros((count, 3, 3))

    def add(
        self,
        labels: NDArray[np.int32],
        start: tuple[int, int, int],
        values: Mapping[str, Values],
    ) -> None:
        """Count the voxels of a block.

        Args:
            labels: Numbers from 1, 0 outside; none is met twice.
            start: Place of the block's first voxel in the volume.
            values: By name, what is summed; of the shape of `labels`.
        """
        inside = np.flatnonzero(labels)
        numbers = labels.ravel()[inside]
        order = np.argsort(numbers, kind="stable")
        inside, numbers = inside[order], numbers[order]
        if not len(numbers):
            return
        # all voxels of a component follow each other: it begins where its number does
        begins = np.flatnonzero(np.diff(numbers, prepend=0))
        at = numbers[begins] - 1
        self.voxels[at] += np.diff(begins, append=len(numbers))
        places = [
            axis + first
            for axis, first in zip(
                np.unravel_index(inside, labels.shape), start, strict=True
            )
        ]
        self._add_places(at, begins, places)
        for name, grey in values.items():
            self._add_values(name, at, begins, grey.ravel()[inside])

    def centroid(self) -> NDArray[np.float64]:
        """Mean place (count, 3), z y x, in voxels."""
        return np.asarray(self._first / np.maximum(self.voxels, 1)[:, None])

    def elongation(self, axes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Longest over shortest axis of inertia, 1 or more; voxels are solid.

        Args:
            axes: 3×3, in its columns the steps in the world along z, y, x.
        """
        mean = self.centroid()
        moments = self._second / np.maximum(self.voxels, 1)[:, None, None]
        spread = moments - np.triu(mean[:, :, None] * mean[:, None, :])
        spread = spread + np.triu(spread, 1).transpose(0, 2, 1) + np.eye(3) / 12
        lengths = np.linalg.eigvalsh(axes @ spread @ axes.T)
        return np.asarray(np.sqrt(lengths[:, 2] / lengths[:, 0]))

    def mean(self, name: str) -> NDArray[np.float64]:
        """Mean of a map over each component."""
        return np.asarray(self.total[name] / np.maximum(self.voxels, 1))

    def _add_places(
        self, at: Rows, begins: Rows, places: list[NDArray[np.int64]]
    ) -> None:
        for axis, place in enumerate(places):
            low = np.minimum.reduceat(place, begins)
            high = np.maximum.reduceat(place, begins) + 1
            self.low[at, axis] = np.minimum(self.low[at, axis], low)
            self.high[at, axis] = np.maximum(self.high[at, axis], high)
            self._first[at, axis] += np.add.reduceat(place, begins)
            for other in range(axis, 3):
                product = np.add.reduceat(place * places[other], begins)
                self._second[at, axis, other] += product

    def _add_values(self, name: str, at: Rows, begins: Rows, grey: Values) -> None:
        if name not in self.total:
            self.total[name] = np.zeros(self.count)
            self.largest[name] = np.full(self.count, -np.inf, np.float32)
            self.smallest[name] = np.full(self.count, np.inf, np.float32)
        self.total[name][at] += np.add.reduceat(grey, begins, dtype=np.float64)
        largest, smallest = self.largest[name], self.smallest[name]
        largest[at] = np.maximum(largest[at], np.maximum.reduceat(grey, begins))
        smallest[at] = np.minimum(smallest[at], np.minimum.reduceat(grey, begins))


def tally_objects(
    labels: NDArray[np.int32], count: int, maps: Mapping[str, Values], scale: int
) -> Tally:
    """Sums of maps over objects.

    Args:
        labels: On the enhanced grid; 0 is background.
        count: The largest label.
        maps: By name, on the raw grid; each voxel counts for all that lie in it.
        scale: Enhanced size over raw size.
    """
    z, y, x = (size // scale for size in labels.shape)
    tally = Tally(count)
    for block in blocks((z, y, x), SIDE // scale, 0):
        place = finer(block.core, scale)
        values = {name: repeated(one[block.core], scale) for name, one in maps.items()}
        tally.add(
            labels[place], (place[0].start, place[1].start, place[2].start), values
        )
        forget_pages()
    return tally


def paint(
    out: Values, labels: NDArray[np.int32], values: NDArray[np.float64], scale: int
) -> None:
    """Write a value of each object where it is; 0 where there is none.

    Args:
        out: A map on the raw grid; where objects meet in a voxel, the largest counts.
        labels: On the enhanced grid.
        values: By label − 1, 0 or more.
        scale: Enhanced size over raw size.
    """
    z, y, x = out.shape
    by_label = np.concatenate([[0.0], values]).astype(out.dtype)
    for block in blocks((z, y, x), SIDE // scale, 0):
        fine = by_label[labels[finer(block.core, scale)]]
        d, h, w = out[block.core].shape
        cells = fine.reshape(d, scale, h, scale, w, scale)
        out[block.core] = cells.max(axis=(1, 3, 5))


def repeated(values: NDArray[Any], scale: int) -> NDArray[Any]:
    """Each voxel as scale³ voxels of the same value."""
    for axis in range(3 if scale > 1 else 0):
        values = np.repeat(values, scale, axis)
    return values
