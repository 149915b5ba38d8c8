"""One pass of a volume through a generator, into a sink."""

import bisect
import itertools
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.devices import is_memory_shortage
from napari_cyclegan3d.engine.errors import MemoryShortageError
from napari_cyclegan3d.engine.events import RegionReady, TileDone
from napari_cyclegan3d.engine.tiling import (
    Joiner,
    Part,
    Tile,
    TilePlan,
    output_region,
    plan_blend,
)
from napari_cyclegan3d.engine.translation import Translation
from napari_cyclegan3d.engine.volume import ArraySource, Region, Shape


class Sink(ArraySource, Protocol):
    """Where finished voxels go: a numpy array, a memory map, a zarr array."""

    def __setitem__(self, region: Any, block: Any, /) -> None:
        """Store the voxels of a region."""


@runtime_checkable
class ResumableSink(Sink, Protocol):
    """A sink that knows what it has, so that interrupted work can go on.

    Attributes:
        chunks: What is written as a whole (z, y, x).
    """

    chunks: Shape

    def is_done(self, region: Region) -> bool:
        """Whether all voxels of a region have been written."""


class Target(Protocol):
    """Where a pass puts what is finished."""

    def put(self, region: Region, block: NDArray[np.float32]) -> None:
        """Store the voxels of a region."""

    def is_done(self, region: Region) -> bool:
        """Whether the voxels of a region are there already, and final."""


class Exact:
    """A pass without seams; what the sink has already is left out."""

    def __init__(self, job: Translation, out: Target) -> None:
        self.job, self.out = job, out
        self.regions = [
            region for column in job.columns() for region in self._missing(column)
        ]
        steps = [step for region in self.regions for step in job.steps(region)]
        self.marks = list(itertools.accumulate(steps))
        self.tiles = len(steps)

    def cuts(self) -> tuple[set[int], set[int], set[int]]:
        """Where tiles meet."""
        return self.job.cuts()

    def run(self) -> Generator[TileDone | RegionReady]:
        """Writing goes on while the next piece is computed."""
        done = voxels = 0
        with ThreadPoolExecutor(1, "writer") as writer:
            waiting: tuple[Region, Future[None]] | None = None
            parts = (part for one in self.regions for part in self.job.blocks(one))
            for part in itertools.chain(parts, (None,)):
                if waiting is not None:
                    region, written = waiting
                    written.result()
                    yield RegionReady(region)
                    voxels += _size(region)
                    reached = bisect.bisect_right(self.marks, voxels)
                    while done < reached:
                        done += 1
                        yield TileDone(done, self.tiles)
                if part is not None:
                    waiting = part[0], writer.submit(self.out.put, *part)

    def _missing(self, column: Region) -> list[Region]:
        """Parts of a column that the sink does not have yet."""
        z, y, x = column
        depth = self.job.unit_depth
        missing: list[slice] = []
        for start in range(z.start, z.stop, depth):
            row = slice(start, min(start + depth, z.stop))
            if self.out.is_done((row, y, x)):
                continue
            if missing and missing[-1].stop == row.start:
                row = slice(missing.pop().start, row.stop)
            missing.append(row)
        return [(row, y, x) for row in missing]


class Blend:
    """Weighted sums in a buffer one layer of tiles deep; finished planes leave."""

    def __init__(self, job: Translation, out: Target) -> None:
        self.job, self.out = job, out
        self.plan: TilePlan = plan_blend(
            job.volume.shape, job.sizes.core, job.overlap, job.sizes.reach
        )
        self.tiles = len(self.plan)

    def cuts(self) -> tuple[set[int], set[int], set[int]]:
        """Where tiles begin and end."""
        z, y, x = (
            {int(edge * self.job.scale) for tile in axis for edge in tile.keep}
            for axis in self.plan.grid
        )
        return z, y, x

    def run(self) -> Generator[TileDone | RegionReady]:
        """Row by row of tiles; planes that no further tile touches are written."""
        joiner = Joiner(self.job.unit_depth, self.job.shape[0])
        for item in self._sums():
            if isinstance(item, TileDone):
                yield item
                continue
            for region, block in joiner.add(item):
                self.out.put(region, block)
                yield RegionReady(region)

    def _sums(self) -> Iterator[TileDone | Part]:
        """Tiles as they are added up, and planes as they are finished."""
        job = self.job
        windows_z, windows_y, windows_x = self.plan.windows(job.scale)
        buffer: NDArray[np.float32] | None = None
        buffer_start, done = 0, 0
        rows = list(self.plan.rows())
        for index, (tile_z, tiles) in enumerate(rows):
            start, stop = (int(edge * job.scale) for edge in tile_z.keep)
            fresh = np.zeros((stop - start, *job.shape[1:]), dtype=np.float32)
            if buffer is not None:
                shared = buffer[start - buffer_start :]
                fresh[: len(shared)] += shared
            buffer, buffer_start = fresh, start
            for tile in tiles:
                k, j, i = tile.index
                result = _compute_blend(job, tile)
                result *= windows_z[k][:, None, None]
                result *= windows_y[j][:, None] * windows_x[i]
                _add(buffer, result, tile, job)
                done += 1
                yield TileDone(done, len(self.plan))
            next_start = (
                int(rows[index + 1][0].keep[0] * job.scale)
                if index + 1 < len(rows)
                else stop
            )
            region = _planes(max(0, start), min(next_start, job.shape[0]), job.shape)
            if region is not None:
                planes = slice(region[0].start - start, region[0].stop - start)
                yield region, buffer[planes]


def _size(region: Region) -> int:
    z, y, x = (part.stop - part.start for part in region)
    return int(z * y * x)


def _compute_blend(job: Translation, tile: Tile) -> NDArray[np.float32]:
    z, y, x = (axis.read for axis in tile.axes)
    try:
        return job.work.tile((z, y, x))
    except (RuntimeError, MemoryError) as error:
        if not is_memory_shortage(error):
            raise
        half = tuple(max(1, side // 2) for side in job.sizes.core)
        raise MemoryShortageError(
            f"{job.device} has too little memory for tile {job.sizes.core}; try tile "
            f"{half}"
        ) from None


def _planes(start: int, stop: int, shape: Shape) -> Region | None:
    if stop <= start:
        return None
    return slice(start, stop), slice(0, shape[1]), slice(0, shape[2])


def _add(
    buffer: NDArray[np.float32],
    result: NDArray[np.float32],
    tile: Tile,
    job: Translation,
) -> None:
    _, in_y, in_x = output_region(tile, job.shape, job.scale)
    start_y, start_x = (int(axis.keep[0] * job.scale) for axis in tile.axes[1:])
    buffer[:, in_y, in_x] += result[
        :,
        in_y.start - start_y : in_y.stop - start_y,
        in_x.start - start_x : in_x.stop - start_x,
    ]
