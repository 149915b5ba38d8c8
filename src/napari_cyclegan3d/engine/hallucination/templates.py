"""What a network may have deleted: lines in all directions, balls, gaps in fibres.

Nobody knows the shape of what is missing, so the residual is compared with many
templates at each voxel. A line that joins two structures of the enhanced volume which
point at each other is far more likely than one somewhere else: there less evidence is
needed, by as much as there are fewer such places.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from napari_cyclegan3d.engine.hallucination.filters import (
    Array,
    Step,
    directions,
    line,
    robust_deviation,
    shifted,
    smooth,
)
from napari_cyclegan3d.engine.hallucination.findings import Triple

__all__ = ["Search", "fit_search"]

LENGTH = 8.0  # of lines, in raw voxels
BALL = 1.6  # thickness of balls, times that of lines
APART = (8.0, 11.0)  # raw voxels from the middle of a gap to what lies beyond it
ALIGNED = 0.9  # of the largest power: the structure has this direction
THREADS = 2


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

    def best(self, residual: Array, structure: Array) -> Array:
        """The largest response at each voxel, as a z.

        Lines are as bright, or as dark, as the volume's own; balls can be both.

        Args:
            residual: Whitened twice.
            structure: What the enhanced volume shows, whitened twice.
        """
        best = np.abs(across(residual, self.sigma, BALL)) / np.float32(self.ball)
        rest, there = (across(block, self.sigma) for block in (residual, structure))
        more = self._expected(there)

        def along(both: tuple[Step, float]) -> Array:
            step, deviation = both
            z: Array = line(rest, step, LENGTH) / np.float32(deviation)
            if more is None:
                return np.asarray(np.abs(z))
            return np.asarray(np.float32(self.sign) * z + more(step, deviation))

        pairs = list(zip(directions(), self.lines, strict=True))
        with ThreadPoolExecutor(THREADS) as pool:
            for z in pool.map(along, pairs):
                np.maximum(best, z, out=best)
        return np.asarray(best - np.float32(self.middle))

    def _expected(self, there: Array) -> Callable[[Step, float], Array] | None:
        """By direction and its deviation: what a gap adds to z; None: not known."""
        if not self.power:
            return None
        top = self.strongest(there)
        lacking = self.lacking(top)
        weight = np.float32(self.gap / max(self.power, 2.0))

        def more(step: Step, deviation: float) -> Array:
            power = line(there, step, LENGTH) * np.float32(self.sign / deviation)
            return np.asarray(weight * lacking * self.joined(power, top, step))

        return more

    def strongest(self, there: Array) -> Array:
        """The largest power over all directions."""
        top = np.zeros_like(there)
        for power in self.powers(there):
            np.maximum(top, power, out=top)
        return top

    def lacking(self, top: Array) -> Array:
        """Where at least half of a structure is missing; 0 to 1."""
        left = np.float32(1.5) - top * np.float32(2 / self.power)
        return np.asarray(np.clip(left, 0, 1))

    def powers(self, there: Array) -> Iterator[Array]:
        """Power of the structures in each direction."""
        for step, deviation in zip(directions(), self.lines, strict=True):
            yield line(there, step, LENGTH) * np.float32(self.sign / deviation)

    def joined(self, power: Array, top: Array, step: Step) -> Array:
        """Where a line would join two structures that point at each other; 0 to 1.

        Args:
            power: Of the structures along `step`.
            top: The largest over all directions.
            step: The direction.
        """
        size = float(np.linalg.norm(step))
        there = np.where(power > ALIGNED * top, power, np.float32(0))
        both = np.zeros_like(power)
        for apart in APART:
            times = round(apart / size)
            ahead, behind = shifted(there, step, times), shifted(there, step, -times)
            np.maximum(both, np.minimum(ahead, behind), out=both)
        clear = both * np.float32(2 / self.power) - np.float32(0.5)
        return np.asarray(np.clip(clear, 0, 1))


def across(block: Array, sigma: Triple, times: float = 1.0) -> Array:
    """Smoothed over the thickness of a template; nothing lies beyond the block."""
    widths = tuple(times * one for one in sigma)
    return smooth(block, widths, mode="constant")


def fit_search(blocks: Sequence[tuple[Array, Array]], sigma: Triple) -> Search:
    """How the templates respond where nothing is missing.

    Args:
        blocks: Residuals and structures, both whitened twice.
        sigma: Of the lines across, blur included, along z, y, x, in raw voxels.
    """
    rests = [across(rest, sigma) for rest, _ in blocks]
    lines = tuple(
        _deviation([line(rest, step, LENGTH) for rest in rests])
        for step in directions()
    )
    ball = _deviation([across(rest, sigma, BALL) for rest, _ in blocks])
    search = Search(sigma, lines, ball)
    search = _expecting(search, [across(there, sigma) for _, there in blocks])
    best = np.concatenate([search.best(*both).ravel()[::7] for both in blocks])
    return replace(search, middle=float(np.median(best)))


def _deviation(responses: Sequence[Array]) -> float:
    values = np.concatenate([one[::2, ::2, ::2].ravel() for one in responses])
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
        for step, power in zip(directions(), search.powers(there), strict=True):
            gap |= search.joined(power, top, step) * lacking > 0.5
        gaps, count = gaps + int(gap.sum()), count + gap.size
    return replace(search, gap=float(np.log(count / max(gaps, count * 1e-3))))
