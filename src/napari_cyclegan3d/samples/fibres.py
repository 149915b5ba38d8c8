"""A fibre-reinforced composite with pores, from cylinders and ellipsoids.

Shapes are given by the distance to their surface, so that a voxel cut by a surface gets
the part of it that lies inside, as a detector would see it. All lengths are in voxels,
all vectors are (z, y, x), and voxel centres have whole-number coordinates.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Shape

MATRIX = 0.35
FIBRE = 0.75
PORE = 0.05

FIBRE_SPREAD = (0.22, 1.0, 0.4)
"""Scatter of the fibre directions along (z, y, x): in the plane, and mostly along y."""

_GAP = 0.3  # least distance between two fibre surfaces
_DIAMETER = (7.0, 0.7)  # mean and standard deviation
_LENGTH = (70.0, 15.0)
_PORE_RADIUS = (2.0, 6.5)  # least and most
_MAX_PROPOSALS = 100_000
_MAX_PORES = 10_000


@dataclass(frozen=True)
class Cylinder:
    """A straight fibre with flat ends.

    Attributes:
        centre: Middle of the axis, (z, y, x).
        axis: Unit vector along the fibre, (z, y, x).
        radius: Radius of the cross-section.
        half_length: Half the distance between the two ends.
    """

    centre: NDArray[np.float64]
    axis: NDArray[np.float64]
    radius: float
    half_length: float

    @property
    def reach(self) -> NDArray[np.float64]:
        """Half sides of the box around the fibre."""
        sine = np.sqrt(np.maximum(0, 1 - self.axis**2))
        return self.half_length * np.abs(self.axis) + self.radius * sine

    def distance(self, offset: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signed distance to the surface, negative inside, of `centre` + `offset`."""
        along = offset @ self.axis
        across = np.sqrt(np.maximum(0, (offset**2).sum(-1) - along**2)) - self.radius
        beyond = np.abs(along) - self.half_length
        outside = np.hypot(np.maximum(across, 0), np.maximum(beyond, 0))
        inside = np.minimum(np.maximum(across, beyond), 0)
        distance: NDArray[np.float64] = inside + outside
        return distance


@dataclass(frozen=True)
class Ellipsoid:
    """A pore.

    Attributes:
        centre: Its middle, (z, y, x).
        frame: 3×3, one unit vector (z, y, x) per row for each of the three semi-axes.
        semi_axes: Half its lengths along the rows of `frame`.
    """

    centre: NDArray[np.float64]
    frame: NDArray[np.float64]
    semi_axes: NDArray[np.float64]

    @property
    def reach(self) -> NDArray[np.float64]:
        """Half sides of the box around the pore."""
        box: NDArray[np.float64] = np.linalg.norm(
            self.frame * self.semi_axes[:, None], axis=0
        )
        return box

    def distance(self, offset: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signed distance to the surface (exact to first order) of `centre` + `offset`.

        The implicit function divided by the length of its gradient: right where it
        matters, within a voxel of the surface.
        """
        unit = offset @ (self.frame / self.semi_axes[:, None]).T
        level = np.linalg.norm(unit, axis=-1)
        slope = np.linalg.norm(unit / self.semi_axes, axis=-1)
        slope = np.where(level > 0, slope / np.maximum(level, 1e-9), 1.0)
        distance: NDArray[np.float64] = (level - 1) / slope
        return distance


def fibre_composite(
    shape: Shape, seed: int, fibre_fraction: float = 0.16, porosity: float = 0.02
) -> NDArray[np.float32]:
    """Density of a random composite: matrix 0.35, fibres 0.75, pores 0.05.

    Args:
        shape: Voxels along z, y and x.
        seed: The same seed gives the same voxels.
        fibre_fraction: Part of the volume taken by fibres.
        porosity: Part of the volume taken by pores.

    Returns:
        Density in [0, 1] of the given shape; voxels that a surface cuts lie between.

    Raises:
        InputError: The fractions cannot be reached without overlap.
    """
    return mix(*composite_phases(shape, seed, fibre_fraction, porosity))


def mix(fibre: NDArray[np.float32], pore: NDArray[np.float32]) -> NDArray[np.float32]:
    """Density of voxels of which the given parts, 0 … 1, are fibre and pore."""
    return np.float32(MATRIX) + (FIBRE - MATRIX) * fibre + (PORE - MATRIX) * pore


def composite_phases(
    shape: Shape, seed: int, fibre_fraction: float = 0.16, porosity: float = 0.02
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The parts of each voxel, 0 … 1, that are fibre and pore.

    Arguments and errors are those of `fibre_composite`. The rest of a voxel is matrix:
    the two never add up to more than 1.
    """
    fibre_rng, pore_rng = np.random.default_rng(seed).spawn(2)
    fibre = np.zeros(shape, np.float32)
    fibres = pack_fibres(shape, fibre_rng)
    while fibre.mean(dtype=np.float64) < fibre_fraction:
        cylinder = next(fibres, None)
        if cylinder is None:
            raise InputError(
                f"fibre fraction {fibre_fraction}: no room for more fibres without "
                "overlap; 0.19 is about the most"
            )
        add_shape(fibre, cylinder)
    pore = np.zeros(shape, np.float32)
    for _ in range(_MAX_PORES):
        if pore.mean(dtype=np.float64) >= porosity:
            return fibre, pore
        add_shape(pore, _propose_pore(shape, pore_rng))
        np.minimum(pore, 1 - fibre, out=pore)  # a pore gives way to fibres
    raise InputError(
        f"porosity {porosity}: not reached beside {fibre_fraction} of fibres; "
        "ask for fewer pores"
    )


def pack_fibres(shape: Shape, rng: np.random.Generator) -> Iterator[Cylinder]:
    """Place fibres at random, one after the other, where they touch no earlier one.

    Random sequential addition. Centres lie in a box that is larger than the volume by
    about half a fibre, so that fibres also enter from outside. Ends when no free place
    is found any more.
    """
    margin = np.maximum(_LENGTH[0] / 2 * np.array(FIBRE_SPREAD), _DIAMETER[0])
    low, high = -margin, np.array(shape) + margin
    placed = np.empty((0, 8))
    for _ in range(_MAX_PROPOSALS):
        fibre = _propose_fibre(low, high, rng)
        if _clearance(fibre, placed) > _GAP:
            size = [fibre.radius, fibre.half_length]
            placed = np.vstack([placed, [*fibre.centre, *fibre.axis, *size]])
            yield fibre


def add_shape(part: NDArray[np.float32], shape: Cylinder | Ellipsoid) -> None:
    """Add to each voxel the part of it that lies inside the shape, up to 1 in all.

    A surface is taken as flat within a voxel: the part falls from 1 to 0 over one
    voxel across it.
    """
    first = np.maximum(np.ceil(shape.centre - shape.reach - 1), 0).astype(int)
    last = np.floor(shape.centre + shape.reach + 1).astype(int)
    box = tuple(slice(a, max(a, b + 1)) for a, b in zip(first, last, strict=True))
    view = part[box]
    offset = np.moveaxis(np.indices(view.shape, float), 0, -1) + first - shape.centre
    view += np.clip(0.5 - shape.distance(offset), 0, 1).astype(np.float32)
    np.minimum(view, 1, out=view)


def _propose_fibre(
    low: NDArray[np.float64], high: NDArray[np.float64], rng: np.random.Generator
) -> Cylinder:
    """A random fibre, its direction from an angular central Gaussian distribution.

    Tyler (1987), Statistical analysis for the angular central Gaussian distribution on
    the sphere, doi 10.1093/biomet/74.3.579: normal vectors with a scatter per axis,
    brought to length 1.
    """
    centre = rng.uniform(low, high)
    axis = rng.normal(size=3) * FIBRE_SPREAD
    diameter = min(max(rng.normal(*_DIAMETER), 5.0), 9.0)
    length = min(max(rng.normal(*_LENGTH), 25.0), 115.0)
    return Cylinder(centre, axis / np.linalg.norm(axis), diameter / 2, length / 2)


def _propose_pore(shape: Shape, rng: np.random.Generator) -> Ellipsoid:
    """A random pore; small ones are more frequent than large ones."""
    least, most = _PORE_RADIUS
    radius = least + (most - least) * rng.beta(1, 2)
    frame = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    centre = rng.uniform(0, shape)
    return Ellipsoid(centre, frame, radius * rng.uniform(0.75, 1.35, 3))


def _clearance(fibre: Cylinder, placed: NDArray[np.float64]) -> float:
    """Least distance from the fibre's surface to those placed, infinite if none.

    Distance of two segments: the nearest point on one line, held inside its segment,
    then the same on the other. Ends count as round, so that flat ones lie inside.

    Args:
        fibre: The one to be placed.
        placed: One row per fibre: centre (3), axis (3), radius, half length.
    """
    apart = fibre.centre - placed[:, :3]
    axes, radii, reaches = placed[:, 3:6], placed[:, 6], placed[:, 7]
    cosine = axes @ fibre.axis
    along, across = apart @ fibre.axis, (apart * axes).sum(1)
    half = fibre.half_length
    sine2 = np.maximum(1 - cosine**2, 1e-9)
    mine = np.clip((cosine * across - along) / sine2, -half, half)
    theirs = np.clip(across + mine * cosine, -reaches, reaches)
    mine = np.clip(theirs * cosine - along, -half, half)
    gap = apart + mine[:, None] * fibre.axis - theirs[:, None] * axes
    distance = np.linalg.norm(gap, axis=1) - radii - fibre.radius
    return float(distance.min(initial=np.inf))
