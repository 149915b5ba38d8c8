"""The cycle, there and back, hardened against codes.

A CycleGAN may hide the raw volume in detail of the enhanced one that nobody sees, and
the way back reads it there (Chu et al. 2017, arXiv:1712.02950): then the cycle error
says nothing. A slight blur before the way back destroys such a code, and structure
stays. How much worse the cycle becomes by it is the alarm.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d.engine.hallucination.noise import Noise
from napari_cyclegan3d.engine.hallucination.passes import Translate
from napari_cyclegan3d.engine.hallucination.store import blocks, bounded
from napari_cyclegan3d.engine.volume import Region, Volume

# deviations: of the blur, in enhanced voxels; of what is compared, in raw voxels
BLUR, NEIGHBOURHOOD = 0.8, 1.0
MARGIN = 4
HALO = 8
# above this ratio a code is likely; about 1.2 to 1.26 was seen with planted codes
ALARM = 1.2


def fill_cycle(
    out: NDArray[np.float16],
    raw: Volume,
    enhanced: Volume,
    back: Translate,
    noise: Noise,
    side: int,
) -> Generator[float, None, float]:
    """Write the hardened cycle error, in standard deviations of the noise.

    Args:
        out: A map on the grid of the raw volume.
        raw: The raw volume.
        enhanced: The enhanced volume.
        back: The network from enhanced to raw.
        noise: Of the raw volume.
        side: Of a tile, in raw voxels.

    Yields:
        The share that is done.

    Returns:
        The gap: mean hardened error over mean plain error.
    """
    plain = yield from _half(back(enhanced), 0.0)
    hardened = yield from _half(back(softened(enhanced, BLUR)), 0.5)
    # what is compared has been blurred as often on both sides
    already = BLUR * raw.shape[0] / enhanced.shape[0]
    sums = np.zeros(2)
    for block in blocks(raw.shape, side, HALO):
        grey, there, hard = (
            np.nan_to_num(one.read(block.read).astype(np.float32))
            for one in (raw, plain, hardened)
        )
        blurred: NDArray[np.float32] = gaussian_filter(grey - there, already)
        errors = [
            np.abs(_smooth(blurred)),
            np.abs(_smooth(gaussian_filter(grey, already) - hard)),
        ]
        sums += [one[block.inner].sum(dtype=np.float64) for one in errors]
        out[block.core] = bounded(errors[1] / noise.fit.sigma)[block.inner]
    return float(sums[1] / max(sums[0], 1e-20))


def softened(volume: Volume, deviation: float) -> Volume:
    """The volume behind a Gaussian blur, lazily."""
    return replace(volume, array=_Soft(volume, deviation))


@dataclass(frozen=True)
class _Soft:
    """Blurs what is read of a volume, with the margin that the blur needs."""

    volume: Volume
    deviation: float

    @property
    def shape(self) -> tuple[int, ...]:
        return self.volume.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def __getitem__(self, region: Region) -> NDArray[np.float32]:
        reading, inside = [], []
        for part, size in zip(region, self.shape, strict=True):
            start, stop, _ = part.indices(size)
            low = max(0, start - MARGIN)
            reading.append(slice(low, min(size, stop + MARGIN)))
            inside.append(slice(start - low, stop - low))
        z, y, x = reading
        values = self.volume.read((z, y, x)).astype(np.float32)
        soft: NDArray[np.float32] = gaussian_filter(values, self.deviation)
        return soft[tuple(inside)]


def _smooth(values: NDArray[np.float32]) -> NDArray[np.float32]:
    smooth: NDArray[np.float32] = gaussian_filter(values, NEIGHBOURHOOD)
    return smooth


def _half(
    steps: Generator[float, None, Volume], start: float
) -> Generator[float, None, Volume]:
    while True:
        try:
            share = next(steps)
        except StopIteration as end:
            volume: Volume = end.value
            return volume
        yield start + share / 2
