"""How often which grey values occur, in bins that can be made coarser later."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

FINE = 2048
MOST_VOXELS = 1_000_000
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Counts:
    """A histogram.

    Attributes:
        edges: Edges of the bins, ascending, one more than there are bins.
        counts: Voxels per bin.
    """

    edges: Floats
    counts: Floats

    @cached_property
    def _heights(self) -> Floats:
        """Voxels below each edge."""
        return np.concatenate([[0.0], np.cumsum(self.counts)])

    def below(self, values: Floats) -> Floats:
        """Voxels with less than each of some values, from 0 up to all of them."""
        return np.asarray(np.interp(values, self.edges, self._heights))

    def quantile(self, share: float) -> float:
        """The value that a share (0 to 1) of the voxels lies below."""
        return float(np.interp(share * self._heights[-1], self._heights, self.edges))


def count(planes: Iterable[NDArray[Any]]) -> Counts | None:
    """The histogram of at most a million voxels; None without any finite one."""
    kept = [plane for plane in planes if plane.size]
    step = max(1, -(-sum(plane.size for plane in kept) // MOST_VOXELS))
    parts = [plane.ravel()[::step].astype(np.float64) for plane in kept]
    values = np.concatenate(parts) if parts else np.zeros(0)
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    integers = all(plane.dtype.kind in "ui" for plane in kept)
    if integers and high - low < FINE:  # a bin for each value, around it
        low, high, bins = low - 0.5, high + 0.5, int(high - low) + 1
    else:
        width = (high - low) or abs(low) or 1.0
        high, bins = max(high, low + width * 1e-6), FINE
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    return Counts(edges, counts.astype(np.float64))


def common_range(all_counts: Sequence[Counts], tail: float = 0.001) -> Floats:
    """Lowest and highest value that are worth showing, of several histograms."""
    lows = [counts.quantile(tail) for counts in all_counts]
    highs = [counts.quantile(1 - tail) for counts in all_counts]
    low, high = min(lows), max(highs)
    return np.array([low, high if high > low else low + 1.0])


def densities(all_counts: Sequence[Counts], edges: Floats) -> Floats:
    """Share of the voxels per bin of `edges`, of several histograms together."""
    below = np.sum([counts.below(edges) for counts in all_counts], axis=0)
    total = sum(float(counts.counts.sum()) for counts in all_counts)
    return np.asarray(np.diff(below) / total)
