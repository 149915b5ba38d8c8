"""Random changes of patches: what is drawn, and how a patch is changed by it.

Pure functions of arrays (z, y, x). An `Augmentation` is drawn once and applied to each
member of a pair, whatever its size: lengths are shares of the patch, not voxels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cyclegan3d.engine.sections.patches import AugmentConfig
from napari_cyclegan3d.engine.volume import Shape

Plane = tuple[int, int]
Margins = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Patch = NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """The drawn numbers of one augmentation; by default nothing is changed.

    Attributes:
        flips: Axes that are mirrored.
        turns: Quarter turns in `turn_plane`.
        turn_plane: Two axes of equal voxel size and equal patch side.
        angle: Degrees of a turn about the patch's centre in `angle_plane`.
        angle_plane: Two axes of equal voxel size.
        zoom: Share of each side that is cut away before the rest is enlarged.
        shift: Where the rest lies in the patch, per axis from -1 to 1 (0: centre).
        contrast: Factor of the distance from the mean.
        gamma: Exponent of the grey values, seen as 0 to 1 over the patch's range.
    """

    flips: tuple[int, ...] = ()
    turns: int = 0
    turn_plane: Plane = (1, 2)
    angle: float = 0.0
    angle_plane: Plane = (1, 2)
    zoom: float = 0.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    contrast: float = 1.0
    gamma: float = 1.0


def draw_augmentation(
    config: AugmentConfig,
    turn_planes: Sequence[Plane],
    angle_planes: Sequence[Plane],
    rng: np.random.Generator,
) -> Augmentation:
    """Numbers for one patch, or for both members of a pair.

    Args:
        config: What may be done, and how much of it.
        turn_planes: Planes in which a quarter turn keeps voxel size and patch shape.
        angle_planes: Planes in which any turn keeps the voxel size.
        rng: The only source of randomness; what is switched off draws nothing.
    """
    numbers: dict[str, object] = {}
    if config.flips:
        numbers["flips"] = tuple(axis for axis in range(3) if rng.random() < 0.5)
    if config.rotations and turn_planes:
        numbers["turn_plane"] = turn_planes[int(rng.integers(len(turn_planes)))]
        numbers["turns"] = int(rng.integers(4))
    if config.angle and angle_planes:
        numbers["angle_plane"] = angle_planes[int(rng.integers(len(angle_planes)))]
        numbers["angle"] = rng.uniform(-config.angle, config.angle)
    if config.zoom:
        numbers["zoom"] = rng.uniform(0, config.zoom)
        numbers["shift"] = tuple(rng.uniform(-1, 1, 3))
    for name in ("contrast", "gamma"):
        spread = getattr(config, name)
        if spread:
            numbers[name] = rng.uniform(1 - spread, 1 + spread)
    return Augmentation(**numbers)  # type: ignore[arg-type]


def margins(augmentation: Augmentation, shape: Shape) -> Margins:
    """Voxels around a patch that `warped` reads, (before, after) of each axis."""
    if not (augmentation.angle or augmentation.zoom):
        return (0, 0), (0, 0), (0, 0)
    matrix, offset = _source_of(augmentation, shape)
    sides = np.array(shape) - 1
    corners = np.array(list(np.ndindex(2, 2, 2))) * sides
    places = corners @ matrix.T + offset
    before = np.ceil(-places.min(0)).clip(0).astype(int)
    after = np.ceil(places.max(0) - sides).clip(0).astype(int)
    z, y, x = ((int(b), int(a)) for b, a in zip(before, after, strict=True))
    return z, y, x


def augmented(block: Patch, augmentation: Augmentation, shape: Shape) -> Patch:
    """The patch at the middle of a block, changed as was drawn.

    Args:
        block: A patch and the `margins` around it.
        augmentation: What is done; with the defaults the patch is untouched.
        shape: Voxels of the patch (z, y, x).
    """
    patch = warped(block, augmentation, shape)
    patch = np.flip(patch, augmentation.flips)
    patch = np.rot90(patch, augmentation.turns, augmentation.turn_plane)
    return bent(contrasted(patch, augmentation.contrast), augmentation.gamma)


def warped(block: Patch, augmentation: Augmentation, shape: Shape) -> Patch:
    """Turned by the angle and zoomed, in one linear interpolation."""
    if not (augmentation.angle or augmentation.zoom):
        return block
    matrix, offset = _source_of(augmentation, shape)
    before = [first for first, _ in margins(augmentation, shape)]
    result: Patch = ndimage.affine_transform(
        block, matrix, offset + before, shape, order=1, mode="nearest"
    )
    return result


def contrasted(patch: Patch, factor: float) -> Patch:
    """Distances from the patch's mean, times a factor."""
    if factor == 1:
        return patch
    mean = patch.mean()
    result: Patch = mean + (patch - mean) * np.float32(factor)
    return result


def bent(patch: Patch, gamma: float) -> Patch:
    """Grey values to a power; the patch's least and greatest stay what they are."""
    low, high = patch.min(), patch.max()
    if gamma == 1 or low == high:
        return patch
    share = (patch - low) / (high - low)
    result: Patch = low + (high - low) * share ** np.float32(gamma)
    return result


def noisy(patch: Patch, deviation: float, rng: np.random.Generator) -> Patch:
    """With white Gaussian noise added."""
    if not deviation:
        return patch
    return patch + np.float32(deviation) * rng.standard_normal(patch.shape, np.float32)


def _source_of(
    augmentation: Augmentation, shape: Shape
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the voxels of the result come from: source = matrix @ result + offset.

    Both are measured from the patch's first voxel. A side of one voxel is left alone:
    it is the slice of a 2D network.
    """
    sides = np.array(shape, dtype=np.float64)
    centre = (sides - 1) / 2
    zoom = np.where(sides > 1, augmentation.zoom, 0.0)
    first, second = augmentation.angle_plane
    turn = np.eye(3)
    radians = np.deg2rad(augmentation.angle)
    turn[first, first] = turn[second, second] = np.cos(radians)
    turn[first, second], turn[second, first] = -np.sin(radians), np.sin(radians)
    matrix = turn @ np.diag(1 - zoom)
    moved = turn @ (np.array(augmentation.shift) * zoom * sides / 2)
    return matrix, centre - matrix @ centre + moved
