"""What changes when the enhancement is repeated a little differently.

Structure that the data determine comes back; what the network makes up from noise does
not. What is compared is structure, E·Eₖ over E·E after a high pass, and not the
deviation of grey values, which grows with the amplitude of what is sound.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d.engine.hallucination.reduction import reduced
from napari_cyclegan3d.engine.hallucination.store import blocks, finer
from napari_cyclegan3d.engine.volume import Volume

# in raw voxels: deviations of the background that is taken off, and of the
# neighbourhood over which structure is compared
BACKGROUND, NEIGHBOURHOOD = 4.0, 1.5
HALO = 24
# of the mean square of structure: where there is less, nothing is unstable
LEAST = 0.05


def fill_instability(
    out: NDArray[np.float16],
    enhanced: Volume,
    repeated: Sequence[Volume],
    scale: int,
    side: int,
) -> None:
    """Write 1 − the median agreement of repetitions with the enhanced volume.

    Args:
        out: A map on the grid of the raw volume; 0: came back as it was, 1: did not.
        enhanced: The enhanced volume.
        repeated: The same from other noise, flips or models.
        scale: Size of `enhanced` over that of `out`.
        side: Of a tile, in voxels of `out`.
    """
    floor = LEAST * _mean_square(enhanced, out.shape, scale)
    for block in blocks(out.shape, side, HALO):
        read = finer(block.read, scale)
        first = _structure(enhanced.read(read), scale)
        own = _smooth(reduced(first * first, scale))
        agreements = [
            _smooth(reduced(first * _structure(other.read(read), scale), scale))
            for other in repeated
        ]
        agreement = np.median(agreements, axis=0) / np.maximum(own, 1e-20)
        # where there is hardly any structure, agreement is that of rounding
        weight = own / (own + floor)
        unstable = (1 - np.clip(agreement, 0, 1)) * weight
        out[block.core] = unstable[block.inner]


def _structure(values: NDArray[np.generic], scale: int) -> NDArray[np.float32]:
    grey = np.nan_to_num(values.astype(np.float32), copy=False)
    background: NDArray[np.float32] = gaussian_filter(
        grey, BACKGROUND * scale, truncate=3.0
    )
    return grey - background


def _smooth(values: NDArray[np.float32]) -> NDArray[np.float32]:
    smooth: NDArray[np.float32] = gaussian_filter(values, NEIGHBOURHOOD, truncate=3.0)
    return smooth


def _mean_square(enhanced: Volume, shape: Sequence[int], scale: int) -> float:
    """Of structure, in a few blocks spread over the volume."""
    z, y, x = shape
    places = list(blocks((z, y, x), 48, 8))
    chosen = places[:: max(1, len(places) // 16)]
    return float(
        np.mean(
            [
                np.square(
                    _structure(enhanced.read(finer(one.read, scale)), scale)
                ).mean()
                for one in chosen
            ]
        )
    )
