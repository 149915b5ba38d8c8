"""What the raw volume says about each object of the enhanced one.

An object's template is what it alone would look like in the raw volume. Compared with
the whitened raw volume by the matched filter it gives d′, how clearly the object would
show, and e, how clearly it does.
"""

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
from napari_cyclegan3d.engine.hallucination.tested import (
    Confirmed,
    Missing,
    ObjectEvidence,
)
from napari_cyclegan3d.engine.volume import Region

__all__ = [
    "Confirmed",
    "Missing",
    "ObjectEvidence",
    "evidence",
    "missing_components",
    "split_evidence",
]

MARGIN = 5  # raw voxels around an object that its template may reach


def evidence(
    labels: NDArray[np.int32],
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
    """
    bench = _Bench.of(raw, enhanced, operator, noise, constants)
    return [
        _tested(number, box, labels, bench)
        for number, box in enumerate(ndimage.find_objects(labels), 1)
        if box is not None
    ]


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

    def test(self, alone: Array, low: Region, high: Region) -> tuple[float, float]:
        """Score and energy of a part of the contrast, in its neighbourhood."""
        change = self.operator.linear(alone, self.enhanced[high])
        template = self.noise.whiten(change, self.parts.mean[low])
        weight = template * template
        energy = float(np.sum(weight * self.visible[low], dtype=np.float64))
        share = energy / max(float(np.sum(weight, dtype=np.float64)), 1e-12)
        rest = np.sum(template * self.parts.residual[low], dtype=np.float64)
        return energy + share * float(rest), energy


def _tested(
    label: int, box: Region, labels: NDArray[np.int32], bench: _Bench
) -> ObjectEvidence:
    """The test of one object, in its neighbourhood."""
    scale = bench.operator.scale
    low, high = _around(box, bench.parts.mean.shape, scale)
    inside = labels[high] == label
    # an object's edge lies beyond the threshold by which it was found
    edge = ndimage.binary_dilation(inside, iterations=scale)
    whole = inside | (edge & (labels[high] == 0))
    contrast = bench.contrast[high]
    score, energy = bench.test(np.where(whole, contrast, np.float32(0)), low, high)
    places = np.argwhere(inside) + [part.start for part in high]
    values = contrast[inside]
    z, y, x = places.mean(axis=0)
    centre = places[np.abs(values).argmax()]
    return ObjectEvidence(
        label=label,
        score=score,
        energy=energy,
        voxels=len(places),
        centroid=(float(z), float(y), float(x)),
        covariance=np.cov(places.T, bias=True),
        centre=(int(centre[0]), int(centre[1]), int(centre[2])),
        box=tuple((part.start, part.stop) for part in box),  # type: ignore[arg-type]
        contrast_enhanced=float(values.mean()),
    )


def _around(box: Region, shape: tuple[int, ...], scale: int) -> tuple[Region, Region]:
    """An object's neighbourhood on the raw and on the enhanced grid."""
    z, y, x = (
        slice(
            max(0, part.start // scale - MARGIN),
            min(size, -(-part.stop // scale) + MARGIN),
        )
        for part, size in zip(box, shape, strict=True)
    )
    return (z, y, x), finer((z, y, x), scale)


def split_evidence(  # noqa: PLR0913 - a triple of volumes and what belongs to them
    labels: NDArray[np.int32],
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
    scale = operator.scale
    whole = contrast_of(enhanced, constants.threshold, scale)
    bench = _Bench.of(second, first, operator, noise, constants)
    confirmed = {}
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        low, high = _around(box, second.shape, scale)
        inside, again = labels[high] == label, bench.contrast[high]
        near = ndimage.binary_dilation(inside, iterations=scale)
        score, energy = bench.test(np.where(near, again, np.float32(0)), low, high)
        mine = np.where(inside, whole[high], np.float32(0))
        agreement = float(np.vdot(mine, again)) / max(float(np.vdot(mine, mine)), 1e-12)
        confirmed[label] = Confirmed(score, energy, agreement)
    return confirmed


def missing_components(
    residual: Array, threshold: float, smallest: int = 4
) -> list[Missing]:
    """What the raw block has and the enhanced one lacks: peaks of the residual.

    Args:
        residual: Signed map as `block_maps` gives it, on the raw grid.
        threshold: Of a component's peak.
        smallest: Voxels above half of the peak's threshold.
    """
    labels, count = ndimage.label(residual > threshold / 2, np.ones((3, 3, 3)))
    found = []
    for label, box in enumerate(ndimage.find_objects(labels, count), 1):
        inside = labels[box] == label
        values = np.where(inside, residual[box], -np.inf)
        peak = float(values.max())
        if peak <= threshold or inside.sum() < smallest:
            continue
        places = np.argwhere(inside) + [part.start for part in box]
        centre = places[values[inside].argmax()]
        z, y, x = places.mean(axis=0)
        found.append(
            Missing(
                label=label,
                z=peak,
                voxels=int(inside.sum()),
                centroid=(float(z), float(y), float(x)),
                covariance=np.cov(places.T, bias=True),
                centre=(int(centre[0]), int(centre[1]), int(centre[2])),
                box=tuple((part.start, part.stop) for part in box),  # type: ignore[arg-type]
            )
        )
    return found
