"""Translating a volume of any size, piece by piece."""

from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.events import (
    EnhanceDone,
    EnhanceEvent,
    EnhanceStarted,
    RegionReady,
    TileDone,
    Warned,
)
from napari_cyclegan3d.engine.patches import slices_first
from napari_cyclegan3d.engine.seams import seam_ratio
from napari_cyclegan3d.engine.sweeps import Blend, Exact, ResumableSink, Sink
from napari_cyclegan3d.engine.tiling import output_shape
from napari_cyclegan3d.engine.translation import Translation
from napari_cyclegan3d.engine.turning import Turned, TurnedSink, slice_axes
from napari_cyclegan3d.engine.volume import Shape, Volume

__all__ = [
    "EnhanceDone",
    "EnhanceEvent",
    "EnhanceStarted",
    "RegionReady",
    "ResumableSink",
    "Sink",
    "TileDone",
    "Warned",
    "enhance",
    "enhanced_shape",
    "way_back",
]


def enhanced_shape(volume: Volume, model: Model, config: EnhanceConfig) -> Shape:
    """Voxels of the translated volume (z, y, x)."""
    return output_shape(volume.shape, model.scale(config.direction))


def way_back(model: Model, config: EnhanceConfig) -> EnhanceConfig:
    """The settings that translate a result back, for the full cycle.

    Raises:
        InputError: The model has no generator for the way back.
    """
    there = config.direction
    back = config.model_copy(
        update={"direction": "b_to_a" if there == "a_to_b" else "a_to_b"}
    )
    model.generator(back.direction)
    if config.tile is None:
        return back
    tile = tuple(max(1, int(side * model.scale(there))) for side in config.tile)
    return back.model_copy(update={"tile": tile})


def enhance(
    volume: Volume,
    model: Model,
    config: EnhanceConfig | None = None,
    out: Sink | None = None,
) -> Iterator[EnhanceEvent]:
    """Translate a volume; closing the iterator stops it within one tile.

    In exact mode the result of any tile size is that of the whole volume at once:
    mirrored at its far ends up to a multiple of the network's stride, it goes through
    the network, which pads at the borders as it did in training. Voxels that are no
    finite number in the input are NaN in the output.

    Args:
        volume: The input, in the grey values that the model was trained on.
        model: A trained model.
        config: Direction, tiles, memory, number format and device.
        out: Array of `enhanced_shape` for the float32 result; by default a new one. Of
            a resumable sink, what is done is not done again (exact mode).

    Yields:
        EnhanceStarted, TileDone and RegionReady as tiles are finished, EnhanceDone.

    Raises:
        InputError: The volume, the settings or `out` do not fit the model.
        MemoryShortageError: Not even the smallest tile fits the memory.
    """
    config = config or EnhanceConfig()
    turns = [Turned(axis) for axis in slice_axes(model, config)]
    chunks = out.chunks if isinstance(out, ResumableSink) else None
    jobs = [
        Translation(
            slices_first(volume, turned.axis),
            model,
            turned.settings(config),
            None if chunks is None else turned.there(chunks),
        )
        for turned in turns
    ]
    shape = enhanced_shape(volume, model, config)
    if out is None:
        out = np.zeros(shape, dtype=np.float32)
    if tuple(out.shape) != shape:
        raise InputError(
            f"the output has shape {tuple(out.shape)}; {volume.name} needs {shape}"
        )
    passes = [
        (Blend if job.mode == "blend" else Exact)(job, TurnedSink(out, turn, number))
        for number, (job, turn) in enumerate(zip(jobs, turns, strict=True), start=1)
    ]
    tiles = sum(one.tiles for one in passes)
    yield EnhanceStarted(
        shape, tiles, jobs[0].mode, turns[0].back(jobs[0].tile), jobs[0].reason
    )
    yield from (Warned(remark) for remark in jobs[0].remarks)
    yield from _tile_by_tile(turns, passes, tiles)
    seams = seam_ratio(out, turns[-1].back(passes[-1].cuts()), jobs[-1].period)
    result = volume.resampled(out, model.scale(config.direction))
    yield EnhanceDone(result, seams)


def _tile_by_tile(
    turns: Sequence[Turned], passes: Sequence[Exact | Blend], tiles: int
) -> Iterator[TileDone | RegionReady]:
    """All passes, one after the other; what the last one finishes is ready."""
    done = 0
    for number, (turn, one) in enumerate(zip(turns, passes, strict=True), start=1):
        with closing(one.run()) as events:
            for event in events:
                if isinstance(event, TileDone):
                    done += 1
                    yield TileDone(done, tiles)
                elif number == len(passes):
                    yield RegionReady(turn.back(event.region))
