"""Where the truth is known: what is really wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.candidates import Candidates
from napari_cyclegan3d.engine.hallucination.filters import BOX, wide, without
from napari_cyclegan3d.engine.hallucination.grading import areas
from napari_cyclegan3d.engine.hallucination.maps import HALO
from napari_cyclegan3d.engine.hallucination.reduction import reduced
from napari_cyclegan3d.engine.hallucination.store import Block, blocks, finer
from napari_cyclegan3d.engine.hallucination.tally import repeated
from napari_cyclegan3d.engine.volume import Region, Shape, Volume

# of the contrast of structures: a larger error is one of structure
WRONG = 0.3
# of what structures have: less of one is none
FAINT = 0.25
# side of a block, in enhanced voxels
SIDE = 128
# of the range of suspicion that areas under curves are measured with
BINS = 2048
MOST = 6.0

Array = NDArray[np.float32]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """A truth in the grey values of the enhanced volume.

    Attributes:
        enhanced: The enhanced volume.
        truth: On the same grid.
        gain: Enhanced grey value per true one, by least squares.
        offset: Enhanced grey value of a true 0.
        scale: Enhanced size over raw size.
    """

    enhanced: Volume
    truth: Volume
    gain: float
    offset: float
    scale: int

    @classmethod
    def of(cls, enhanced: Volume, truth: Volume, scale: int) -> "Truth":
        """Fit the grey values of a truth.

        Args:
            enhanced: The enhanced volume.
            truth: On the same grid.
            scale: Enhanced size over raw size.

        Raises:
            InputError: The truth has one value only.
        """
        sums = np.zeros(5)
        for block in blocks(enhanced.shape, SIDE, 0):
            e, t = (_read(one, block.core) for one in (enhanced, truth))
            e, t = e.astype(np.float64), t.astype(np.float64)
            sums += [e.size, e.sum(), t.sum(), np.vdot(e, t), np.vdot(t, t)]
        count, e_sum, t_sum, both, square = sums
        variance = square - t_sum**2 / count
        if variance <= 0:
            raise InputError(
                f"{truth.name}: {t_sum / count:g} everywhere as truth; choose the "
                "volume that shows the same structures without errors"
            )
        gain = (both - e_sum * t_sum / count) / variance
        return cls(enhanced, truth, gain, (e_sum - gain * t_sum) / count, scale)

    def read(self, region: Region) -> tuple[Array, Array]:
        """Enhanced and true voxels of a region, in the same grey values."""
        true = self.gain * _read(self.truth, region) + self.offset
        return _read(self.enhanced, region), true.astype(np.float32)

    def fill_error(self, out: NDArray[np.floating]) -> None:
        """Write enhanced − truth, on the enhanced grid."""
        for block in blocks(self.enhanced.shape, SIDE, 0):
            enhanced, true = self.read(block.core)
            out[block.core] = enhanced - true

    def overlaps(
        self, parts: Sequence[tuple[NDArray[np.int32], int]], threshold: float
    ) -> list["Overlap"]:
        """How much of labelled parts the enhanced volume and the truth have.

        Args:
            parts: Labels, on the raw or the enhanced grid, and the largest of them.
            threshold: Contrast that makes a structure, in enhanced grey values.
        """
        found = [Overlap(np.zeros((4, count + 1))) for _, count in parts]
        side = max(1, SIDE // self.scale)
        for block in blocks(self._raw_shape, side, HALO):
            pair = self.read(finer(block.read, self.scale))
            inner = finer(block.inner, self.scale)
            own, true = (
                one[inner].ravel() for one in _contrasts(pair, threshold, self.scale)
            )
            for (labels, _), overlap in zip(parts, found, strict=True):
                overlap.add(self._labels(labels, block).ravel(), own, true)
        return found

    def voxel_auroc(
        self, suspicion: NDArray[np.floating], contrast: float
    ) -> float | None:
        """How well suspicion parts voxels that are wrong from those that are right.

        Args:
            suspicion: On the raw grid, 0 to 6.
            contrast: Of structures, in enhanced grey values.

        Returns:
            Area under the receiver operating characteristic; None: nothing is wrong,
            or everything.
        """
        counts = np.zeros((2, BINS))
        side = max(1, SIDE // self.scale)
        for block in blocks(self._raw_shape, side, 4):
            enhanced, true = self.read(finer(block.read, self.scale))
            error = gaussian_filter(reduced(enhanced - true, self.scale), 1.0)
            wrong = np.abs(error[block.inner]) > WRONG * contrast
            values = np.nan_to_num(suspicion[block.core].astype(np.float32))
            bins = np.clip(values / MOST * (BINS - 1), 0, BINS - 1).astype(np.int64)
            for row, inside in enumerate((wrong, ~wrong)):
                counts[row] += np.bincount(bins[inside], minlength=BINS)
        return areas(counts[0, ::-1], counts[1, ::-1])[0]

    @property
    def _raw_shape(self) -> Shape:
        z, y, x = (size // self.scale for size in self.enhanced.shape)
        return z, y, x

    def _labels(self, labels: NDArray[np.int32], block: Block) -> NDArray[np.int32]:
        if labels.shape == self.enhanced.shape:
            return labels[finer(block.core, self.scale)]
        return repeated(labels[block.core], self.scale)


@dataclass(frozen=True, eq=False)
class Overlap:
    """Sums over labelled parts; the contrasts are against the local background.

    Attributes:
        sums: Rows: squared contrast of the enhanced volume, product of that with the
            true one, squared true contrast, the same where the enhanced volume has
            less than half of it. Columns: labels from 0.
    """

    sums: Numbers

    def add(self, labels: NDArray[np.int32], own: Array, true: Array) -> None:
        """Count the voxels of a block; all flat."""
        count = self.sums.shape[1]
        square, both = true * true, own * true
        lost = np.where(both < square / 2, square, 0)
        for row, values in enumerate((own * own, both, square, lost)):
            self.sums[row] += np.bincount(labels, values, count)

    @property
    def there(self) -> Numbers:
        """Share of each part of the enhanced volume that the truth has, too."""
        own, both = self.sums[:2, 1:]
        return np.asarray(both / np.maximum(own, 1e-20))

    def lost(self, typical: float) -> Numbers:
        """How much of a structure the enhanced volume lacks in each part.

        Args:
            typical: Summed squared contrast of a structure.

        Returns:
            1: as much as that, or all that there is.
        """
        _, _, true, lost = self.sums[:, 1:]
        whole = np.clip(true, max(FAINT * typical, 1e-20), max(typical, 1e-20))
        return np.asarray(np.minimum(lost / whole, 1))

    @property
    def typical(self) -> float:
        """Median of the summed squared contrast of the parts; 0: there are none."""
        own = self.sums[0, 1:]
        return float(np.median(own)) if len(own) else 0.0


def compared(
    truth: Truth,
    objects: Candidates,
    missing: Candidates,
    suspects: Candidates,
    threshold: float,
) -> tuple[Candidates, Candidates, Candidates]:
    """The same candidates with what the truth says in their column "truth".

    Args:
        truth: On the enhanced grid.
        objects: Of them, the share that is really there.
        missing: Of what is really there, the share that the enhanced volume lacks.
        suspects: As objects.
        threshold: Contrast that makes a structure, in enhanced grey values.
    """
    parts = [(one.labels, len(one)) for one in (objects, missing, suspects)]
    whole, lost, other = truth.overlaps(parts, threshold)
    return (
        _with_truth(objects, whole.there),
        _with_truth(missing, lost.lost(whole.typical)),
        _with_truth(suspects, other.there),
    )


def typical_contrast(objects: Candidates) -> float:
    """Median contrast of the enhanced volume's structures; 0: there are none."""
    values = np.abs(objects.columns["contrast_enhanced"])
    return float(np.median(values)) if len(values) else 0.0


def _with_truth(candidates: Candidates, share: Numbers) -> Candidates:
    columns = {**candidates.columns, "truth": np.clip(share, 0, 1)}
    return replace(candidates, columns=columns)


def _contrasts(pair: tuple[Array, Array], threshold: float, scale: int) -> list[Array]:
    """Both blocks minus their background; 0 where neither has a structure."""
    box = BOX * scale
    means = [wide(one, box) for one in pair]
    own, true = (
        np.abs(one - mean) > threshold for one, mean in zip(pair, means, strict=True)
    )
    return [
        np.where(own | true, one - without(one, own | true, mean, box), 0)
        for one, mean in zip(pair, means, strict=True)
    ]


def _read(volume: Volume, region: Region) -> Array:
    return np.nan_to_num(volume.read(region).astype(np.float32))
