"""Arrays whose voxels are found when they are read: taken elsewhere, or computed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import ArraySource, Region, Shape, Volume

SLAB_VOXELS = 2**22
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Taken:
    """Voxels of a source, by their numbers along each axis.

    Attributes:
        source: Where they come from.
        numbers: For each axis, number in the source of each voxel; −1: there is none.
        fill: Grey value where there is none.
    """

    source: ArraySource
    numbers: tuple[Indices, Indices, Indices]
    fill: float = 0.0

    @property
    def shape(self) -> Shape:
        """Voxels per axis."""
        z, y, x = map(len, self.numbers)
        return z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the source."""
        return np.dtype(self.source.dtype)

    def __getitem__(self, region: Region) -> NDArray[Any]:
        """The voxels of a region; one box of the source is read."""
        wanted = [one[part] for one, part in zip(self.numbers, region, strict=True)]
        result = np.full([len(one) for one in wanted], self.fill, self.dtype)
        there = [np.flatnonzero(one >= 0) for one in wanted]
        if not all(len(one) for one in there):
            return result
        inside = [one[place] for one, place in zip(wanted, there, strict=True)]
        box = tuple(slice(int(one.min()), int(one.max()) + 1) for one in inside)
        block = np.asarray(self.source[box])
        shifted = [one - one.min() for one in inside]
        result[np.ix_(*there)] = block[np.ix_(*shifted)]
        return result


@dataclass(frozen=True, eq=False)
class Computed:
    """Voxels computed from those at the same places of one source or more.

    Attributes:
        sources: Arrays of one shape.
        function: From their blocks to the voxels.
        dtype: Type of one voxel.
    """

    sources: tuple[ArraySource, ...]
    function: Callable[..., NDArray[Any]]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> Shape:
        """Voxels per axis."""
        z, y, x = self.sources[0].shape
        return z, y, x

    def __getitem__(self, region: Region) -> NDArray[Any]:
        """The voxels of a region."""
        blocks = (np.asarray(source[region]) for source in self.sources)
        return self.function(*blocks).astype(self.dtype, copy=False)


def slabs(volume: Volume) -> Iterator[tuple[float, slice, NDArray[Any]]]:
    """All voxels in slabs across z: share of the work behind them, place, voxels."""
    depth, height, width = volume.shape
    step = max(1, SLAB_VOXELS // (height * width))
    for start in range(0, depth, step):
        place = slice(start, min(start + step, depth))
        voxels = volume.read((place, slice(None), slice(None)))
        yield place.stop / depth, place, voxels


def check_fits(value: float, dtype: np.dtype[Any], setting: str) -> None:
    """Refuse a grey value that voxels of a type cannot have.

    Raises:
        InputError: They cannot.
    """
    if dtype.kind not in "iu":
        return
    limits = np.iinfo(dtype)
    if not (float(value).is_integer() and limits.min <= value <= limits.max):
        raise InputError(
            f"{setting} {value:g}: voxels of type {dtype.name} cannot have this value; "
            "give one that they can have"
        )
