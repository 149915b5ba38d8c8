"""How a coarse, noisy volume is made from a fine one, for learning to undo it.

Gaussian blur over the three axes, then the mean of each block of scale³ voxels, then
white noise. The mean of a block lies at its centre, so that the result covers its
source without the shift that taking every n-th voxel would bring. Training and
evaluation both use this one operator.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import fit_intensity
from napari_cyclegan3d.engine.sections.patches import DegradeConfig, IntensityConfig
from napari_cyclegan3d.engine.volume import ArraySource, Region, Volume

SLAB_VOXELS = 2**24
# where scipy's Gaussian ends, in deviations
TRUNCATE = 4.0


def degraded(volume: Volume, scale: int, config: DegradeConfig, seed: int) -> Volume:
    """The whole volume, degraded; held in memory as float32 grey values.

    Args:
        volume: The fine volume; at its end, voxels that fill no block are left out.
        scale: Side of a block in voxels; 1 blurs and adds noise only.
        config: Blur and noise.
        seed: Seed of the noise.

    Raises:
        InputError: The volume has fewer voxels than a block, or noise is asked for
            and it shows nothing.
    """
    clean = reduced(volume, scale, config)
    array = clean.read()
    if config.noise:
        noise = np.random.default_rng(seed).standard_normal(array.shape, np.float32)
        array += np.float32(noise_deviation(volume, config)) * noise
    return replace(clean, array=array)


def reduced(volume: Volume, scale: int, config: DegradeConfig) -> Volume:
    """The volume blurred and reduced, without noise; lazily, as float32.

    A region that is read equals that part of the whole: what the blur needs around it
    is read as well, and only the volume's own border is mirrored.

    Raises:
        InputError: The volume has fewer voxels than a block.
    """
    if min(volume.shape) < scale:
        raise InputError(
            f"{volume.name}: shape {volume.shape} cannot be reduced by {scale}; give a "
            "larger volume or a smaller scale"
        )
    source = _Reduced(volume.array, scale, config.blur)
    return volume.resampled(source, Fraction(1, scale))


def noise_deviation(volume: Volume, config: DegradeConfig) -> float:
    """Deviation of the noise in grey values: a share of the fine volume's own."""
    if not config.noise:
        return 0.0
    return config.noise * fit_intensity([volume], IntensityConfig()).gain


@dataclass(frozen=True)
class _Reduced:
    """A lazily blurred and reduced array."""

    source: ArraySource
    scale: int
    blur: float

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(size // self.scale for size in self.source.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def __getitem__(self, region: Region) -> NDArray[np.float32]:
        z, y, x = (
            range(*part.indices(size))
            for part, size in zip(region, self.shape, strict=True)
        )
        plane = max(1, len(y) * len(x) * self.scale**3)
        step = max(1, SLAB_VOXELS // plane)
        slabs = [
            self._part((z[start : start + step], y, x))
            for start in range(0, len(z), step)
        ]
        return np.concatenate(slabs)

    def _part(self, ranges: tuple[range, range, range]) -> NDArray[np.float32]:
        margin = int(TRUNCATE * self.blur + 0.5)
        bounds = [(part.start * self.scale, part.stop * self.scale) for part in ranges]
        read = [
            slice(max(0, start - margin), min(size, stop + margin))
            for (start, stop), size in zip(bounds, self.source.shape, strict=True)
        ]
        fine = np.asarray(self.source[tuple(read)]).astype(np.float32)
        fine = ndimage.gaussian_filter(fine, self.blur, truncate=TRUNCATE)
        inner = tuple(
            slice(start - part.start, stop - part.start)
            for (start, stop), part in zip(bounds, read, strict=True)
        )
        return _block_means(fine[inner], self.scale)


def _block_means(array: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    depth, height, width = (size // scale for size in array.shape)
    blocks = array.reshape(depth, scale, height, scale, width, scale)
    means: NDArray[np.float32] = blocks.mean(axis=(1, 3, 5))
    return means
