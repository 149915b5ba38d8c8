"""The figures of each track, under plain keys."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import norm

from hallucination_tracks.natural import FALSE, TRUE
from hallucination_tracks.scores import auprc, auroc, interval, realised, recall
from hallucination_tracks.trial import NaturalTrial, NullTrial, Numbers, PlantedTrial

Figures = dict[str, dict[str, float]]
ALPHA = 0.01
CERTAIN, LEAST_SUPPORT, LEAST_POWER = 3.0, 0.5, 3.0


def planted_figures(setting: str, trials: Sequence[PlantedTrial]) -> Figures:
    """Of one setting of the planted track."""
    figures = {
        "voxel_auroc": lambda some: np.mean([one.auroc for one in some]),
        "voxel_auroc_squirrel": lambda some: np.mean(
            [one.auroc_squirrel for one in some]
        ),
    }
    for kind in ("inserted", "deleted"):
        for whose in (kind, f"{kind}_squirrel"):
            figures[f"{whose}_recall"] = _recall(whose)
        figures[f"{kind}_false_alarms"] = _realised(kind)
        figures[f"{kind}_power"] = _power(kind)
    return {
        f"planted_{name}_{setting}": interval(trials, figure)
        for name, figure in figures.items()
    }


def _recall(kind: str) -> Callable[[Sequence[PlantedTrial]], float]:
    return lambda some: recall([getattr(one, kind) for one in some])


def _realised(kind: str) -> Callable[[Sequence[PlantedTrial]], float]:
    return lambda some: realised([getattr(one, kind) for one in some])


def _power(kind: str) -> Callable[[Sequence[PlantedTrial]], float]:
    return lambda some: float(
        np.median(np.concatenate([getattr(one, kind).powers for one in some]))
    )


def natural_figures(regime: str, trials: Sequence[NaturalTrial]) -> Figures:
    """Of one regime of the natural track."""
    figures: dict[str, Callable[[Sequence[NaturalTrial]], float]] = {
        "invented": lambda some: float(np.mean(_all(some, "truth") < FALSE)),
        "first_wrongly_supported": lambda some: _wrongly(
            some, "first", norm.isf(ALPHA), "first_truth"
        ),
        "wrongly_supported_verdict": lambda some: _verdict(some, invented=True),
        "supported_verdict": lambda some: _verdict(some, invented=False),
    }
    for name in ("same", "single", "confirmation", "second"):
        figures[f"{name}_auroc"] = lambda some, name=name: _area(some, name, auroc)
        figures[f"{name}_auprc"] = lambda some, name=name: _area(some, name, auprc)
    for name in ("single", "confirmation", "second"):
        figures[f"{name}_wrongly_supported"] = lambda some, name=name: _wrongly(
            some, name, norm.isf(ALPHA)
        )
        figures[f"{name}_wrongly_supported_calibrated"] = lambda some, name=name: (
            _calibrated(some, name)[0]
        )
        figures[f"{name}_supported_calibrated"] = lambda some, name=name: _calibrated(
            some, name
        )[1]
    return {
        f"natural_{name}_{regime}": interval(trials, figure)
        for name, figure in figures.items()
    }


def _all(trials: Sequence[NaturalTrial], name: str) -> Numbers:
    return np.concatenate([getattr(one, name) for one in trials])


def _area(
    trials: Sequence[NaturalTrial], name: str, area: Callable[..., float]
) -> float:
    """Invented objects against real ones; what lies between counts as neither."""
    truth, score = _all(trials, "truth"), _all(trials, name)
    clear = (truth < FALSE) | (truth > TRUE)
    return area(-score[clear], truth[clear] < FALSE)


def _wrongly(
    trials: Sequence[NaturalTrial], name: str, level: float, truth: str = "truth"
) -> float:
    """Share of the invented objects that are confirmed."""
    invented = _all(trials, truth) < FALSE
    return float(np.mean(_all(trials, name)[invented] > level))


def _calibrated(trials: Sequence[NaturalTrial], name: str) -> tuple[float, float]:
    """Share of invented and of real ones above a threshold from other volumes."""
    wrong, right = [], []
    halves = (trials[::2], trials[1::2])
    for mine, others in (halves, halves[::-1]):
        null = _all(others, name)[_all(others, "truth") < FALSE]
        level = float(np.quantile(null, 1 - ALPHA))
        truth, value = _all(mine, "truth"), _all(mine, name)
        wrong.append(value[truth < FALSE] > level)
        right.append(value[truth > TRUE] > level)
    return float(np.concatenate(wrong).mean()), float(np.concatenate(right).mean())


def _verdict(trials: Sequence[NaturalTrial], invented: bool) -> float:
    """Share called supported by the rule: e ≥ 3, d′ ≥ 3 and b − 2/d′ > 0.5."""
    truth = _all(trials, "truth")
    called = supported(_all(trials, "confirmation"), _all(trials, "power"))
    return float(np.mean(called[truth < FALSE if invented else truth > TRUE]))


def supported(confirmation: Numbers, power: Numbers) -> Numbers:
    """Which objects the rule calls supported."""
    clear = np.maximum(power, 1e-6)
    low = confirmation / clear - 2 / clear
    return (confirmation >= CERTAIN) & (power >= LEAST_POWER) & (low > LEAST_SUPPORT)


def null_space_figures(trials: Sequence[NullTrial]) -> Figures:
    """Of the null-space track."""

    def called(some: Sequence[NullTrial]) -> float:
        rule = [supported(one.confirmation, one.power) for one in some]
        return float(np.mean(np.concatenate(rule)))

    def weak(some: Sequence[NullTrial]) -> float:
        return float(np.mean(np.concatenate([one.power for one in some]) < LEAST_POWER))

    return {
        "null_space_supported": interval(trials, called),
        "null_space_unverifiable": interval(trials, weak),
        "null_space_objects": interval(
            trials, lambda some: float(sum(len(one.power) for one in some))
        ),
    }
