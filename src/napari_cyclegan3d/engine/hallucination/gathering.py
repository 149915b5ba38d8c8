"""Objects that were found block by block become the objects of the volume.

A block sees the objects of its core whole, unless they are larger than its halo: an
object belongs to the block that its centroid lies in. Of an object that is cut, each
block keeps what lies in its core; the sums of the template test add up over the parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass

from napari_cyclegan3d.engine.hallucination.evidence import Confirmed, ObjectEvidence
from napari_cyclegan3d.engine.hallucination.merging import face_pairs, joined, renumber
from napari_cyclegan3d.engine.hallucination.store import Block, blocks, finer, new_map
from napari_cyclegan3d.engine.volume import Region, Shape

# voxels by which two blocks may disagree on a centroid
TOLERANCE = 1.0
# of its voxels: an object is the same as others that have so many of them already
SAME = 0.5
# side of the blocks in which labels are gone through, in their own voxels
SIDE = 128
# columns of what is added up: score, energy, contrast, voxels, score, energy and
# agreement of independent tests; then the centre z, y, x
VOXELS, CENTRE, COLUMNS = 3, 7, 10

Labels = NDArray[np.int32]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Owned:
    """Objects of a block that are its own.

    Attributes:
        labels: On the enhanced grid, of what the block reads: from 1 without gaps.
        whole: Those up to this number are whole, the others are cut.
        block: Where, on the raw grid.
    """

    labels: Labels
    whole: int
    block: Block


@dataclass(frozen=True, eq=False)
class Objects:
    """All objects of a volume; rows are by label − 1.

    Attributes:
        labels: On the enhanced grid, from 1 without gaps; int32.
        score: <t, W(r + A h)> of the template test.
        energy: <t, t>, the square of the power.
        contrast: Mean inside minus the local background, in enhanced grey values.
        centre: A voxel (z, y, x) of the enhanced grid to look at.
        independent: Whether there is evidence that is independent of the enhancement.
        score_again: Its score; 0 where there is none.
        energy_again: Its energy.
        agreement: Share of the object that independent enhancements have, too.
    """

    labels: Labels
    score: Numbers
    energy: Numbers
    contrast: Numbers
    centre: NDArray[np.int32]
    independent: bool
    score_again: Numbers
    energy_again: Numbers
    agreement: Numbers

    def __len__(self) -> int:
        return len(self.score)


class Gatherer:
    """Takes the objects of one block after the other.

    For each block: `own`, the tests of what it returns, then `add`; at last `gathered`.
    """

    def __init__(self, shape: Shape, scale: int, splits: int = 0) -> None:
        """No object yet.

        Args:
            shape: Of the raw volume.
            scale: Enhanced size over raw size.
            splits: How many independent tests there are of each object.
        """
        z, y, x = shape
        self._labels = new_map((z * scale, y * scale, x * scale), np.int32)
        self._scale, self._splits = scale, splits
        # the row of the background, then one for each number in the labels
        self._rows = [np.zeros((1, COLUMNS))]
        self._cut = np.zeros(1, np.bool_)
        self._cores: list[Region] = []

    def own(self, labels: Labels, block: Block) -> Owned:
        """Those objects of a block that it is to test.

        Args:
            labels: On the enhanced grid, of all that the block reads.
            block: On the raw grid.
        """
        core = finer(block.inner, self._scale)
        numbers = np.unique(labels[labels > 0])
        cut = np.isin(numbers, self._on_cut_faces(labels, block))
        places = np.reshape(center_of_mass(labels > 0, labels, numbers), (-1, 3))
        low = np.array([part.start for part in core]) - 0.5 - TOLERANCE
        high = np.array([part.stop for part in core]) - 0.5 + TOLERANCE
        whole = numbers[~cut & ((places >= low) & (places < high)).all(1)]
        parts = numbers[cut & np.isin(numbers, labels[core])]
        owned = _renamed(labels, whole, 0)
        owned[core] += _renamed(labels, parts, len(whole))[core]
        return Owned(owned, len(whole), block)

    def add(
        self,
        owned: Owned,
        found: Sequence[ObjectEvidence],
        confirmed: Sequence[Mapping[int, Confirmed]] = (),
    ) -> None:
        """Keep objects with their tests.

        Args:
            owned: From `own`.
            found: One for each of its labels, places counted from the block.
            confirmed: The independent tests, by label; as many as there are splits.
        """
        place = finer(owned.block.read, self._scale)
        start = np.array([part.start for part in place])
        there = self._labels[place]
        free = (there == 0) | self._cut[there]
        count = len(found) + 1
        sizes = np.bincount(owned.labels.ravel(), minlength=count)
        taken = np.bincount(owned.labels[~free], minlength=count)
        new = np.flatnonzero(taken[1:] < SAME * sizes[1:]) + 1
        rows = np.empty((count, COLUMNS))
        for one in found:
            again = [tests[one.label] for tests in confirmed]
            rows[one.label] = [*_sums(one, again), *(start + one.centre)]
        names = np.zeros(count, np.int32)
        names[new] = len(self._cut) + np.arange(len(new))
        named = names[owned.labels]
        # parts of cut objects give way to objects that another block sees whole
        write = free & (named > 0) & ((owned.labels <= owned.whole) | (there == 0))
        self._labels[place] = np.where(write, named, there)
        self._rows.append(rows[new])
        self._cut = np.append(self._cut, new > owned.whole)
        if (new > owned.whole).any():
            self._cores.append(finer(owned.block.core, self._scale))

    def gathered(self) -> Objects:
        """All objects; those that were cut are whole again."""
        rows = np.concatenate(self._rows)
        component = self._components(rows[:, VOXELS])
        first, component = np.unique(component, return_inverse=True)
        whole = np.zeros((len(first), COLUMNS))
        np.add.at(whole[:, :CENTRE], component, rows[:, :CENTRE])
        # the centre of the largest part, which is written last
        order = np.argsort(rows[:, VOXELS], kind="stable")
        whole[component[order], CENTRE:] = rows[order, CENTRE:]
        everything = blocks(_shape(self._labels), SIDE, 0)
        renumber(self._labels, everything, component.astype(np.int32))
        return self._objects(whole[1:])

    def _components(self, voxels: Numbers) -> NDArray[np.int64]:
        """For each number the object that it is part of; 0: it is no more."""
        left = np.zeros(len(voxels), np.int64)
        pairs = []
        for core in self._cores:
            left += np.bincount(self._labels[core].ravel(), minlength=len(left))
            both = face_pairs(self._labels, core)
            pairs.append(both[self._cut[both].all(1)])
        component = joined(pairs, len(voxels) - 1)
        component[self._cut & (left < SAME * voxels)] = 0
        return component

    def _objects(self, rows: Numbers) -> Objects:
        score, energy, contrast, voxels, again, energy_again, agreement = rows.T[
            :CENTRE
        ]
        # the splits share the noise of the raw volume: more of them say less and less
        shared = (self._splits + 1) / 2
        return Objects(
            labels=self._labels,
            score=score,
            energy=energy,
            contrast=contrast / voxels,
            centre=rows[:, CENTRE:].astype(np.int32),
            independent=self._splits > 0,
            score_again=again / shared,
            energy_again=energy_again / shared,
            agreement=agreement / voxels / max(self._splits, 1),
        )

    def _on_cut_faces(self, labels: Labels, block: Block) -> Labels:
        """Numbers at the ends of what a block reads, where the volume goes on."""
        faces = [np.empty(0, np.int32)]
        for axis, part in enumerate(block.read):
            planes = np.moveaxis(labels, axis, 0)
            if part.start > 0:
                faces.append(planes[0].ravel())
            if part.stop * self._scale < self._labels.shape[axis]:
                faces.append(planes[-1].ravel())
        return np.unique(np.concatenate(faces))


def _renamed(labels: Labels, numbers: Labels, before: int) -> Labels:
    """Chosen numbers become before + 1, before + 2, …, all others 0."""
    new = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    new[numbers] = np.arange(before + 1, before + len(numbers) + 1)
    return np.asarray(new[labels])


def _sums(one: ObjectEvidence, again: Sequence[Confirmed]) -> list[float]:
    """What adds up over the parts of an object."""
    return [
        one.score,
        one.energy,
        one.contrast_enhanced * one.voxels,
        one.voxels,
        sum(test.score for test in again),
        sum(test.energy for test in again),
        sum(test.agreement for test in again) * one.voxels,
    ]


def _shape(array: Labels) -> Shape:
    z, y, x = array.shape
    return z, y, x
