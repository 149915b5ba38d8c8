"""What the raw volume says about each object of the enhanced one.

An object's template is what it alone would look like in the raw volume. Compared with
the whitened raw volume by the matched filter it gives d′, how clearly the object would
show, and e, how clearly it does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cyclegan3d.engine.hallucination.filters import Array, smooth
from napari_cyclegan3d.engine.hallucination.maps import (
    Constants,
    Parts,
    compare,
    contrast_of,
)
from napari_cyclegan3d.engine.hallucination.noise import Noise
from napari_cyclegan3d.engine.hallucination.operator import Operator
from napari_cyclegan3d.engine.hallucination.store import finer
from napari_cyclegan3d.engine.hallucination.tested import Confirmed, ObjectEvidence
from napari_cyclegan3d.engine.tiling import round_up
from napari_cyclegan3d.engine.volume import Region

__all__ = ["Confirmed", "ObjectEvidence", "evidence", "split_evidence"]

MARGIN = 5  # raw voxels around an object that its template may reach
# neighbourhoods have sides of multiples of this, so that many are tested at once
STEP = 8
# raw voxels that are tested at once
HELD = 2**19
CROSS = ndimage.generate_binary_structure(3, 1)[None]
Labels = NDArray[np.int32]
Numbers = NDArray[np.float64]


def evidence(
    labels: Labels,
    enhanced: Array,
    raw: Array,
    operator: Operator,
    noise: Noise,
    constants: Constants,
) -> list[ObjectEvidence]:
    """The template test of all objects of a block.

    Args:
        labels: Objects on the enhanced grid; 0 is background.
        enhanced: Block of the enhanced volume in which they were found.
        raw: The same place in the raw volume, or in one that is independent of
            `enhanced`; then `confirmation` is independent evidence.
        operator: How raw follows from enhanced.
        noise: Of `raw`.
        constants: Of the whole volume.

    Returns:
        One test for each object, in the order of the labels.
    """
    bench = _Bench.of(raw, enhanced, operator, noise, constants)
    found = (
        one
        for batch in _batches(labels, raw.shape, operator.scale)
        for one in _tested(batch, labels, bench)
    )
    return sorted(found, key=lambda one: one.label)


@dataclass(frozen=True, eq=False)
class _Batch:
    """Objects whose neighbourhoods are of one size.

    Attributes:
        labels: Of the objects.
        low: Their neighbourhoods on the raw grid.
        high: The same on the enhanced grid.
    """

    labels: list[int]
    low: list[Region]
    high: list[Region]

    def inside(self, labels: Labels) -> tuple[NDArray[np.bool_], Labels]:
        """Where each object is in its neighbourhood, and all labels there."""
        around = np.stack([labels[one] for one in self.high])
        return around == np.array(self.labels)[:, None, None, None], around


@dataclass(frozen=True, eq=False)
class _Bench:
    """A block, ready for tests of its objects."""

    enhanced: Array
    contrast: Array
    parts: Parts
    visible: Array
    operator: Operator
    noise: Noise

    @classmethod
    def of(
        cls,
        raw: Array,
        enhanced: Array,
        operator: Operator,
        noise: Noise,
        constants: Constants,
    ) -> Self:
        contrast = contrast_of(enhanced, constants.threshold, operator.scale)
        parts = compare(raw, enhanced, contrast, operator, noise)
        # bright and dark side by side cancel in the raw volume: nobody sees them there
        alike = noise.whiten(operator.linear(np.abs(contrast)), parts.mean)
        whole = smooth(alike**2, 1.5)
        least = np.float32(1e-6) * (whole.max() + np.float32(1e-12))
        visible = smooth(parts.structure**2, 1.5) / (whole + least)
        return cls(enhanced, contrast, parts, np.minimum(visible, 1), operator, noise)

    def test(self, alone: Array, batch: _Batch) -> tuple[Numbers, Numbers]:
        """Scores and energies of parts of the contrast, in their neighbourhoods."""
        around = np.stack([self.enhanced[one] for one in batch.high])
        mean, visible, residual = (
            np.stack([block[one] for one in batch.low])
            for block in (self.parts.mean, self.visible, self.parts.residual)
        )
        template = self.noise.whiten(self.operator.linear(alone, around), mean)
        weight = template * template
        energy = np.einsum("nzyx,nzyx->n", weight, visible, dtype=np.float64)
        whole = np.einsum("nzyx->n", weight, dtype=np.float64)
        rest = np.einsum("nzyx,nzyx->n", template, residual, dtype=np.float64)
        return energy + energy / np.maximum(whole, 1e-12) * rest, energy


def _tested(batch: _Batch, labels: Labels, bench: _Bench) -> Iterator[ObjectEvidence]:
    """The tests of objects, in their neighbourhoods."""
    inside, around = batch.inside(labels)
    # an object's edge lies beyond the threshold by which it was found
    edge = ndimage.binary_dilation(inside, CROSS, iterations=bench.operator.scale)
    whole = inside | (edge & (around == 0))
    contrast = np.stack([bench.contrast[one] for one in batch.high])
    sums = bench.test(np.where(whole, contrast, np.float32(0)), batch)
    for n, (score, energy) in enumerate(zip(*sums, strict=True)):
        places = np.argwhere(inside[n]) + [part.start for part in batch.high[n]]
        values = contrast[n][inside[n]]
        z, y, x = places.mean(axis=0)
        centre = places[np.abs(values).argmax()]
        yield ObjectEvidence(
            label=batch.labels[n],
            score=float(score),
            energy=float(energy),
            voxels=len(places),
            centroid=(float(z), float(y), float(x)),
            centre=(int(centre[0]), int(centre[1]), int(centre[2])),
            contrast_enhanced=float(values.mean()),
        )


def _batches(labels: Labels, shape: tuple[int, ...], scale: int) -> Iterator[_Batch]:
    """The objects of a block in groups that are tested at once.

    Args:
        labels: On the enhanced grid.
        shape: Of the block on the raw grid.
        scale: Enhanced size over raw size.
    """
    groups: dict[tuple[int, ...], _Batch] = {}
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        low = _around(box, shape, scale)
        sides = tuple(part.stop - part.start for part in low)
        group = groups.setdefault(sides, _Batch([], [], []))
        group.labels.append(number)
        group.low.append(low)
        group.high.append(finer(low, scale))
        if len(group.labels) * np.prod(sides) >= HELD:
            yield groups.pop(sides)
    yield from groups.values()


def _around(box: Region, shape: tuple[int, ...], scale: int) -> Region:
    """An object's neighbourhood on the raw grid."""
    parts = []
    for part, size in zip(box, shape, strict=True):
        start = max(0, part.start // scale - MARGIN)
        stop = min(size, -(-part.stop // scale) + MARGIN)
        side = min(size, round_up(stop - start, STEP))
        start = max(0, min(start - (side - (stop - start)) // 2, size - side))
        parts.append(slice(start, start + side))
    z, y, x = parts
    return z, y, x


def split_evidence(  # noqa: PLR0913 - a triple of volumes and what belongs to them
    labels: Labels,
    enhanced: Array,
    first: Array,
    second: Array,
    operator: Operator,
    noise: Noise,
    constants: Constants,
) -> dict[int, Confirmed]:
    """Independent evidence for objects, from a split of the raw volume.

    Args:
        labels: Objects of the enhanced volume, on its grid.
        enhanced: Block of the enhanced volume.
        first: The same place in the enhancement of the split's first part.
        second: The same place in the split's second part, on the raw grid.
        operator: How the second part follows from an enhanced volume.
        noise: Of the second part.
        constants: Of the whole volume.

    Returns:
        By label: the test of what the first enhancement has in the object's place.
    """
    whole = contrast_of(enhanced, constants.threshold, operator.scale)
    bench = _Bench.of(second, first, operator, noise, constants)
    confirmed = {}
    for batch in _batches(labels, second.shape, operator.scale):
        inside, _ = batch.inside(labels)
        again, mine = (
            np.stack([block[one] for one in batch.high])
            for block in (bench.contrast, whole)
        )
        near = ndimage.binary_dilation(inside, CROSS, iterations=operator.scale)
        sums = bench.test(np.where(near, again, np.float32(0)), batch)
        mine = np.where(inside, mine, np.float32(0))
        same = np.einsum("nzyx,nzyx->n", mine, again, dtype=np.float64)
        own = np.einsum("nzyx,nzyx->n", mine, mine, dtype=np.float64)
        agreement = same / np.maximum(own, 1e-12)
        for label, *row in zip(batch.labels, *sums, agreement, strict=True):
            confirmed[label] = Confirmed(*map(float, row))
    return confirmed
