"""Filters for blocks of z y x voxels: means, backgrounds, robust figures."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

__all__ = [
    "otsu",
    "robust_deviation",
    "smooth",
    "wide",
    "without",
]

Array = NDArray[np.float32]
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


def without(
    block: Array, inside: NDArray[np.bool_], mean: Array, box: int = BOX
) -> Array:
    """The local mean of what is not `inside`; where all is, that of everything.

    Args:
        block: Voxels.
        inside: What is left out.
        mean: `wide` of all of the block.
        box: As for `wide`.
    """
    outside = (~inside).astype(np.float32)
    share = wide(outside, box)
    # a few voxels far away say more than none, and less than many
    weight = share / (share + np.float32(0.02))
    outside *= block
    background = wide(outside, box)
    background /= np.maximum(share, 1e-6, out=share)
    background -= mean
    background *= weight
    background += mean
    return background


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
