"""False alarms: suspicious regions where nothing is wrong."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# of what is reported: voxels of one cube
CUBE = 64**3
CORNERS = np.ones((3, 3, 3), bool)


@dataclass(frozen=True, eq=False)
class Alarms:
    """The suspicion of regions where nothing is wrong, from several trials.

    Attributes:
        peaks: Of each trial, the largest suspicion of each of its regions.
        voxels: Of each trial, where nothing is wrong.
    """

    peaks: tuple[NDArray[np.float32], ...]
    voxels: tuple[int, ...]

    def threshold(self, rate: float) -> float:
        """The suspicion that as many regions reach as are allowed.

        Below one region in all trials it goes on as −log10 p should: one more for each
        tenth of the alarms.

        Args:
            rate: False alarms per voxel.
        """
        allowed = rate * sum(self.voxels)
        falling = -np.sort(-np.concatenate(self.peaks))
        if not falling.size or allowed >= falling.size:
            return 0.0
        if allowed < 1:
            return float(falling[0] - np.log10(allowed))
        return float(np.nextafter(falling[int(allowed) - 1], np.inf))

    def rate(self, threshold: float) -> float:
        """False alarms per voxel from this suspicion on."""
        found = sum(int(np.sum(peaks >= threshold)) for peaks in self.peaks)
        return found / max(1, sum(self.voxels))

    def realised(self, rate: float) -> float | None:
        """False alarms per voxel with each trial's threshold taken from the others."""
        if len(self.peaks) < 2:
            return None
        found = 0
        for number, peaks in enumerate(self.peaks):
            rest = [n for n in range(len(self.peaks)) if n != number]
            others = Alarms(
                tuple(self.peaks[n] for n in rest), tuple(self.voxels[n] for n in rest)
            )
            found += int(np.sum(peaks >= others.threshold(rate)))
        return found / max(1, sum(self.voxels))


def region_peaks(
    suspicion: NDArray[np.float32], right: NDArray[np.bool_], low: float
) -> NDArray[np.float32]:
    """The largest suspicion of each region that lies where nothing is wrong.

    Args:
        suspicion: Of each voxel.
        right: Whether nothing is wrong there; a region that touches other voxels is no
            false alarm.
        low: Suspicion from which voxels belong to a region; its voxels touch at
            corners at least.
    """
    labels, count = ndimage.label(suspicion >= low, CORNERS)
    touched = np.unique(labels[~right])
    numbers = np.setdiff1d(np.arange(1, count + 1), touched)
    peaks: Any = ndimage.maximum(suspicion, labels, numbers) if numbers.size else ()
    return np.asarray(peaks, np.float32)
