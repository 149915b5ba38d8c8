"""How a volume is cut into tiles and put together again; knows no network.

Everything is planned per axis. Positions are voxels of the input and may lie outside
the volume, where the input is reflected.

exact: every tile reads a halo around its core and keeps only the core. With a halo as
wide as the network sees, the result equals that of the whole volume at once (Majurski &
Bajcsy 2021, doi 10.6028/jres.126.009). At the borders of the volume there is no halo:
there the network pads as it did in training.
blend: tiles overlap and are averaged with windows that add up to one at each voxel; the
windows are normalised from the grid, so that no volume of weights is needed.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.volume import Region, Shape, Volume

Span = tuple[int, int]
Pad = Literal["reflect", "symmetric", "edge"]
Part = tuple[Region, NDArray[np.float32]]


@dataclass(frozen=True)
class Reach:
    """How a network sees along one axis, in voxels of its input.

    Attributes:
        stride: It takes sides that are multiples of this.
        halo: Voxels before and after a stride-aligned core that matter to the core;
            (0, 0) across slices that are translated one by one.
        least: The shortest side it takes, if not any multiple of the stride; longer
            ones differ from it by multiples of the stride.
        is_fixed: Whether it takes no other side than that.
        rim: Voxels beyond the borders of the volume that it is given.
    """

    stride: int
    halo: Span
    least: int | None = None
    is_fixed: bool = False
    rim: int = 0

    @property
    def longest_core(self) -> int | None:
        """The longest core that tiles inside a volume may have; None: any."""
        if self.least is None or not self.is_fixed:
            return None
        return max(0, self.least - sum(self.halo)) // self.stride * self.stride

    def allowed(self, side: int) -> int:
        """The shortest side that it takes and not below this one, if there is any."""
        if self.least is None:
            return side
        if self.is_fixed:
            return self.least
        return self.least + round_up(max(0, side - self.least), self.stride)


@dataclass(frozen=True)
class AxisTile:
    """One tile along one axis, in voxels of the input.

    Attributes:
        read: What the network is given, [start, stop); may lie outside the volume.
        keep: What of the result is used, [start, stop).
    """

    read: Span
    keep: Span


@dataclass(frozen=True)
class Tile:
    """One tile of a volume.

    Attributes:
        axes: The tile along z, y and x.
        index: Its place in the grid, (z, y, x), where there is one.
    """

    axes: tuple[AxisTile, AxisTile, AxisTile]
    index: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True)
class TilePlan:
    """A grid of overlapping tiles over a volume.

    Attributes:
        grid: Tiles along each axis.
    """

    grid: tuple[tuple[AxisTile, ...], tuple[AxisTile, ...], tuple[AxisTile, ...]]

    def __len__(self) -> int:
        return len(self.grid[0]) * len(self.grid[1]) * len(self.grid[2])

    def rows(self) -> Iterator[tuple[AxisTile, list[Tile]]]:
        """The tiles, one layer of the grid along z after the other."""
        _, tiles_y, tiles_x = self.grid
        for k, tile_z in enumerate(self.grid[0]):
            plane = itertools.product(enumerate(tiles_y), enumerate(tiles_x))
            yield (
                tile_z,
                [Tile((tile_z, ty, tx), (k, j, i)) for (j, ty), (i, tx) in plane],
            )

    def windows(self, scale: Fraction) -> tuple[list[NDArray[np.float32]], ...]:
        """Weights of the tiles per axis, in output voxels; they add up to one."""
        return tuple(_axis_windows(tiles, scale) for tiles in self.grid)


def whole_side(size: int, reach: Reach) -> int:
    """Voxels along an axis as a network sees the whole volume.

    Mirrored at the far end up to a multiple of the stride, and up to two strides.
    """
    if reach.halo == (0, 0):
        return size
    if reach.least is not None:
        return max(size, reach.allowed(size + 2 * reach.rim) - reach.rim)
    return max(round_up(size, reach.stride), 2 * reach.stride)


def cores(span: Span, core: int, size: int, reach: Reach) -> tuple[AxisTile, ...]:
    """Tiles whose cores cover a part of an axis once, with their halos.

    Args:
        span: The part, [start, stop); the start is a multiple of the stride.
        core: Longest core; a multiple of the stride.
        size: Voxels of the volume along the axis.
        reach: How the network sees along the axis.
    """
    (start, stop), (before, after) = span, reach.halo
    whole = whole_side(size, reach)
    edges = [*range(start, stop, core), stop]
    tiles = []
    for low, high in itertools.pairwise(edges):
        first, last = max(-reach.rim, low - before), min(whole, high + after)
        # in whole strides from where the network's view of the volume begins
        first -= (first + reach.rim) % reach.stride if reach.rim else 0
        side = reach.allowed(last - first)
        # what a tile must read more lies after it, or before the end of the volume
        first = max(-reach.rim, min(first, whole - side))
        tiles.append(AxisTile((first, max(last, first + side)), (low, high)))
    return tuple(tiles)


def plan_blend(
    shape: Shape, tile: Shape, overlap: float, reach: Sequence[Reach]
) -> TilePlan:
    """Tiles that overlap by a share of their side, and stick out of the volume.

    They start half an overlap before the volume, so that the border, too, is seen away
    from a tile's rim.

    Args:
        shape: Voxels of the volume (z, y, x).
        tile: Voxels of a tile; rounded up to multiples of the stride, two at least.
        overlap: Share of a tile's side, in (0, 1).
        reach: How the network sees along z, y and x; an axis without a halo needs no
            overlap.
    """

    def axis(size: int, side: int, reach: Reach) -> tuple[AxisTile, ...]:
        if reach.halo == (0, 0):
            return cores((0, size), side, size, reach)
        stride = reach.stride
        # wider than this, one tile covers the volume and its margins
        widest = round_up(math.ceil((size + 3 * stride) / (1 - overlap)), stride)
        side = max(min(round_up(side, stride), widest), 2 * stride)
        side = reach.allowed(side)
        # the overlap grows to whole strides, and leaves at least one to advance
        shared = min(max(round_up(int(side * overlap), stride), stride), side - stride)
        advance, margin = side - shared, round_up(shared // 2, stride)
        starts = range(-margin, max(size + margin - shared, 1 - margin), advance)
        return tuple(AxisTile((s, s + side), (s, s + side)) for s in starts)

    z, y, x = (axis(*one) for one in zip(shape, tile, reach, strict=True))
    return TilePlan((z, y, x))


def _axis_windows(
    tiles: tuple[AxisTile, ...], scale: Fraction
) -> list[NDArray[np.float32]]:
    first, last = tiles[0].keep[0], tiles[-1].keep[1]
    total = np.zeros(int((last - first) * scale))
    windows = []
    for tile in tiles:
        side = int((tile.keep[1] - tile.keep[0]) * scale)
        # Hann, taken at voxel centres so that no weight is zero
        window = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
        windows.append(window)
        start = int((tile.keep[0] - first) * scale)
        total[start : start + side] += window
    normalised = []
    for tile, window in zip(tiles, windows, strict=True):
        start = int((tile.keep[0] - first) * scale)
        normalised.append((window / total[start : start + len(window)]).astype("f4"))
    return normalised


def read_reflected(
    volume: Volume, spans: Sequence[Span], pad: Pad = "reflect"
) -> NDArray[np.generic]:
    """The voxels of spans along z, y and x; beyond the border the volume is mirrored.

    Narrow volumes are mirrored as often as needed.

    Args:
        volume: Where to read.
        spans: What to read.
        pad: As numpy calls it: reflect does not repeat the border voxel, symmetric
            does, edge repeats nothing else.
    """
    inside = [
        start >= 0 and stop <= size
        for (start, stop), size in zip(spans, volume.shape, strict=True)
    ]
    if all(inside):
        z, y, x = (slice(*span) for span in spans)
        return volume.read((z, y, x))
    indices = [
        _reflect(np.arange(*span), size, pad)
        for span, size in zip(spans, volume.shape, strict=True)
    ]
    bounds = [slice(int(i.min()), int(i.max()) + 1) for i in indices]
    block = volume.read((bounds[0], bounds[1], bounds[2]))
    local = [i - bound.start for i, bound in zip(indices, bounds, strict=True)]
    return np.asarray(block[np.ix_(*local)])


def _reflect(positions: NDArray[np.int_], size: int, pad: Pad) -> NDArray[np.int_]:
    if size == 1 or pad == "edge":
        return np.clip(positions, 0, size - 1)
    if pad == "symmetric":
        folded = positions % (2 * size)
        return np.where(folded < size, folded, 2 * size - 1 - folded)
    period = 2 * (size - 1)
    folded = positions % period
    return np.where(folded < size, folded, period - folded)


def output_shape(shape: Shape, scale: Fraction) -> Shape:
    """Voxels of the translated volume; what is left over at 1/2 and 1/4 is dropped."""
    z, y, x = (int(n * scale) for n in shape)
    return z, y, x


def output_region(tile: Tile, shape: Shape, scale: Fraction) -> Region:
    """Where a tile's kept part lies in the output, cut at the output's border.

    Args:
        tile: A tile of the plan.
        shape: Voxels of the output (z, y, x).
        scale: Output size over input size.
    """
    z, y, x = (
        slice(max(0, int(axis.keep[0] * scale)), min(n, int(axis.keep[1] * scale)))
        for axis, n in zip(tile.axes, shape, strict=True)
    )
    return z, y, x


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple that is not below `value`."""
    return -(-value // multiple) * multiple


class Joiner:
    """Joins pieces that follow each other along z to whole multiples of planes.

    Args:
        depth: At what multiples of planes a piece may end.
        last: Where the last one ends, whatever its depth.
    """

    def __init__(self, depth: int, last: int) -> None:
        self.depth, self.last = depth, last
        self._held: list[NDArray[np.float32]] = []

    def add(self, part: Part) -> Iterator[Part]:
        """The next piece; gives what is whole with it, if there is anything."""
        (z, y, x), block = part
        self._held.append(block)
        start = z.stop - sum(map(len, self._held))
        stop = z.stop if z.stop == self.last else z.stop - z.stop % self.depth
        if stop <= start:
            return
        planes = block if len(self._held) == 1 else np.concatenate(self._held)
        self._held = [planes[stop - start :]] if stop < z.stop else []
        yield (slice(start, stop), y, x), planes[: stop - start]
