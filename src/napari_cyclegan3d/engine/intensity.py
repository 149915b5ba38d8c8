"""Grey values to numbers around zero, and back.

The fitted object is two numbers; it travels inside the model.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.sections.patches import IntensityConfig
from napari_cyclegan3d.engine.settings import Settings
from napari_cyclegan3d.engine.volume import Volume

SLAB_VOXELS = 2**21
SAMPLE_VOXELS = 2**22
# of a volume larger than that, only cubes spread over it are looked into
CHECKED_VOXELS = 2**26
CUBE_SIDE, CUBES = 32, 5


class Intensity(Settings):
    """normalised = (grey − offset) / gain."""

    offset: float
    gain: float

    def apply(self, grey: NDArray[np.generic]) -> NDArray[np.float32]:
        """Normalise; what is not finite becomes 0, the middle of the range."""
        values = grey.astype(np.float32)
        values -= np.float32(self.offset)
        values /= np.float32(self.gain)
        values[~np.isfinite(values)] = 0
        return values

    def invert(self, normalised: NDArray[np.float32]) -> NDArray[np.float32]:
        """Back to grey values, as float32."""
        return normalised * np.float32(self.gain) + np.float32(self.offset)


def fit_intensity(volumes: Sequence[Volume], config: IntensityConfig) -> Intensity:
    """Fit over all finite voxels of all volumes, reading slab by slab.

    Percentiles are taken over a random sample of about four million voxels.

    Raises:
        InputError: A volume has no finite voxel, or the same value everywhere.
    """
    names = ", ".join(volume.name for volume in volumes)
    summary = _Summary()
    for volume in volumes:
        one = _Summary()
        for slab in _slabs(volume):
            one.add(slab)
        one.check(volume.name)
        summary.merge(one)
    if config.method == "zscore":
        offset, gain = summary.mean, summary.deviation
    else:
        if config.method == "minmax":
            low, high = summary.low, summary.high
        else:
            low, high = _percentiles(volumes, config.percentiles)
        offset, gain = (low + high) / 2, (high - low) / 2
    if not gain > 0:
        raise InputError(
            f"{names}: {config.method} normalisation finds no contrast (limits are "
            "equal); choose another method or another region"
        )
    return Intensity(offset=float(offset), gain=float(gain))


def check_contrast(volume: Volume) -> None:
    """Refuse a volume that shows nothing; reads until it shows something.

    Cubes are read first, since a slab may run through many chunks of a file. A very
    large volume is never read as a whole: it passes.

    Raises:
        InputError: No voxel is a finite number, or all are the same.
    """
    summary = _Summary()
    small = math.prod(volume.shape) <= CHECKED_VOXELS
    for part in itertools.chain(_cubes(volume), _slabs(volume) if small else ()):
        summary.add(part)
        if summary.low < summary.high:
            return
    if small:
        summary.check(volume.name)


class _Summary:
    """Count, mean, variance (Chan et al. 1979) and limits of finite voxels."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0
        self.low, self.high = np.inf, -np.inf

    @property
    def deviation(self) -> float:
        return float(np.sqrt(self.squares / self.count))

    def add(self, values: NDArray[np.generic]) -> None:
        finite = values[np.isfinite(values)].astype(np.float64)
        if not finite.size:
            return
        one = _Summary()
        one.count, one.mean = finite.size, float(finite.mean())
        one.squares = float(np.square(finite - one.mean).sum())
        one.low, one.high = float(finite.min()), float(finite.max())
        self.merge(one)

    def merge(self, other: "_Summary") -> None:
        if not other.count:
            return
        total = self.count + other.count
        shift = other.mean - self.mean
        self.squares += other.squares + shift**2 * self.count * other.count / total
        self.mean += shift * other.count / total
        self.count = total
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def check(self, name: str) -> None:
        if not self.count:
            raise InputError(f"{name}: no voxel is a finite number; it shows nothing")
        if self.low == self.high:
            raise InputError(f"{name}: every voxel is {self.low:g}; it shows nothing")


def _cubes(volume: Volume) -> Iterator[NDArray[np.generic]]:
    """Small parts on an even grid, the first corner first."""
    axes = [
        sorted(
            {
                step * (size - min(CUBE_SIDE, size)) // (CUBES - 1)
                for step in range(CUBES)
            }
        )
        for size in volume.shape
    ]
    for z, y, x in itertools.product(*axes):
        yield volume.read(
            (slice(z, z + CUBE_SIDE), slice(y, y + CUBE_SIDE), slice(x, x + CUBE_SIDE))
        )


def _slabs(volume: Volume) -> Iterator[NDArray[np.generic]]:
    depth, height, width = volume.shape
    step = max(1, SLAB_VOXELS // (height * width))
    for start in range(0, depth, step):
        yield volume.read((slice(start, start + step), slice(None), slice(None)))


def _percentiles(
    volumes: Sequence[Volume], limits: tuple[float, float]
) -> tuple[float, float]:
    voxels = sum(int(np.prod(volume.shape)) for volume in volumes)
    share = max(1, voxels // SAMPLE_VOXELS)
    rng = np.random.default_rng(0)
    sample = []
    for volume in volumes:
        for slab in _slabs(volume):
            finite = slab[np.isfinite(slab)]
            if share > 1:
                # at random: even steps can meet one column of the volume only
                finite = rng.choice(finite, -(-finite.size // share))
            sample.append(finite)
    low, high = np.percentile(np.concatenate(sample).astype(np.float64), limits)
    return float(low), float(high)
