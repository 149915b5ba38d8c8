"""How objects, missing parts and suspicious places lie over each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from napari_cyclegan3d.engine.hallucination.candidates import Candidates
from napari_cyclegan3d.engine.hallucination.store import (
    Block,
    blocks,
    finer,
    forget_pages,
    new_map,
)
from napari_cyclegan3d.engine.hallucination.tally import repeated
from napari_cyclegan3d.engine.volume import Region, Shape

# side of the blocks that are worked on, in enhanced voxels
SIDE = 128
# of its voxels: what is missing under objects means that these are too faint, and a
# suspicious place with so much of it in or around findings is theirs
COVERED, EXPLAINED = 0.7, 0.2
# raw voxels around a finding that belong to it
AROUND = 2
# verdicts of what is not suspicious by itself
CALM = ("supported", "uncontradicted")

Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Kept:
    """What is a finding of its own.

    Attributes:
        missing: Which missing parts do not merely lie over objects.
        suspects: Which suspicious places are not explained by anything else.
        faint: Which objects lie under missing parts: the raw volume has more of them.
    """

    missing: Mask
    suspects: Mask
    faint: Mask


def calm(candidates: Candidates) -> Mask:
    """Which of them are not suspicious by themselves."""
    return np.isin(candidates.verdict, CALM)


def kept(objects: Candidates, missing: Candidates, suspects: Candidates) -> Kept:
    """Decide what is one and the same.

    Args:
        objects: On the enhanced grid.
        missing: On the raw grid.
        suspects: On the raw grid.
    """
    bad = np.append(False, ~calm(objects))
    pairs, counts = [np.empty((0, 2), np.int32)], [np.empty(0, np.int64)]
    explained = np.zeros(len(suspects) + 1)
    scale = missing.times
    for block in _blocks(_shape(objects.labels), scale):
        place = finer(block.read, scale)
        own, lost = read(objects, place), read(missing, place)
        near = binary_dilation(bad[own] | (lost > 0), iterations=AROUND * scale)
        inner = finer(block.inner, scale)
        odd = read(suspects, finer(block.core, scale))
        explained += np.bincount(odd[near[inner]], minlength=len(explained))
        own, lost = own[inner], lost[inner]
        under = (lost > 0) & (own > 0)
        both = np.stack([lost[under], own[under]], 1)
        found, often = np.unique(both, axis=0, return_counts=True)
        pairs.append(found)
        counts.append(often)
    covered, faint = _covered(
        np.concatenate(pairs), np.concatenate(counts), _voxels(missing), len(objects)
    )
    few = explained[1:] < EXPLAINED * _voxels(suspects)
    return Kept(missing=~covered, suspects=few, faint=faint)


def painted(
    parts: Sequence[tuple[Candidates, NDArray[np.int32]]], shape: Shape, scale: int
) -> Labels:
    """All findings in one volume of labels, on the enhanced grid.

    Args:
        parts: Candidates with the number that each gets, 0 for none; what comes first
            lies above what comes later.
        shape: Of the enhanced volume.
        scale: Enhanced size over raw size.
    """
    out = new_map(shape, np.int32)
    for block in _blocks(shape, scale):
        place = finer(block.core, scale)
        values = out[place]
        for candidates, numbers in parts:
            new = np.append(np.int32(0), numbers)[read(candidates, place)]
            values = np.where(values > 0, values, new)
        out[place] = values
        forget_pages()
    return out


def read(candidates: Candidates, place: Region) -> Labels:
    """Labels of a region of the enhanced grid, which begins at raw voxels' edges."""
    times = candidates.times
    z, y, x = (slice(part.start // times, part.stop // times) for part in place)
    return np.asarray(repeated(candidates.labels[z, y, x], times))


def _blocks(shape: Shape, scale: int) -> Iterator[Block]:
    """Blocks of the raw grid that lies under an enhanced one."""
    z, y, x = (size // scale for size in shape)
    return blocks((z, y, x), SIDE // scale, AROUND)


def _covered(
    pairs: Labels, counts: NDArray[np.int64], voxels: NDArray[np.int64], objects: int
) -> tuple[Mask, Mask]:
    """Which missing parts lie over objects, and which objects they lie over most.

    Args:
        pairs: Missing part and object that share voxels, possibly several times.
        counts: How many voxels.
        voxels: Of each missing part.
        objects: How many there are.
    """
    part, one = pairs[:, 0] - 1, pairs[:, 1] - 1
    covered = np.bincount(part, counts, len(voxels)) >= COVERED * voxels
    key, row = np.unique(part * np.int64(objects + 1) + one, return_inverse=True)
    shared = np.bincount(row, counts)
    of, over = key // (objects + 1), key % (objects + 1)
    most = covered[of] & (shared > voxels[of] / 2)
    faint = np.zeros(objects, np.bool_)
    faint[over[most]] = True
    return covered, faint


def _voxels(candidates: Candidates) -> NDArray[np.int64]:
    """Of the enhanced grid."""
    return np.asarray(candidates.tally.voxels * candidates.times**3)


def _shape(labels: Labels) -> Shape:
    z, y, x = labels.shape
    return z, y, x
