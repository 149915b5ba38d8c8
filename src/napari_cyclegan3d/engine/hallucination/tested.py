"""What the tests of objects say. Sums add up over the parts of a cut object."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Confirmed", "ObjectEvidence", "Place"]

Place = tuple[float, float, float]


@dataclass(frozen=True)
class ObjectEvidence:
    """What is known about one object. Sums add up over the parts of a cut object.

    Attributes:
        label: Its number in the block.
        score: <t, W(r + A h)>: sum over voxels of the whitened template times what the
            raw volume has there.
        energy: <t, t>.
        voxels: Of the enhanced grid.
        centroid: Mean place (z, y, x) on the enhanced grid, counted from the block.
        centre: Its brightest (or darkest) voxel, as `centroid`.
        contrast_enhanced: Mean over its voxels, against the local background.
        contrast_raw: Contrast that the raw volume shows, in the same grey values.
    """

    label: int
    score: float
    energy: float
    voxels: int
    centroid: Place
    centre: tuple[int, int, int]
    contrast_enhanced: float

    @property
    def power(self) -> float:
        """d′: how clearly the raw volume would show it, in standard deviations."""
        return float(np.sqrt(self.energy))

    @property
    def confirmation(self) -> float:
        """e: how clearly it does; about N(d′, 1) if real, N(0, 1) if not there."""
        return self.score / max(self.power, 1e-6)

    @property
    def support(self) -> float:
        """Share that is there: b = e / d′; 1 fully, 0 not at all."""
        return self.score / max(self.energy, 1e-12)

    @property
    def z(self) -> float:
        """About N(0, 1) if real; negative: the raw volume has less of it."""
        return self.confirmation - self.power

    @property
    def contrast_raw(self) -> float:
        """What the raw volume has of its contrast, in grey values of the enhanced."""
        return self.contrast_enhanced * self.support


@dataclass(frozen=True)
class Confirmed:
    """Independent evidence for an object; its sums add up as those of the object.

    Attributes:
        score: <t, W(r + A h)> of what the first enhancement has in its place, in the
            second part of the split.
        energy: <t, t>.
        agreement: Share of the object that the first enhancement has, too.
    """

    score: float
    energy: float
    agreement: float

    @property
    def power(self) -> float:
        """d′ of the first enhancement's counterpart in the second part."""
        return float(np.sqrt(self.energy))

    @property
    def confirmation(self) -> float:
        """e: about N(d′, 1) if real, N(0, 1) if it came from the first part's noise."""
        return self.score / max(self.power, 1e-6)

    @property
    def support(self) -> float:
        """Share that is there, b = e / d′."""
        return self.score / max(self.energy, 1e-12)
