"""A low-quality volume from a clean one, computed as it is read.

In order: blur and binning (those of the training, `engine.degrade`), reconstruction
from fewer projections, rings, Poisson noise, Gaussian noise. Noise and rings belong to
a slice and the seed: they are the same however the volume is read.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.sections.patches import DegradeConfig
from napari_cyclegan3d.engine.volume import ArraySource, Region, Shape, Volume
from napari_cyclegan3d.prepare.arrays import SLAB_VOXELS
from napari_cyclegan3d.prepare.events import Applied, Working
from napari_cyclegan3d.prepare.levels import sampled
from napari_cyclegan3d.prepare.options import DegradeSettings
from napari_cyclegan3d.prepare.projections import from_projections

# brighter voxels are few: metal, or damaged detector elements
BRIGHTEST = 99.9
RINGS, COUNTS, NOISE = range(3)

Floats = NDArray[np.float32]


def degrade(volume: Volume, settings: DegradeSettings, _: Volume | None) -> Applied:
    """The degraded volume, as float32; with binning on a coarser grid.

    Raises:
        InputError: The volume has fewer voxels than a bin, or shows nothing.
    """
    # beside the libraries that it needs, commands would start late
    from napari_cyclegan3d.engine.degrade import reduced

    values = yield from sampled(volume)
    yield Working(1, f"degrading {volume.name}")
    clean = reduced(volume, settings.binning, DegradeConfig(blur=settings.blur))
    array = _Degraded(
        clean.array,
        settings,
        deviation=float(values.std()),
        darkest=float(values.min()),
        brightest=float(np.percentile(values, BRIGHTEST)),
        pixel=(clean.spacing[1], clean.spacing[2]),
    )
    return replace(clean, array=array)


@dataclass(eq=False)
class _Degraded:
    source: ArraySource
    settings: DegradeSettings
    deviation: float
    darkest: float
    brightest: float
    pixel: tuple[float, float]
    # the slab that was read last: files are written in pieces of a few slices
    _last: tuple[range, Floats] | None = field(default=None, init=False)

    @property
    def shape(self) -> Shape:
        z, y, x = self.source.shape
        return z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def __getitem__(self, region: Region) -> Floats:
        depth, height, width = self.shape
        slices = range(*region[0].indices(depth))
        step = max(1, SLAB_VOXELS // (height * width))
        parts = [
            self._slab(slices[start : start + step])[:, region[1], region[2]]
            for start in range(0, len(slices), step)
        ]
        return np.concatenate(parts)

    def _slab(self, numbers: range) -> Floats:
        last = self._last
        if last is not None and last[0] == numbers:
            return last[1]
        asked = self.settings
        whole = slice(None)
        place = slice(numbers.start, numbers.stop, numbers.step)
        slab = np.asarray(self.source[place, whole, whole]).astype(np.float32)
        if asked.projections:
            missing = ~np.isfinite(slab)
            slab[missing] = self.darkest
            slab = from_projections(slab, asked.projections, self.pixel)
            slab[missing] = np.nan
        for number, plane in zip(numbers, slab, strict=True):
            self._spoil(plane, number)
        self._last = numbers, slab
        return slab

    def _spoil(self, plane: Floats, number: int) -> None:
        """Add rings and noise to one slice, in place."""
        asked = self.settings
        if asked.rings:
            plane += self._rings(number) * np.float32(asked.rings * self.deviation)
        span = self.brightest - self.darkest
        if asked.photons and span > 0:
            random = self._random(number, COUNTS)
            counts = np.maximum(plane - self.darkest, 0) * (asked.photons / span)
            finite = np.isfinite(counts)
            drawn = random.poisson(np.where(finite, counts, 0))
            plane[finite] = (drawn * (span / asked.photons) + self.darkest)[finite]
        if asked.noise:
            random = self._random(number, NOISE)
            noise = random.standard_normal(plane.shape, np.float32)
            plane += noise * np.float32(asked.noise * self.deviation)

    def _rings(self, number: int) -> Floats:
        """Rings of one detector element each around the middle (y, x), deviation 1."""
        _, height, width = self.shape
        finest = min(self.pixel)
        y = (np.arange(height) - (height - 1) / 2) * self.pixel[0] / finest
        x = (np.arange(width) - (width - 1) / 2) * self.pixel[1] / finest
        radius = np.hypot(y[:, None], x)
        heights = self._random(number, RINGS).standard_normal(int(radius.max()) + 2)
        found = np.interp(radius, np.arange(heights.size), heights)
        return np.asarray(found, dtype=np.float32)

    def _random(self, number: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, purpose, number])
