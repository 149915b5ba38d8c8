"""Preparing and opening, off the GUI thread. All of these are generators."""

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.contributions import layers_of
from napari_cyclegan3d.gui.history import with_history
from napari_cyclegan3d.gui.layers import (
    EAGER_BYTES,
    LayerData,
    finest,
    for_display,
    is_series,
    to_volume,
)
from napari_cyclegan3d.gui.prepare.place import Shown, layer_attributes
from napari_cyclegan3d.gui.prepare.task import (
    SOURCE_KEY,
    Grey,
    Made,
    Opened,
    Task,
)
from napari_cyclegan3d.io.blocks import slabs
from napari_cyclegan3d.prepare.events import Event, PrepareDone, Warned, Working
from napari_cyclegan3d.prepare.steps import prepared

MASKS = ("brain-mask",)
# most steps compute voxels as they are read: how much of the time is that
READING = 0.5
SIDE = 96  # of a preview, in voxels of the result


def run(task: Task) -> Iterator[Event | Made]:
    """Do the step of a task, for each frame of a series.

    Yields:
        Working and Warned; Made as the last event.

    Raises:
        InputError: The layer or its partner cannot be used, or the step refuses them.
    """
    layer = task.layer
    frames: Sequence[int | None] = [task.frame]
    if is_series(layer) and task.frame is None:
        frames = range(len(finest(layer)))
    sources, results, voxels = [], [], []
    remarks: list[str] = []
    each = 1 / len(frames)
    for number, frame in enumerate(frames):
        source = with_history(to_volume(layer, frame))
        for event in _step(task, source, frame):
            if isinstance(event, PrepareDone):
                results.append(_around(task, source, event.volume))
                continue
            if isinstance(event, Warned):
                remarks.append(event.message)
            yield within(event, number * each, each * (1 - READING))
        begun = (number + 1 - READING) * each
        shown = yield from voxels_of(results[-1], begun, each * READING)
        sources.append(source)
        voxels.append(shown)
    data = _layer_data(task, sources, results, voxels)
    yield Made(task, data, tuple(dict.fromkeys(remarks)))


def open_layers(texts: Sequence[str]) -> Iterator[Opened]:
    """The layers of what some texts name.

    Raises:
        InputError: One names nothing that can be opened.
    """
    for text in texts:
        yield Opened(layers_of(text))


def _step(task: Task, source: Volume, frame: int | None) -> Iterator[Event]:
    """The step of one volume."""
    partner = None
    if task.partner is not None:
        partner = with_history(to_volume(task.partner, frame))
    yield from prepared(source, task.step.name, task.settings, partner)


def _around(task: Task, volume: Volume, result: Volume) -> Volume:
    """The part of a result that is wanted."""
    if task.around is None:
        return result
    place = np.array([*task.around, 1.0])
    centre = np.linalg.inv(result.affine) @ volume.affine @ place
    z, y, x = (
        _span(float(at), size)
        for at, size in zip(centre[:3], result.shape, strict=True)
    )
    return result.crop((z, y, x))


def _span(centre: float, size: int) -> slice:
    """So many voxels around a place as a preview has, moved into the volume."""
    side = min(size, SIDE)
    start = int(np.clip(round(centre - side / 2), 0, size - side))
    return slice(start, start + side)


def voxels_of(
    result: Volume, begun: float, share: float
) -> Generator[Event, None, NDArray[Any]]:
    """What is shown of a result; beyond a GiB it is computed as it is looked at.

    Args:
        result: A prepared volume.
        begun: How much of all the work is done before, from 0 to 1.
        share: How much of it this is.
    """
    size = int(np.prod(result.shape)) * result.dtype.itemsize
    if isinstance(result.array, np.ndarray) or size > EAGER_BYTES:
        shown: NDArray[Any] = for_display(result, lazy=True)
        return shown
    depth = result.shape[0]
    voxels = np.empty(result.shape, result.dtype)
    for part in slabs(depth, size // depth):
        voxels[part] = result.read((part, slice(None), slice(None)))
        yield Working(begun + share * part.stop / depth, "computing voxels")
    return voxels


def _layer_data(
    task: Task, sources: Sequence[Volume], results: Sequence[Volume], voxels: Any
) -> LayerData:
    """The layer of a result, or of the results of a series."""
    layer, partner = task.layer, task.partner
    others = [Shown(sources[0], layer)]
    if partner is not None:
        others.append(Shown(to_volume(partner, task.frame or 0), partner))
    kwargs = layer_attributes(results[0], others, task.frame or 0)
    ending = "preview" if task.around else task.step.name
    kwargs["name"] = f"{layer.name} {ending}"
    kwargs["metadata"] = {**kwargs["metadata"], SOURCE_KEY: layer.name}
    data = _stacked(layer, results, voxels)
    whole = np.issubdtype(data.dtype, np.integer) or data.dtype == bool
    if whole and (task.step.name in MASKS or isinstance(layer, Labels)):
        kwargs.pop("rgb")
        return (data.astype(np.uint8) if data.dtype == bool else data), kwargs, "labels"
    return data, kwargs, "image"


def _stacked(layer: Grey, results: Sequence[Volume], voxels: Sequence[Any]) -> Any:
    """The voxels of a volume, or those of a series in one array.

    Raises:
        InputError: The frames have become different from each other.
    """
    if not is_series(layer):
        return voxels[0]
    first = results[0]
    for number, result in enumerate(results):
        if result.shape != first.shape or not np.allclose(result.affine, first.affine):
            raise InputError(
                f"{layer.name}: frame {number} becomes {result.shape} and frame 0 "
                f"{first.shape}, or they no longer lie at one place; prepare the "
                "frames one by one"
            )
    if all(isinstance(one, np.ndarray) for one in voxels):
        return np.stack(voxels)
    import dask.array

    return dask.array.stack(voxels)


def within(event: Event, begun: float, share: float) -> Event:
    """An event with what it says of its part as a part of the whole."""
    if isinstance(event, Working):
        return Working(begun + share * event.fraction, event.text)
    return event
