"""The surroundings of one finding, cut out of all volumes at the same place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination import modality
from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import Finding, OperatorFit
from napari_cyclegan3d.engine.hallucination.store import finer
from napari_cyclegan3d.engine.volume import Region, Volume

# sides of what is cut out: at least so many raw voxels, at most so many enhanced ones,
# else some times the finding's own
LEAST, MOST, ROOM = 24, 128, 2.0
CONTRAST_ENHANCED, CONTRAST_RAW = (0.5, 99.5), (5.0, 95.0)

Block = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Crop:
    """One finding with its surroundings; all blocks show the same part of the world.

    Attributes:
        raw: Voxels of the raw volume (z, y, x).
        enhanced: `scale` times as many along each axis.
        residual: On the raw grid; None: there is no such map.
        truth: On the enhanced grid; None: it is not known.
        inside: Which voxels of the enhanced volume belong to the finding.
        centre: Voxel (z, y, x) of `enhanced` that the finding is looked at.
        scale: Enhanced size over raw size.
        spacing: Of enhanced voxels (z, y, x).
        limits_raw: Grey values of the raw volume that are shown black and white.
        limits_enhanced: Those of the enhanced one that mean the same.
    """

    raw: Block
    enhanced: Block
    residual: Block | None
    truth: Block | None
    inside: NDArray[np.bool_]
    centre: tuple[int, int, int]
    scale: int
    spacing: tuple[float, float, float]
    limits_raw: tuple[float, float]
    limits_enhanced: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Volumes:
    """All that crops are cut out of.

    Attributes:
        inspected: The result; its maps and labels.
        raw: The raw volume.
        enhanced: The enhanced one.
        truth: What it should be, on its grid; None: not known.
    """

    inspected: Inspected
    raw: Volume
    enhanced: Volume
    truth: Volume | None = None

    def crop(self, finding: Finding) -> Crop:
        """What lies around a finding; reads at most 128³ enhanced voxels of each."""
        fit = self.inspection_operator
        region = surroundings(finding, self.raw.shape, self.raw.spacing, fit.scale)
        fine = finer(region, fit.scale)
        residual = self.inspected.maps.get("residual")
        raw, enhanced = _block(self.raw, region), _block(self.enhanced, fine)
        limits = matched_limits(raw, enhanced, fit)
        z, y, x = (
            min(max(at - part.start, 0), part.stop - part.start - 1)
            for at, part in zip(finding.centre, fine, strict=True)
        )
        return Crop(
            raw=raw,
            enhanced=enhanced,
            residual=None if residual is None else _block(residual, region),
            truth=None if self.truth is None else _block(self.truth, fine),
            inside=self.inspected.labels.read(fine) == finding.id,
            centre=(z, y, x),
            scale=fit.scale,
            spacing=self.enhanced.spacing,
            limits_raw=limits[0],
            limits_enhanced=limits[1],
        )

    @property
    def inspection_operator(self) -> OperatorFit:
        """How the raw volume follows from the enhanced one."""
        return self.inspected.inspection.operator


def surroundings(
    finding: Finding,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    scale: int,
) -> Region:
    """The raw voxels to show: a cube of the world around the finding, where it can be.

    Args:
        finding: Counts enhanced voxels.
        shape: Of the raw volume.
        spacing: Of the raw volume.
        scale: Enhanced size over raw size.
    """
    longest = max(
        (stop - start) / scale * side
        for (start, stop), side in zip(finding.box, spacing, strict=True)
    )
    length = max(LEAST * min(spacing), ROOM * longest)
    parts = []
    for at, size, side in zip(finding.centre, shape, spacing, strict=True):
        count = min(max(round(length / side), 8), max(1, MOST // scale), size)
        start = round((at + 0.5) / scale - count / 2)
        start = min(max(start, 0), size - count)
        parts.append(slice(start, start + count))
    z, y, x = parts
    return z, y, x


def matched_limits(
    raw: Block, enhanced: Block, fit: OperatorFit
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Grey values of raw and enhanced volume to show as black and white.

    With gain and offset of the fit, the same shade means the same in both. Grey values
    of two modalities have no common shades: then each has limits of its own.
    """
    own_raw, own_enhanced = (
        _limits(raw, CONTRAST_RAW),
        _limits(enhanced, CONTRAST_ENHANCED),
    )
    if fit.relation == "modality" or fit.gain == 0:
        return _limits(raw, CONTRAST_ENHANCED), own_enhanced
    seen = sorted((one - fit.offset) / fit.gain for one in own_raw)
    low, high = min(own_enhanced[0], seen[0]), max(own_enhanced[1], seen[1])
    return (fit.gain * low + fit.offset, fit.gain * high + fit.offset), (low, high)


def in_raw_grey(enhanced: Block, fit: OperatorFit) -> Block:
    """Grey values of the enhanced volume as the raw one would show them, unblurred."""
    if fit.relation == "modality":
        return modality.mapped(fit.curve, enhanced)
    return np.asarray(fit.gain * enhanced + fit.offset, dtype=np.float32)


def _limits(block: Block, percentiles: tuple[float, float]) -> tuple[float, float]:
    low, high = map(float, np.percentile(block, percentiles))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _block(volume: Volume, region: Region) -> Block:
    """Voxels of a region; what is no number becomes the mean."""
    block = volume.read(region).astype(np.float32)
    known = np.isfinite(block)
    if not known.all():
        block[~known] = block[known].mean() if known.any() else 0
    return block
