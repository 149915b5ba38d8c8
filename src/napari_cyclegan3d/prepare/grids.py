"""Voxels at other places of the same world.

A coarser grid is read through a Gaussian that makes the volume as blurred as the new
voxels are large, so that nothing finer is aliased (Cardoso et al. 2015,
doi:10.1007/978-3-319-24571-3_81). Grids that differ by whole voxels are copied, not
interpolated.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.units import conversion
from napari_cyclegan3d.engine.volume import (
    ArraySource,
    Planned,
    Region,
    Shape,
    Volume,
)
from napari_cyclegan3d.prepare.arrays import check_fits
from napari_cyclegan3d.prepare.events import Applied, Warned, Working
from napari_cyclegan3d.prepare.options import (
    GridSettings,
    Interpolation,
    ResampleSettings,
)

ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}
# of the target that is computed at a time, voxels per axis
BLOCK = 96
# what a cubic spline feels of a voxel further away is below 1e-6
SPLINE_REACH = 12
TRUNCATE = 4.0
# deviation of a Gaussian over its full width at half maximum
DEVIATION = 1 / (2 * np.sqrt(2 * np.log(2)))
# voxels: nearer than this, places are the same
SAME = 1e-3
MOST_VOXELS = 2**42
LEAST_COVERED = 0.5

Floats = NDArray[np.float64]


def resample(volume: Volume, settings: ResampleSettings, _: Volume | None) -> Applied:
    """The volume with another spacing; the first outer corner stays where it is.

    Raises:
        InputError: The result would have too many voxels.
    """
    yield Working(0, f"resampling {volume.name}")
    spacing = settings.spacing or (min(volume.spacing),) * 3
    return on_grid(volume, spaced(volume, spacing), settings.interpolation)


def to_grid(volume: Volume, settings: GridSettings, grid: Volume | None) -> Applied:
    """The volume on the grid of another one, written with that one's orientation.

    Raises:
        InputError: The two do not overlap in the world, or in units that differ.
    """
    assert grid is not None
    yield Working(0, f"bringing {volume.name} onto the grid of {grid.name}")
    share = overlapping(volume, grid)
    result = on_grid(volume, grid, settings.interpolation, settings.outside)
    if share < LEAST_COVERED:
        yield Warned(
            f"{volume.name} covers {share:.0%} of the grid of {grid.name}; the rest is "
            f"{settings.outside:g}"
        )
    return result


def spaced(volume: Volume, spacing: tuple[float, float, float]) -> Volume:
    """The grid with another spacing on (nearly) the same field of view.

    Raises:
        InputError: It would have too many voxels.
    """
    factors = np.array(volume.spacing) / spacing
    sizes = np.maximum(1, np.round(np.array(volume.shape) * factors))
    if np.prod(sizes) > MOST_VOXELS:
        raise InputError(
            f"spacing {', '.join(f'{one:g}' for one in spacing)}: {volume.name} would "
            f"have {np.prod(sizes):.3g} voxels; give a larger spacing (it is "
            f"{', '.join(f'{one:.4g}' for one in volume.spacing)} now)"
        )
    step = np.diag([*1 / factors, 1.0])
    step[:3, 3] = (1 / factors - 1) / 2
    z, y, x = (int(size) for size in sizes)
    planned = Planned((z, y, x), volume.dtype)
    return replace(volume, array=planned, affine=volume.affine @ step)


def on_grid(
    volume: Volume,
    grid: Volume,
    interpolation: Interpolation,
    outside: float = 0.0,
) -> Volume:
    """A volume at the places of the voxels of a grid, lazily.

    Values are float32; with "nearest", or where the grids differ by whole voxels, they
    keep their type. Voxels without a number leave holes as large as they are.

    Args:
        volume: Where the values come from.
        grid: Shape, affine, unit and metadata of the result; its voxels are not read.
        interpolation: Between voxels.
        outside: Value where the volume has no voxels.

    Raises:
        InputError: A length unit on one side, none on the other; or voxels cannot have
            the value for outside.
    """
    matrix = index_matrix(volume, grid)
    whole = _whole_voxels(matrix, grid.shape)
    if whole is not None:
        matrix = whole
    copied = whole is not None or interpolation == "nearest"
    dtype = volume.dtype if copied else np.dtype(np.float32)
    check_fits(outside, dtype, "outside")
    order = 0 if copied else ORDERS[interpolation]
    blur = np.zeros(3) if copied else _blur(matrix)
    array = _OnGrid(volume.array, grid.shape, matrix, order, blur, outside, dtype)
    return replace(grid, array=array, name=volume.name)


def index_matrix(volume: Volume, grid: Volume) -> Floats:
    """From a grid's voxel numbers to those of a volume (4×4).

    Raises:
        InputError: A length unit on one side, none on the other.
    """
    try:
        factor = conversion(grid.unit, volume.unit)
    except InputError as error:
        raise InputError(f"{grid.name} and {volume.name}: {error}") from None
    unit = np.diag([factor, factor, factor, 1.0])
    return np.linalg.inv(volume.affine) @ unit @ grid.affine


def covered(volume: Volume, grid: Volume) -> float:
    """Share of a grid that has voxels of a volume, by up to 33 places per axis."""
    axes = [np.linspace(0, size - 1, min(size, 33)) for size in grid.shape]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    matrix = index_matrix(volume, grid)
    found = places @ matrix[:3, :3].T + matrix[:3, 3]
    inside = (found >= -0.5 - SAME) & (found <= np.array(volume.shape) - 0.5 + SAME)
    return float(inside.all(axis=1).mean())


def overlapping(volume: Volume, grid: Volume) -> float:
    """The share that `covered` finds, of what shows the same place.

    Raises:
        InputError: The two do not overlap in the world, or in units that differ.
    """
    share = covered(volume, grid)
    if not share:
        raise InputError(
            f"{volume.name}: does not overlap with {grid.name} in the world; choose "
            "volumes of one subject, or correct the positions in their headers"
        )
    return share


def _whole_voxels(matrix: Floats, shape: Shape) -> Floats | None:
    """The matrix, if it takes voxels to voxels; None: they fall between."""
    rounded = np.round(matrix)
    corners = np.array([*itertools.product(*((0, size) for size in shape))])
    apart = (matrix - rounded)[:3, :3] @ corners.T + (matrix - rounded)[:3, 3:]
    steps = np.abs(rounded[:3, :3])
    one_each = (steps.sum(axis=0) == 1).all() and (steps.sum(axis=1) == 1).all()
    return rounded if one_each and np.abs(apart).max() < SAME else None


def _blur(matrix: Floats) -> Floats:
    """Deviation of the Gaussian before a coarser grid, in voxels of the source."""
    ratios: Floats = np.linalg.norm(matrix[:3, :3], axis=1)
    return np.asarray(np.sqrt(np.maximum(ratios**2 - 1, 0)) * DEVIATION)


@dataclass(frozen=True, eq=False)
class _OnGrid:
    """Voxels of a grid, found in a source, block by block."""

    source: ArraySource
    shape: Shape
    matrix: Floats
    order: int
    blur: Floats
    outside: float
    dtype: np.dtype[Any]

    def __getitem__(self, region: Region) -> NDArray[Any]:
        ranges = [
            range(*part.indices(size))
            for part, size in zip(region, self.shape, strict=True)
        ]
        result = np.full([len(one) for one in ranges], self.outside, self.dtype)
        for place in _blocks(result.shape):
            numbers = [
                np.array(one[part], dtype=np.float64)
                for one, part in zip(ranges, place, strict=True)
            ]
            if all(len(one) for one in numbers):
                self._fill(result[place], numbers)
        return result

    def _fill(self, block: NDArray[Any], numbers: list[Floats]) -> None:
        """Find the voxels with these numbers (z, y, x)."""
        places = [
            row[0] * numbers[0][:, None, None]
            + row[1] * numbers[1][:, None]
            + row[2] * numbers[2]
            + row[3]
            for row in self.matrix[:3]
        ]
        inside = np.ones(block.shape, np.bool_)
        box = []
        for place, size, margin in zip(
            places, self.source.shape, self._margins(), strict=True
        ):
            inside &= (place >= -0.5 - SAME) & (place <= size - 0.5 + SAME)
            start = max(0, int(np.floor(place.min())) - margin)
            stop = min(size, int(np.ceil(place.max())) + margin + 1)
            # where the block lies beside the source, nothing is inside
            box.append(slice(min(start, size - 1), max(stop, 1)))
        if not inside.any():
            return
        voxels = np.asarray(self.source[tuple(box)])
        found = self._interpolated(
            voxels, [p - b.start for p, b in zip(places, box, strict=True)]
        )
        block[inside] = found[inside]

    def _margins(self) -> list[int]:
        reach = SPLINE_REACH if self.order > 1 else 1
        return [int(TRUNCATE * one + 0.5) + reach for one in self.blur]

    def _interpolated(self, voxels: NDArray[Any], places: list[Floats]) -> NDArray[Any]:
        if not self.order:
            nearest = [
                np.clip(np.floor(place + 0.5).astype(np.intp), 0, size - 1)
                for place, size in zip(places, voxels.shape, strict=True)
            ]
            return np.asarray(voxels[tuple(nearest)])
        finite = np.isfinite(voxels)
        if finite.all():
            return self._smooth(voxels.astype(np.float32), places)
        filled = np.where(finite, voxels, 0).astype(np.float32)
        weight = self._smooth(finite.astype(np.float32), places)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = self._smooth(filled, places) / weight
        values[weight < 0.5] = np.nan
        return values

    def _smooth(
        self, voxels: NDArray[np.float32], places: list[Floats]
    ) -> NDArray[np.float32]:
        from scipy import ndimage

        if self.blur.any():
            voxels = ndimage.gaussian_filter(
                voxels, self.blur, mode="nearest", truncate=TRUNCATE
            )
        found: NDArray[np.float32] = ndimage.map_coordinates(
            voxels, np.stack(places), np.float32, self.order, mode="nearest"
        )
        return found


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    axes = [
        [slice(start, start + BLOCK) for start in range(0, size, BLOCK)]
        for size in shape
    ]
    return itertools.product(*axes)
