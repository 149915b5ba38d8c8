"""Parts of a raw volume and its enhancement from which global constants are fitted."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.store import finer
from napari_cyclegan3d.engine.volume import Region, Shape, Volume

Floats = NDArray[np.float32]

TILES = 64
SCALES = (1, 2, 4)
# raw voxels, about
SIDE = 48
# raw voxels at a tile's border that a fit leaves out, unless the volume ends there too
MARGIN = 8
# enhanced voxels that a fit holds at a time
HELD = 2**24


class Degrades(Protocol):
    """What makes blocks of the raw volume, without noise, of enhanced ones."""

    @property
    def margin(self) -> int:
        """Raw voxels beyond which a voxel has no influence."""

    def apply(self, enhanced: Floats, /) -> Floats:
        """An enhanced block on the raw grid."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Tiles of one size from the same places of two volumes.

    Attributes:
        raw: Tiles of the raw volume, (n, z, y, x).
        enhanced: The same of the enhanced one, on its grid.
        scale: Enhanced size over raw size.
        inner: What is far enough from a tile's borders, (n, z, y, x).
    """

    raw: Floats
    enhanced: Floats
    scale: int
    inner: tuple[slice, slice, slice, slice]

    def first(self, count: int) -> "Sample":
        """The tiles in which the enhanced volume shows most."""
        return replace(self, raw=self.raw[:count], enhanced=self.enhanced[:count])


def scale_of(raw: Volume, enhanced: Volume) -> int:
    """How much finer the enhanced volume's grid is.

    Raises:
        InputError: It is not 1, 2 or 4 times the size of the raw one.
    """
    for scale in SCALES:
        if enhanced.shape == tuple(size * scale for size in raw.shape):
            return scale
    raise InputError(
        f"{enhanced.name}: shape {enhanced.shape} is not 1, 2 or 4 times the shape "
        f"{raw.shape} of {raw.name}; choose the volume that it was made from"
    )


def finite(block: NDArray[np.generic]) -> tuple[Floats, int]:
    """Voxels as float32; what is no finite number becomes the mean of the others.

    Returns:
        The voxels, a copy where some were replaced, and how many those were.
    """
    array = np.asarray(block, dtype=np.float32)
    good = np.isfinite(array)
    missing = int(array.size - np.count_nonzero(good))
    if missing:
        fill = array[good].mean(dtype=np.float64) if good.any() else 0.0
        array = np.where(good, array, np.float32(fill))
    return array, missing


def draw(raw: Volume, enhanced: Volume, random: np.random.Generator) -> Sample:
    """The random tiles in which the enhanced volume shows most, up to 16 of 64.

    Args:
        raw: The raw volume.
        enhanced: Its enhancement.
        random: Source of the places.

    Raises:
        InputError: The shapes do not fit, or all tiles are constant.
    """
    scale = scale_of(raw, enhanced)
    places = _places(raw.shape, random)
    shape = tuple(part.stop - part.start for part in places[0])
    keep = max(3, min(16, HELD // (int(np.prod(shape)) * scale**3)))
    best: list[tuple[float, Floats, Floats]] = []
    for place in places[: 4 * keep]:
        low = finite(raw.read(place))[0]
        high = finite(enhanced.read(finer(place, scale)))[0]
        best.append((float(high.std()), low, high))
        best = sorted(best, key=lambda one: -one[0])[:keep]
    _, lows, highs = zip(*best, strict=True)
    sample = Sample(
        np.stack(lows),
        np.stack(highs),
        scale,
        (slice(None), *_inner(raw.shape, shape, MARGIN)),
    )
    for volume, tiles in ((raw, sample.raw), (enhanced, sample.enhanced)):
        if not np.ptp(tiles):
            raise InputError(
                f"{volume.name}: all voxels looked at have the value "
                f"{tiles.flat[0]:g}; choose a volume that shows something"
            )
    return sample


def pairs(
    raw: Volume, enhanced: Volume, operator: Degrades, random: np.random.Generator
) -> tuple[Floats, Floats, tuple[slice, slice, slice, slice]]:
    """Up to 64 random tiles of the raw volume, and of what it should be without noise.

    Returns:
        Raw tiles and degraded enhanced ones (n, z, y, x), and what is far enough from
        the tiles' borders.
    """
    scale = scale_of(raw, enhanced)
    lows, models = [], []
    places = _places(raw.shape, random)
    for place in places:
        lows.append(finite(raw.read(place))[0])
        models.append(operator.apply(finite(enhanced.read(finer(place, scale)))[0]))
    inner = _inner(raw.shape, lows[0].shape, operator.margin)
    return np.stack(lows), np.stack(models), (slice(None), *inner)


def _places(shape: Shape, random: np.random.Generator) -> list[Region]:
    """Up to 64 random places of tiles of one size, none of which overlap."""
    counts = [max(1, round(size / SIDE)) for size in shape]
    sides = [size // count for size, count in zip(shape, counts, strict=True)]
    chosen = random.permutation(int(np.prod(counts)))[:TILES]
    places = []
    for place in np.transpose(np.unravel_index(chosen, counts)):
        starts = [
            int(number) * size // count
            for number, size, count in zip(place, shape, counts, strict=True)
        ]
        z, y, x = (
            slice(start, start + side)
            for start, side in zip(starts, sides, strict=True)
        )
        places.append((z, y, x))
    return places


def _inner(shape: Shape, sides: tuple[int, ...], margin: int) -> Region:
    """Where a tile is not near a border behind which the volume may go on."""
    cuts = [
        0 if side == size else min(margin, side // 4)
        for size, side in zip(shape, sides, strict=True)
    ]
    z, y, x = (slice(cut, side - cut) for cut, side in zip(cuts, sides, strict=True))
    return z, y, x
