"""Results in the viewer: layers that fill as they are computed. GUI thread only."""

import time
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QObject, QTimer

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.enhance.task import Glimpsed, Result
from napari_cyclegan3d.gui.layers import (
    for_display,
    result_layer_data,
    source_name,
    stem,
    to_layer_data,
)

if TYPE_CHECKING:
    import napari

# a layer is drawn anew four times a second at most
INTERVAL_MS = 250
# and takes no more than this share of the GUI thread's time
BUSY = 0.05
PLACE = ("scale", "translate", "rotate", "shear", "affine")


class GrowingLayer(QObject):
    """A result that one can watch.

    Args:
        viewer: Where it appears.
        result: It has `data`.
        parent: Qt parent.
    """

    def __init__(
        self, viewer: "napari.viewer.Viewer", result: Result, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer, self._result = viewer, result
        self._limits = _apart(result.limits)
        self._grown = False
        kwargs = {**place(result), "contrast_limits": self._limits}
        self.layer = add_quietly(viewer, result.data, kwargs)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(INTERVAL_MS)
        self._pause.timeout.connect(self._draw_what_has_grown)
        self._pause.start()

    @property
    def is_there(self) -> bool:
        """Whether the user has left the layer in the viewer."""
        return self.layer in self._viewer.layers

    def grow(self) -> None:
        """Show what is new, now or soon."""
        self._grown = True
        if not self._pause.isActive():
            self._draw_what_has_grown()

    def finish(self) -> None:
        """Show all of it, with its final contrast."""
        self._pause.stop()
        self._grown = True
        self._draw_what_has_grown()
        self._pause.stop()
        self.layer.refresh()
        self.deleteLater()

    def discard(self) -> None:
        """Take the layer away."""
        self._pause.stop()
        if self.is_there:
            selected = set(self._viewer.layers.selection) - {self.layer}
            self._viewer.layers.remove(self.layer)
            self._viewer.layers.selection = selected
        self.deleteLater()

    def _draw_what_has_grown(self) -> None:
        if not self._grown or not self.is_there:
            return
        self._grown = False
        started = time.perf_counter()
        limits = _apart(self._result.limits)
        # what the user has set is left alone
        if tuple(self.layer.contrast_limits) == self._limits != limits:
            self._limits = limits
            self.layer.contrast_limits = limits
        self.layer.refresh(thumbnail=False, highlight=False, extent=False)
        taken = 1000 * (time.perf_counter() - started)
        self._pause.start(max(INTERVAL_MS, round(taken / BUSY)))


def add_files(viewer: "napari.viewer.Viewer", result: Result) -> Image:
    """A layer that shows a result on disk, slice by slice, without loading it.

    Raises:
        InputError: The files can no longer be read.
    """
    import dask.array

    volumes = [io.read(path) for path in result.paths]
    frames = [for_display(one, lazy=True) for one in volumes]
    data = frames[0] if len(result.start) == 3 else dask.array.stack(frames)
    kwargs = {**place(result, volumes[0]), "contrast_limits": _apart(result.limits)}
    return add_quietly(viewer, data, kwargs)


def show_glimpse(
    viewer: "napari.viewer.Viewer",
    layer: Image,
    glimpsed: Glimpsed,
    shown: Image | None = None,
) -> Image:
    """A glimpse as a layer over the part of its source that it shows.

    Args:
        viewer: Where it appears.
        layer: The source.
        glimpsed: The glimpse.
        shown: The layer of the glimpse before. If that was of the same source, it shows
            the new one, with its colours as the user has set them; else it goes.

    Returns:
        The layer that shows it.
    """
    start, data = [part.start for part in glimpsed.region], glimpsed.volume.read()
    if glimpsed.frame is not None:
        start, data = [glimpsed.frame, *start], data[None]
    _, kwargs, _ = result_layer_data(
        layer, glimpsed.volume, glimpsed.scale, start, data
    )
    if shown is not None and shown in viewer.layers:
        if is_result_of(shown, layer) and shown.ndim == data.ndim:
            shown.data = data
            for name in PLACE:
                setattr(shown, name, kwargs[name])
            return shown
        viewer.layers.remove(shown)
    kwargs["name"] = f"{layer.name} preview"
    kwargs["contrast_limits"] = _apart(glimpsed.limits)
    return add_quietly(viewer, data, kwargs)


def is_result_of(shown: Image, layer: Image) -> bool:
    """Whether a layer shows something that was made from another one."""
    return source_name(shown) == str(layer.name)


def place(result: Result, volume: Volume | None = None) -> dict[str, Any]:
    """Name and place of a result's layer, as `add_image` takes them."""
    made = volume or result.source.resampled(_first(result), result.scale)
    if result.layer is None:
        _, kwargs, _ = to_layer_data(made, lazy=True)
        name = stem(result.source.name)
    else:
        _, kwargs, _ = result_layer_data(
            result.layer, made, result.scale, result.start, made.array
        )
        name = result.layer.name
    if result.maker is not None:
        kwargs["metadata"] = {**kwargs["metadata"], **result.maker.metadata()}
    return {**kwargs, "name": f"{name} {result.kind}"}


def add_quietly(viewer: "napari.viewer.Viewer", data: Any, kwargs: Any) -> Image:
    """Add a layer without selecting it, where something was selected."""
    selected = set(viewer.layers.selection)
    (layer,) = [viewer.add_image(data, **kwargs)]
    if selected:
        viewer.layers.selection = selected
    return layer


def _first(result: Result) -> Any:
    """The voxels of the first frame."""
    assert result.data is not None
    return result.data if result.data.ndim == 3 else result.data[0]


def _apart(limits: tuple[float, float] | None) -> tuple[float, float]:
    """Contrast limits that napari takes."""
    low, high = limits or (0.0, 1.0)
    return (low, high) if low < high else (low, low + max(abs(low), 1.0) * 1e-6)
