"""The natural track: objects of a result, judged without the truth and by it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import sum_labels
from scipy.stats import norm

from hallucination_tracks.natural import REGIMES, natural, restorer
from hallucination_tracks.tools import Tools, fitted
from hallucination_tracks.volumes import Array
from napari_cyclegan3d.engine.hallucination.evidence import (
    Confirmed,
    ObjectEvidence,
    evidence,
    split_evidence,
)
from napari_cyclegan3d.engine.hallucination.gathering import Objects
from napari_cyclegan3d.engine.hallucination.maps import contrast_of, prior_only
from napari_cyclegan3d.engine.hallucination.noise import Noise
from napari_cyclegan3d.engine.hallucination.objects import segment
from napari_cyclegan3d.engine.hallucination.regions import smallest_region
from napari_cyclegan3d.engine.hallucination.splitting import split
from napari_cyclegan3d.engine.hallucination.verdicts import Tested, judge
from napari_cyclegan3d.engine.volume import Volume

ALPHA = 0.01
Labels = NDArray[np.int32]
Numbers = NDArray[np.float64]
Network = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class NaturalTrial:
    """Objects: what the truth has of them, and how clearly independent data show them.

    Attributes:
        truth: Share of each object of the result that the truth has.
        confirmation, power: By two splits of the raw volume (two more passes).
        single, single_power: By one split.
        second, second_power: By a second scan.
        first_truth, first: Share and confirmation of the objects of the split's own
            enhancement, which never saw what they are tested against.
        same: z of the object test on the data that the result was made from.
        ranking: Odds that the inspection ranks objects by; higher: more suspicious.
        called: Whether the inspection calls the object supported.
        ranking_second, called_second: The same with a second scan.
    """

    truth: Numbers
    confirmation: Numbers
    power: Numbers
    single: Numbers
    single_power: Numbers
    second: Numbers
    second_power: Numbers
    first_truth: Numbers
    first: Numbers
    same: Numbers
    ranking: Numbers
    called: NDArray[np.bool_]
    ranking_second: Numbers
    called_second: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Case:
    """A result that is judged.

    Attributes:
        truth, raw, second: The truth, the scan, and a second scan of it.
        network: Makes the result of a scan.
        enhanced: The result.
        tools: What is fitted to scan and result.
        labels: Objects of the result.
    """

    truth: Array
    raw: Array
    second: Array
    network: Network
    enhanced: Array
    tools: Tools
    labels: Labels

    @classmethod
    def of(cls, scans: tuple[Array, Array, Array], network: Network) -> "Case":
        """The network's result of the first scan of (truth, first, second)."""
        truth, raw, second = scans
        enhanced = network(raw)
        tools = fitted(raw, enhanced)
        labels = segment(enhanced, tools.constants)
        return cls(truth, raw, second, network, enhanced, tools, labels)

    def tested(self, against: Array) -> list[ObjectEvidence]:
        """The template test of all objects against a scan."""
        tools = self.tools
        fits = (tools.operator, tools.noise, tools.constants)
        return evidence(self.labels, self.enhanced, against, *fits)


def on_natural(seed: int, name: str) -> NaturalTrial:
    """One volume of the natural track."""
    regime = REGIMES[name]
    return judged(Case.of(natural(seed, regime), restorer(regime)), seed)


def judged(case: Case, seed: int) -> NaturalTrial:
    """The objects of a result by all that the inspection has.

    Args:
        case: The result.
        seed: Of the noise that splits the scan.
    """
    tools, raw = case.tools, Volume(case.raw)
    halves = split(raw, tools.noise, tools.operator, Volume(case.enhanced), seed)
    one, other = halves.first.read(), halves.second.read()
    made = case.network(one)
    again = [
        _tested(case, made, other, halves.noise_second),
        _tested(case, case.network(other), one, halves.noise_first),
    ]
    both = [_joined(*pair) for pair in zip(*again, strict=True)]
    own = segment(made, tools.constants)
    first = evidence(
        own, made, other, tools.operator, halves.noise_second, tools.constants
    )
    same, scan = case.tested(case.raw), case.tested(case.second)
    fresh = [Confirmed(test.score, test.energy, 1.0) for test in scan]
    return NaturalTrial(
        true_share(case.labels, case.enhanced, case.truth, tools),
        *_columns(both),
        *_columns(again[0]),
        *_columns(scan),
        true_share(own, made, case.truth, tools),
        _columns(first)[0],
        np.array([test.z for test in same]),
        *_judged(case, same, both),
        *_judged(case, same, fresh, fresh=True),
    )


def _columns(
    tests: Sequence[Confirmed] | Sequence[ObjectEvidence],
) -> tuple[Numbers, Numbers]:
    """Confirmation and power."""
    rows = [(test.confirmation, test.power) for test in tests]
    confirmation, power = np.array(rows).reshape(-1, 2).T
    return confirmation, power


def _tested(case: Case, made: Array, against: Array, noise: Noise) -> list[Confirmed]:
    tools = case.tools
    tests = split_evidence(
        case.labels,
        case.enhanced,
        made,
        against,
        tools.operator,
        noise,
        tools.constants,
    )
    return [tests[label] for label in sorted(tests)]


def _joined(one: Confirmed, other: Confirmed) -> Confirmed:
    """Both halves; as they share the noise of the raw volume they count 1.5, not 2."""
    return Confirmed(
        (one.score + other.score) / 1.5,
        (one.energy + other.energy) / 1.5,
        (one.agreement + other.agreement) / 2,
    )


def _judged(
    case: Case,
    own: Sequence[ObjectEvidence],
    again: Sequence[Confirmed],
    fresh: bool = False,
) -> tuple[Numbers, NDArray[np.bool_]]:
    """Odds and support by the inspection's own rules, without a calibration."""
    tools = case.tools
    objects = Objects(
        labels=case.labels,
        score=np.array([test.score for test in own]),
        energy=np.array([test.energy for test in own]),
        contrast=np.array([test.contrast_enhanced for test in own]),
        centre=np.array([test.centre for test in own], np.int32),
        independent=True,
        score_again=np.array([test.score for test in again]),
        energy_again=np.array([test.energy for test in again]),
        agreement=np.array([test.agreement for test in again]),
    )
    contrast = contrast_of(case.enhanced, tools.constants.threshold, 1)
    hidden = prior_only(contrast, tools.operator, tools.noise, tools.constants)
    numbers = np.arange(1, len(own) + 1)
    share = sum_labels(hidden, case.labels, numbers)
    share = share / sum_labels(np.ones_like(hidden), case.labels, numbers)
    places = case.raw.size / smallest_region(tools.operator.fit.blur)
    tested = Tested(float(norm.isf(ALPHA)), places, fresh)
    found = judge(objects, share, tested)
    return found.odds, found.verdict == "supported"


def true_share(labels: Labels, enhanced: Array, truth: Array, tools: Tools) -> Numbers:
    """<E, T> / <E, E> within each object."""
    contrast = contrast_of(enhanced, tools.constants.threshold, 1)
    numbers = np.arange(1, labels.max() + 1)
    both = sum_labels(contrast * (truth - np.median(truth)), labels, numbers)
    return np.asarray(both / sum_labels(contrast**2, labels, numbers))
