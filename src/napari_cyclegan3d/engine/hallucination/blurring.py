"""Blur, shift and reduction of blocks, along one axis after another.

Each axis has one small matrix, which blurs by a Gaussian, moves by the sub-voxel shift,
mirrors at the border and takes the mean of the enhanced voxels within each raw voxel. A
mean lies at its block's centre, so the half-voxel offset between the two grids is right
by construction.
"""

from functools import lru_cache

import numpy as np
from scipy import ndimage

from napari_cyclegan3d.engine.hallucination.findings import Triple
from napari_cyclegan3d.engine.hallucination.sampling import Floats

# where scipy's Gaussian ends, in deviations
TRUNCATE = 4.0
NO_WEIGHT = 1e-6
# raw voxels whose weights are one small matrix
ROWS = 16

Bands = tuple[tuple[slice, slice, Floats], ...]


def blurred(enhanced: Floats, scale: int, blur: Triple, shift: Triple) -> Floats:
    """Blur, move and reduce the last three axes.

    Args:
        enhanced: Blocks (…, z, y, x) on the enhanced grid.
        scale: Enhanced size over raw size.
        blur: Deviation of the Gaussian along z, y, x, in raw voxels.
        shift: Of the enhanced volume against the raw one, in raw voxels.

    Returns:
        Blocks on the raw grid, a new array.
    """
    result = np.array(enhanced, dtype=np.float32)
    for axis, (width, move) in enumerate(zip(blur, shift, strict=True), -3):
        if scale == 1 and not width and not move:
            continue
        size = result.shape[axis]
        bands = _bands(size, scale, round(width, 4), round(move, 4))
        result = _along(result, bands, size // scale, axis)
    return result


def _along(block: Floats, bands: Bands, size: int, axis: int) -> Floats:
    """Blocks multiplied by a banded matrix along one axis, which gets a new size."""
    *lead, depth, height, width = block.shape
    shape = list(block.shape)
    shape[axis] = size
    result = np.empty(shape, dtype=np.float32)
    # many small products instead of a large one: most of the matrix is 0
    for rows, columns, weights in bands:
        if axis == -3:
            planes = block.reshape(*lead, depth, height * width)
            out = result.reshape(*lead, size, height * width)
            np.matmul(weights, planes[..., columns, :], out=out[..., rows, :])
        elif axis == -2:
            np.matmul(weights, block[..., columns, :], out=result[..., rows, :])
        else:
            flat = block.reshape(-1, width)[:, columns]
            result.reshape(-1, size)[:, rows] = flat @ weights.T
    return result


@lru_cache(maxsize=256)
def _bands(size: int, scale: int, blur: float, shift: float) -> Bands:
    """Weights of the enhanced voxels of one axis in the raw voxels.

    Returns:
        For some raw voxels at a time: which they are, which enhanced voxels they
        depend on, and how, (raw, enhanced).
    """
    matrix = np.eye(size)
    if blur:
        matrix = ndimage.gaussian_filter1d(
            matrix, blur * scale, axis=0, mode="reflect", truncate=TRUNCATE
        )
    if shift:
        matrix = ndimage.shift(matrix, (-shift * scale, 0), order=3, mode="reflect")
        # the tails of a cubic spline never end
        matrix[np.abs(matrix) < NO_WEIGHT] = 0
    means = matrix.reshape(size // scale, scale, size).mean(axis=1).astype(np.float32)
    bands = []
    for start in range(0, len(means), ROWS):
        rows = slice(start, min(start + ROWS, len(means)))
        used = np.flatnonzero(means[rows].any(axis=0))
        columns = slice(int(used[0]), int(used[-1]) + 1)
        bands.append((rows, columns, np.ascontiguousarray(means[rows, columns])))
    return tuple(bands)
