"""Structures that are put into an enhanced volume, or taken out, to see what is found.

They are known errors that only the raw volume can contradict: they say nothing about
what a network makes of noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cyclegan3d.engine.hallucination.filters import Array
from napari_cyclegan3d.engine.hallucination.findings import Triple
from napari_cyclegan3d.engine.volume import Region

Figure = Literal["fibre", "ball"]
Mask = NDArray[np.bool_]
Place = tuple[int, int, int]

# of pieces and between them, in raw voxels
RADII = (2.5, 6.0)
APART = 3
# share of a structure's contrast that a piece has, or that is taken away at least
WEAKEST, STRONGEST = 0.4, 1.2
LEAST_ROOM = 2.0


def drawn(
    figure: Figure, diameter: float, length: float, spacing: Triple, direction: Triple
) -> Array:
    """A straight fibre with round ends, or a ball, about the middle of a block.

    Args:
        figure: What to draw.
        diameter: In the unit of `spacing`.
        length: Of the fibre's axis, in the same unit.
        spacing: Of the voxels (z, y, x).
        direction: Of the fibre in the world (z, y, x), of any length but 0.

    Returns:
        Share of each voxel that is inside, 0 to 1; the sides are odd.
    """
    axis = np.array(direction) / np.linalg.norm(direction)
    half = length / 2 if figure == "fibre" else 0.0
    step = float(np.prod(spacing)) ** (1 / 3)
    reach = half * np.abs(axis) + diameter / 2 + step
    grids = np.meshgrid(
        *(
            np.arange(-(n := int(np.ceil(far / one))), n + 1) * one
            for far, one in zip(reach, spacing, strict=True)
        ),
        indexing="ij",
    )
    places = np.stack(grids, axis=-1)
    along = np.clip(places @ axis, -half, half)
    distance = np.linalg.norm(places - along[..., None] * axis, axis=-1)
    share = np.clip((diameter / 2 - distance) / step + 0.5, 0, 1)
    return np.asarray(share, np.float32)


def structure_contrast(contrast: Array, threshold: float) -> float:
    """How much the structures of a block differ from their background.

    Args:
        contrast: Block minus its local background.
        threshold: Contrast that makes a structure.

    Returns:
        Negative where they are dark; 0 where there are none.
    """
    bright, dark = contrast[contrast > threshold], contrast[contrast < -threshold]
    most = bright if np.sum(bright**2) >= np.sum(dark**2) else dark
    return float(np.median(most)) if most.size else 0.0


@dataclass(eq=False)
class Ground:
    """Where there is room for plants; each one that is placed takes some.

    Attributes:
        room: Distance of each voxel to the next structure, plant or border, in voxels.
    """

    room: NDArray[np.float32]

    @classmethod
    def of(cls, structures: Mask, margin: int) -> Self:
        """All but the structures and `margin` voxels at the block's borders."""
        free = np.zeros(structures.shape, bool)
        free[(slice(margin, -margin),) * 3] = True
        free &= ~structures
        return cls(ndimage.distance_transform_edt(free).astype(np.float32))

    def place(self, needed: float, random: np.random.Generator) -> Place | None:
        """A random place with this much room, or nearly as much as there is.

        Returns:
            (z, y, x); None: there is hardly any room.
        """
        most = float(self.room.max())
        if most < LEAST_ROOM:
            return None
        return _chosen(self.room >= min(needed, 0.8 * most), random)

    def take(self, place: Place, radius: float) -> None:
        """Leave no room within `radius` voxels of a place."""
        grids = np.ogrid[tuple(slice(0, size) for size in self.room.shape)]
        square = sum((grid - at) ** 2 for grid, at in zip(grids, place, strict=True))
        left = np.maximum(np.sqrt(square) - radius, 0).astype(np.float32)
        np.minimum(self.room, left, out=self.room)


def window(place: Place, sides: Sequence[int]) -> Region:
    """The part of odd sides about a place."""
    z, y, x = (
        slice(at - side // 2, at + side // 2 + 1)
        for at, side in zip(place, sides, strict=True)
    )
    return z, y, x


def plant(
    enhanced: Array,
    contrast: Array,
    threshold: float,
    scale: int,
    random: np.random.Generator,
    count: int = 6,
) -> Array:
    """A copy of a block with pieces of its own structures inserted and deleted.

    Args:
        enhanced: Block of the enhanced volume.
        contrast: It minus its local background.
        threshold: Contrast that makes a structure.
        scale: Enhanced size over raw size.
        random: Chooses places, sizes and strengths.
        count: Pieces to insert, and to delete; fewer where there is no room.
    """
    result = enhanced.copy()
    inside = np.abs(contrast) > threshold
    own = np.where(ndimage.binary_dilation(inside, iterations=scale), contrast, 0)
    margin = int(RADII[1] * scale) + 1
    middle = (slice(margin, -margin),) * 3
    sources, ground = np.zeros_like(inside), Ground.of(inside, margin)
    sources[middle] = inside[middle]
    for number in range(2 * count):
        radius = float(random.uniform(*RADII)) * scale
        source, free = _chosen(sources, random), ground.place(radius, random)
        if source is None or free is None:
            break
        ball = drawn("ball", 2 * radius, 0, (1, 1, 1), (0, 0, 1))
        piece = ball * own[window(source, ball.shape)]
        if number % 2:
            result[window(free, ball.shape)] += piece * _strength(random, STRONGEST)
            ground.take(free, radius + APART * scale)
        else:
            result[window(source, ball.shape)] -= piece * _strength(random, 1.0)
            sources[window(source, ball.shape)] = False
    return result


def _strength(random: np.random.Generator, most: float) -> np.float32:
    return np.float32(random.uniform(WEAKEST, most))


def _chosen(allowed: Mask, random: np.random.Generator) -> Place | None:
    places = np.flatnonzero(allowed)
    if not places.size:
        return None
    z, y, x = np.unravel_index(random.choice(places), allowed.shape)
    return int(z), int(y), int(x)
