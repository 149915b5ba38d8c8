"""Lines in many directions, and what blocks of z y x voxels sum to along them."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from math import gcd
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_cyclegan3d.engine.hallucination.filters import Array

__all__ = [
    "Step",
    "along",
    "directions",
    "kernels",
    "line",
    "responses",
    "shifted",
]

Step = tuple[int, int, int]
LENGTH = 8.0  # of the lines of the search, in raw voxels
# directions that are looked along at a time: convolutions like so many channels
HELD = 16


def directions(largest: int = 2) -> list[Step]:
    """Steps (z, y, x) in all directions of a lattice, one of each pair of opposites.

    Args:
        largest: Of a step along an axis: 1 gives 13 directions, 2 gives 49.
    """
    sides = range(-largest, largest + 1)
    return [
        (z, y, x)
        for z, y, x in product(sides, sides, sides)
        if gcd(z, y, x) == 1 and (z, y, x) > (0, 0, 0)
    ]


def shifted(block: Array, move: Step) -> Array:
    """What lies further by so many voxels along z, y, x; zero beyond the block."""
    result = np.zeros_like(block)
    here, there = [], []
    for size, far in zip(block.shape, move, strict=True):
        here.append(slice(max(0, -far), max(0, size - max(0, far))))
        there.append(slice(max(0, far), max(0, size + min(0, far))))
    result[tuple(here)] = block[tuple(there)]
    return result


def line(step: Step, length: float, pitch: int = 1) -> Array:
    """What voxels weigh in the sum along a line with rounded ends.

    Args:
        step: Its direction (z, y, x); there is a point at each such step.
        length: Between its ends, in voxels.
        pitch: Voxels per side of those that are weighed; what lies between these is
            shared among them.

    Returns:
        A cube about the middle of the line, of odd sides, the same for all directions;
        all lines weigh about the same.
    """
    size, half = float(np.linalg.norm(step)), length / 2
    reach = int(np.ceil(half / pitch))
    far = np.arange(-int(half), int(half) + 1)
    weights = np.clip((half + size / 2 - size * np.abs(far)) / size, 0, 1) * size
    places = np.outer(far, step)[weights > 0] / pitch
    lattice = np.arange(-reach, reach + 1)
    z, y, x = np.maximum(1 - np.abs(places.T[..., None] - lattice), 0)
    cube = np.einsum("n,nz,ny,nx->zyx", weights[weights > 0], z, y, x)
    return np.asarray(cube, np.float32)


def along(
    block: Array, lines: Sequence[Array], chosen: NDArray[np.integer[Any]]
) -> Array:
    """The sum along a line at each voxel; nothing lies beyond the block.

    Args:
        block: Voxels (z, y, x).
        lines: What voxels weigh in each line, as `line` gives it.
        chosen: Number of the line at each voxel.
    """
    reach = lines[0].shape[0] // 2
    padded = np.pad(block, reach)
    flat, height, width = padded.ravel(), *padded.shape[1:]
    most = max(np.count_nonzero(one) for one in lines)
    # points of each line: how far they are in `flat`, and what they weigh
    moves = np.zeros((most, len(lines)), np.int64)
    weights = np.zeros((most, len(lines)), np.float32)
    for number, one in enumerate(lines):
        z, y, x = (at - reach for at in np.nonzero(one))
        moves[: len(z), number] = (z * height + y) * width + x
        weights[: len(z), number] = one[one != 0]
    plane = np.arange(height * width).reshape(height, width)
    middle = plane[reach : height - reach, reach : width - reach]
    result = np.zeros(block.shape, np.float32)
    for depth, (here, which) in enumerate(zip(result, chosen, strict=True), reach):
        at = middle + depth * height * width
        for move, weight in zip(moves, weights, strict=True):
            here += weight[which] * flat[at + move[which]]
    return result


def responses(block: Array, pitch: int, every: int = 1) -> Iterator[Array]:
    """The block summed along lines in all directions, one after another.

    Args:
        block: On a grid of `pitch` raw voxels.
        pitch: 1 or 2.
        every: Of the voxels along an axis, which of them have a response.
    """
    given = torch.from_numpy(block)[None, None]
    weights = torch.from_numpy(np.stack(kernels(pitch)))[:, None]
    for some in weights.split(HELD):
        found = functional.conv3d(given, some, None, every, some.shape[-1] // 2)
        yield from found[0].numpy()


@cache
def kernels(pitch: int) -> list[Array]:
    """The lines of the search in all directions, on a grid of `pitch` raw voxels."""
    return [line(step, LENGTH, pitch) for step in directions()]
