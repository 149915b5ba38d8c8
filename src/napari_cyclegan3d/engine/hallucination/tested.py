"""What the tests of objects say. Sums add up over the parts of a cut object."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Confirmed", "ObjectEvidence", "Place"]

Place = tuple[float, float, float]


@dataclass(frozen=True)
class Matched:
    """A matched filter's answer; sums add up over the parts of a cut object.

    Attributes:
        score: <t, W(r + A h)>: sum over voxels of the whitened template times what the
            raw volume has there.
        energy: <t, t>.
    """

    score: float
    energy: float

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


@dataclass(frozen=True)
class ObjectEvidence(Matched):
    """What is known about one object.

    Attributes:
        label: Its number in the block.
        voxels: Of the enhanced grid.
        centroid: Mean place (z, y, x) on the enhanced grid, counted from the block.
        centre: Its brightest (or darkest) voxel, as `centroid`.
        contrast_enhanced: Mean over its voxels, against the local background.
    """

    label: int
    voxels: int
    centroid: Place
    centre: tuple[int, int, int]
    contrast_enhanced: float

    @property
    def z(self) -> float:
        """About N(0, 1) if real; negative: the raw volume has less of it."""
        return self.confirmation - self.power


@dataclass(frozen=True)
class Confirmed(Matched):
    """Independent evidence for an object: what the first enhancement has in its place.

    Attributes:
        agreement: Share of the object that the first enhancement has, too.
    """

    agreement: float
