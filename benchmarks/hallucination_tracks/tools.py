"""The detector as the tracks use it, and the map that it is compared with."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, maximum_filter

from hallucination_tracks.scores import Found
from hallucination_tracks.volumes import Array
from napari_cyclegan3d.engine.hallucination.maps import Constants, measure
from napari_cyclegan3d.engine.hallucination.noise import Noise, fit_noise
from napari_cyclegan3d.engine.hallucination.operator import Operator, fit_operator
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.volume import Volume

NEAR = 2  # voxels: a finding as near to a planted structure hits it
RULED = 11  # side of the cube in which only the highest peak counts


@dataclass(frozen=True)
class Tools:
    """What is fitted to a raw volume and its result, nothing of it known beforehand."""

    operator: Operator
    noise: Noise
    constants: Constants


def fitted(raw: Array, enhanced: Array) -> Tools:
    """Operator, noise and constants, by the two volumes alone."""
    random, config = np.random.default_rng(0), InspectConfig(relation="degraded")
    low, high = Volume(raw), Volume(enhanced)
    operator = fit_operator(low, high, config, random)
    noise = fit_noise(low, high, operator, config, random)
    return Tools(operator, noise, measure(low, high, operator, noise, random))


def squirrel(raw: Array, enhanced: Array, operator: Operator) -> Array:
    """Signed error map of SQUIRREL (Culley et al. 2018): raw − a·blurred − b."""
    return np.asarray(raw - operator.apply(enhanced))


def nearest(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """The structure that each voxel hits; −1: none."""
    far, places = distance_transform_edt(labels == 0, return_indices=True)
    return np.where(far <= NEAR, labels[tuple(places)], -1)


def peaks(score: Array, labels: NDArray[np.int32], powers: list[float]) -> Found:
    """Local maxima of a map as findings."""
    at = (score == maximum_filter(score, RULED)) & (score > 0)
    return found(score[at], nearest(labels)[at], powers)


def found(
    scores: NDArray[np.floating], hits: NDArray[np.int32], powers: list[float]
) -> Found:
    """Findings of a volume with planted structures 1, 2 and so on."""
    numbers = tuple(range(1, len(powers) + 1))
    return Found(np.asarray(scores), np.asarray(hits, np.int64), numbers, tuple(powers))
