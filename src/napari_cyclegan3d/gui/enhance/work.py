"""One entry of the queue at work, off the GUI thread: what is read, computed, written.

Everything here is a generator of the engine's kind: closing it stops it within one
tile, and gives the memory back.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.glimpse import RegionChosen, glimpse_around
from napari_cyclegan3d.engine.inference import (
    EnhanceDone,
    EnhanceEvent,
    RegionReady,
    enhance,
    enhanced_shape,
    way_back,
)
from napari_cyclegan3d.engine.memory import release_memory
from napari_cyclegan3d.engine.volume import Planned, Region, Volume
from napari_cyclegan3d.gui.enhance.checking import inspected
from napari_cyclegan3d.gui.enhance.task import (
    Finished,
    Glimpsed,
    Grew,
    Result,
    Stage,
    Task,
    TaskEvent,
    limits_of,
)
from napari_cyclegan3d.gui.layers import finest, is_series, stem, to_volume
from napari_cyclegan3d.io.results import sink_for

FP32_BYTES = 4


def run(task: Task) -> Iterator[TaskEvent]:
    """Do all that a task asks for.

    Yields:
        Stage before each volume; Grew and Finished of results; of the engine's events
        all but EnhanceDone.

    Raises:
        InputError: The source, the settings or the output cannot be used.
        MemoryShortageError: There is too little memory.
    """
    try:
        groups = _groups(task)
        each = 1 + task.cycle + task.inspect
        count = each * sum(len(volumes) for volumes, _ in groups)
        number = 0
        for volumes, start in groups:
            yield from _group(task, volumes, start, number, count)
            number += each * len(volumes)
    finally:
        _give_back(task.model)


def look(
    task: Task, centre: Sequence[float], across: int | None, frame: int | None
) -> Iterator[EnhanceEvent | RegionChosen | Glimpsed]:
    """A glimpse around a place of a layer.

    Args:
        task: Its source is a layer.
        centre: The place, in voxels (z, y, x).
        across: Axis of a slab; None: a box.
        frame: Which volume of a series.
    """
    try:
        assert isinstance(task.source.item, Image)
        volume = to_volume(task.source.item, frame)
        scale = task.model.scale(task.config.direction)
        region: Region | None = None
        for event in glimpse_around(volume, task.model, task.config, centre, across):
            if isinstance(event, RegionChosen):
                region = event.region
            if isinstance(event, EnhanceDone) and region is not None:
                limits = limits_of(event.volume.read())
                yield Glimpsed(event.volume, region, frame, scale, limits)
            else:
                yield event
    finally:
        _give_back(task.model)


def _groups(task: Task) -> list[tuple[list[Volume], tuple[int, ...]]]:
    """Volumes that are shown together, and where their result begins in a layer."""
    layer = task.source.item
    if isinstance(layer, Image) and is_series(layer):
        length = len(finest(layer))
        frames = task.frames or range(length)
        volumes = [to_volume(layer, frame) for frame in frames]
        return [(volumes, (frames.start, 0, 0, 0))]
    z, y, x = task.source.region or (slice(0),) * 3
    start = (z.start or 0, y.start or 0, x.start or 0)
    return [([volume], start) for volume in task.source.volumes()]


def _group(
    task: Task,
    volumes: Sequence[Volume],
    start: tuple[int, ...],
    number: int,
    count: int,
) -> Iterator[TaskEvent]:
    """Translate volumes of one shape, one after the other, and back."""
    configs = [task.config]
    if task.cycle:
        configs.append(way_back(task.model, task.config))
    results = _results(task, volumes, start, configs)
    for index, volume in enumerate(volumes):
        given = volume
        for result, config in zip(results, configs, strict=True):
            yield Stage(number, count, _title(volume, result))
            given = yield from _translated(task, result, index, given, config)
            number += 1
    for result in results:
        if task.inspect and result.kind == "enhanced":
            yield Stage(number, count, f"{volumes[0].name}, what was invented")
            yield from inspected(task, result, volumes)
        yield Finished(result)


def _results(
    task: Task,
    volumes: Sequence[Volume],
    start: tuple[int, ...],
    configs: Sequence[EnhanceConfig],
) -> list[Result]:
    """The results to be made, with room in memory for those that go there."""
    first = given = volumes[0]
    layer = task.source.item if isinstance(task.source.item, Image) else None
    shapes: list[tuple[int, ...]] = []
    results: list[Result] = []
    for kind, config in zip(("enhanced", "cyclic"), configs, strict=False):
        scale = task.model.scale(config.direction)
        given = _planned(given, task.model, config)
        shapes.append(given.shape if len(start) == 3 else (len(volumes), *given.shape))
        whole = scale * results[-1].scale if results else scale
        results.append(Result(kind, layer, first, whole, start))
    results[0].maker = task.maker
    size = FP32_BYTES * sum(int(np.prod(shape)) for shape in shapes)
    if not task.output.is_file(size, from_layer=layer is not None):
        for result, shape in zip(results, shapes, strict=True):
            result.data = np.full(shape, np.nan, dtype=np.float32)
    return results


def _translated(
    task: Task, result: Result, index: int, given: Volume, config: EnhanceConfig
) -> Generator[TaskEvent, None, Volume]:
    """Translate one volume into its place in a result; returns it."""
    model = task.model
    if result.data is not None:
        out = result.data if result.data.ndim == 3 else result.data[index]
        yield from _enhanced(result, given, model, config, _Watched(out, result))
        return given.resampled(out, model.scale(config.direction))
    planned = _planned(given, model, config)
    path = task.output.path(result.source, _file_name(result, index))
    with sink_for(path, planned, None, remove=False) as sink:
        watched = _Watched(sink, result)
        yield from _enhanced(result, given, model, config, watched)
    result.paths.append(path)
    task.written.append(path)
    return io.read(path)


def _planned(given: Volume, model: Model, config: EnhanceConfig) -> Volume:
    """What a translation will be: its shape and its place."""
    shape = enhanced_shape(given, model, config)
    voxels = Planned(shape, np.dtype(np.float32))
    return given.resampled(voxels, model.scale(config.direction))


def _enhanced(
    result: Result, given: Volume, model: Model, config: EnhanceConfig, out: "_Watched"
) -> Iterator[TaskEvent]:
    with closing(enhance(given, model, config, out)) as events:  # type: ignore[type-var]
        for event in events:
            if isinstance(event, EnhanceDone):
                result.seams = event.seams
            elif not isinstance(event, RegionReady):
                yield event
            elif result.data is not None:
                yield Grew(result)


@dataclass(frozen=True, eq=False)
class _Watched:
    """A sink that tells its result of what goes into it."""

    out: Any
    result: Result

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.out.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def __getitem__(self, region: Region) -> Any:
        return self.out[region]

    def __setitem__(self, region: Region, block: NDArray[np.float32]) -> None:
        self.out[region] = block
        self.result.note(block)


def _title(volume: Volume, result: Result) -> str:
    return volume.name if result.kind == "enhanced" else f"{volume.name}, back again"


def _file_name(result: Result, index: int) -> str:
    if len(result.start) == 4:
        assert result.layer is not None
        return f"{result.layer.name} {result.kind} t{result.start[0] + index:04}"
    return f"{stem(result.source.name)} {result.kind}"


def _give_back(model: Model) -> None:
    """Leave nothing on the device."""
    for network in model.networks.values():
        network.to("cpu")
    release_memory()
