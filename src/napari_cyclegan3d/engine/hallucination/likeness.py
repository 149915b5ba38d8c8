"""How like real raw volumes those are that were made for a calibration."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_cyclegan3d.engine.hallucination.filters import Array

Numbers = NDArray[np.float64]

# limits above which made volumes say little about real ones
UNLIKE_GREY, UNLIKE_SPECTRUM = 0.25, 1.0
SHELLS = 12


@dataclass(frozen=True)
class Likeness:
    """Distances between made and real raw volumes.

    Attributes:
        grey: Largest difference of the shares of voxels below a grey value, 0 to 1
            (Kolmogorov & Smirnov).
        spectrum: Mean octaves between the powers at the same spatial frequency.
    """

    grey: float
    spectrum: float

    @property
    def warnings(self) -> list[str]:
        """Sentences on what is unlike."""
        found = []
        if self.grey > UNLIKE_GREY:
            found.append(
                "the raw volumes made for the calibration have other grey values than "
                f"the real one (distance {self.grey:.2f}, at most {UNLIKE_GREY:g} is "
                "like it); its error rates may not hold"
            )
        if self.spectrum > UNLIKE_SPECTRUM:
            found.append(
                "the raw volumes made for the calibration have another spectrum than "
                f"the real one (by a factor of {2**self.spectrum:.1f}, at most "
                f"{2**UNLIKE_SPECTRUM:g} is like it); its error rates may not hold"
            )
        return found


def likeness(made: Sequence[Array], real: Sequence[Array]) -> Likeness:
    """Compare the grey values and spectra of blocks.

    Args:
        made: Blocks made for a calibration.
        real: Blocks of the inspected raw volume.
    """
    one, other = (
        np.sort(np.concatenate([b.ravel() for b in bs])) for bs in (made, real)
    )
    both = np.concatenate(
        [one[:: max(1, one.size // 4096)], other[:: max(1, other.size // 4096)]]
    )
    shares = (np.searchsorted(side, both, "right") / side.size for side in (one, other))
    grey = float(np.max(np.abs(np.subtract(*shares))))
    octaves = np.log2(_spectrum(made) / _spectrum(real))
    return Likeness(grey, float(np.mean(np.abs(octaves))))


def _spectrum(blocks: Sequence[Array]) -> Numbers:
    """Mean power per shell, without the mean grey value."""
    power, number = np.zeros(SHELLS), np.zeros(SHELLS)
    for block in blocks:
        spectrum = fft.dctn(block - block.mean(), norm="ortho") ** 2
        grids = np.ogrid[tuple(slice(0, size) for size in block.shape)]
        radius = np.sqrt(
            sum(
                (grid / size) ** 2
                for grid, size in zip(grids, block.shape, strict=True)
            )
        )
        shell = np.minimum((radius * SHELLS / np.sqrt(3)).astype(int), SHELLS - 1)
        power += np.bincount(shell.ravel(), spectrum.ravel(), SHELLS)
        number += np.bincount(shell.ravel(), minlength=SHELLS)
    mean: Numbers = power / np.maximum(number, 1)
    return np.maximum(mean, np.finfo(np.float64).tiny)
