"""What the data say about each object, and how sure they are.

An object that is really there shows in the raw volume with its whole power d′, give or
take 1; an invented one does not: e is about 0. Data that the enhancement was made from
may only contradict it, since a network copies their noise. Support takes independent
data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from napari_cyclegan3d.engine.hallucination.findings import LEAST_POWER, Verdict
from napari_cyclegan3d.engine.hallucination.gathering import Objects
from napari_cyclegan3d.engine.hallucination.suspicion import cauchy

# support that parts there from not there, and half of its 95 % interval times d′
LEAST_SUPPORT, INTERVAL = 0.5, 2.0
# share of detail that the raw volume cannot determine: above, nothing can be said
MOST_PRIOR = 0.7
# share of an object that an independent enhancement must have, for it to be the same
SAME, SURELY_SAME = 0.3, 0.7
# power of objects that tell how real ones vary, and how many of them it takes
TELLING, FEWEST = 6.0, 20
# how far real objects may be stronger or weaker than expected: relative mean, deviation
LEAST_MEAN, MOST_MEAN, MOST_DEVIATION = 0.7, 1.3, 0.3
# power in data with as much noise again
AGAIN = float(np.sqrt(0.5))

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What one set of data says about all objects.

    Attributes:
        power: d′, how clearly each would show if it were real.
        confirmation: e, how clearly it does.
    """

    power: Numbers
    confirmation: Numbers

    @property
    def support(self) -> Numbers:
        """Share of it that shows, b = e / d′: 1 fully there, 0 not at all."""
        return np.asarray(self.confirmation / np.maximum(self.power, 1e-6))

    @property
    def margin(self) -> Numbers:
        """Half of the 95 % interval of the support."""
        return np.asarray(INTERVAL / np.maximum(self.power, 1e-6))

    @property
    def contradicts(self) -> Mask:
        """Where the data could have shown the object, and do not."""
        absent = self.support + self.margin < LEAST_SUPPORT
        return np.asarray(absent & (self.power >= LEAST_POWER))

    def supports(self, threshold: float) -> Mask:
        """Where the whole interval of the support says that it is there.

        Args:
            threshold: Confirmation that it needs beside that.
        """
        certain = self.support - self.margin > LEAST_SUPPORT
        return np.asarray(certain & (self.confirmation >= threshold))


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
    fits = [_Real.of(one) for one in given]
    ps = [fit.p(one) for fit, one in zip(fits, given, strict=True)]
    supported = np.zeros(len(same), np.bool_)
    if again is not None:
        supported = again.supports(tested.threshold) & same
        if not tested.fresh:
            # the raw volume's noise is in what is tested and in what it is tested by:
            # so clear that noise would hardly look like it once in the whole volume
            supported &= _noise_odds([own], tested.places) <= 0
    return Judgement(
        verdict=verdict(own, against, supported, prior_only),
        evidence=against or own,
        confirmation=own.confirmation if again is None else again.confirmation,
        p=cauchy(ps, [1.0] * len(ps)) if against else ps[0],
        odds=_odds(given, fits, tested.places),
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


def _odds(given: Sequence[Evidence], fits: Sequence["_Real"], places: float) -> Numbers:
    """How suspicious objects are: noise could have made them, or they fall short.

    Networks make real structures stronger and weaker, so that falling short counts
    beside what noise could do, and by itself only where the data contradict an object.
    """
    each = [fit.odds(one) for fit, one in zip(fits, given, strict=True)]
    short = np.max(each, axis=0)
    odds = _noise_odds(given, places) + np.maximum(short, 0)
    contradicted = np.any([one.contradicts for one in given], axis=0)
    return np.where(contradicted, np.maximum(odds, short), odds)


def _noise_odds(given: Sequence[Evidence], places: float) -> Numbers:
    """log10 of how many objects as clear in all data noise alone makes in the volume.

    A network that takes noise for structure confirms it by the same noise: what it
    made is no clearer than noise is somewhere.
    """
    clear = [np.minimum(one.power, one.confirmation) for one in given]
    chance = np.sum([norm.logsf(one) for one in clear], axis=0)
    return np.asarray((chance + np.log(places)) / np.log(10))


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


@dataclass(frozen=True)
class _Real:
    """How the support of real objects varies, beside the noise.

    Attributes:
        mean: Of real objects.
        deviation: As far as networks exaggerate and understate what is there.
    """

    mean: float = 1.0
    deviation: float = 0.1

    @classmethod
    def of(cls, evidence: Evidence) -> "_Real":
        """From the upper half of clear objects, as the lower may be invented."""
        clear = (evidence.power > TELLING) & (evidence.support > LEAST_SUPPORT)
        if clear.sum() < FEWEST:
            return cls()
        support = evidence.support[clear]
        mean = float(np.clip(np.median(support), LEAST_MEAN, MOST_MEAN))
        above = support > mean
        spread = norm.ppf(0.75) ** -1 * np.median(support[above] - mean)
        noise = np.median(1 / evidence.power[clear][above])
        excess = np.sqrt(max(spread**2 - noise**2, 0))
        return cls(mean, float(min(excess, MOST_DEVIATION)))

    def p(self, evidence: Evidence) -> Numbers:
        """Of real objects, the share that shows no more clearly."""
        return np.asarray(norm.sf(self._short(evidence) / self._deviation(evidence)))

    def odds(self, evidence: Evidence) -> Numbers:
        """log10 of the likelihood of an invented over that of a real object."""
        deviation = self._deviation(evidence)
        real = norm.logpdf(self._short(evidence) / deviation) - np.log(deviation)
        return np.asarray((norm.logpdf(evidence.confirmation) - real) / np.log(10))

    def _short(self, evidence: Evidence) -> Numbers:
        return np.asarray(self.mean * evidence.power - evidence.confirmation)

    def _deviation(self, evidence: Evidence) -> Numbers:
        return np.sqrt(1 + (self.deviation * evidence.power) ** 2)
