"""A volume: a lazy z y x array and where its voxels lie in the world.

The geometry is one 4×4 matrix from voxel index (z, y, x) to world position (z, y, x),
in `unit`. Voxel coordinates name voxel centres. Spacing and origin are read off the
matrix, so the two can never disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError

Region = tuple[slice, slice, slice]
Shape = tuple[int, int, int]


class ArraySource(Protocol):
    """Anything that has a shape, a dtype and gives voxels for three slices."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels per axis, (z, y, x)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one voxel."""

    def __getitem__(self, region: Any, /) -> Any:
        """Voxels of a region, as something that `numpy.asarray` accepts."""


@dataclass(frozen=True)
class Planned:
    """Voxels that do not exist yet: the shape and type of what is to be written.

    Attributes:
        shape: Voxels per axis, (z, y, x).
        dtype: Type of one voxel.
    """

    shape: Shape
    dtype: np.dtype[Any]

    def __getitem__(self, region: Region, /) -> NoReturn:
        raise ValueError(f"the voxels {format_region(region)} are only planned")


def _identity() -> NDArray[np.float64]:
    return np.eye(4)


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image that loads only what is read from it.

    Attributes:
        array: Source of the voxels, axes z y x (numpy, memory map, zarr, dask, …).
        affine: 4×4 matrix from voxel index (z, y, x) to world (z, y, x), in `unit`.
        unit: Length unit of the world, "pixel" where the source states none.
        axis_labels: Names of the three axes.
        name: What the user calls this volume; used in messages.
        metadata: What a file format needs to write the volume back as it was.

    Raises:
        InputError: The array is not 3D, or the affine is not an invertible 4×4 matrix.
    """

    array: ArraySource
    affine: NDArray[np.float64] = field(default_factory=_identity)
    unit: str = "pixel"
    axis_labels: tuple[str, str, str] = ("z", "y", "x")
    name: str = "volume"
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.array.shape) != 3:
            raise InputError(
                f"{self.name}: shape {tuple(self.array.shape)} has "
                f"{len(self.array.shape)} axes; give one 3D volume (z, y, x)"
            )
        if 0 in self.array.shape:
            raise InputError(
                f"{self.name}: shape {tuple(self.array.shape)} has no voxels"
            )
        affine = np.array(self.affine, dtype=np.float64)
        if (
            affine.shape != (4, 4)
            or not np.isfinite(affine).all()
            or abs(np.linalg.det(affine[:3, :3])) < np.finfo(np.float64).tiny
        ):
            raise InputError(
                f"{self.name}: the affine is no invertible 4×4 matrix of finite "
                "numbers; correct the voxel size in the file's header"
            )
        object.__setattr__(self, "affine", affine)
        # file names may hold bytes that are no text; models and logs take text only
        name = self.name.encode("utf-8", "replace").decode()
        object.__setattr__(self, "name", name)

    @property
    def shape(self) -> Shape:
        """Voxels per axis, (z, y, x)."""
        depth, height, width = self.array.shape
        return int(depth), int(height), int(width)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one voxel."""
        return np.dtype(self.array.dtype)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxel centres per axis (z, y, x), in `unit`."""
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def origin(self) -> tuple[float, float, float]:
        """World position (z, y, x) of the centre of voxel (0, 0, 0), in `unit`."""
        z, y, x = self.affine[:3, 3]
        return float(z), float(y), float(x)

    def read(self, region: Region | None = None) -> NDArray[Any]:
        """Load the voxels of a region (three slices; all of them by default)."""
        return np.asarray(self.array[region or (slice(None),) * 3])

    def crop(self, region: Region) -> "Volume":
        """The part of this volume inside `region`, lazily, in the same world place.

        Args:
            region: Three slices with step 1.

        Raises:
            InputError: The region holds no voxel of the volume.
        """
        ranges = [
            range(*part.indices(size))
            for part, size in zip(region, self.shape, strict=True)
        ]
        if not all(ranges):
            raise InputError(
                f"{self.name}: region {format_region(region)} holds no voxel of a "
                f"volume of shape {self.shape}"
            )
        start = np.array([axis.start for axis in ranges], dtype=np.float64)
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ start
        bounds = tuple(slice(axis.start, axis.stop) for axis in ranges)
        return replace(self, array=_Crop(self.array, bounds), affine=affine)

    def resampled(self, array: ArraySource, scale: Fraction | int) -> "Volume":
        """The volume that `array` is, when it shows this one at `scale` times the size.

        Voxel edges stay where they are, so that the result lies exactly over its
        source: spacing' = spacing / scale, and the first voxel's centre moves by
        half the difference of the two spacings.
        """
        factor = float(scale)
        step = np.diag([1 / factor, 1 / factor, 1 / factor, 1.0])
        step[:3, 3] = (1 / factor - 1) / 2
        return replace(self, array=array, affine=self.affine @ step)


@dataclass(frozen=True)
class _Crop:
    """A view of part of an array source, without reading it."""

    source: ArraySource
    bounds: tuple[slice, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(bound.stop - bound.start for bound in self.bounds)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.source.dtype)

    def __getitem__(self, region: Region) -> Any:
        shifted = []
        for part, bound in zip(region, self.bounds, strict=True):
            start, stop, step = part.indices(bound.stop - bound.start)
            shifted.append(slice(bound.start + start, bound.start + stop, step))
        return self.source[tuple(shifted)]


def format_region(region: Region) -> str:
    """A region as the user types it: `0:64, 10:74, :`."""
    return ", ".join(
        f"{'' if part.start is None else part.start}:"
        f"{'' if part.stop is None else part.stop}"
        for part in region
    )
