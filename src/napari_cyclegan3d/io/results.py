"""Where the voxels of a result go, in any format and in regions of any shape."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.volume import Region, Volume
from napari_cyclegan3d.io import ome_zarr
from napari_cyclegan3d.io.ome_chunks import StoreSink
from napari_cyclegan3d.io.series import create_series

if TYPE_CHECKING:
    from napari_cyclegan3d.engine.inference import Sink


@contextmanager
def sink_for(
    path: Path, planned: Volume, job: Mapping[str, Any] | None, *, remove: bool
) -> Iterator["Sink"]:
    """Lend what the result is written to.

    Args:
        path: The file or folder.
        planned: Shape, type and place of the result.
        job: What is gone on with; None: it is there as a whole or not at all.
        remove: Delete the OME-Zarr that is there.
    """
    with sinks_for(path, planned, 1, job, remove=remove) as (sink,):
        yield sink


@contextmanager
def sinks_for(
    path: Path,
    planned: Volume,
    count: int,
    job: Mapping[str, Any] | None,
    *,
    remove: bool,
) -> Iterator[list["Sink"]]:
    """Lend what each frame of the result is written to, see `sink_for`."""
    if job is not None and remove:
        ome_zarr.remove(path)
    with create_series(planned, count, path, job) as sinks:
        yield [
            _AnyRegion(sink) if job is None and isinstance(sink, StoreSink) else sink
            for sink in sinks
        ]


@dataclass(frozen=True)
class _AnyRegion:
    """Lets parts of chunks be written, by reading the rest of them."""

    sink: StoreSink

    @property
    def shape(self) -> tuple[int, ...]:
        return self.sink.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.sink.dtype

    def __getitem__(self, region: Region) -> NDArray[Any]:
        return self.sink[region]

    def __setitem__(self, region: Region, block: Any) -> None:
        z, y, x = (
            slice(
                part.start // chunk * chunk,
                min(math.ceil(part.stop / chunk) * chunk, size),
            )
            for part, chunk, size in zip(
                region, self.sink.chunks, self.sink.shape, strict=True
            )
        )
        whole = self.sink[z, y, x]
        inner = tuple(
            slice(part.start - outer.start, part.stop - outer.start)
            for part, outer in zip(region, (z, y, x), strict=True)
        )
        whole[inner] = block
        self.sink[z, y, x] = whole
