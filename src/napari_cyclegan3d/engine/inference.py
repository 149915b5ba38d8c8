"""Translating a volume of any size, tile by tile."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.devices import choose_device
from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.engine.intensity import fit_intensity
from napari_cyclegan3d.engine.networks import Generator, measure_halo
from napari_cyclegan3d.engine.sections import IntensityConfig
from napari_cyclegan3d.engine.tiling import (
    AxisTile,
    Tile,
    TilePlan,
    output_region,
    output_shape,
    plan_blend,
    plan_exact,
    read_reflected,
    round_up,
)
from napari_cyclegan3d.engine.volume import ArraySource, Region, Shape, Volume

PROBE_STRIDES = 4
SMALLEST_VOLUME = 2


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
    job = _Job(volume, model, config)
    if out is None:
        out = np.zeros(job.shape, dtype=np.float32)
    if tuple(out.shape) != job.shape:
        raise InputError(
            f"the output has shape {tuple(out.shape)}; {volume.name} needs {job.shape}"
        )
    plan = job.plan
    yield EnhanceStarted(job.shape, len(plan), job.mode, job.tile, job.reason)
    if plan.blended:
        yield from _run_blend(job, out)
    else:
        yield from _run_exact(job, out)
    yield EnhanceDone(volume.resampled(out, job.scale))


class _Job:
    """Everything that one call of `enhance` decides before the first tile."""

    def __init__(self, volume: Volume, model: Model, config: EnhanceConfig) -> None:
        if min(volume.shape) < SMALLEST_VOLUME:
            raise InputError(
                f"{volume.name}: shape {volume.shape} is a single slice; the model is "
                "3D and needs at least 2 slices per axis"
            )
        header, direction = model.header, config.direction
        self.volume = volume
        self.scale = model.scale(direction)
        self.shape = output_shape(volume.shape, self.scale)
        if min(self.shape) < 1:
            raise InputError(
                f"{volume.name}: shape {volume.shape} is too small to be reduced by "
                f"{1 / self.scale}"
            )
        self.device, self.reason = choose_device(config.device)
        # a copy would double the memory of large models; generators hold no state
        self.network = model.generator(direction).to(self.device).eval()
        self.fit_in, self.fit_out = (
            (header.intensity_a, header.intensity_b)
            if direction == "a_to_b"
            else (header.intensity_b, header.intensity_a)
        )
        if header.config.intensity.scope == "volume":
            self.fit_in = fit_intensity([volume], header.config.intensity)
        else:  # only refuses volumes that show nothing
            fit_intensity([volume], IntensityConfig(method="minmax"))
        self.mode = config.mode
        if self.mode == "auto":
            self.mode = "blend" if self.network.tile_dependent else "exact"
        self.halo = measure_halo(self.network)
        self.tile = config.tile or self._largest_tile(config.memory_gb * 1e9)
        self.plan = self._plan(config)

    def _plan(self, config: EnhanceConfig) -> TilePlan:
        stride = self.network.stride
        if self.mode == "blend":
            return plan_blend(self.volume.shape, self.tile, config.overlap, stride)
        return plan_exact(self.volume.shape, self.tile, self.halo, stride)

    def _largest_tile(self, memory: float) -> Shape:
        """The largest cube whose work fits the memory, cut to the volume."""
        voxels = memory / _bytes_per_voxel(self.network)
        margin = sum(self.halo) if self.mode == "exact" else 0
        stride = self.network.stride
        side = int(voxels ** (1 / 3)) - margin
        side = max(stride, side // stride * stride)
        z, y, x = (min(side, round_up(n, stride)) for n in self.volume.shape)
        return z, y, x

    def compute(self, tile: Tile) -> NDArray[np.float32]:
        """The network's output for what a tile reads, in grey values of the target."""
        grey = read_reflected(self.volume, tile)
        image = torch.from_numpy(self.fit_in.apply(grey))[None, None].to(self.device)
        with torch.inference_mode():
            channels = self.network.inputs
            if channels > 1:  # the noise-free translation: noise depends on no tile
                zeros = torch.zeros_like(image).expand(-1, channels - 1, -1, -1, -1)
                image = torch.cat([image, zeros], 1)
            out: Tensor = self.network(image)[0, 0]
        result = self.fit_out.invert(out.float().cpu().numpy())
        missing = ~np.isfinite(grey)
        if missing.any():
            result[_resized_mask(missing, self.scale)] = np.nan
        return result


def _run_exact(job: _Job, out: Sink) -> Iterator[EnhanceEvent]:
    done = 0
    for _, tiles in job.plan.rows():
        for tile in tiles:
            for part in _compute_exact(job, tile):
                region, block = part
                out[region] = block
                yield RegionReady(region)
            done += 1
            yield TileDone(done, len(job.plan))


def _compute_exact(
    job: _Job, tile: Tile
) -> Iterator[tuple[Region, NDArray[np.float32]]]:
    """A tile's kept part; split in halves for as long as the memory does not do."""
    region = output_region(tile, job.shape, job.scale)
    if any(part.start >= part.stop for part in region):
        return  # at 1/2 and 1/4, what is left over at the end gives no voxel
    try:
        result = job.compute(tile)
    except torch.OutOfMemoryError:
        halves = _split(tile, job.network.stride, job.halo)
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


def _split(tile: Tile, stride: int, halo: tuple[int, int]) -> tuple[Tile, Tile] | None:
    sides = [axis.keep[1] - axis.keep[0] for axis in tile.axes]
    longest = int(np.argmax(sides))
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


def _run_blend(job: _Job, out: Sink) -> Iterator[EnhanceEvent]:
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
            out[region] = buffer[region[0].start - start : region[0].stop - start]
            yield RegionReady(region)


def _compute_blend(job: _Job, tile: Tile) -> NDArray[np.float32]:
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
    buffer: NDArray[np.float32], result: NDArray[np.float32], tile: Tile, job: _Job
) -> None:
    _, in_y, in_x = output_region(tile, job.shape, job.scale)
    start_y, start_x = (int(axis.keep[0] * job.scale) for axis in tile.axes[1:])
    buffer[:, in_y, in_x] += result[
        :,
        in_y.start - start_y : in_y.stop - start_y,
        in_x.start - start_x : in_x.stop - start_x,
    ]


def _resized_mask(mask: NDArray[np.bool_], scale: Fraction) -> NDArray[np.bool_]:
    if scale >= 1:
        factor = int(scale)
        return mask.repeat(factor, 0).repeat(factor, 1).repeat(factor, 2)
    step = scale.denominator
    z, y, x = (n // step for n in mask.shape)
    blocks = mask.reshape(z, step, y, step, x, step)
    return np.asarray(blocks.any(axis=(1, 3, 5)))


def _bytes_per_voxel(network: Generator) -> float:
    """Memory for one input voxel: everything that the layers give out, in float32.

    All of it is counted at once. The allocator frees some of it earlier, and needs
    scratch space for the convolutions; the two are of one size.
    """
    total = 0

    def count(_: nn.Module, __: Any, output: Tensor) -> None:
        nonlocal total
        total += output.numel() * output.element_size()

    leaves = [m for m in network.modules() if not list(m.children())]
    hooks = [module.register_forward_hook(count) for module in leaves]
    side = PROBE_STRIDES * network.stride
    device = next(network.parameters()).device
    try:
        with torch.inference_mode():
            network(
                torch.zeros((1, network.inputs, *(side,) * network.dims), device=device)
            )
    finally:
        for hook in hooks:
            hook.remove()
    return float(total / side**network.dims)
