"""The chunks of an OME-Zarr that is being written: which are done, and writing them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.volume import Region, Shape, format_region

LEVEL = "0"
UNFINISHED, FINISHED = "unfinished", "finished"
# regions for copying: whole planes of chunks where they fit
_PART_BYTES = 2**27


@dataclass(frozen=True)
class Grid:
    """The files of a volume, each of a chunk or, where there are shards, of a shard.

    Attributes:
        folder: Where the files of the volume are: z/y/x in it.
        shape: Voxels per axis, (z, y, x).
        chunks: Voxels per axis in a file.
    """

    folder: Path
    shape: Shape
    chunks: Shape

    @classmethod
    def of(cls, array: Any, frame: tuple[int, ...]) -> "Grid":
        """The files of one frame of an array that `ome_zarr.create` has made."""
        folder = Path(array.store.root) / array.path
        if array.metadata.zarr_format == 3:
            folder /= "c"
        z, y, x = array.shape[-3:]
        depth, height, width = (array.shards or array.chunks)[-3:]
        return cls(folder.joinpath(*map(str, frame)), (z, y, x), (depth, height, width))

    def files(self, region: Region) -> Iterator[Path]:
        """The files that hold a region."""
        z, y, x = (
            range(start // chunk, -(-stop // chunk))
            for (start, stop, _), chunk in zip(
                (p.indices(n) for p, n in zip(region, self.shape, strict=True)),
                self.chunks,
                strict=True,
            )
        )
        for one in product(z, y, x):
            yield self.folder.joinpath(*map(str, one))

    def is_done(self, region: Region) -> bool:
        """Whether all chunks of a region are written.

        A file of 0 bytes is what some systems leave when the power goes.
        """
        return all(
            file.is_file() and file.stat().st_size > 0 for file in self.files(region)
        )

    def is_aligned(self, region: Region) -> bool:
        """Whether a region has no part of a chunk without the rest of it."""
        return all(
            part.step in (None, 1)
            and start % chunk == 0
            and (stop % chunk == 0 or stop == size)
            for part, size, chunk in zip(region, self.shape, self.chunks, strict=True)
            for start, stop, _ in [part.indices(size)]
        )


class StoreSink:
    """A volume that is being written, chunk by chunk, by one process or by several.

    Args:
        path: The image.
        frame: Which volume of a series; nothing in an image of one volume.
        level: Which level of its pyramid.

    Attributes:
        frame: Which volume of a series it is.
        shape: Voxels per axis, (z, y, x).
        dtype: Type of one voxel.
        chunks: Voxels per axis of a chunk or shard: regions are written in whole ones.
        version: Version of OME-Zarr.
    """

    def __init__(
        self, path: Path, frame: tuple[int, ...] = (), level: str = LEVEL
    ) -> None:
        import zarr

        self._path, self.frame, self._level = path, frame, level
        array = zarr.open_array(path / level, mode="r+")
        # a chunk is done when its file is there, even if all its voxels are 0
        self._array = array.with_config({"write_empty_chunks": True})
        self.version = "0.5" if array.metadata.zarr_format == 3 else "0.4"
        self._grid = Grid.of(array, frame)
        self.shape: Shape = self._grid.shape
        self.dtype: np.dtype[Any] = array.dtype
        self.chunks: Shape = self._grid.chunks

    def __reduce__(self) -> tuple[Any, ...]:
        return StoreSink, (self._path, self.frame, self._level)

    def __getitem__(self, region: Region) -> NDArray[Any]:
        place: Any = (*self.frame, *region)
        return np.asarray(self._array[place])

    def __setitem__(self, region: Region, block: Any) -> None:
        if not self._grid.is_aligned(region):
            raise ValueError(
                f"{self._path}: region {format_region(region)} has parts of chunks; "
                f"write whole chunks of {self.chunks}"
            )
        place: Any = (*self.frame, *region)
        self._array[place] = block

    def is_done(self, region: Region) -> bool:
        """Whether all chunks that hold voxels of a region are written."""
        return self._grid.is_done(region)

    def parts(self) -> Iterator[Region]:
        """Regions of whole chunks, of at most 128 MiB (or one chunk)."""
        steps = list(self.chunks)
        for axis in (2, 1):
            fitting = _PART_BYTES // (math.prod(steps) * self.dtype.itemsize)
            steps[axis] *= max(1, min(fitting, -(-self.shape[axis] // steps[axis])))
        yield from regions(self.shape, steps)

    def progress(self) -> tuple[int, int]:
        """How many chunks (or shards) are written, and of how many."""
        files = list(self._grid.files((slice(None),) * 3))
        return sum(file.is_file() for file in files), len(files)


def regions(shape: Sequence[int], steps: Sequence[int]) -> Iterator[Region]:
    """Regions of this size that fill a volume."""
    z, y, x = (
        [slice(start, min(start + step, size)) for start in range(0, size, step)]
        for step, size in zip(steps, shape, strict=True)
    )
    yield from product(z, y, x)
