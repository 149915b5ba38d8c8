"""What a network may have deleted: lines in all directions, balls, gaps in fibres.

Nobody knows the shape of what is missing, so the residual is compared with many
templates at each voxel. A line that joins two structures of the enhanced volume which
point at each other is far more likely than one somewhere else: there less evidence is
needed, by as much as there are fewer such places.

Which of the 49 directions it would have is decided on a grid of half the density, since
responses vary slowly; the line in that direction is then compared at each voxel.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_cyclegan3d.engine.hallucination.filters import (
    Array,
    robust_deviation,
    smooth,
)
from napari_cyclegan3d.engine.hallucination.findings import Triple
from napari_cyclegan3d.engine.hallucination.lines import (
    Step,
    along,
    directions,
    every_third,
    halfway,
    shifted,
)
from napari_cyclegan3d.engine.hallucination.reduction import reduced
from napari_cyclegan3d.engine.hallucination.tally import repeated

__all__ = ["PITCH", "Search", "fit_search"]

BALL = 1.6  # thickness of balls, times that of lines
APART = (8.0, 11.0)  # raw voxels from the middle of a gap to what lies beyond it
ALIGNED = 0.95  # of the largest power: the structure has this direction
# raw voxels, along an axis, between places at which all directions are looked along
PITCH = 2
# variance, in raw voxels, by which the coarse grid and its lines blur
BLURRED = 1.0


@dataclass(frozen=True, eq=False)
class _Likely:
    """On the coarse grid, the line that is most likely missing.

    Attributes:
        z: The response to it, with what is added where it would join structures.
        direction: Its number in `directions`.
        more: What is added.
    """

    z: Array
    direction: NDArray[np.int8]
    more: Array

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> "_Likely":
        """Before any direction has been looked along."""
        zeros = np.zeros(shape, np.float32)
        return cls(zeros - np.inf, np.zeros(shape, np.int8), zeros)

    def take(self, number: int, z: Array, more: Array) -> None:
        """The line in another direction, where it is more likely."""
        better = z > self.z
        np.copyto(self.z, z, where=better)
        np.copyto(self.more, more, where=better)
        self.direction[better] = number


@dataclass(frozen=True)
class Search:
    """The search for what is missing.

    Attributes:
        sigma: Of the lines across, blur included, along z, y, x, in raw voxels.
        lines: Deviation of the response to each direction, where nothing is missing.
        coarse: The same on the coarse grid.
        ball: The same of the response to balls.
        sign: 1 where structures are bright, −1 where they are dark.
        power: Median d′ of a line in the volume's structures; 0: not known.
        gap: Logarithm of the odds that something is missing where there is structure
            at both ends, against anywhere.
        middle: Of the largest response where nothing is missing.
    """

    sigma: Triple
    lines: tuple[float, ...]
    coarse: tuple[float, ...]
    ball: float
    sign: float = 1.0
    power: float = 0.0
    gap: float = 0.0
    middle: float = 0.0

    def best(self, residual: Array, structure: Array) -> Array:
        """The largest response at each voxel, as a z.

        Lines are as bright, or as dark, as the volume's own; balls can be both.

        Args:
            residual: Whitened twice. It begins at an even voxel of the volume, so that
                all blocks share the coarse grid.
            structure: What the enhanced volume shows, whitened twice.
        """
        likely = self._likely(on_grid(residual, self.sigma), structure)
        inside = tuple(map(slice, residual.shape))
        direction = repeated(likely.direction, PITCH)[inside]
        scales = np.float32(self.sign) / np.array(self.lines, np.float32)
        found = along(across(residual, self.sigma), direction, scales)
        if not self.power:
            np.abs(found, out=found)
        found += repeated(likely.more, PITCH)[inside]
        np.maximum(found, interpolated(likely.z)[inside], out=found)
        ball = across(residual, self.sigma, BALL) / np.float32(self.ball)
        np.maximum(found, np.abs(ball, out=ball), out=found)
        found -= np.float32(self.middle)
        return found

    def _likely(self, rest: Array, structure: Array) -> _Likely:
        """The likeliest lines; structures, if known, say where they lack."""
        likely = _Likely.nothing(rest.shape)
        if not self.power:
            for number, (_, z) in enumerate(self.along(rest)):
                likely.take(number, np.abs(z), likely.more)
            return likely
        there = on_grid(structure, self.sigma)
        top = self.strongest(there)
        weight = self.lacking(top) * np.float32(self.gap / max(self.power, 2.0))
        both = zip(self.along(rest), self.along(there), strict=True)
        for number, ((step, z), (_, power)) in enumerate(both):
            more = weight * self.joined(power, top, step)
            likely.take(number, z + more, more)
        return likely

    def along(self, block: Array) -> Iterator[tuple[Step, Array]]:
        """Directions, and on the coarse grid responses as z of what structures are."""
        for step, response, deviation in zip(
            directions(), halfway(block), self.coarse, strict=True
        ):
            response *= np.float32(self.sign / deviation)
            yield step, response

    def strongest(self, there: Array) -> Array:
        """The largest power over all directions."""
        top = np.zeros_like(there)
        for _, power in self.along(there):
            np.maximum(top, power, out=top)
        return top

    def lacking(self, top: Array) -> Array:
        """Where at least half of a structure is missing; 0 to 1."""
        left = np.float32(1.5) - top * np.float32(2 / self.power)
        return np.asarray(np.clip(left, 0, 1))

    def joined(self, power: Array, top: Array, step: Step) -> Array:
        """Where a line would join two structures that point at each other; 0 to 1.

        Args:
            power: Of the structures along `step`.
            top: The largest over all directions.
            step: The direction.
        """
        size = float(np.linalg.norm(step)) * PITCH
        there = np.where(power > ALIGNED * top, power, np.float32(0))
        both = np.zeros_like(power)
        for apart in APART:
            z, y, x = (round(part * apart / size) for part in step)
            ahead, behind = shifted(there, (z, y, x)), shifted(there, (-z, -y, -x))
            np.maximum(both, np.minimum(ahead, behind), out=both)
        clear = both * np.float32(2 / self.power) - np.float32(0.5)
        return np.asarray(np.clip(clear, 0, 1))


def across(block: Array, sigma: Triple, times: float = 1.0) -> Array:
    """Smoothed over the thickness of a template; nothing lies beyond the block."""
    widths = tuple(times * one for one in sigma)
    return smooth(block, widths, mode="constant")


def on_grid(block: Array, sigma: Triple) -> Array:
    """Smoothed over the thickness of lines, on the coarse grid."""
    z, y, x = (float(np.sqrt(max(one**2 - BLURRED, 0))) for one in sigma)
    ends = [(0, -size % PITCH) for size in block.shape]
    return reduced(np.pad(across(block, (z, y, x)), ends), PITCH)


def interpolated(block: Array) -> Array:
    """From the coarse grid to the raw one, linearly."""
    given = torch.from_numpy(block)[None, None]
    found = functional.interpolate(given, scale_factor=PITCH, mode="trilinear")
    return np.asarray(found[0, 0].numpy())


def fit_search(blocks: Sequence[tuple[Array, Array]], sigma: Triple) -> Search:
    """How the templates respond where nothing is missing.

    Args:
        blocks: Residuals and structures, both whitened twice.
        sigma: Of the lines across, blur included, along z, y, x, in raw voxels.
    """
    rests = [rest for rest, _ in blocks]
    fine = [every_third(across(rest, sigma)) for rest in rests]
    coarse = [halfway(on_grid(rest, sigma)) for rest in rests]
    search = Search(
        sigma,
        tuple(_deviation(same) for same in zip(*fine, strict=True)),
        tuple(_deviation(same) for same in zip(*coarse, strict=True)),
        _deviation([across(rest, sigma, BALL)[::2, ::2, ::2] for rest in rests]),
    )
    search = _expecting(search, [on_grid(there, sigma) for _, there in blocks])
    best = np.concatenate([search.best(*both).ravel()[::7] for both in blocks])
    return replace(search, middle=float(np.median(best)))


def _deviation(found: Sequence[Array]) -> float:
    return max(robust_deviation(np.concatenate([one.ravel() for one in found])), 1e-9)


def _expecting(search: Search, structures: Sequence[Array]) -> Search:
    """The search with what it may expect where structures end."""
    sides = [
        np.concatenate(
            [replace(search, sign=sign).strongest(one).ravel() for one in structures]
        )
        for sign in (1.0, -1.0)
    ]
    usual = [float(np.percentile(side, 99)) for side in sides]
    top = sides[int(usual[1] > usual[0])]
    strong = top[top > max(usual) / 2]
    if not len(strong) or max(usual) < 1:
        return search
    sign = 1.0 if usual[0] >= usual[1] else -1.0
    return _with_odds(
        replace(search, sign=sign, power=float(np.median(strong))), structures
    )


def _with_odds(search: Search, structures: Sequence[Array]) -> Search:
    """By how much fewer the places are at which a line would join structures."""
    gaps, count = 0, 0
    for there in structures:
        gap = np.zeros(there.shape, bool)
        top = search.strongest(there)
        lacking = search.lacking(top)
        for step, power in search.along(there):
            gap |= search.joined(power, top, step) * lacking > 0.5
        gaps, count = gaps + int(gap.sum()), count + gap.size
    return replace(search, gap=float(np.log(count / max(gaps, count * 1e-3))))
