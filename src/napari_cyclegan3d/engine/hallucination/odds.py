"""How clearly objects show in data, and the odds that they were invented.

An object that is really there shows with its whole power d′, give or take 1, and as
far as the network exaggerates or understates it; an invented one does not: e is
about 0, or what noise alone reaches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from napari_cyclegan3d.engine.hallucination.findings import LEAST_POWER

# support that parts there from not there, and half of its 95 % interval times d′
LEAST_SUPPORT, INTERVAL = 0.5, 2.0
# power of objects that tell how real ones vary, and how many of them it takes
TELLING, FEWEST = 6.0, 20
# how far real objects may be stronger or weaker than expected: relative mean, deviation
LEAST_MEAN, MOST_MEAN, MOST_DEVIATION = 0.7, 1.3, 0.3

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


@dataclass(frozen=True)
class Real:
    """How the support of real objects varies, beside the noise.

    Attributes:
        mean: Of real objects.
        deviation: As far as networks exaggerate and understate what is there.
    """

    mean: float = 1.0
    deviation: float = 0.1

    @classmethod
    def of(cls, evidence: Evidence) -> "Real":
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


def odds_of(
    given: Sequence[Evidence],
    fits: Sequence[Real],
    places: float,
    *,
    fresh: bool = False,
) -> Numbers:
    """log10 of how suspicious objects are: noise makes such, or they fall short.

    Networks make real structures stronger and weaker, so that falling short counts
    beside what noise could do, and by itself only where the data contradict an object.

    Args:
        given: What each set of data says.
        fits: How real objects vary in each.
        places: Places of the volume at which noise alone could look like an object.
        fresh: Whether the last set has noise of its own: how clear objects are in data
            that they were made from then tells no more.
    """
    each = [fit.odds(one) for fit, one in zip(fits, given, strict=True)]
    short = np.max(each, axis=0)
    clear = given[-1:] if fresh else given
    odds = noise_odds(clear, places) + np.maximum(short, 0)
    contradicted = np.any([one.contradicts for one in given], axis=0)
    return np.asarray(np.where(contradicted, np.maximum(odds, short), odds))


def noise_odds(given: Sequence[Evidence], places: float) -> Numbers:
    """log10 of how many objects as clear in all data noise alone makes in the volume.

    A network that takes noise for structure confirms it by the same noise: what it
    made is no clearer than noise is somewhere.
    """
    clear = [np.minimum(one.power, one.confirmation) for one in given]
    chance = np.sum([norm.logsf(one) for one in clear], axis=0)
    return np.asarray((chance + np.log(places)) / np.log(10))
