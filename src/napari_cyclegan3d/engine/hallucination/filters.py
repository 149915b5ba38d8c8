"""Filters for blocks of z y x voxels: backgrounds, lines in many directions."""

from itertools import product
from math import gcd

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

__all__ = [
    "directions",
    "line",
    "otsu",
    "robust_deviation",
    "smooth",
    "wide",
    "without",
]

Array = NDArray[np.float32]
Step = tuple[int, int, int]
BOX = 11  # three boxes of 11 voxels reach 15 and blur as a Gaussian of 5.5
NORMAL = 1.4826  # standard deviations per median absolute deviation


def smooth(
    block: Array,
    sigma: float | tuple[float, ...],
    truncate: float = 3.0,
    mode: str = "reflect",
) -> Array:
    """Blurred by a Gaussian of `sigma` voxels, cut at `truncate` of them."""
    return np.asarray(gaussian_filter(block, sigma, mode=mode, truncate=truncate))


def wide(block: Array, box: int = BOX) -> Array:
    """The local mean: about a Gaussian of half of `box`, at the same cost for any."""
    for _ in range(3):
        block = uniform_filter(block, box, mode="reflect")
    return np.asarray(block)


def without(block: Array, inside: NDArray[np.bool_], box: int = BOX) -> Array:
    """The local mean of what is not `inside`; where all is, that of everything."""
    outside = (~inside).astype(np.float32)
    share = wide(outside, box)
    # a few voxels far away say more than none, and less than many
    weight = share / (share + 0.02)
    mean = wide(block * outside, box) / np.maximum(share, 1e-6)
    return np.asarray(weight * mean + (1 - weight) * wide(block, box))


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


def shifted(block: Array, step: Step, times: int) -> Array:
    """What lies `times` steps further; zero beyond the block."""
    result = np.zeros_like(block)
    here, there = _overlap(block.shape, step, times)
    result[here] = block[there]
    return result


def _overlap(
    shape: tuple[int, ...], step: Step, times: int
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Voxels that have something `times` steps further, and what that is."""
    moves = [
        (min(abs(part * times), size), part * times >= 0)
        for size, part in zip(shape, step, strict=True)
    ]
    begin = [slice(move, None) for move, _ in moves]
    end = [
        slice(None, size - move) for size, (move, _) in zip(shape, moves, strict=True)
    ]
    ahead = [forward for _, forward in moves]
    here = tuple(e if f else b for b, e, f in zip(begin, end, ahead, strict=True))
    there = tuple(b if f else e for b, e, f in zip(begin, end, ahead, strict=True))
    return here, there


def line(block: Array, step: Step, length: float) -> Array:
    """The sum along a line with rounded ends, of `length` voxels between them."""
    weights = _line_weights(length, float(np.linalg.norm(step)))
    weighed = block * weights[0]
    result = weighed.copy()
    for times, weight in enumerate(weights[1:], 1):
        source = weighed if weight == weights[0] else block * weight
        for sign in (-1, 1):
            here, there = _overlap(block.shape, step, sign * times)
            result[here] += source[there]
    return result


def _line_weights(length: float, step: float) -> list[np.float32]:
    """Weights of the middle and of each further step; all lines weigh the same."""
    reach = length / 2
    places = np.arange(0, reach + step, step)
    weights = np.clip((reach + step / 2 - places) / step, 0, 1) * step
    return [np.float32(weight) for weight in weights if weight > 0]


def robust_deviation(values: NDArray[np.floating]) -> float:
    """Standard deviation by the median, which few outliers do not change."""
    middle = np.median(values)
    return float(NORMAL * np.median(np.abs(values - middle)))


def otsu(values: NDArray[np.floating]) -> float:
    """The value that parts two groups best (Otsu 1979)."""
    counts, edges = np.histogram(values, 256)
    middle = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), np.cumsum(counts * middle)
    above = below[-1] - below
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (total / below - (total[-1] - total) / above) ** 2
    return float(edges[1:][np.nanargmax(np.nan_to_num(between))])
