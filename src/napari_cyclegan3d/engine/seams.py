"""Whether tiles can be seen in a result."""

from collections.abc import Iterable, Sequence

import numpy as np

from napari_cyclegan3d.engine.volume import ArraySource, Region, Shape

# enough for a mean, little to read of a large volume
MOST_CUTS = 4
LONGEST_SIDE = 256
# steps looked at on either side of a border
BESIDE = 2


def seam_ratio(
    result: ArraySource, cuts: Sequence[Iterable[int]], period: int = 1
) -> float | None:
    """Mean step from voxel to voxel across tile borders, over that beside them.

    1 where no tile shows. Up to four borders per axis are looked at, in the middle of
    the volume, and two steps on either side of each, whole periods away: what a
    network's strides leave in a result is no seam.

    Args:
        result: The voxels (z, y, x); what is no finite number is left out.
        cuts: Per axis, the first voxels behind borders.
        period: Voxels of the result after which the network's lattice repeats itself.

    Returns:
        The ratio; None without borders or where nothing changes.
    """
    shape = (result.shape[0], result.shape[1], result.shape[2])
    at: list[float] = []
    beside: list[float] = []
    for axis, borders in enumerate(cuts):
        for border in _some(sorted(borders), shape[axis], BESIDE * period + 1):
            for offset in range(-BESIDE * period, BESIDE * period + 1, period):
                step = _step(result, shape, axis, border + offset)
                (beside if offset else at).append(step)
    if not at or not np.mean(beside) > 0:
        return None
    return float(np.mean(at) / np.mean(beside))


def _some(borders: Sequence[int], size: int, margin: int) -> list[int]:
    inside = [one for one in borders if margin <= one <= size - margin]
    count = min(MOST_CUTS, len(inside))
    return [inside[i * len(inside) // count] for i in range(count)]


def _step(result: ArraySource, shape: Shape, axis: int, place: int) -> float:
    """Mean absolute difference of neighbours along an axis, across a place."""
    region = list(_middle(shape))
    region[axis] = slice(place - 1, place + 1)
    voxels = np.asarray(result[tuple(region)], dtype=np.float64)
    differences = np.abs(np.diff(voxels, axis=axis))
    finite = np.isfinite(differences)
    return float(differences[finite].mean()) if finite.any() else 0.0


def _middle(shape: Shape) -> Region:
    z, y, x = (
        slice(max(0, n // 2 - LONGEST_SIDE // 2), min(n, n // 2 + LONGEST_SIDE // 2))
        for n in shape
    )
    return z, y, x
