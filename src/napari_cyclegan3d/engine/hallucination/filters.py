"""Filters for blocks of z y x voxels: backgrounds, lines in many directions."""

from itertools import product
from math import gcd

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

__all__ = [
    "directions",
    "line_weights",
    "otsu",
    "robust_deviation",
    "shifted",
    "smooth",
    "wide",
    "without",
]

Array = NDArray[np.float32]
Step = tuple[int, int, int]
BOX = 11  # three boxes of 11 voxels reach 15 and blur as a Gaussian of 5.5
SAMPLES = 64  # points of a line that are shared among voxels
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


def shifted(block: Array, move: Step) -> Array:
    """What lies further by so many voxels along z, y, x; zero beyond the block."""
    result = np.zeros_like(block)
    here, there = [], []
    for size, far in zip(block.shape, move, strict=True):
        here.append(slice(max(0, -far), max(0, size - max(0, far))))
        there.append(slice(max(0, far), max(0, size + min(0, far))))
    result[tuple(here)] = block[tuple(there)]
    return result


def line_weights(step: Step, length: float) -> Array:
    """What voxels weigh in a line through the middle of a block.

    Args:
        step: Its direction (z, y, x).
        length: In voxels.

    Returns:
        A cube of odd sides; the sum is `length`.
    """
    reach = int(np.ceil(length / 2))
    along = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    places = np.outer(along * length, np.array(step) / np.linalg.norm(step)) + reach
    lattice = np.arange(2 * reach + 1)
    # each point of the line is shared by the voxels around it
    z, y, x = np.maximum(1 - np.abs(places[..., None] - lattice), 0).transpose(1, 0, 2)
    weights = np.einsum("nz,ny,nx->zyx", z, y, x) * (length / SAMPLES)
    return np.asarray(weights, np.float32)


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
