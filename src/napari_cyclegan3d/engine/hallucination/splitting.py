"""Two looks at the same object whose noise is independent.

From one scan: noise n' is drawn as the scan's own, and R + τ n' and R − n' / τ are
independent, given the truth, where the noise is Gaussian (Pang et al. 2021). From two
scans: the scans themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.noise import REACH, Noise, fit_noise
from napari_cyclegan3d.engine.hallucination.operator import Operator, fit_operator
from napari_cyclegan3d.engine.hallucination.sampling import Floats, finite
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.hallucination.store import blocks, finer, new_map
from napari_cyclegan3d.engine.volume import ArraySource, Region, Shape, Volume

# side of the bricks in which random numbers are drawn, and of the parts worked on
BRICK = 64
SIDE = 128


@dataclass(frozen=True)
class Split:
    """Two volumes of one object with independent noise.

    Attributes:
        first: What an enhancement is made from.
        second: What it is tested against; on the same grid.
        noise_first: Noise of the first.
        noise_second: Noise of the second.
        operator: What makes the second of the enhanced volume.
    """

    first: Volume
    second: Volume
    noise_first: Noise
    noise_second: Noise
    operator: Operator

    def swapped(self) -> "Split":
        """The second volume to enhance, and the first to test against."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            noise_first=self.noise_second,
            noise_second=self.noise_first,
        )


def split(
    raw: Volume,
    noise: Noise,
    operator: Operator,
    enhanced: Volume,
    seed: int,
    tau: float = 1.0,
) -> Split:
    """Split one scan.

    Args:
        raw: The scan.
        noise: Its noise.
        operator: What makes the raw volume of the enhanced one.
        enhanced: Its enhancement, for the local deviation of the noise.
        seed: Of the noise that is drawn; equal seeds give equal splits.
        tau: Share of the noise in the first part.

    Returns:
        Two lazy volumes of float32; the noise is on disk, 2 bytes a voxel.
    """
    drawn = new_map(raw.shape)
    for block in blocks(raw.shape, SIDE, 0):
        white = white_noise(block.core, seed, REACH)
        stationary = noise.coloured(white)[(slice(REACH, -REACH),) * 3]
        if noise.fit.deviations:
            stationary = stationary * _relative(
                noise, operator, enhanced, raw.shape, block.core
            )
        drawn[block.core] = stationary
    unit = noise.fit.sigma
    return Split(
        replace(raw, array=_Added(raw.array, drawn, tau * unit)),
        replace(raw, array=_Added(raw.array, drawn, -unit / tau)),
        noise.scaled(float(np.hypot(1, tau))),
        noise.scaled(float(np.hypot(1, 1 / tau))),
        operator,
    )


def two_scans(
    raw: Volume,
    second: Volume,
    noise: Noise,
    enhanced: Volume,
    config: InspectConfig,
    random: np.random.Generator,
) -> Split:
    """Take a second scan as the independent look.

    Args:
        raw: The scan that the enhanced volume was made from.
        second: Another scan of the same object on the same grid.
        noise: Noise of the first scan.
        enhanced: Enhancement of the first scan.
        config: How operator and noise of the second scan are fitted.
        random: Source of random places.

    Raises:
        InputError: The scans differ in shape, are one and the same, or nothing can be
            fitted to the second one.
    """
    if second.shape != raw.shape:
        raise InputError(
            f"{second.name}: shape {second.shape} differs from {raw.shape} of "
            f"{raw.name}; give a second scan on the same grid"
        )
    if second.array is raw.array:
        raise InputError(
            f"{second.name}: is the first scan itself, which cannot confirm its "
            "own noise; give another scan of the same object"
        )
    operator = fit_operator(second, enhanced, config, random)
    other = fit_noise(second, enhanced, operator, config, random)
    return Split(raw, second, noise, other, operator)


def white_noise(region: Region, seed: int, margin: int) -> Floats:
    """White noise of a region and a margin around it, the same however it is cut.

    Args:
        region: A part of a volume.
        seed: Of the whole volume's noise.
        margin: Voxels around the region, also beyond the volume's border.
    """
    starts = [part.start - margin for part in region]
    stops = [part.stop + margin for part in region]
    result = np.empty(
        [b - a for a, b in zip(starts, stops, strict=True)], dtype=np.float32
    )
    for place in _bricks(starts, stops):
        # one more than the number, as bricks before the border are number −1
        source = np.random.default_rng([seed, *(one + 1 for one in place)])
        brick = source.standard_normal((BRICK,) * 3, dtype=np.float32)
        target, part = [], []
        for one, start, stop in zip(place, starts, stops, strict=True):
            low, high = max(one * BRICK, start), min((one + 1) * BRICK, stop)
            target.append(slice(low - start, high - start))
            part.append(slice(low - one * BRICK, high - one * BRICK))
        result[tuple(target)] = brick[tuple(part)]
    return result


def _bricks(starts: list[int], stops: list[int]) -> Iterator[tuple[int, ...]]:
    return product(
        *(
            range(start // BRICK, -(-stop // BRICK))
            for start, stop in zip(starts, stops, strict=True)
        )
    )


def _relative(
    noise: Noise, operator: Operator, enhanced: Volume, shape: Shape, core: Region
) -> Floats:
    """Local deviation of the noise as a multiple of the global one."""
    margin = operator.margin
    z, y, x = (
        slice(max(0, part.start - margin), min(size, part.stop + margin))
        for part, size in zip(core, shape, strict=True)
    )
    high, _ = finite(enhanced.read(finer((z, y, x), operator.scale)))
    inner = tuple(
        slice(part.start - wide.start, part.stop - wide.start)
        for part, wide in zip(core, (z, y, x), strict=True)
    )
    deviation = noise.deviation(operator.apply(high)[inner])
    return deviation / np.float32(noise.fit.sigma)


@dataclass(frozen=True)
class _Added:
    """A lazy array plus a multiple of another one."""

    source: ArraySource
    other: NDArray[np.float16]
    factor: float

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.source.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def __getitem__(self, region: Region) -> Floats:
        voxels = np.asarray(self.source[region], dtype=np.float32)
        return voxels + np.float32(self.factor) * self.other[region].astype(np.float32)
