"""Track P: structures planted in, or deleted from, an otherwise good result."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hallucination_tracks.volumes import (
    SIDE,
    Array,
    Shape,
    ball,
    fibre,
    field,
    noise,
    render,
    scene,
)

BLUR = 1.2
SEGMENTS, BLOBS = 4, 1
FAULT = 0.1  # of the contrast: a voxel that is off by more, at 1 voxel blur, is wrong


@dataclass(frozen=True, eq=False)
class Planted:
    """A raw volume, a result with known faults, and these.

    Attributes:
        raw, enhanced: The two volumes.
        wrong: Voxels where the result is wrong.
        inserted, deleted: Which fault a voxel belongs to, from 1.
        powers: Ideal observer's d′ of inserted and of deleted faults.
    """

    raw: Array
    enhanced: Array
    wrong: NDArray[np.bool_]
    inserted: NDArray[np.int32]
    deleted: NDArray[np.int32]
    powers: tuple[list[float], list[float]]


def planted(
    seed: int, sigma: float, contrast: float = 1.0, nuisance: float = 1.0
) -> Planted:
    """One volume.

    Args:
        seed: Of all that is random.
        sigma: Of the noise, where structures have contrast 1.
        contrast: Of all structures.
        nuisance: Strength of gain, offset, bias field and texture of the result.
    """
    random = np.random.default_rng([seed, 1])
    shapes = [_weaker(shape, contrast) for shape in scene(random)]
    truth = render(shapes)
    extra = [_weaker(one, contrast) for one in _insertions(random, truth)]
    kept, gone = _deletions(random, shapes)
    clean = render([*kept, *extra])
    raw = gaussian_filter(truth, BLUR) + noise(random, sigma, 0.0)
    slow = np.float32(0.1) * field(random, 16)
    raw += slow
    missing, added = truth - render([*kept]), clean - render([*kept])
    change = np.abs(gaussian_filter(clean - truth, 1.0))
    return Planted(
        raw,
        _disturbed(clean + slow, random, nuisance),
        change > FAULT * contrast,
        _numbered(extra, added),
        _numbered(gone, missing),
        (_powers(extra, added, sigma), _powers(gone, missing, sigma)),
    )


def _weaker(shape: Shape, contrast: float) -> Shape:
    return Shape(shape.start, shape.end, shape.radius, shape.contrast * contrast)


def _insertions(random: np.random.Generator, truth: Array) -> list[Shape]:
    """Segments and balls, of which at most 30 % lies in what is there already."""
    result: list[Shape] = []
    taken = np.abs(truth) > 0.3
    while len(result) < SEGMENTS + BLOBS:
        segment = len(result) < SEGMENTS
        shape = fibre(random, random.uniform(8, 12)) if segment else ball(random)
        inside = np.abs(render([shape])) > 0.5
        if taken[inside].mean() <= 0.3:
            result.append(shape)
            taken |= inside
    return result


def _deletions(
    random: np.random.Generator, shapes: list[Shape]
) -> tuple[list[Shape], list[Shape]]:
    """What stays and what goes: parts of fibres, and whole balls."""
    kept, gone = list(shapes), []
    for number in random.permutation(len(shapes)):
        shape = shapes[number]
        wanted = BLOBS if shape.is_ball else SEGMENTS
        if sum(one.is_ball == shape.is_ball for one in gone) >= wanted:
            continue
        if shape.is_ball:
            gone.append(shape)
            kept.remove(shape)
            continue
        size = float(np.linalg.norm(shape.end - shape.start))
        half = (random.uniform(8, 12) + 2.3) / 2 / size  # as round ends stay
        for middle in random.uniform(half, 1 - half, 20):
            part = shape.part(middle - half, middle + half)
            ends = np.stack([part.start, part.end])
            if (ends > 6).all() and (ends < SIDE - 6).all():
                gone.append(part)
                kept.remove(shape)
                kept += [shape.part(0, middle - half), shape.part(middle + half, 1)]
                break
    return kept, gone


def _disturbed(clean: Array, random: np.random.Generator, strength: float) -> Array:
    """The faults of a good network: gain, offset, bias field and fine texture."""
    gain = 1 + 0.05 * strength * random.normal()
    bias = 1 + 0.03 * strength * field(random, 12)
    texture = 0.03 * strength * field(random, 0.7)
    wavy = 0.03 * strength * field(random, 10)
    return np.asarray(gain * bias * clean + texture + wavy + 0.1 * strength)


def _numbered(shapes: list[Shape], change: Array) -> NDArray[np.int32]:
    labels = np.zeros(change.shape, np.int32)
    for number, shape in enumerate(shapes, 1):
        drawn = np.abs(render([shape])) > 0.3 * abs(shape.contrast)
        labels[drawn & (np.abs(change) > 0.3 * abs(shape.contrast))] = number
    return labels


def _powers(shapes: list[Shape], change: Array, sigma: float) -> list[float]:
    powers = []
    for shape in shapes:
        alone = np.where(np.abs(render([shape])) > 0, change, 0)
        powers.append(float(np.linalg.norm(gaussian_filter(alone, BLUR)) / sigma))
    return powers
