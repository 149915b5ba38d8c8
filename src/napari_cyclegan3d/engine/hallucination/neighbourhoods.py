"""Objects of a block in groups whose neighbourhoods are of one size.

A template of an object reaches a few voxels beyond it, so the test of an object takes
place in a box around it, and boxes of the same sides are worked on at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cyclegan3d.engine.hallucination.store import finer
from napari_cyclegan3d.engine.tiling import round_up
from napari_cyclegan3d.engine.volume import Region

__all__ = ["Group", "groups"]

MARGIN = 5  # raw voxels around an object that its template may reach
# neighbourhoods have sides of multiples of this, so that many are tested at once
STEP = 4
# raw voxels that are tested at once
HELD = 2**18
Labels = NDArray[np.int32]
Masks = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Group:
    """Objects whose neighbourhoods are of one size.

    Attributes:
        block: All labels of the block, on the enhanced grid.
        scale: Enhanced size over raw size.
        numbers: The labels of the objects.
        low: Their neighbourhoods on the raw grid.
    """

    block: Labels
    scale: int
    numbers: list[int]
    low: list[Region]

    @cached_property
    def high(self) -> list[Region]:
        """The neighbourhoods on the enhanced grid."""
        return [finer(one, self.scale) for one in self.low]

    @cached_property
    def labels(self) -> Labels:
        """Labels in the neighbourhoods (n, z, y, x), on the enhanced grid."""
        return self.fine(self.block)

    @cached_property
    def inside(self) -> Masks:
        """Where each object is."""
        return np.asarray(self.labels == np.array(self.numbers)[:, None, None, None])

    @cached_property
    def near(self) -> Masks:
        """Where each object is, and as far around it as a raw voxel."""
        near = self.inside
        for _ in range(self.scale):
            near = _grown(near)
        return near

    def fine(self, block: NDArray[Any]) -> NDArray[Any]:
        """The neighbourhoods of a block on the enhanced grid."""
        return np.stack([block[one] for one in self.high])

    def coarse(self, block: NDArray[Any]) -> NDArray[Any]:
        """The neighbourhoods of a block on the raw grid."""
        return np.stack([block[one] for one in self.low])


def _grown(inside: Masks) -> Masks:
    """With all voxels that share a face with one inside."""
    grown = inside.copy()
    for axis in (1, 2, 3):
        begin: list[Any] = [slice(None)] * 4
        end = begin.copy()
        begin[axis], end[axis] = slice(1, None), slice(None, -1)
        grown[tuple(begin)] |= inside[tuple(end)]
        grown[tuple(end)] |= inside[tuple(begin)]
    return grown


def groups(labels: Labels, shape: tuple[int, ...], scale: int) -> Iterator[Group]:
    """The objects of a block in groups that are tested at once.

    Args:
        labels: On the enhanced grid.
        shape: Of the block on the raw grid.
        scale: Enhanced size over raw size.
    """
    open_ones: dict[tuple[int, ...], Group] = {}
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        low = _around(box, shape, scale)
        sides = tuple(part.stop - part.start for part in low)
        group = open_ones.setdefault(sides, Group(labels, scale, [], []))
        group.numbers.append(number)
        group.low.append(low)
        if len(group.numbers) * np.prod(sides) >= HELD:
            yield open_ones.pop(sides)
    yield from open_ones.values()


def _around(box: Region, shape: tuple[int, ...], scale: int) -> Region:
    """An object's neighbourhood on the raw grid."""
    parts = []
    for part, size in zip(box, shape, strict=True):
        start = max(0, part.start // scale - MARGIN)
        stop = min(size, -(-part.stop // scale) + MARGIN)
        side = min(size, round_up(stop - start, STEP))
        start = max(0, min(start - (side - (stop - start)) // 2, size - side))
        parts.append(slice(start, start + side))
    z, y, x = parts
    return z, y, x
