"""What values a map has where nothing is wrong, and what p-values follow from that."""

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Values = NDArray[Any]
Numbers = NDArray[np.float64]

LEAST_P = 1e-12
KEPT = 2**17
HALVES = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
# the values that a tail is fitted to: their share and least number
TAIL, LEAST_TAIL = 0.02, 30


class Tail(Protocol):
    """What turns the values of a map into p-values."""

    def p(self, values: ArrayLike) -> Numbers:
        """Right-tail p-values, of the shape of `values`."""


def voxel_p(tail: Tail, values: ArrayLike) -> NDArray[np.float32]:
    """The p-values of very many values, which are rounded to half precision.

    That is how maps are kept, and so few different values can be looked up.

    Args:
        tail: The null.
        values: Of any shape; what is no number gets a p of 1.
    """
    table = tail.p(np.nan_to_num(HALVES)).astype(np.float32)
    table[np.isnan(HALVES)] = 1
    with np.errstate(over="ignore"):
        halves = np.asarray(values, np.float16)
    return table[halves.view(np.uint16)]


@dataclass(frozen=True, eq=False)
class Null:
    """The values that a map has where nothing is wrong.

    Attributes:
        values: Sorted.
        shape: Of the generalised Pareto tail beyond the largest value, 0 to 0.5.
        scale: Of that tail; 0: too few values to say anything beyond them.
    """

    values: NDArray[np.float32]
    shape: float
    scale: float

    @classmethod
    def of(cls, values: Values, random: np.random.Generator) -> Self:
        """Keep a random part of the values if they are very many, and fit the tail.

        The tail is never taken to be lighter than an exponential one, so that p beyond
        the largest value comes out too large rather than too small.

        Args:
            values: At least one finite value, in any order.
            random: Chooses.
        """
        flat = np.ravel(values)
        flat = flat[np.isfinite(flat)].astype(np.float32)
        if flat.size > KEPT:
            flat = random.choice(flat, KEPT, replace=False)
        flat = np.sort(flat)
        count = max(LEAST_TAIL, int(TAIL * flat.size))
        if flat.size < 2 * LEAST_TAIL:
            return cls(flat, 0.0, 0.0)
        excess = flat[-count:].astype(np.float64) - float(flat[-count - 1])
        mean, spread = float(excess.mean()), float(excess.var())
        ratio = mean * mean / spread if spread > 0 else 1.0
        shape = float(np.clip((1 - ratio) / 2, 0.0, 0.5))
        # the tail beyond the largest value is a Pareto tail of the same shape
        scale = mean * (1 - shape) + shape * float(excess[-1])
        return cls(flat, shape, scale)

    def widened(self, factor: float) -> Self:
        """The null of the same map, all of which is larger by a factor."""
        values = self.values * np.float32(factor)
        return replace(self, values=values, scale=self.scale * factor)

    @property
    def largest(self) -> float:
        """The largest value; beyond it p is extrapolated."""
        return float(self.values[-1])

    def extrapolates(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Where p rests on the fitted tail alone."""
        return np.asarray(values) > self.largest

    def p(self, values: ArrayLike) -> Numbers:
        """(1 + number of null values that are as large) / (1 + their number)."""
        given = np.asarray(values, np.float32)
        count = self.values.size
        below = np.searchsorted(self.values, given.ravel()).reshape(given.shape)
        p = np.asarray((1.0 + count - below) / (1.0 + count), np.float64)
        if self.scale > 0:
            beyond = self.extrapolates(given)
            p[beyond] *= self._beyond(given[beyond].astype(np.float64) - self.largest)
        return np.maximum(p, LEAST_P)

    def threshold(self, p: float) -> float:
        """The least value whose p is no larger; infinite where too few can tell."""
        count = self.values.size
        as_large = int(p * (1 + count) * (1 + 1e-12)) - 1
        if as_large >= count:
            return -np.inf
        if as_large >= 0:
            return float(np.nextafter(self.values[count - 1 - as_large], np.inf))
        if self.scale == 0:
            return np.inf
        odds = 1 / (p * (1 + count))
        if self.shape == 0:
            return self.largest + self.scale * float(np.log(odds))
        return self.largest + self.scale * float(odds**self.shape - 1) / self.shape

    def _beyond(self, excess: Numbers) -> Numbers:
        if self.shape == 0:
            return np.exp(-excess / self.scale)
        share: Numbers = (1 + self.shape * excess / self.scale) ** (-1 / self.shape)
        return share


@dataclass(frozen=True)
class Normal:
    """A null without calibration: normal, with a robust centre and deviation.

    Attributes:
        centre: The median of the map.
        deviation: From the median absolute deviation; 0: nothing stands out.
        folded: Whether the map is the magnitude of something signed; then `centre` is
            0, and the deviation is that of the signed values.
    """

    centre: float
    deviation: float
    folded: bool = False

    @classmethod
    def of(cls, values: Values, folded: bool = False) -> Self:
        """Fit to the values of the map that is to be judged itself."""
        flat = np.ravel(values).astype(np.float64)
        centre = 0.0 if folded else float(np.median(flat))
        return cls(centre, float(np.median(np.abs(flat - centre))) / 0.6745, folded)

    def p(self, values: ArrayLike) -> Numbers:
        """Right-tail p-values of a normal, or of the magnitude of a normal."""
        given = np.asarray(values, np.float64)
        if self.deviation == 0:
            return np.ones(given.shape)
        z = (given - self.centre) / self.deviation
        sides = 2 if self.folded else 1
        p: Numbers = np.clip(sides * special.ndtr(-z), LEAST_P, 1.0)
        return p
