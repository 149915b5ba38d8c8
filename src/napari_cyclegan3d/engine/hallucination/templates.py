"""What a network may have deleted: lines in all directions, balls, gaps in fibres.

Nobody knows the shape of what is missing, so the residual is compared with many
templates at each voxel. A line that joins two structures of the enhanced volume which
point at each other is far more likely than one somewhere else: there less evidence is
needed, by as much as there are fewer such places.

Lines that are thick enough are looked for on a grid of half the density: their
responses vary slowly, and there are 49 of them at each place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional

from napari_cyclegan3d.engine.hallucination.filters import (
    Array,
    Step,
    directions,
    line_weights,
    robust_deviation,
    shifted,
    smooth,
)
from napari_cyclegan3d.engine.hallucination.findings import Triple
from napari_cyclegan3d.engine.hallucination.reduction import reduced

__all__ = ["Search", "fit_search"]

LENGTH = 8.0  # of lines, in raw voxels
BALL = 1.6  # thickness of balls, times that of lines
APART = (8.0, 11.0)  # raw voxels from the middle of a gap to what lies beyond it
ALIGNED = 0.9  # of the largest power: the structure has this direction
# deviation of lines, in raw voxels, from which every second voxel is enough
THICK = 1.0
# variance, in raw voxels, by which the coarse grid and its lines blur
BLURRED = 0.5
# directions that are looked along at a time
HELD = 7


@dataclass(frozen=True)
class Search:
    """The search for what is missing.

    Attributes:
        sigma: Of the lines across, blur included, along z, y, x, in raw voxels.
        lines: Deviation of the response to each direction, where nothing is missing.
        ball: The same of the response to balls.
        sign: 1 where structures are bright, −1 where they are dark.
        power: Median d′ of a line in the volume's structures; 0: not known.
        gap: Logarithm of the odds that something is missing where there is structure
            at both ends, against anywhere.
        middle: Of the largest response where nothing is missing.
    """

    sigma: Triple
    lines: tuple[float, ...]
    ball: float
    sign: float = 1.0
    power: float = 0.0
    gap: float = 0.0
    middle: float = 0.0

    @property
    def pitch(self) -> int:
        """Raw voxels between places at which lines are looked for."""
        return pitch_of(self.sigma)

    def best(self, residual: Array, structure: Array) -> Array:
        """The largest response at each voxel, as a z.

        Lines are as bright, or as dark, as the volume's own; balls can be both.

        Args:
            residual: Whitened twice.
            structure: What the enhanced volume shows, whitened twice.
        """
        best = np.abs(across(residual, self.sigma, BALL)) / np.float32(self.ball)
        rest, there = (on_grid(block, self.sigma) for block in (residual, structure))
        lines = self._lines(rest, there if self.power else None)
        found = interpolated(lines, self.pitch)[tuple(map(slice, best.shape))]
        return np.asarray(np.maximum(best, found) - np.float32(self.middle))

    def _lines(self, rest: Array, there: Array | None) -> Array:
        """The largest response to a line; structures, if known, say where they lack."""
        best = np.zeros_like(rest)
        if there is None:
            for _, z in self.along(rest):
                np.maximum(best, np.abs(z), out=best)
            return best
        top = self.strongest(there)
        weight = self.lacking(top) * np.float32(self.gap / max(self.power, 2.0))
        both = zip(self.along(rest), self.along(there), strict=True)
        for (step, z), (_, power) in both:
            np.maximum(best, z + weight * self.joined(power, top, step), out=best)
        return best

    def along(self, block: Array) -> Iterator[tuple[Step, Array]]:
        """The directions with the responses to lines, as z of what structures are."""
        for step, response, deviation in zip(
            directions(), responses(block, self.pitch), self.lines, strict=True
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
        size = float(np.linalg.norm(step)) * self.pitch
        there = np.where(power > ALIGNED * top, power, np.float32(0))
        both = np.zeros_like(power)
        for apart in APART:
            z, y, x = (round(part * apart / size) for part in step)
            ahead, behind = shifted(there, (z, y, x)), shifted(there, (-z, -y, -x))
            np.maximum(both, np.minimum(ahead, behind), out=both)
        clear = both * np.float32(2 / self.power) - np.float32(0.5)
        return np.asarray(np.clip(clear, 0, 1))


def pitch_of(sigma: Triple) -> int:
    """Voxels between the places at which lines of this deviation are looked for."""
    return 2 if min(sigma) >= THICK else 1


def across(block: Array, sigma: Triple, times: float = 1.0) -> Array:
    """Smoothed over the thickness of a template; nothing lies beyond the block."""
    widths = tuple(times * one for one in sigma)
    return smooth(block, widths, mode="constant")


def on_grid(block: Array, sigma: Triple) -> Array:
    """Smoothed over the thickness of lines, at the places where these are looked for.

    The first place is the middle of the block's first voxels: blocks of a volume that
    begin at even voxels share their places.
    """
    pitch = pitch_of(sigma)
    if pitch == 1:
        return across(block, sigma)
    z, y, x = (float(np.sqrt(max(one**2 - BLURRED, 0))) for one in sigma)
    ends = [(0, -size % pitch) for size in block.shape]
    return reduced(np.pad(across(block, (z, y, x)), ends), pitch)


@torch.inference_mode()
def responses(block: Array, pitch: int) -> Iterator[Array]:
    """The block summed along lines in all directions, one after another."""
    weights = _weights(pitch)
    given = torch.from_numpy(block)[None, None]
    for some in weights.split(HELD):
        found = functional.conv3d(given, some, padding=some.shape[-1] // 2)
        yield from found[0].numpy()


@lru_cache(maxsize=2)
def _weights(pitch: int) -> torch.Tensor:
    lines = [line_weights(step, LENGTH / pitch) for step in directions()]
    return torch.from_numpy(np.stack(lines))[:, None]


@torch.inference_mode()
def interpolated(block: Array, times: int) -> Array:
    """Linearly between the middles of voxels, at `times` as many along each axis."""
    if times == 1:
        return block
    given = torch.from_numpy(block)[None, None]
    found = functional.interpolate(given, scale_factor=times, mode="trilinear")
    return np.asarray(found[0, 0].numpy())


def fit_search(blocks: Sequence[tuple[Array, Array]], sigma: Triple) -> Search:
    """How the templates respond where nothing is missing.

    Args:
        blocks: Residuals and structures, both whitened twice.
        sigma: Of the lines across, blur included, along z, y, x, in raw voxels.
    """
    pitch = pitch_of(sigma)
    rests = [responses(on_grid(rest, sigma), pitch) for rest, _ in blocks]
    lines = tuple(_deviation(same) for same in zip(*rests, strict=True))
    ball = _deviation([across(rest, sigma, BALL) for rest, _ in blocks])
    search = Search(sigma, lines, ball)
    search = _expecting(search, [on_grid(there, sigma) for _, there in blocks])
    best = np.concatenate([search.best(*both).ravel()[::7] for both in blocks])
    return replace(search, middle=float(np.median(best)))


def _deviation(found: Sequence[Array]) -> float:
    values = np.concatenate([one.ravel()[::3] for one in found])
    return max(robust_deviation(values), 1e-9)


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
