"""Figures of a detector: areas under curves, findings at a rate of false alarms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Found:
    """Findings of one volume.

    Attributes:
        scores: Of the findings; higher: more suspicious.
        hits: Number of the planted structure that each one hits; −1: none.
        planted: Numbers of all planted structures.
        powers: Ideal observer's d′ of each.
    """

    scores: Floats
    hits: NDArray[np.int64]
    planted: tuple[int, ...]
    powers: tuple[float, ...]

    def best(self) -> Floats:
        """The highest score at each planted structure."""
        return np.array(
            [self.scores[self.hits == n].max(initial=-np.inf) for n in self.planted]
        )

    def alarms(self) -> Floats:
        """Scores of false alarms."""
        return self.scores[self.hits < 0]


def auroc(score: Floats, wrong: NDArray[np.bool_]) -> float:
    """Chance that a wrong one scores higher than a right one."""
    positive = int(wrong.sum())
    negative = wrong.size - positive
    if not positive or not negative:
        return float("nan")
    ranks = rankdata(score.ravel())
    total = float(ranks[wrong.ravel()].sum())
    return (total - positive * (positive + 1) / 2) / positive / negative


def auprc(score: Floats, wrong: NDArray[np.bool_]) -> float:
    """Area under precision over recall (average precision)."""
    order = np.argsort(-score, kind="stable")
    hit = wrong[order]
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    return float(precision[hit].mean()) if hit.any() else float("nan")


def threshold_at(volumes: Sequence[Found], alarms: float) -> float:
    """The score above which there are so many false alarms per volume."""
    scores = np.sort(np.concatenate([one.alarms() for one in volumes]))[::-1]
    allowed = round(alarms * len(volumes))
    return float(scores[allowed]) if allowed < len(scores) else -np.inf


def recall(volumes: Sequence[Found], alarms: float = 1.0) -> float:
    """Share of planted structures above the threshold for `alarms` per volume."""
    level = threshold_at(volumes, alarms)
    return float(np.mean(np.concatenate([one.best() for one in volumes]) > level))


def realised(volumes: Sequence[Found], alarms: float = 1.0) -> float:
    """False alarms per nominal one, thresholds from the other half of the volumes."""
    halves = (volumes[::2], volumes[1::2])
    seen = 0
    for mine, others in (halves, halves[::-1]):
        level = threshold_at(others, alarms)
        seen += sum(int((one.alarms() > level).sum()) for one in mine)
    return seen / (alarms * len(volumes))


def interval(
    volumes: Sequence[object], figure: Callable[[Sequence[object]], float]
) -> dict[str, float]:
    """A figure and its 95 % interval, by drawing volumes with replacement."""
    random = np.random.default_rng(0)
    drawn = [
        figure([volumes[n] for n in random.integers(0, len(volumes), len(volumes))])
        for _ in range(400)
    ]
    low, high = np.nanpercentile(drawn, (2.5, 97.5))
    return {"value": figure(volumes), "low": float(low), "high": float(high)}
