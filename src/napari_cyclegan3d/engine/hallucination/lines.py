"""Lines in many directions, and what blocks of z y x voxels sum to along them."""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from math import gcd

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination.filters import Array

__all__ = [
    "Step",
    "along",
    "directions",
    "every_third",
    "halfway",
    "line",
    "shifted",
]

Step = tuple[int, int, int]
# voxels with the same weight
Points = list[tuple[float, list[Step]]]
LENGTH = 8.0  # of a line, in voxels
REACH = 4  # voxels from its middle to the farthest
EVERY = 3


@cache
def directions() -> list[Step]:
    """Steps (z, y, x) in 49 directions of a lattice, one of each pair of opposites."""
    sides = range(-2, 3)
    return [
        (z, y, x)
        for z, y, x in product(sides, sides, sides)
        if gcd(z, y, x) == 1 and (z, y, x) > (0, 0, 0)
    ]


@cache
def line(step: Step) -> Points:
    """The voxels of a line with rounded ends, counted from its middle.

    Args:
        step: Its direction; there is a point at each such step.

    Returns:
        Weights and the voxels that have them; all lines weigh about the same.
    """
    size = float(np.linalg.norm(step))
    z, y, x = step
    found: dict[float, list[Step]] = {}
    for far in range(-REACH, REACH + 1):
        weight = min((LENGTH / 2 + size / 2 - size * abs(far)) / size, 1) * size
        if weight > 0:
            found.setdefault(weight, []).append((far * z, far * y, far * x))
    return list(found.items())


def shifted(block: Array, move: Step) -> Array:
    """What lies further by so many voxels along z, y, x; zero beyond the block."""
    result = np.zeros_like(block)
    here, there = [], []
    for size, far in zip(block.shape, move, strict=True):
        here.append(slice(max(0, -far), max(0, size - max(0, far))))
        there.append(slice(max(0, far), max(0, size + min(0, far))))
    result[tuple(here)] = block[tuple(there)]
    return result


def along(
    block: Array, chosen: NDArray[np.integer], scales: NDArray[np.float32]
) -> Array:
    """The sum along a line at each voxel; nothing lies beyond the block.

    Args:
        block: Voxels (z, y, x).
        chosen: Number of the direction of the line at each voxel.
        scales: By direction, factors of the sums.
    """
    padded = np.pad(block, REACH)
    flat, height, width = padded.ravel(), *padded.shape[1:]
    lines = [line(step) for step in directions()]
    # points of each line: how far they are in `flat`, and what they weigh
    moves = np.zeros((2 * REACH + 1, len(lines)), np.int64)
    weights = np.zeros(moves.shape, np.float32)
    for number, points in enumerate(lines):
        each = [(weight, place) for weight, places in points for place in places]
        for row, (weighs, (z, y, x)) in enumerate(each):
            moves[row, number] = (z * height + y) * width + x
            weights[row, number] = weighs * scales[number]
    plane = np.arange(height * width).reshape(height, width)
    middle = plane[REACH : height - REACH, REACH : width - REACH]
    result = np.zeros(block.shape, np.float32)
    for depth, (here, which) in enumerate(zip(result, chosen, strict=True), REACH):
        at = middle + depth * height * width
        for move, weight in zip(moves, weights, strict=True):
            here += weight[which] * flat[at + move[which]]
    return result


def every_third(block: Array) -> Iterator[Array]:
    """The sums along lines in all directions, at every third voxel of each axis."""
    padded = np.pad(block, REACH)

    def at(place: Step) -> Array:
        z, y, x = (
            slice(REACH + far, REACH + far + size, EVERY)
            for far, size in zip(place, block.shape, strict=True)
        )
        return padded[z, y, x]

    return (_sum(line(step), at) for step in directions())


def halfway(block: Array) -> Iterator[Array]:
    """The sums along lines in all directions, on a grid of half the density.

    Args:
        block: On that grid; what lies between its voxels is the mean of these.
    """
    padded = np.pad(block, REACH // 2)
    # for each axis: as it is, or in the middle between a voxel and the next one
    between = {(0, 0, 0): padded}
    for axis in range(3):
        for place, values in list(between.items()):
            mean = values.copy()
            ahead = np.moveaxis(mean, axis, 0)
            ahead[:-1] += np.moveaxis(values, axis, 0)[1:]
            mean *= np.float32(0.5)
            z, y, x = (one + (number == axis) for number, one in enumerate(place))
            between[z, y, x] = mean

    def at(place: Step) -> Array:
        z, y, x = (
            slice(REACH // 2 + far // 2, REACH // 2 + far // 2 + size)
            for far, size in zip(place, block.shape, strict=True)
        )
        odd_z, odd_y, odd_x = (far % 2 for far in place)
        return between[odd_z, odd_y, odd_x][z, y, x]

    return (_sum(line(step), at) for step in directions())


def _sum(points: Points, at: Callable[[Step], Array]) -> Array:
    """Of what is at the points of a line."""
    result = np.zeros((), np.float32)
    for weight, places in points:
        total = at(places[0]).copy()
        for place in places[1:]:
            total += at(place)
        total *= np.float32(weight)
        result = result + total
    return result
