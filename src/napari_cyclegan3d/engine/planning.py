"""How large the tiles of a translation are: least work that fits the memory."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch

from napari_cyclegan3d.engine.errors import MemoryShortageError
from napari_cyclegan3d.engine.footprint import forward_bytes
from napari_cyclegan3d.engine.foreign import ForeignGenerator
from napari_cyclegan3d.engine.networks import Generator
from napari_cyclegan3d.engine.streaming import Program
from napari_cyclegan3d.engine.tiling import Reach, cores, round_up, whole_side
from napari_cyclegan3d.engine.volume import Shape, Volume

# a side is offered in so many lengths at most, or the search would take seconds
MOST_LENGTHS = 24
# what convolutions need beside the tensors that they read and write
WORKSPACE = 1.1
PROBE_STRIDES = 8
# grey values as read, normalised and as written: read ahead, at work, on their way
BUFFERS = 3
FP32_BYTES = 4


@dataclass(eq=False)
class Sizes:
    """Tiles of one translation.

    Attributes:
        volume: The input.
        network: What computes, in the number format of the work.
        program: The same as a stream of planes, if it can be.
        reach: How the network sees along z, y and x.
        units: What the sides of a core are multiples of: strides and whole chunks.
        budget: Memory for the work, in bytes.
        core: Voxels of the input that a tile yields (z, y, x).
        planes: How many planes a stream takes at a time.
    """

    volume: Volume
    network: Generator
    program: Program | None
    reach: tuple[Reach, Reach, Reach]
    units: Shape
    budget: int
    core: Shape = field(init=False)
    planes: int = field(init=False, default=0)

    def take(self, tile: Shape) -> None:
        """Use cores of this size, in whole units."""
        z, y, x = (
            min(round_up(side, unit), _longest(size, one, unit) or side)
            for side, unit, size, one in zip(
                tile, self.units, self.volume.shape, self.reach, strict=True
            )
        )
        self._settle((z, y, x))

    def choose(self) -> None:
        """Use the cores that mean least work under the memory given.

        Raises:
            MemoryShortageError: Not even the smallest fits.
        """
        depth, height, width = self.volume.shape
        if self.program is not None:
            depth = self.units[0]  # any number of planes can flow through
        shape = (depth, height, width)
        core = least_work(shape, self.reach, self.units, self._fits)
        if core is None:
            z, y, x = (
                one.allowed(
                    min(unit + sum(one.halo), round_up(whole_side(size, one), unit))
                )
                for unit, one, size in zip(self.units, self.reach, shape, strict=True)
            )
            needed = self._bytes((z, y, x)) / 1e9
            raise MemoryShortageError(
                f"memory {self.budget / 1e9:.2g} GB: even the smallest tile needs "
                f"about {needed:.2g} GB; give a memory of {1.2 * needed:.2g} GB"
            )
        self._settle(core)

    @property
    def must_blend(self) -> bool:
        """Whether some axis takes tiles of one length that hold no whole core."""
        return any(
            _longest(size, one, unit) == 0
            for size, one, unit in zip(
                self.volume.shape, self.reach, self.units, strict=True
            )
        )

    @property
    def is_one_tile(self) -> bool:
        """Whether the network can take the whole volume at once."""
        sides = [
            size + 2 * one.rim
            for size, one in zip(self.volume.shape, self.reach, strict=True)
        ]
        z, y, x = (
            one.allowed(side) for side, one in zip(sides, self.reach, strict=True)
        )
        fits = all(have >= side for have, side in zip((z, y, x), sides, strict=True))
        return fits and self._fits((z, y, x))

    def halve(self, core: Shape) -> bool:
        """Make a core smaller, across its longest side in strides, if it can be.

        Slices of a 2D network part more easily than a slice does.
        """
        strides = [
            side / one.stride for side, one in zip(core, self.reach, strict=True)
        ]
        if self.program is not None:
            strides[0] = 0
        longest = strides.index(max(strides))
        unit, sides = self.units[longest], list(core)
        if sides[longest] <= unit:
            return False
        sides[longest] = round_up(sides[longest] // 2, unit)
        self._settle((sides[0], sides[1], sides[2]))
        return True

    def _settle(self, core: Shape) -> None:
        self.core = core
        if self.program is not None:
            y, x = (
                min(side + sum(one.halo), whole_side(size, one))
                for side, size, one in zip(
                    core[1:], self.volume.shape[1:], self.reach[1:], strict=True
                )
            )
            self.planes = self._chunk((y, x))

    def _fits(self, read: Shape) -> bool:
        return self._bytes(read) <= self.budget

    def _bytes(self, read: Shape) -> int:
        """Memory for the work on a tile that reads so many voxels."""
        plane = (read[1], read[2])
        if self.program is None:
            planes, work = read[0], int(self._bytes_per_voxel * math.prod(read))
        else:
            planes = self._chunk(plane)
            work = self.program.bytes(plane, planes, self._dtype)
        volume = float(self.network.scale) ** 3 if self.network.dims == 3 else 1.0
        each = self.volume.dtype.itemsize + FP32_BYTES * (1 + volume)
        # planes wait until a unit of them can be written
        held = BUFFERS * self.units[0] * math.prod(plane) * volume * FP32_BYTES
        return work + int(BUFFERS * each * planes * math.prod(plane) + held)

    def _chunk(self, plane: tuple[int, int]) -> int:
        """Planes at a time, whole strides, as few as one if more do not fit."""
        assert self.program is not None
        stride = self.reach[0].stride
        planes = self.program.chunk(plane, self._dtype, self.budget)
        return max(stride, planes // stride * stride)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    @cached_property
    def _bytes_per_voxel(self) -> float:
        if isinstance(self.network, ForeignGenerator):
            return self.network.foreign.bytes_per_voxel
        sides = (PROBE_STRIDES * self.network.stride,) * self.network.dims
        shape = (1, self.network.inputs, *sides)
        peak = forward_bytes(self.network, shape, self._dtype)
        return WORKSPACE * peak / math.prod(sides)


def least_work(
    shape: Shape,
    reach: Sequence[Reach],
    units: Shape,
    fits: Callable[[Shape], bool],
) -> Shape | None:
    """The core with which the tiles read the fewest voxels, of those that fit.

    Args:
        shape: Voxels of the volume (z, y, x).
        reach: How the network sees along z, y and x.
        units: What the sides of a core must be multiples of.
        fits: Whether a tile that reads so many voxels (z, y, x) fits the memory. If
            it does, all smaller ones do.

    Returns:
        Voxels of a core (z, y, x); None if not even the smallest fits.
    """
    axes = [_lengths(*one) for one in zip(shape, reach, units, strict=True)]
    choices = itertools.product(*axes)
    by_work = sorted(choices, key=lambda sides: math.prod(work for _, work, _ in sides))
    for sides in by_work:
        (_, _, read_z), (_, _, read_y), (_, _, read_x) = sides
        if fits((read_z, read_y, read_x)):
            (z, _, _), (y, _, _), (x, _, _) = sides
            return z, y, x
    return None


def _lengths(size: int, reach: Reach, unit: int) -> list[tuple[int, int, int]]:
    """Sides of a core: (voxels, voxels read by all tiles, and by the largest)."""
    whole = _longest(size, reach, unit)
    if not whole:  # blended tiles, of the one length there is
        side = reach.allowed(size)
        return [(side, size, side)]
    lengths = list(range(unit, whole + 1, unit))
    if len(lengths) > MOST_LENGTHS:  # those that part the side evenly
        lengths = sorted(
            {round_up(-(-whole // n), unit) for n in range(1, len(lengths))}
        )
        step = max(1.0, (len(lengths) - 1) / (MOST_LENGTHS - 1))
        count = min(MOST_LENGTHS, len(lengths))
        lengths = [lengths[round(i * step)] for i in range(count)]
    return [(side, *_reading(size, side, reach)) for side in lengths]


def _longest(size: int, reach: Reach, unit: int) -> int:
    """The longest core in whole units; 0 if no tile holds one."""
    longest = reach.longest_core
    if longest is None or size <= reach.allowed(size):
        return round_up(whole_side(size, reach), unit)
    return longest // unit * unit


def _reading(size: int, side: int, reach: Reach) -> tuple[int, int]:
    tiles = cores((0, whole_side(size, reach)), side, size, reach)
    reads = [tile.read[1] - tile.read[0] for tile in tiles]
    return sum(reads), max(reads)
