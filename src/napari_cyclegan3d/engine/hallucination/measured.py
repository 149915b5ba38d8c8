"""What trials teach: nulls, a fusion, a trusted part, the confirmation to ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.conformal import (
    Controlled,
    conformal_threshold,
    missed,
)
from napari_cyclegan3d.engine.hallucination.fusion import Fusion
from napari_cyclegan3d.engine.hallucination.nulls import Normal, Null, Tail
from napari_cyclegan3d.engine.hallucination.suspicion import MOST, scores
from napari_cyclegan3d.engine.hallucination.trials import Model, Trial

Values = NDArray[Any]
Maps = Mapping[str, Values]
# confirmation of each object, share of it that the truth has
Judged = tuple[Values, Values]

# raw voxels at a part's border that do not count, since the volume went on there
MARGIN = 6
# raw voxels around an error in which the maps may show it, since filters are as long;
# where errors are dense, as many as leave a share of the voxels, but not fewer than 3
AROUND, LEFT, LEAST_AROUND = 10.0, 0.2, 3.0
# share of wrong voxels that may be trusted
TRUST = 0.1
# wrong voxels on either side that a fusion is learnt from
LEAST_WRONG = 300
# share below which the truth has not got an object, and how many of them tell a rate
INVENTED, LEAST_INVENTED = 0.3, 30
# maps that noise alone fills, none of them signed
BULKY = ("residual", "rse", "cycle")
# factor by which a volume may be wider than the trials without a remark
WIDER = 1.1


@dataclass(frozen=True, eq=False)
class Measured:
    """A trial's scores without its border.

    Attributes:
        scores: By name; see `suspicion.scores`.
        wrong: Where something is wrong.
        right: Where nothing is wrong, nor near.
        volume: Number of the volume that it is part of.
    """

    scores: Maps
    wrong: NDArray[np.bool_]
    right: NDArray[np.bool_]
    volume: int


def measured(trial: Trial, model: Model, maps: Maps) -> Measured:
    """A trial's maps with what is known about it.

    Args:
        trial: With its truth.
        model: Says what is wrong.
        maps: Of the trial, on its raw grid.
    """
    wrong = model.wrong(trial)
    inner = tuple(
        slice(margin, size - margin)
        for size in wrong.shape
        for margin in [min(MARGIN, size // 4)]
    )
    found = {name: np.asarray(one)[inner] for name, one in scores(maps).items()}
    return Measured(found, wrong[inner], _far(wrong)[inner], trial.volume)


def _far(wrong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where the maps do not show any error."""
    if not wrong.any():
        return np.ones(wrong.shape, bool)
    distance = ndimage.distance_transform_edt(~wrong)
    left = float(np.quantile(distance, 1 - LEFT))
    return np.asarray(distance > np.clip(left, LEAST_AROUND, AROUND))


def pooled(
    each: Sequence[Maps], where: Sequence[NDArray[np.bool_]] | None = None
) -> dict[str, Values]:
    """All values of the maps that all have, by name.

    Args:
        each: Maps of parts.
        where: Which voxels of each to take; all by default.
    """
    names = [name for name in each[0] if all(name in one for one in each)]
    found = {}
    for name in names:
        values = [np.asarray(one[name]) for one in each]
        if where is not None:
            values = [one[at] for one, at in zip(values, where, strict=True)]
        found[name] = np.concatenate([one.ravel() for one in values])
    return found


def fitted_fusion(
    parts: Sequence[Measured], nulls: Mapping[str, Null], random: np.random.Generator
) -> Fusion | None:
    """A rule learnt from the errors of the trials; None: they have too few."""
    if any(
        sum(int(one.wrong.sum()) for one in parts[start::2]) < LEAST_WRONG
        for start in (0, 1)
    ):
        return None
    known = [one.wrong | one.right for one in parts]
    values = pooled([one.scores for one in parts], known)
    wrong = [one.wrong[at] for one, at in zip(parts, known, strict=True)]
    group = [np.full(one.size, number) for number, one in enumerate(wrong)]
    ps = {name: null.p(values[name]) for name, null in nulls.items()}
    return Fusion.fit(ps, np.concatenate(wrong), np.concatenate(group), random)


def trusted(
    maps: Sequence[Values], parts: Sequence[Measured]
) -> tuple[Controlled | None, str | None]:
    """The suspicion below which voxels may be trusted, and what limits that.

    The units are volumes, if there are enough of them, or else their parts.
    """
    thresholds = np.linspace(0, MOST, 121)
    each = np.stack(
        [
            missed(one, part.wrong, thresholds)
            for one, part in zip(maps, parts, strict=True)
        ]
    )
    volume = np.array([part.volume for part in parts])
    weight = np.array([part.wrong.sum() for part in parts])[:, None] + 1e-9
    losses = np.stack(
        [
            np.average(each[volume == v], axis=0, weights=weight[volume == v][:, 0])
            for v in np.unique(volume)
        ]
    )
    for rows, independent in ((losses, True), (each, False)):
        try:
            found = conformal_threshold(rows, thresholds, TRUST, independent)
        except InputError as error:
            reason = f"no part of the volume can be trusted by calibration: {error}"
        else:
            return found, None if independent else (
                "the trusted part is approximate: parts of the same volumes stand in "
                "for volumes"
            )
    return None, reason


def confirmation(
    judged: Sequence[Judged], alpha: float
) -> tuple[float, float | None, str | None]:
    """The confirmation that a supported object needs.

    Args:
        judged: Of the objects of each trial.
        alpha: Share of the invented ones that may have it.

    Returns:
        It, never less than that of a standard normal; the share of invented objects
        that reach it, each trial's by the others; what limits it.
    """
    normal = float(stats.norm.isf(alpha))
    invented = [e[share < INVENTED] for e, share in judged]
    count = sum(one.size for one in invented)
    if not judged:
        return normal, None, None
    if count < LEAST_INVENTED:
        return (
            normal,
            None,
            f"the calibration has {count} invented objects, too few to check how often "
            "one is called supported",
        )
    threshold = _limit(np.concatenate(invented), alpha, normal)
    if len(invented) < 2:
        return threshold, None, None
    wrongly = 0
    for number, one in enumerate(invented):
        others = np.concatenate(invented[:number] + invented[number + 1 :])
        wrongly += int(np.sum(one >= _limit(others, alpha, normal)))
    return threshold, wrongly / count, None


def _limit(invented: Values, alpha: float, least: float) -> float:
    """Exceeded by a share alpha of the invented, if these are enough to tell."""
    if invented.size < 1 / alpha:
        return least
    null = Null.of(invented, np.random.default_rng(0))
    return max(least, null.threshold(alpha))


def widened(
    nulls: Mapping[str, Null], tried: Maps, sample: Maps
) -> tuple[dict[str, Tail], str | None]:
    """Nulls as wide as the bulk of the inspected volume, and a remark on that.

    What operator and noise do not describe makes the residual of the real volume wider
    than that of the trials, and the evidence with it. Quantiles of the bulk hardly see
    the few voxels that are truly wrong.

    Args:
        nulls: Of the trials.
        tried: All scores of the trials, also where something is wrong.
        sample: Scores of parts of the inspected volume; maps that the trials have not
            got become normal.
    """
    factors = {
        name: max(1.0, _bulk(sample[name]) / max(_bulk(tried[name]), 1e-9))
        for name in BULKY
        if name in sample and name in nulls
    }
    factors["evidence"] = factors.get("residual", 1.0)
    found: dict[str, Tail] = {
        name: nulls[name].widened(factors.get(name, 1.0))
        if name in nulls
        else Normal.of(real, folded=name == "residual")
        for name, real in sample.items()
    }
    name = max(factors, key=lambda one: factors[one])
    if factors[name] <= WIDER:
        return found, None
    return found, (
        f"the map {name} of this volume is {factors[name]:.2g} times as large as in "
        "the calibration, so that operator or noise do not describe it fully; p-values "
        "allow for that"
    )


def _bulk(values: Values) -> float:
    return float(np.quantile(values, 0.75))
