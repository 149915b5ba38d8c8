"""Parts of a volume that were labelled block by block become whole components.

Voxels that touch, even at a corner, belong together wherever the blocks' faces are.
"""

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_cyclegan3d.engine.hallucination.store import Block
from napari_cyclegan3d.engine.volume import Region

Pairs = NDArray[np.int64]

TOUCHING = np.ones((3, 3, 3), np.bool_)


def label_block(inside: NDArray[np.bool_], first: int) -> tuple[NDArray[np.int32], int]:
    """Number the components of one block.

    Args:
        inside: Which voxels belong to any.
        first: Number of the first component.

    Returns:
        Numbers from `first` on, 0 outside; and how many components there are.
    """
    labels, count = label(inside, TOUCHING, output=np.int32)
    labels[labels > 0] += first - 1
    return labels, int(count)


def face_pairs(labels: NDArray[np.int32], core: Region) -> Pairs:
    """Which numbers inside a block touch which numbers outside.

    Voxels around it that are not labelled yet count as empty, so that each pair of
    blocks is joined when the later one is done.

    Args:
        labels: Of the whole volume.
        core: What the block covers.

    Returns:
        (pairs, 2), each once.
    """
    found = [np.empty((0, 2), np.int64)]
    for axis in range(3):
        for here, there in _faces(core, axis, labels.shape[axis]):
            plane = list(core)
            plane[axis] = slice(here, here + 1)
            own = labels[tuple(plane)].squeeze(axis)
            plane = [_grown(part) for part in core]
            plane[axis] = slice(there, there + 1)
            beyond = labels[tuple(plane)].squeeze(axis)
            around = _rims(core, axis, labels.shape)
            found += _touching(own, np.pad(beyond, around))
    return np.unique(np.concatenate(found), axis=0)


def joined(pairs: Iterable[Pairs], count: int) -> NDArray[np.int64]:
    """Which component each number belongs to.

    Args:
        pairs: Numbers, from 1, that belong together.
        count: The largest number.

    Returns:
        (count + 1,) for each number its component, from 0; that of 0 is its own.
    """
    edges = np.concatenate([np.empty((0, 2), np.int64), *pairs])
    graph = coo_array(
        (np.ones(len(edges), np.bool_), (edges[:, 0], edges[:, 1])),
        shape=(count + 1, count + 1),
    )
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def renumber(
    labels: NDArray[np.int32], blocks: Iterable[Block], new: NDArray[np.integer]
) -> None:
    """Replace each number n by new[n], block by block, in place."""
    for block in blocks:
        labels[block.core] = new[labels[block.core]]


def _faces(core: Region, axis: int, size: int) -> Iterator[tuple[int, int]]:
    """Planes at the two ends of a block, and those beyond them, along an axis."""
    start, stop = core[axis].start, core[axis].stop
    if start > 0:
        yield start, start - 1
    if stop < size:
        yield stop - 1, stop


def _grown(part: slice) -> slice:
    return slice(max(0, part.start - 1), part.stop + 1)


def _rims(core: Region, axis: int, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """What a grown plane lacks because the volume ends there."""
    return [
        (int(part.start == 0), int(part.stop == size))
        for n, (part, size) in enumerate(zip(core, shape, strict=True))
        if n != axis
    ]


def _touching(own: NDArray[np.int32], beyond: NDArray[np.int32]) -> Iterator[Pairs]:
    """Pairs of a plane and the next one, which has a rim of one voxel."""
    height, width = own.shape
    for y, x in product(range(3), range(3)):
        other = beyond[y : y + height, x : x + width]
        both = (own > 0) & (other > 0)
        yield np.unique(np.stack([own[both], other[both]], 1).astype(np.int64), axis=0)
