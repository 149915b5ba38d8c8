"""Both volumes made comparable: structures and residual of a block, whitened.

The residual raw − A(enhanced) loses what a slowly varying background and gain explain:
scanners and networks both change these, and neither is an invention.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import ndimage

from napari_cyclegan3d.engine.hallucination.filters import (
    BOX,
    Array,
    smooth,
    wide,
    without,
)
from napari_cyclegan3d.engine.hallucination.noise import Noise
from napari_cyclegan3d.engine.hallucination.operator import Operator
from napari_cyclegan3d.engine.hallucination.templates import Search

__all__ = ["Constants", "Parts", "Sight", "compare", "compared", "contrast_of"]


@dataclass(frozen=True)
class Constants:
    """What all blocks of a volume are measured by.

    Attributes:
        threshold: Contrast in the enhanced volume that makes a structure.
        thickness: Standard deviation across the volume's structures, in raw voxels.
        search: For what is missing.
        share: Wiener gain by frequency (cycles per raw voxel) before the blur is
            counted: power of the enhanced volume over that of the noise.
        frequency: Where `share` holds.
    """

    threshold: float
    thickness: float
    search: Search
    frequency: tuple[float, ...]
    share: tuple[float, ...]


@dataclass(frozen=True)
class Parts:
    """A block, ready for tests; both whitened, on the raw grid.

    Attributes:
        structure: What the enhanced volume's structures would look like in the raw one.
        residual: raw − A(enhanced), without what gain and background explain.
        mean: A(enhanced), in raw grey values.
        deviation: Of the noise.
    """

    structure: Array
    residual: Array
    mean: Array
    deviation: Array

    def twice(self, noise: Noise) -> tuple[Array, Array]:
        """Residual and structure, whitened again to be compared with any template.

        Of the residual only what the enhanced volume's structures do not explain.
        """
        rest = self.residual - self.misfit() * self.structure
        return noise.decorrelated(rest), noise.decorrelated(self.structure)

    def misfit(self, width: float = 2.0) -> Array:
        """Local slope of the residual over the structures: −1 where one is invented."""
        both = smooth(self.structure * self.residual, width)
        least = float(np.sqrt(2 * np.pi) * width) ** -3
        return np.asarray(both / (smooth(self.structure**2, width) + least))


def contrast_of(enhanced: Array, threshold: float, scale: int) -> Array:
    """The enhanced block minus its local background, on its own grid."""
    box = BOX * scale
    mean = wide(enhanced, box)
    first = np.abs(enhanced - mean) > threshold
    contrast = enhanced - without(enhanced, first, mean, box)
    # half of the threshold belongs to a structure's edge; the rest is texture
    near = ndimage.grey_dilation(np.abs(contrast), (3, 3, 3)) > threshold
    return np.asarray(np.where(near, contrast, np.float32(0)))


def compare(
    raw: Array, enhanced: Array, contrast: Array, operator: Operator, noise: Noise
) -> Parts:
    """What the tests of a block need.

    Args:
        raw: Block of the raw volume.
        enhanced: The same place in the enhanced volume.
        contrast: Its structures, as `contrast_of` gives them.
        operator: How raw follows from enhanced.
        noise: Of the raw volume.
    """
    mean = operator.apply(enhanced)
    rest = raw - mean
    rest = rest - wide(rest)
    deviation = noise.deviation(mean)
    residual = noise.decorrelated(rest / deviation)
    structure = noise.decorrelated(operator.linear(contrast, enhanced) / deviation)
    residual -= _gain_error(structure, residual) * structure
    return Parts(structure, residual, mean, deviation)


@dataclass(frozen=True, eq=False)
class Sight:
    """A block of both volumes, made comparable once for all that looks at it.

    Attributes:
        enhanced: Block of the enhanced volume.
        contrast: Its structures, as `contrast_of` gives them.
        parts: What tests need.
        operator: How raw follows from enhanced.
        noise: Of the raw volume.
        constants: Of the whole volume.
    """

    enhanced: Array
    contrast: Array
    parts: Parts
    operator: Operator
    noise: Noise
    constants: Constants

    @classmethod
    def of(
        cls,
        raw: Array,
        enhanced: Array,
        operator: Operator,
        noise: Noise,
        constants: Constants,
    ) -> Self:
        """Compare a block of the raw volume with the same place in the enhanced one."""
        contrast = contrast_of(enhanced, constants.threshold, operator.scale)
        parts = compare(raw, enhanced, contrast, operator, noise)
        return cls(enhanced, contrast, parts, operator, noise, constants)


def _gain_error(structure: Array, residual: Array) -> Array:
    """Local slope of the residual over the structures, without what is suspicious."""
    energy, both = structure * structure, structure * residual
    fair = (np.abs(compared(both, energy, 2.5)[0]) < 2.5).astype(np.float32)
    size = float(np.sqrt(np.pi) * BOX) ** 3
    return np.asarray(wide(both * fair) / (wide(energy * fair) + 100 / size))


def compared(both: Array, energy: Array, width: float) -> tuple[Array, Array]:
    """Weighted regression in a Gaussian window of the residual over the structure.

    Returns:
        z of the slope, and d′ of the structure in the window.
    """
    volume = np.float32((np.sqrt(2 * np.pi) * width) ** 3)
    weighed = smooth(energy, width) * volume
    # the square of a window has the same reach, so that it ends where that does
    squared = smooth(energy, width / np.sqrt(2), 3 * np.sqrt(2)) * volume / 2**1.5
    deviation = np.sqrt(squared + np.float32(1))
    return smooth(both, width) * volume / deviation, weighed / deviation
