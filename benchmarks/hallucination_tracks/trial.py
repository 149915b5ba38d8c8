"""One volume of each track, put before the detector."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import sum_labels

from hallucination_tracks.natural import REGIMES, natural, restorer
from hallucination_tracks.null_space import SCALE, null_space
from hallucination_tracks.planted import Planted, planted
from hallucination_tracks.scores import Found, auroc
from hallucination_tracks.tools import Tools, fitted, found, nearest, peaks, squirrel
from hallucination_tracks.volumes import Array
from napari_cyclegan3d.engine.hallucination.evidence import (
    Confirmed,
    evidence,
    split_evidence,
)
from napari_cyclegan3d.engine.hallucination.maps import block_maps, contrast_of
from napari_cyclegan3d.engine.hallucination.noise import Noise
from napari_cyclegan3d.engine.hallucination.objects import segment
from napari_cyclegan3d.engine.hallucination.splitting import split
from napari_cyclegan3d.engine.volume import Volume

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PlantedTrial:
    """Areas under curves of voxels, and findings, of the detector and of SQUIRREL."""

    auroc: float
    auroc_squirrel: float
    inserted: Found
    deleted: Found
    inserted_squirrel: Found
    deleted_squirrel: Found


@dataclass(frozen=True, eq=False)
class NaturalTrial:
    """Objects: what the truth has of them, and how clearly independent data show them.

    Attributes:
        truth: Share of each object of the result that the truth has.
        confirmation, power: By two splits of the raw volume (two more passes).
        single, single_power: By one split.
        second: Confirmation and power by a second scan.
        first_truth, first: Share and confirmation of the objects of the split's own
            enhancement, which never saw what they are tested against.
        same: z of the object test on the data that the result was made from.
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


@dataclass(frozen=True, eq=False)
class NullTrial:
    """Confirmation and power of objects of which the truth has nothing."""

    confirmation: Numbers
    power: Numbers


def on_planted(
    seed: int, sigma: float, contrast: float, nuisance: float
) -> PlantedTrial:
    """One volume of the planted track."""
    case = planted(seed, sigma, contrast, nuisance)
    tools = fitted(case.raw, case.enhanced)
    maps = block_maps(
        case.raw, case.enhanced, tools.operator, tools.noise, tools.constants
    )
    residual = maps["residual"]
    error = squirrel(case.raw, case.enhanced, tools.operator)
    added, lost = case.powers
    return PlantedTrial(
        auroc(np.abs(residual), case.wrong),
        auroc(np.abs(error), case.wrong),
        _objects(case, tools),
        peaks(residual, case.deleted, lost),
        peaks(-error, case.inserted, added),
        peaks(error, case.deleted, lost),
    )


def _objects(case: Planted, tools: Tools) -> Found:
    """Objects by the template test; a hit has its centroid on an inserted structure."""
    labels = segment(case.enhanced, tools.constants)
    tests = evidence(
        labels, case.enhanced, case.raw, tools.operator, tools.noise, tools.constants
    )
    near = nearest(case.inserted)
    hits = [near[tuple(round(one) for one in test.centroid)] for test in tests]
    scores = [-test.z for test in tests]
    return found(np.array(scores), np.array(hits, np.int32), case.powers[0])


def on_natural(seed: int, name: str) -> NaturalTrial:
    """One volume of the natural track."""
    regime = REGIMES[name]
    truth, raw, second = natural(seed, regime)
    network = restorer(regime)
    enhanced = network(raw)
    tools = fitted(raw, enhanced)
    labels = segment(enhanced, tools.constants)
    halves = split(Volume(raw), tools.noise, tools.operator, Volume(enhanced), seed)
    one, other = halves.first.read(), halves.second.read()
    again = [
        _tested(labels, enhanced, (network(one), other), halves.noise_second, tools)
    ]
    again += [
        _tested(labels, enhanced, (network(other), one), halves.noise_first, tools)
    ]
    both = [_joined(*pair) for pair in zip(*again, strict=True)]
    scan = evidence(
        labels, enhanced, second, tools.operator, tools.noise, tools.constants
    )
    mine = network(one)
    own = segment(mine, tools.constants)
    first = evidence(
        own, mine, other, tools.operator, halves.noise_second, tools.constants
    )
    same = evidence(labels, enhanced, raw, tools.operator, tools.noise, tools.constants)
    return NaturalTrial(
        _truth_share(labels, enhanced, truth, tools),
        np.array([test.confirmation for test in both]),
        np.array([test.power for test in both]),
        np.array([test.confirmation for test in again[0]]),
        np.array([test.power for test in again[0]]),
        np.array([test.confirmation for test in scan]),
        np.array([test.power for test in scan]),
        _truth_share(own, mine, truth, tools),
        np.array([test.confirmation for test in first]),
        np.array([test.z for test in same]),
    )


def _tested(
    labels: NDArray[np.int32],
    enhanced: Array,
    again: tuple[Array, Array],
    noise: Noise,
    tools: Tools,
) -> list[Confirmed]:
    tests = split_evidence(
        labels, enhanced, *again, tools.operator, noise, tools.constants
    )
    return [tests[label] for label in sorted(tests)]


def _joined(one: Confirmed, other: Confirmed) -> Confirmed:
    """Both halves; as they share the noise of the raw volume they count 1.5, not 2."""
    return Confirmed(
        (one.score + other.score) / 1.5,
        (one.energy + other.energy) / 1.5,
        (one.agreement + other.agreement) / 2,
    )


def _truth_share(
    labels: NDArray[np.int32], enhanced: Array, truth: Array, tools: Tools
) -> Numbers:
    """<E, T> / <E, E> within each object."""
    contrast = contrast_of(enhanced, tools.constants.threshold, 1)
    numbers = np.arange(1, labels.max() + 1)
    both = sum_labels(contrast * (truth - np.median(truth)), labels, numbers)
    return np.asarray(both / sum_labels(contrast**2, labels, numbers))


def on_null_space(seed: int) -> NullTrial:
    """One volume of the null-space track."""
    raw, enhanced, texture = null_space(seed)
    tools = fitted(raw, enhanced)
    labels = segment(enhanced, tools.constants, SCALE)
    tests = evidence(
        labels, enhanced, raw, tools.operator, tools.noise, tools.constants
    )
    contrast = contrast_of(enhanced, tools.constants.threshold, SCALE)
    numbers = np.arange(1, labels.max() + 1)
    true = sum_labels((contrast - texture) ** 2, labels, numbers)
    only = true < 0.3 * sum_labels(contrast**2, labels, numbers)
    chosen = [test for test, null in zip(tests, only, strict=True) if null]
    return NullTrial(
        np.array([test.confirmation for test in chosen]),
        np.array([test.power for test in chosen]),
    )
