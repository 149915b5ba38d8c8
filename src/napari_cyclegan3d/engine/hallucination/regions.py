"""Connected regions of high values in a map, with sums over each of them.

A region is where the map is at least `low` and somewhere at least `high`. The result
does not depend on the blocks that it was worked on in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination.merging import (
    face_pairs,
    joined,
    label_block,
    renumber,
)
from napari_cyclegan3d.engine.hallucination.store import Block, forget_pages, new_map
from napari_cyclegan3d.engine.hallucination.tally import Tally
from napari_cyclegan3d.engine.volume import Region, Shape

_Labelled = tuple[NDArray[np.int32], NDArray[np.int64]]
_Columns = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
_Inside = Callable[[Region], NDArray[np.bool_]]

# so many times the median: a region that has run together, to be cut at its saddles
GIANT = 20
# full width at half maximum of a Gaussian of deviation 1
WIDTH = 2.355


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions of a map.

    Attributes:
        labels: Numbers from 1, by the region's first voxel; int32, of the map's shape.
        tally: Sums over the regions; the map's own values are there as "height".
        peak: Voxel (z, y, x) of each region where the map is highest.
    """

    labels: NDArray[np.int32]
    tally: Tally
    peak: NDArray[np.int64]


def smallest_region(blur: tuple[float, float, float]) -> int:
    """Voxels that a point takes up: what is smaller cannot be structure.

    Args:
        blur: Standard deviation of the blur along z, y, x, in voxels.
    """
    widths = [max(1.0, WIDTH * one) for one in blur]
    return max(1, round(np.pi / 6 * float(np.prod(widths))))


def regions(
    heights: NDArray[np.floating],
    others: Mapping[str, NDArray[np.floating]],
    blocks: Sequence[Block],
    high: float = 4.0,
    low: float = 2.0,
    smallest: int = 1,
) -> Regions:
    """Find where a map is high, with hysteresis and 26 neighbours.

    Regions far larger than the others are cut where they are thin: voxels below the
    middle between `low` and `high` leave them, then those below `high`.

    Args:
        heights: The map; read block by block.
        others: Further maps of the same shape to sum over the regions, by name.
        blocks: Their cores cover the map once.
        high: What a region reaches somewhere.
        low: What it reaches everywhere.
        smallest: Fewest voxels of a region.
    """
    given = _Map(heights, blocks, high, smallest)
    labels, voxels = _labelled(given, lambda core: heights[core] >= low)
    for level in ((low + high) / 2, high):
        giant = voxels > GIANT * np.median(np.append(voxels, 1))
        if not giant.any():
            break
        levels = np.concatenate([[np.inf], np.where(giant, level, low)])
        labels, voxels = _labelled(given, _above(heights, labels, levels))
    tally = Tally(len(voxels))
    for block in blocks:
        z, y, x = (part.start for part in block.core)
        values = {name: one[block.core] for name, one in others.items()}
        values["height"] = heights[block.core]
        tally.add(labels[block.core], (z, y, x), values)
        forget_pages()
    return Regions(labels, tally, _peaks(heights, labels, tally, blocks))


@dataclass(frozen=True, eq=False)
class _Map:
    """What regions are made of, and which of them count."""

    heights: NDArray[np.floating]
    blocks: Sequence[Block]
    high: float
    smallest: int


def _above(
    heights: NDArray[np.floating],
    labels: NDArray[np.int32],
    levels: NDArray[np.float64],
) -> _Inside:
    """Voxels that reach the level of the region that they are in."""

    def inside(core: Region) -> NDArray[np.bool_]:
        reached: NDArray[np.bool_] = heights[core] >= levels[labels[core]]
        return reached

    return inside


def _labelled(given: _Map, inside: _Inside) -> _Labelled:
    """Regions by their first voxel, and how many voxels each has."""
    labels = new_map(_shape(given.heights), np.int32)
    pairs, parts, count = [], [np.empty((0, 3))], 0
    for block in given.blocks:
        own, more = label_block(inside(block.core), count + 1)
        labels[block.core] = own
        pairs.append(face_pairs(labels, block.core))
        rows = np.where(own > 0, own - count, 0)
        parts.append(_parts(rows, more, given.heights, block.core))
        count += more
    component = joined(pairs, count)
    voxels, highest, first = _whole(np.concatenate(parts), component[1:] - 1)
    keep = (highest >= given.high) & (voxels >= given.smallest)
    kept = np.flatnonzero(keep)[np.argsort(first[keep])]
    new = np.zeros(len(voxels) + 1, np.int32)
    new[kept + 1] = np.arange(1, len(kept) + 1)
    renumber(labels, given.blocks, new[component])
    return labels, voxels[kept].astype(np.int64)


def _parts(
    rows: NDArray[np.int32], count: int, heights: NDArray[np.floating], core: Region
) -> NDArray[np.float64]:
    """Of components 1 to `count` in a block: voxels, highest value, first voxel.

    The first voxel is counted through the whole volume, so that regions can be put
    into an order that the blocks have no part in.
    """
    parts = np.tile([0, -np.inf, np.inf], (count, 1))
    inside = np.flatnonzero(rows)
    order = np.argsort(rows.ravel()[inside], kind="stable")
    inside = inside[order]
    if count:
        begins = np.flatnonzero(np.diff(rows.ravel()[inside], prepend=0))
        parts[:, 0] = np.diff(begins, append=len(inside))
        parts[:, 1] = np.maximum.reduceat(heights[core].ravel()[inside], begins)
        # voxels of a component come in order, so that the first is the first
        place = np.unravel_index(inside[begins], rows.shape)
        whole = [at + part.start for at, part in zip(place, core, strict=True)]
        parts[:, 2] = np.ravel_multi_index(tuple(whole), heights.shape)
    return parts


def _whole(parts: NDArray[np.float64], component: NDArray[np.int64]) -> _Columns:
    """The same three columns of components that are made of parts."""
    count = int(component.max(initial=-1)) + 1
    voxels = np.bincount(component, parts[:, 0], count).astype(np.float64)
    highest, first = np.full(count, -np.inf), np.full(count, np.inf)
    np.maximum.at(highest, component, parts[:, 1])
    np.minimum.at(first, component, parts[:, 2])
    return voxels, highest, first


def _peaks(
    heights: NDArray[np.floating],
    labels: NDArray[np.int32],
    tally: Tally,
    blocks: Sequence[Block],
) -> NDArray[np.int64]:
    """The first voxel of each region that has its highest value."""
    first = np.full(tally.count, np.iinfo(np.int64).max)
    highest = np.append(tally.largest.get("height", np.zeros(0)), np.nan)
    for block in blocks:
        own = labels[block.core]
        at = np.argwhere(heights[block.core] == highest[own - 1])
        flat = np.ravel_multi_index(
            tuple((at + [part.start for part in block.core]).T), heights.shape
        )
        np.minimum.at(first, own[tuple(at.T)] - 1, flat)
    return np.stack(np.unravel_index(first, heights.shape), 1)


def _shape(array: NDArray[np.generic]) -> Shape:
    z, y, x = array.shape
    return z, y, x
