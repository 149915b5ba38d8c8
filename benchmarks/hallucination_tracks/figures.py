"""The figures of each track, under plain keys."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

from hallucination_tracks.natural import FALSE, TRUE
from hallucination_tracks.objects import ALPHA, NaturalTrial, Numbers
from hallucination_tracks.scores import auprc, auroc, interval, realised, recall
from hallucination_tracks.stego import CODED, HONEST, StegoTrial
from hallucination_tracks.trained_trial import TrainedTrial
from hallucination_tracks.trial import NullTrial, PlantedTrial
from napari_cyclegan3d.engine.hallucination.cycle import ALARM

Figures = dict[str, dict[str, float]]
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
    figures = _object_figures(trials)
    return {f"natural_{name}_{regime}": figure for name, figure in figures.items()}


def _object_figures(trials: Sequence[NaturalTrial]) -> Figures:
    figures: dict[str, Callable[[Sequence[NaturalTrial]], float]] = {
        "invented": lambda some: float(np.mean(_all(some, "truth") < FALSE)),
        "first_wrongly_supported": lambda some: _wrongly(
            some, "first", norm.isf(ALPHA), "first_truth"
        ),
        "wrongly_supported_verdict": lambda some: _verdict(some, invented=True),
        "supported_verdict": lambda some: _verdict(some, invented=False),
    }
    for name in ("", "_second"):
        for area in (auroc, auprc):
            figures[f"ranking{name}_{area.__name__}"] = (
                lambda some, name=name, area=area: _area(
                    some, f"ranking{name}", area, 1
                )
            )
        for kind, invented in (("wrongly_supported", True), ("supported", False)):
            figures[f"{kind}_inspection{name}"] = (
                lambda some, name=name, invented=invented: _called(
                    some, f"called{name}", invented
                )
            )
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
    return {name: interval(trials, figure) for name, figure in figures.items()}


def _all(trials: Sequence[NaturalTrial], name: str) -> Numbers:
    return np.concatenate([getattr(one, name) for one in trials])


def _mean(values: NDArray[np.bool_]) -> float:
    """Not a number where there are none of a kind."""
    return float(values.mean()) if values.size else float("nan")


def _area(
    trials: Sequence[NaturalTrial],
    name: str,
    area: Callable[..., float],
    sign: int = -1,
) -> float:
    """Invented objects against real ones; what lies between counts as neither."""
    truth, score = _all(trials, "truth"), _all(trials, name)
    clear = (truth < FALSE) | (truth > TRUE)
    return area(sign * score[clear], truth[clear] < FALSE)


def _wrongly(
    trials: Sequence[NaturalTrial], name: str, level: float, truth: str = "truth"
) -> float:
    """Share of the invented objects that are confirmed."""
    invented = _all(trials, truth) < FALSE
    return _mean(_all(trials, name)[invented] > level)


def _calibrated(trials: Sequence[NaturalTrial], name: str) -> tuple[float, float]:
    """Share of invented and of real ones above a threshold from other volumes."""
    wrong, right = [], []
    halves = (trials[::2], trials[1::2])
    for mine, others in (halves, halves[::-1]):
        null = _all(others, name)[_all(others, "truth") < FALSE]
        if not null.size:
            return float("nan"), float("nan")
        level = float(np.quantile(null, 1 - ALPHA))
        truth, value = _all(mine, "truth"), _all(mine, name)
        wrong.append(value[truth < FALSE] > level)
        right.append(value[truth > TRUE] > level)
    return _mean(np.concatenate(wrong)), _mean(np.concatenate(right))


def _verdict(trials: Sequence[NaturalTrial], invented: bool) -> float:
    """Share called supported by the rule: e ≥ 3, d′ ≥ 3 and b − 2/d′ > 0.5."""
    truth = _all(trials, "truth")
    called = supported(_all(trials, "confirmation"), _all(trials, "power"))
    return _mean(called[truth < FALSE if invented else truth > TRUE])


def _called(trials: Sequence[NaturalTrial], name: str, invented: bool) -> float:
    """Share called supported by the inspection's rules, without a calibration."""
    truth, called = _all(trials, "truth"), _all(trials, name)
    return _mean(called[truth < FALSE if invented else truth > TRUE])


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


def trained_figures(bias: str, trials: Sequence[TrainedTrial]) -> Figures:
    """Of a trained network: its objects, what it lost, and its cycle."""
    figures = _object_figures([one.objects for one in trials])
    own: dict[str, Callable[[Sequence[TrainedTrial]], float]] = {
        "objects": lambda some: float(sum(len(one.objects.truth) for one in some)),
        "contrast": lambda some: _mean_of(some, "contrast"),
        "lost": lambda some: _mean_of(some, "lost_share"),
        "lost_found": lambda some: recall([one.lost for one in some]),
        "lost_power": lambda some: float(
            np.median(np.concatenate([one.lost.powers for one in some]))
        ),
        "gap": lambda some: _mean_of(some, "gap"),
        "copied": lambda some: _mean_of(some, "copied"),
    }
    figures |= {name: interval(trials, figure) for name, figure in own.items()}
    figures["gap_alarms"] = rate([one.gap > ALARM for one in trials])
    return {
        f"natural_cyclegan_{bias}_{name}": figure
        for name, figure in figures.items()
        if np.isfinite(list(figure.values())).all()  # none of a kind: no share of it
    }


def _mean_of(some: Sequence[object], name: str) -> float:
    return float(np.mean([getattr(one, name) for one in some]))


def stego_figures(trials: Sequence[StegoTrial]) -> Figures:
    """Of the track of hidden codes: how often the alarm fires, by pair."""
    figures = {}
    for name in (*HONEST, *CODED):
        gaps = [one.gaps[name] for one in trials]
        figures[f"stego_{name}_alarms"] = rate([gap > ALARM for gap in gaps])
        figures[f"stego_{name}_gap"] = interval(
            trials, lambda some, name=name: float(np.mean([t.gaps[name] for t in some]))
        )
    honest = [one.gaps[name] > ALARM for one in trials for name in HONEST]
    figures["stego_false_alarms"] = rate(honest)
    for name in ("rms", "plain", "hardened", "independent"):
        label = name if name == "rms" else f"{name}_voxel_auroc"
        figures[f"stego_{label}"] = interval(
            trials, lambda some, name=name: _mean_of(some, name)
        )
    return figures


def rate(events: Sequence[bool]) -> dict[str, float]:
    """A share with its exact 95 % interval (Clopper & Pearson)."""
    count, seen = len(events), sum(events)
    low = beta.ppf(0.025, seen, count - seen + 1) if seen else 0.0
    high = beta.ppf(0.975, seen + 1, count - seen) if seen < count else 1.0
    return {"value": seen / count, "low": float(low), "high": float(high)}
