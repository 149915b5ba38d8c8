"""The chunks of an OME-Zarr that is being written: which are done, and writing them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region, Shape, format_region
from napari_cyclegan3d.io.ome_metadata import NOTE

LEVEL = "0"
UNFINISHED, FINISHED = "unfinished", "finished"
# regions for copying: whole planes of chunks where they fit
_PART_BYTES = 2**27


@dataclass(frozen=True)
class Grid:
    """The files of the chunks of an array, as Zarr 3 names them by default."""

    folder: Path
    shape: Shape
    chunks: Shape

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
            yield self.folder.joinpath("c", *map(str, one))

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
    """An image that is being written, chunk by chunk, by one process or by several.

    Attributes:
        shape: Voxels per axis, (z, y, x).
        dtype: Type of one voxel.
        chunks: Voxels per axis of a chunk: regions are written in whole chunks.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        array = zarr.open_array(path / LEVEL, mode="r+", zarr_format=3)
        # a chunk is done when its file is there, even if all its voxels are 0
        self._array = array.with_config({"write_empty_chunks": True})
        z, y, x = array.shape
        self.shape: Shape = (z, y, x)
        self.dtype: np.dtype[Any] = array.dtype
        z, y, x = array.chunks
        self.chunks: Shape = (z, y, x)
        self._grid = Grid(path / LEVEL, self.shape, self.chunks)

    def __reduce__(self) -> tuple[type["StoreSink"], tuple[Path]]:
        return StoreSink, (self._path,)

    def __getitem__(self, region: Region) -> NDArray[Any]:
        return np.asarray(self._array[region])

    def __setitem__(self, region: Region, block: Any) -> None:
        if not self._grid.is_aligned(region):
            raise ValueError(
                f"{self._path}: region {format_region(region)} has parts of chunks; "
                f"write whole chunks of {self.chunks}"
            )
        self._array[region] = block

    def is_done(self, region: Region) -> bool:
        """Whether all chunks that hold voxels of a region are written."""
        return self._grid.is_done(region)

    def parts(self) -> Iterator[Region]:
        """Regions of whole chunks, of at most 128 MiB (or one chunk)."""
        steps = list(self.chunks)
        for axis in (2, 1):
            fitting = _PART_BYTES // (math.prod(steps) * self.dtype.itemsize)
            steps[axis] *= max(1, min(fitting, -(-self.shape[axis] // steps[axis])))
        z, y, x = (
            [slice(start, min(start + step, size)) for start in range(0, size, step)]
            for step, size in zip(steps, self.shape, strict=True)
        )
        yield from product(z, y, x)

    def progress(self) -> tuple[int, int]:
        """How many chunks are written, and of how many."""
        everything = (slice(None),) * 3
        files = list(self._grid.files(everything))
        return sum(file.is_file() for file in files), len(files)

    def finish(self) -> None:
        """Mark the image as whole.

        Raises:
            InputError: There are chunks that were not written.
        """
        done, count = self.progress()
        if done < count:
            raise InputError(
                f"{self._path}: {count - done} of {count} chunks are not written; give "
                "the same command once more, and it goes on"
            )
        # what a killed process was writing
        for rest in (self._path / LEVEL / "c").rglob("*.partial"):
            rest.unlink(missing_ok=True)
        group = zarr.open_group(self._path, mode="r+")
        note = group.attrs[NOTE]
        if isinstance(note, Mapping) and "state" in note:
            group.attrs[NOTE] = {**note, "state": FINISHED}
