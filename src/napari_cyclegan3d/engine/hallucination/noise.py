"""The noise of the raw volume: how strong it is, where, and how it is correlated.

Noise is a deviation, which may grow with the grey value, times stationary noise with a
spectrum. Filters work on cosine transforms: these mirror a block at its borders, as all
other filters here do, without any padding.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination import flatness, sampling, spectrum
from napari_cyclegan3d.engine.hallucination.findings import NoiseFit
from napari_cyclegan3d.engine.hallucination.sampling import Degrades, Floats
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.volume import Shape, Volume

# least power of the spectrum that counts as noise: less is numerical rubbish
FLOOR = 0.02
# a spectrum within this of 1 everywhere is white
WHITE = 0.02
# deviation as a share of the volume's range; less is no noise
LEAST = 1e-5
FINE = 32
# voxels of a block of which many shapes are remembered
SMALL = 2**15
LAST = (-3, -2, -1)
# raw voxels around a drawn block, so that its borders are as noisy as its middle
REACH = 12


@dataclass(frozen=True)
class Noise:
    """Noise that can be taken out, put in and weighed.

    Attributes:
        fit: Its numbers.
    """

    fit: NoiseFit

    def deviation(self, mean: Floats) -> Floats:
        """Standard deviation at each voxel of a block of noise-free grey values."""
        fit = self.fit
        if fit.deviations:
            levels, deviations = np.array(fit.deviations).T
            local: Floats = np.interp(mean, levels, deviations).astype(np.float32)
            return local
        return np.full(mean.shape, fit.sigma, dtype=np.float32)

    def whiten(self, block: Floats, mean: Floats | None = None) -> Floats:
        """A block in which this noise is white and has deviation 1.

        Args:
            block: Raw grey values, less their noise-free mean.
            mean: Noise-free grey values, for the local deviation.

        Returns:
            A new block of the same shape.
        """
        even = block / (self.fit.sigma if mean is None else self.deviation(mean))
        return self.decorrelated(even.astype(np.float32, copy=False))

    def decorrelated(self, even: Floats) -> Floats:
        """A block in which this noise is white, if it has deviation 1 everywhere."""
        return self._filtered(even, -0.5)

    def draw(
        self, shape: Shape, random: np.random.Generator, mean: Floats | None = None
    ) -> Floats:
        """A block of such noise, of mean 0.

        Args:
            shape: Voxels (z, y, x).
            random: Source of the numbers.
            mean: Noise-free grey values of that shape, for the local deviation.
        """
        wide = tuple(size + 2 * REACH for size in shape)
        block = self.coloured(random.standard_normal(wide, dtype=np.float32))
        inner = block[(slice(REACH, -REACH),) * 3]
        deviation = self.fit.sigma if mean is None else self.deviation(mean)
        return (inner * deviation).astype(np.float32, copy=False)

    def coloured(self, white: Floats) -> Floats:
        """White noise with this noise's spectrum, of deviation 1."""
        return self._filtered(white, 0.5)

    def scaled(self, factor: float) -> "Noise":
        """The same noise, stronger by a factor."""
        fit = self.fit
        return Noise(
            fit.model_copy(
                update={
                    "sigma": fit.sigma * factor,
                    "slope": fit.slope * factor**2,
                    "deviations": tuple(
                        (level, one * factor) for level, one in fit.deviations
                    ),
                }
            )
        )

    def _filtered(self, block: Floats, exponent: float) -> Floats:
        fit = self.fit
        if np.ptp(fit.power) < WHITE and not fit.axes:
            return block
        shape = (block.shape[-3], block.shape[-2], block.shape[-1])
        cached = _gains_small if math.prod(shape) <= SMALL else _gains_large
        workers = 1 if block.size <= SMALL else -1
        gains = cached(shape, fit.frequency, fit.power, fit.axes, exponent)
        spectrum = fft.dctn(block, axes=LAST, workers=workers)
        spectrum *= gains
        return np.asarray(
            fft.idctn(spectrum, axes=LAST, overwrite_x=True, workers=workers)
        )


def _gains(
    shape: Shape,
    frequency: tuple[float, ...],
    power: tuple[float, ...],
    axes: tuple[tuple[float, ...], ...],
    exponent: float,
    first: float = 0.0,
) -> Floats:
    """Power to an exponent for each cosine of a block; the first one is number 0."""
    radius = np.zeros((1, 1, 1))
    for axis, size in enumerate(shape):
        along = [1, 1, 1]
        along[axis] = size
        radius = radius + ((np.arange(size) + first) / (2 * size)).reshape(along) ** 2
    values = np.interp(np.sqrt(radius), frequency, power)
    for axis, factors in enumerate(axes):
        size = shape[axis]
        along = [1, 1, 1]
        along[axis] = size
        even = np.linspace(0, 0.5, len(factors))
        factor = np.interp((np.arange(size) + first) / (2 * size), even, factors)
        values = values * factor.reshape(along)
    # only taken out, faint noise must not be taken for none
    lowest = FLOOR if exponent < 0 else 0.0
    return (np.maximum(values, lowest) ** exponent).astype(np.float32)


_gains_small = lru_cache(maxsize=256)(_gains)
_gains_large = lru_cache(maxsize=4)(_gains)


def fit_noise(
    raw: Volume,
    enhanced: Volume,
    operator: Degrades,
    config: InspectConfig,
    random: np.random.Generator,
) -> Noise:
    """Measure the noise of the raw volume.

    Its spectrum and strength come from `config.noise_region`, else from the flattest
    parts of up to 64 random tiles, else from the residual; its dependence on the grey
    value from the finest details of the residual.

    Args:
        raw: The raw volume.
        enhanced: Its enhancement.
        operator: What makes the raw volume of the enhanced one, without noise.
        config: `noise_region`.
        random: Source of the tiles' places.

    Raises:
        InputError: The noise region is not within the volume or too small, or there is
            no noise.
    """
    tiles, models, inner = sampling.pairs(raw, enhanced, operator, random)
    residual = tiles - models
    if config.noise_region:
        part = flatness.noise_region(raw, config.noise_region)
        bricks = flatness.bricks(part[None])
        level, how = flatness.grey_value(bricks), "the noise region that was given"
    else:
        bricks, level, how = flatness.noise_alone(tiles[inner], models[inner])
    found = spectrum.measured(bricks)
    if not found.sigma > LEAST * float(np.ptp(tiles)):
        raise InputError(
            f"{raw.name}: no noise was found (deviation {found.sigma:.3g} grey values)"
            ", so nothing can be said about certainty; give a noise region, or a raw "
            "volume that is neither simulated nor smoothed"
        )
    by_level = spectrum.by_level(residual[inner], models[inner], level, found.sigma)
    noise = _composed(found, level, by_level, how)
    some = zip(residual[:8], models[:8], strict=True)
    white = [noise.whiten(rest, model)[inner[1:]] for rest, model in some]
    reached = float(np.mean([whiteness(one) for one in white]))
    return Noise(noise.fit.model_copy(update={"whiteness": reached}))


def _composed(
    found: spectrum.Spectrum, level: float, by_level: spectrum.Levels, how: str
) -> Noise:
    # on a fine grid the mean differs somewhat from that on the bricks' grid
    whole = _gains((FINE,) * 3, found.frequency, found.power, found.axes, 1, 0.5)
    unit = float(whole.mean())
    return Noise(
        NoiseFit(
            sigma=found.sigma,
            level=level,
            slope=spectrum.slope(by_level),
            frequency=found.frequency,
            power=tuple(one / unit for one in found.power),
            axes=found.axes,
            deviations=by_level,
            how=how,
            whiteness=0.0,
        )
    )


def whiteness(block: NDArray[np.floating]) -> float:
    """1 − the largest correlation of voxels with their next neighbours; 1 is white."""
    centred = block - block.mean()
    power = float(np.mean(centred**2))
    if not power:
        return 0.0
    worst = 0.0
    for axis, size in enumerate(block.shape):
        if size > 1:
            ahead = np.take(centred, range(1, size), axis)
            behind = np.take(centred, range(size - 1), axis)
            worst = max(worst, abs(float(np.mean(ahead * behind))) / power)
    return 1 - worst
