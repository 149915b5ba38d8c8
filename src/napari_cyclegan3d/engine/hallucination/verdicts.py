"""What the data say about each object, and how sure they are.

An object that is really there shows in the raw volume with its whole power d′, give or
take 1; an invented one does not: e is about 0. Data that the enhancement was made from
may only contradict it, since a network copies their noise. Support takes independent
data.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from napari_cyclegan3d.engine.hallucination.findings import LEAST_POWER, Verdict
from napari_cyclegan3d.engine.hallucination.gathering import Objects
from napari_cyclegan3d.engine.hallucination.odds import (
    FEWEST,
    LEAST_MEAN,
    LEAST_SUPPORT,
    TELLING,
    Evidence,
    Mask,
    Numbers,
    Real,
    noise_odds,
    odds_of,
)
from napari_cyclegan3d.engine.hallucination.suspicion import cauchy

# share of detail that the raw volume cannot determine: above, nothing can be said
MOST_PRIOR = 0.7
# share of an object that an independent enhancement must have, for it to be the same
SAME, SURELY_SAME = 0.3, 0.7
# power in data with as much noise again
AGAIN = float(np.sqrt(0.5))


@dataclass(frozen=True, eq=False)
class Judgement:
    """Verdicts on all objects; rows as in `Objects`.

    Attributes:
        verdict: A `Verdict` each.
        evidence: What decided: independent data, where they can speak against objects.
        confirmation: By independent data, where there are any; else by their own.
        stands: Whether the independent data can speak against an object, if there are
            any.
        p: Of the hypothesis that the object is real.
        odds: log10 of how many objects as clear noise alone would make, and of how much
            better invented explains the data than real does, where it does.
    """

    verdict: NDArray[Any]
    evidence: Evidence
    confirmation: Numbers
    p: Numbers
    odds: Numbers
    stands: bool

    @property
    def shortfall(self) -> Numbers:
        """Standard deviations that an object falls short of a real one, 0 or more."""
        return np.asarray(np.maximum(norm.isf(self.p), 0))


def verdict(
    own: Evidence, against: Evidence | None, supported: Mask, prior_only: Numbers
) -> NDArray[Any]:
    """The verdict on each object.

    Args:
        own: By the data that the enhanced volume was made from.
        against: By independent data, if these can speak against an object.
        supported: Which objects independent data show.
        prior_only: Share of its detail that the raw volume cannot determine, 0 to 1.

    Returns:
        A `Verdict` each: contradicted by any data; else unverifiable where they could
        not have shown it; else supported by independent ones; else uncontradicted.
    """
    contradicted = own.contradicts
    if against:
        contradicted = contradicted | against.contradicts
    power = (against or own).power
    hidden = prior_only > MOST_PRIOR
    names: list[Verdict] = ["contradicted", "unverifiable", "supported"]
    cases = [contradicted, hidden | (power < LEAST_POWER), supported]
    return np.select(cases, names, "uncontradicted")


@dataclass(frozen=True)
class Tested:
    """How objects were tested.

    Attributes:
        threshold: Confirmation that a supported object needs.
        places: Places of the volume at which noise alone could look like an object.
        fresh: Whether the independent data are a second scan, and no split of the raw
            volume.
    """

    threshold: float
    places: float
    fresh: bool = False


def judge(objects: Objects, prior_only: Numbers, tested: Tested) -> Judgement:
    """Verdicts on objects, with their p-values and odds.

    Independent data that come from a split tell nothing against an object where the
    network does not stand the noise that was added: where it makes less of what is
    clear. They can still support objects; the others are ranked by their own data.

    Args:
        objects: All of a volume.
        prior_only: Mean over each of the share that the raw volume cannot determine.
        tested: How they were tested.
    """
    power = np.sqrt(np.maximum(objects.energy, 0))
    own = Evidence(power, objects.score / np.maximum(power, 1e-6))
    same = objects.agreement >= SAME
    again = _independent(objects, power, same) if objects.independent else None
    decides = again is not None and (tested.fresh or stands(own, again))
    against = again if decides else None
    given = [own] if against is None else [own, against]
    fits = [Real.of(one) for one in given]
    ps = [fit.p(one) for fit, one in zip(fits, given, strict=True)]
    supported = np.zeros(len(same), np.bool_)
    if again is not None:
        supported = again.supports(tested.threshold) & same
        if not tested.fresh:
            # the raw volume's noise is in what is tested and in what it is tested by:
            # so clear that noise would hardly look like it once in the whole volume
            supported &= noise_odds([own], tested.places) <= 0
    return Judgement(
        verdict=verdict(own, against, supported, prior_only),
        evidence=against or own,
        confirmation=own.confirmation if again is None else again.confirmation,
        p=cauchy(ps, [1.0] * len(ps)) if against else ps[0],
        odds=odds_of(given, fits, tested.places, fresh=tested.fresh),
        stands=again is None or against is not None,
    )


def stands(own: Evidence, again: Evidence) -> bool:
    """Whether clear objects are as clear in a split as they should be.

    Args:
        own: By the data that the enhanced volume was made from.
        again: By a split of them.
    """
    clear = (own.power > TELLING) & (own.support > LEAST_SUPPORT)
    if clear.sum() < FEWEST:
        return True
    return bool(np.median(again.support[clear]) >= LEAST_MEAN)


def bh(ps: Numbers) -> Numbers:
    """False-discovery rates (Benjamini & Hochberg 1995).

    Args:
        ps: p-values in any order; above 1 counts as 1.

    Returns:
        For each the least rate of a list that it is on.
    """
    order = np.argsort(ps)[::-1]
    ranks = np.arange(len(ps), 0, -1)
    rates = np.minimum.accumulate(ps[order] * len(ps) / ranks)
    qs = np.empty(len(ps))
    qs[order] = np.minimum(rates, 1)
    return qs


def _independent(objects: Objects, power: Numbers, same: Mask) -> Evidence:
    """What independent data say; an object that did not come back is not there.

    Its power there follows from its own, in the ratio that objects have which are the
    same in both.
    """
    again = np.sqrt(np.maximum(objects.energy_again, 0))
    sure = (objects.agreement > SURELY_SAME) & (power > TELLING)
    ratio = AGAIN
    if sure.sum() >= FEWEST:
        ratio = float(np.median(again[sure] / power[sure]))
    confirmation = objects.score_again / np.maximum(again, 1e-6)
    return Evidence(ratio * power, np.where(same, confirmation, 0.0))
