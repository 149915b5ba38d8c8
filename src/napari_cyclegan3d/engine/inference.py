"""Translating a volume of any size, tile by tile."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.engine.patches import slices_first
from napari_cyclegan3d.engine.tiling import (
    AxisTile,
    Reach,
    Tile,
    output_region,
    output_shape,
    round_up,
)
from napari_cyclegan3d.engine.translation import Translation
from napari_cyclegan3d.engine.volume import ArraySource, Region, Shape, Volume

Axis = Literal["z", "y", "x"]
T = TypeVar("T")


class Sink(ArraySource, Protocol):
    """Where finished voxels go: a numpy array, a memory map, a zarr array."""

    def __setitem__(self, region: Any, block: Any, /) -> None:
        """Store the voxels of a region."""


@dataclass(frozen=True)
class EnhanceStarted:
    """The plan: output shape, tiles, mode and device."""

    shape: Shape
    tiles: int
    mode: str
    tile: Shape
    device: str


@dataclass(frozen=True)
class TileDone:
    """`done` of `tiles` tiles are computed."""

    done: int
    tiles: int


@dataclass(frozen=True)
class RegionReady:
    """The voxels of this region of the output are final and in the sink."""

    region: Region


@dataclass(frozen=True, eq=False)
class EnhanceDone:
    """All voxels are in the sink; `volume` is the result, lying over its source."""

    volume: Volume


EnhanceEvent = EnhanceStarted | TileDone | RegionReady | EnhanceDone


def enhanced_shape(volume: Volume, model: Model, config: EnhanceConfig) -> Shape:
    """Voxels of the translated volume (z, y, x)."""
    return output_shape(volume.shape, model.scale(config.direction))


def enhance(
    volume: Volume,
    model: Model,
    config: EnhanceConfig | None = None,
    out: Sink | None = None,
) -> Iterator[EnhanceEvent]:
    """Translate a volume; closing the iterator stops it within one tile.

    In exact mode the result of any tile size equals the untiled one: the whole volume,
    reflected at its borders, through the network at once. Voxels that are no finite
    number in the input are NaN in the output.

    Args:
        volume: The input, in the grey values that the model was trained on.
        model: A trained model.
        config: Direction, tiles, memory and device.
        out: Array of `enhanced_shape` for the float32 result; by default a new one.

    Yields:
        EnhanceStarted, TileDone and RegionReady as tiles are finished, EnhanceDone.

    Raises:
        InputError: The volume, the settings or `out` do not fit the model.
        MemoryShortageError: Not even the smallest tile fits the device.
    """
    config = config or EnhanceConfig()
    turns = [_Turned(axis) for axis in _slice_axes(model, config)]
    jobs = [
        Translation(slices_first(volume, turned.axis), model, turned.settings(config))
        for turned in turns
    ]
    shape = enhanced_shape(volume, model, config)
    if out is None:
        out = np.zeros(shape, dtype=np.float32)
    if tuple(out.shape) != shape:
        raise InputError(
            f"the output has shape {tuple(out.shape)}; {volume.name} needs {shape}"
        )
    first, tiles = jobs[0], sum(len(job.plan) for job in jobs)
    tile = turns[0].back(first.tile)
    yield EnhanceStarted(shape, tiles, first.mode, tile, first.reason)
    done = 0
    for number, (turned, job) in enumerate(zip(turns, jobs, strict=True), start=1):
        sink = _TurnedSink(out, turned, number)
        for event in (_run_blend if job.plan.blended else _run_exact)(job, sink):
            if isinstance(event, TileDone):
                done += 1
                yield TileDone(done, tiles)
            elif number == len(jobs):
                yield RegionReady(turned.back(event.region))
    yield EnhanceDone(volume.resampled(out, model.scale(config.direction)))


def _slice_axes(model: Model, config: EnhanceConfig) -> tuple[Axis, ...]:
    """The axes across whose slices a 2D network runs; a 3D network takes z as it is."""
    if model.header.config.dims == 3:
        if config.slices != "trained":
            raise InputError(
                f"slices {config.slices}: {model.name} is a 3D model, which needs no "
                "slices; leave out this setting"
            )
        return ("z",)
    if config.slices == "all":
        return ("z", "y", "x")
    if config.slices == "trained":
        return (model.header.config.slice_axis,)
    return (config.slices,)


@dataclass(frozen=True)
class _Turned:
    """The way back from an order of axes with `axis` first."""

    axis: Axis

    @property
    def place(self) -> int:
        return "zyx".index(self.axis)

    def back(self, turned: tuple[T, T, T]) -> tuple[T, T, T]:
        first, *others = turned
        others.insert(self.place, first)
        return others[0], others[1], others[2]

    def array(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.moveaxis(block, 0, self.place)

    def settings(self, config: EnhanceConfig) -> EnhanceConfig:
        """The settings for the turned volume."""
        if config.tile is None:
            return config
        others = list(config.tile)
        first = others.pop(self.place)
        return config.model_copy(update={"tile": (first, *others)})


@dataclass(frozen=True)
class _TurnedSink:
    """Takes turned blocks; of several passes, the mean comes out."""

    out: Sink
    turned: _Turned
    number: int

    def put(self, region: Region, block: NDArray[np.float32]) -> None:
        place, voxels = self.turned.back(region), self.turned.array(block)
        if self.number > 1:
            before = np.asarray(self.out[place])
            voxels = before + (voxels - before) / self.number
        self.out[place] = voxels


def _run_exact(job: Translation, out: _TurnedSink) -> Iterator[TileDone | RegionReady]:
    done = 0
    for _, tiles in job.plan.rows():
        for tile in tiles:
            for part in _compute_exact(job, tile):
                region, block = part
                out.put(region, block)
                yield RegionReady(region)
            done += 1
            yield TileDone(done, len(job.plan))


def _compute_exact(
    job: Translation, tile: Tile
) -> Iterator[tuple[Region, NDArray[np.float32]]]:
    """A tile's kept part; split in halves for as long as the memory does not do."""
    region = output_region(tile, job.shape, job.scale)
    if any(part.start >= part.stop for part in region):
        return  # at 1/2 and 1/4, what is left over at the end gives no voxel
    try:
        result = job.compute(tile)
    except torch.OutOfMemoryError:
        halves = _split(tile, job.reach)
        if halves is None:
            raise MemoryShortageError(
                f"{job.device} has too little memory even for the smallest tile; close "
                "other programs or use --device cpu"
            ) from None
        for half in halves:
            yield from _compute_exact(job, half)
        return
    starts = [int(axis.read[0] * job.scale) for axis in tile.axes]
    inner = tuple(
        slice(part.start - start, part.stop - start)
        for part, start in zip(region, starts, strict=True)
    )
    yield region, result[inner]


def _split(tile: Tile, reach: Sequence[Reach]) -> tuple[Tile, Tile] | None:
    sides = [axis.keep[1] - axis.keep[0] for axis in tile.axes]
    # in strides: slices of a 2D network part more easily than a slice does
    longest = int(
        np.argmax([side / one.stride for side, one in zip(sides, reach, strict=True)])
    )
    stride, halo = reach[longest].stride, reach[longest].halo
    if sides[longest] <= stride:
        return None
    start, stop = tile.axes[longest].keep
    middle = start + round_up((stop - start) // 2, stride)
    halves = []
    for keep in ((start, middle), (middle, stop)):
        axes = list(tile.axes)
        axes[longest] = AxisTile((keep[0] - halo[0], keep[1] + halo[1]), keep)
        halves.append(Tile((axes[0], axes[1], axes[2]), tile.index))
    return halves[0], halves[1]


def _run_blend(job: Translation, out: _TurnedSink) -> Iterator[TileDone | RegionReady]:
    """Weighted sums in a buffer one layer of tiles deep; finished planes leave."""
    windows_z, windows_y, windows_x = job.plan.windows(job.scale)
    buffer: NDArray[np.float32] | None = None
    buffer_start, done = 0, 0
    rows = list(job.plan.rows())
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
            yield TileDone(done, len(job.plan))
        next_start = (
            int(rows[index + 1][0].keep[0] * job.scale)
            if index + 1 < len(rows)
            else stop
        )
        region = _planes(max(0, start), min(next_start, job.shape[0]), job.shape)
        if region is not None:
            out.put(region, buffer[region[0].start - start : region[0].stop - start])
            yield RegionReady(region)


def _compute_blend(job: Translation, tile: Tile) -> NDArray[np.float32]:
    try:
        return job.compute(tile)
    except torch.OutOfMemoryError:
        half = tuple(max(1, side // 2) for side in job.tile)
        raise MemoryShortageError(
            f"{job.device} has too little memory for tile {job.tile}; try tile {half}"
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
