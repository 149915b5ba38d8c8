"""One volume of the planted and of the null-space track, put before the detector."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import sum_labels

from hallucination_tracks.null_space import SCALE, null_space
from hallucination_tracks.planted import Planted, planted
from hallucination_tracks.scores import Found, auroc
from hallucination_tracks.tools import Tools, fitted, found, nearest, peaks, squirrel
from napari_cyclegan3d.engine.hallucination.evidence import evidence
from napari_cyclegan3d.engine.hallucination.maps import block_maps, contrast_of
from napari_cyclegan3d.engine.hallucination.objects import segment

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
