"""Parts of a raw and an enhanced volume, with figures planted in either."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cyclegan3d.engine.hallucination.filters import Array
from napari_cyclegan3d.engine.hallucination.findings import Triple
from napari_cyclegan3d.engine.hallucination.maps import contrast_of
from napari_cyclegan3d.engine.hallucination.plants import Figure, Ground, drawn
from napari_cyclegan3d.engine.hallucination.sampling import finite
from napari_cyclegan3d.engine.hallucination.store import finer
from napari_cyclegan3d.engine.hallucination.trials import Model
from napari_cyclegan3d.engine.volume import Region, Shape, Volume

# of a fibre's axis, in raw voxels
LENGTH = 10.0
# raw voxels between plants, and around a plant in which it counts as found
APART, NEAR = 5.0, 2
# raw voxels at the border where nothing is planted
MARGIN = 8


@dataclass(frozen=True)
class Seed:
    """What is to be planted.

    Attributes:
        figure: What it looks like.
        diameter: In raw voxels.
        contrast: Share of that of the volume's structures.
        inserted: Into the enhanced part; else its trace is added to the raw part, which
            then has something that the enhanced one lacks.
    """

    figure: Figure
    diameter: float
    contrast: float
    inserted: bool


@dataclass(frozen=True, eq=False)
class Bed:
    """A part that seeds are planted in.

    Attributes:
        raw: Raw voxels.
        enhanced: Enhanced voxels.
        owner: Number of the plant that may be found at each raw voxel, from 1.
        ground: Where there is room, on the raw grid.
        model: How raw follows from enhanced.
        spacing: Of the enhanced voxels, in raw voxels of the same volume.
    """

    raw: Array
    enhanced: Array
    owner: NDArray[np.int16]
    ground: Ground
    model: Model
    spacing: Triple

    @classmethod
    def of(cls, raw: Volume, enhanced: Volume, model: Model) -> Self:
        """Dig over a part of two volumes; they stay as they are.

        Args:
            raw: The part of the raw volume.
            enhanced: The same place in the enhanced one.
            model: How raw follows from enhanced.
        """
        low, high = finite(raw.read())[0].copy(), finite(enhanced.read())[0].copy()
        scale = model.operator.scale
        contrast = np.abs(contrast_of(high, model.threshold, scale))
        coarse = _coarse(np.asarray(contrast > model.threshold), scale)
        step = float(np.prod(enhanced.spacing)) ** (1 / 3) * scale
        dz, dy, dx = (one / step for one in enhanced.spacing)
        ground = Ground.of(coarse, MARGIN)
        return cls(
            low, high, np.zeros(low.shape, np.int16), ground, model, (dz, dy, dx)
        )

    def plant(
        self, seed: Seed, number: int, contrast: float, random: np.random.Generator
    ) -> float | None:
        """Plant a seed at a random place.

        Args:
            seed: What to plant.
            number: Of the plant.
            contrast: Of the volume's structures, in grey values of the enhanced one.
            random: Chooses place and direction.

        Returns:
            Its d′; None: there is no room.
        """
        length = LENGTH if seed.figure == "fibre" else 0.0
        direction = random.standard_normal(3)
        axis = (float(direction[0]), float(direction[1]), float(direction[2]))
        figure = drawn(seed.figure, seed.diameter, length, self.spacing, axis)
        place = self.ground.place(seed.diameter / 2 + length / 4 + 1, random)
        if place is None:
            return None
        low, change = self._pasted(figure, place)
        high = finer(low, self.model.operator.scale)
        near = ndimage.binary_dilation(change > 0, iterations=NEAR)
        change *= np.float32(seed.contrast * contrast)
        with_it = self.enhanced[high] + change
        trace = self.model.operator.linear(change, with_it)
        mean = self.model.operator.apply(self.enhanced[high])
        white = self.model.noise.whiten(trace, mean)
        if seed.inserted:
            self.enhanced[high] = with_it
        else:
            self.raw[low] += trace
        self.owner[low][_coarse(near, self.model.operator.scale)] = number
        self.ground.take(place, (seed.diameter + length) / 2 + APART)
        return float(np.linalg.norm(white))

    def _pasted(self, figure: Array, place: Shape) -> tuple[Region, Array]:
        """A figure in its surroundings: where on the raw grid, and the enhanced block.

        What would lie beyond the part is cut off.
        """
        scale, reach = self.model.operator.scale, self.model.operator.margin
        low, into, of = [], [], []
        for at, side, size in zip(place, figure.shape, self.raw.shape, strict=True):
            half = side // (2 * scale) + 1 + reach
            part = slice(max(0, at - half), min(size, at + half + 1))
            start = at * scale + scale // 2 - side // 2 - part.start * scale
            length = (part.stop - part.start) * scale
            into.append(slice(max(0, start), min(length, start + side)))
            of.append(slice(max(0, -start), min(side, length - start)))
            low.append(part)
        z, y, x = low
        sides = [(part.stop - part.start) * scale for part in low]
        block = np.zeros(sides, np.float32)
        block[tuple(into)] = figure[tuple(of)]
        return (z, y, x), block


def _coarse(mask: NDArray[np.bool_], scale: int) -> NDArray[np.bool_]:
    """Raw voxels in which any enhanced voxel is set."""
    z, y, x = (size // scale for size in mask.shape)
    return np.asarray(mask.reshape(z, scale, y, scale, x, scale).any((1, 3, 5)))
