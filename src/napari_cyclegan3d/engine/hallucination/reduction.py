"""From the grid of the enhanced volume to that of the raw one."""

import numpy as np
from numpy.typing import NDArray


def reduced(values: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    """The mean of each block of scale³ voxels.

    Args:
        values: Sides that are multiples of `scale`.
        scale: 1, 2 or 4.
    """
    if scale == 1:
        return values
    z, y, x = (side // scale for side in values.shape)
    blocks = values.reshape(z, scale, y, scale, x, scale)
    return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float32))
