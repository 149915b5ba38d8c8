"""What the raw volume says about each object of the enhanced one.

An object's template is what it alone would look like in the raw volume. Compared with
the whitened raw volume by the matched filter it gives d′, how clearly the object would
show, and e, how clearly it does.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination.comparison import Sight
from napari_cyclegan3d.engine.hallucination.filters import Array, smooth
from napari_cyclegan3d.engine.hallucination.maps import Constants, contrast_of
from napari_cyclegan3d.engine.hallucination.neighbourhoods import Group, groups
from napari_cyclegan3d.engine.hallucination.noise import Noise
from napari_cyclegan3d.engine.hallucination.operator import Operator
from napari_cyclegan3d.engine.hallucination.tested import Confirmed, ObjectEvidence

__all__ = [
    "Bench",
    "Confirmed",
    "ObjectEvidence",
    "Tests",
    "evidence",
    "split_evidence",
    "tests_of",
]

THREADS = 2
Labels = NDArray[np.int32]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Tests:
    """Of the objects of a block.

    Attributes:
        own: Against the raw volume, in the order of the labels.
        again: By label, one for each independent comparison.
    """

    own: list[ObjectEvidence]
    again: list[dict[int, Confirmed]]


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
    sight = Sight.of(raw, enhanced, operator, noise, constants)
    return tests_of(labels, sight, ()).own


@dataclass(frozen=True, eq=False)
class Bench:
    """A block, ready for tests of its objects.

    Attributes:
        enhanced: Block of the enhanced volume.
        contrast: Its structures.
        residual: raw − A(enhanced), whitened.
        deviation: Of the noise.
        visible: Share of the structures that does not cancel in the raw volume.
        operator: How raw follows from enhanced.
        noise: Of the raw volume.
    """

    enhanced: Array
    contrast: Array
    residual: Array
    deviation: Array
    visible: Array
    operator: Operator
    noise: Noise

    @classmethod
    def of(cls, sight: Sight) -> Self:
        """Make a block ready that has been compared."""
        operator, noise, parts = sight.operator, sight.noise, sight.parts
        # bright and dark side by side cancel in the raw volume: nobody sees them there
        alike = operator.linear(np.abs(sight.contrast))
        alike /= parts.deviation
        whole = smooth(noise.decorrelated(alike) ** 2, 1.5)
        least = np.float32(1e-6) * (whole.max() + np.float32(1e-12))
        visible = smooth(parts.structure**2, 1.5)
        visible /= whole + least
        np.minimum(visible, 1, out=visible)
        return cls(
            sight.enhanced,
            sight.contrast,
            parts.residual,
            parts.deviation,
            visible,
            operator,
            noise,
        )

    def test(self, alone: Array, group: Group) -> tuple[Numbers, Numbers]:
        """Scores and energies of parts of the contrast, in their neighbourhoods."""
        trace = self.operator.linear(alone, group.fine(self.enhanced))
        trace /= group.coarse(self.deviation)
        template = self.noise.decorrelated(trace)
        residual, visible = group.coarse(self.residual), group.coarse(self.visible)
        rest = np.einsum("nzyx,nzyx->n", template, residual, dtype=np.float64)
        weight = template * template
        whole = np.einsum("nzyx->n", weight, dtype=np.float64)
        energy = np.einsum("nzyx,nzyx->n", weight, visible, dtype=np.float64)
        return energy + energy / np.maximum(whole, 1e-12) * rest, energy


def tests_of(labels: Labels, sight: Sight, others: Sequence[Bench]) -> Tests:
    """The template tests of all objects of a block, against several raw volumes.

    Args:
        labels: Objects on the enhanced grid; 0 is background.
        sight: Of the raw volume, and the enhanced one in which they were found.
        others: Enhancements of other data, with what each is tested against.
    """
    bench = Bench.of(sight)

    def test(group: Group) -> Tests:
        again = [_confirmed(group, sight.contrast, one) for one in others]
        return Tests(_tested(group, bench), again)

    boxes = groups(labels, bench.residual.shape, bench.operator.scale)
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(test, boxes))
    own = sorted((one for some in found for one in some.own), key=lambda one: one.label)
    again: list[dict[int, Confirmed]] = [{} for _ in others]
    for some in found:
        for all_of_them, more in zip(again, some.again, strict=True):
            all_of_them.update(more)
    return Tests(own, again)


def _tested(group: Group, bench: Bench) -> list[ObjectEvidence]:
    """The tests of objects, in their neighbourhoods."""
    inside, contrast = group.inside, group.fine(bench.contrast)
    # an object's edge lies beyond the threshold by which it was found
    whole = inside | (group.near & (group.labels == 0))
    sums = bench.test(np.where(whole, contrast, np.float32(0)), group)
    starts = np.array([[part.start for part in one] for one in group.high])
    count = len(group.numbers)
    number, *places = np.nonzero(inside)
    voxels = np.bincount(number, minlength=count)
    means = [np.bincount(number, one, count) / voxels for one in places]
    mean = np.bincount(number, contrast[inside], count) / voxels
    height = np.where(inside, np.abs(contrast), -1).reshape(count, -1)
    top = np.unravel_index(height.argmax(axis=1), inside.shape[1:])
    columns = {
        "label": group.numbers,
        "score": sums[0].tolist(),
        "energy": sums[1].tolist(),
        "voxels": voxels.tolist(),
        "centroid": map(tuple, (np.stack(means, 1) + starts).tolist()),
        "centre": map(tuple, (np.stack(top, 1) + starts).tolist()),
        "contrast_enhanced": mean.tolist(),
    }
    rows = zip(*columns.values(), strict=True)
    return [ObjectEvidence(**dict(zip(columns, row, strict=True))) for row in rows]


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
    bench = Bench.of(Sight.of(second, first, operator, noise, constants))
    confirmed: dict[int, Confirmed] = {}
    for group in groups(labels, second.shape, operator.scale):
        confirmed.update(_confirmed(group, whole, bench))
    return confirmed


def _confirmed(group: Group, whole: Array, bench: Bench) -> dict[int, Confirmed]:
    """What another enhancement has in the places of objects of `whole`."""
    again = group.fine(bench.contrast)
    sums = bench.test(np.where(group.near, again, np.float32(0)), group)
    mine = np.where(group.inside, group.fine(whole), np.float32(0))
    same = np.einsum("nzyx,nzyx->n", mine, again, dtype=np.float64)
    own = np.einsum("nzyx,nzyx->n", mine, mine, dtype=np.float64)
    agreement = same / np.maximum(own, 1e-12)
    return {
        label: Confirmed(*map(float, row))
        for label, *row in zip(group.numbers, *sums, agreement, strict=True)
    }
