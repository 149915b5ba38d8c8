"""The two other planes through the place that is looked at, in a dock."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QSplitter, QVBoxLayout, QWidget

from napari_cyclegan3d.gui.canvas import camera_of
from napari_cyclegan3d.gui.views.cross import Cross, in_slice
from napari_cyclegan3d.gui.views.grid import in_plane
from napari_cyclegan3d.gui.views.shown import Shown
from napari_cyclegan3d.gui.views.temporary import Mirror, duplicate
from napari_cyclegan3d.gui.worker import tells_closed_dock

if TYPE_CHECKING:
    from napari.viewer import Viewer

SMALLEST = 120  # pixels


class OrthogonalViews(QWidget):
    """Two small canvases with the same layers, slices and zoom as the viewer.

    Layers are copied, which shares their voxels: napari keeps in a layer which slice of
    it is drawn. With Shift, the planes follow the cursor in the viewer.

    Args:
        viewer: The viewer.
        shown: The layers.
        on_close: Called when the user closes the dock.
    """

    def __init__(
        self, viewer: "Viewer", shown: Shown, on_close: Callable[[], None]
    ) -> None:
        super().__init__()
        self._viewer, self._on_close = viewer, on_close
        self._busy = self._ended = False
        self.models = [ViewerModel(title="rows"), ViewerModel(title="columns")]
        # before the layers, of which napari 0.8 takes no more than one at first
        self._canvases = [QtViewer(model) for model in self.models]
        self._copies: dict[Layer, list[Layer]] = {}
        self._links_of: dict[Layer, list[_Link]] = {}
        ours = (shown.raw, shown.enhanced, shown.truth, shown.residual, shown.suspects)
        for layer in viewer.layers:  # in the order in which they are drawn
            if layer in ours:
                self._add(layer, partial(_mirror, layer))
        split = QSplitter(Qt.Orientation.Horizontal)
        for canvas in self._canvases:
            canvas.setMinimumSize(SMALLEST, SMALLEST)
            canvas.dims.setVisible(False)  # the sliders of the viewer are those
            split.addWidget(canvas)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(split)
        self._connect()
        self._turn()
        viewer.window.add_dock_widget(self, name="Orthogonal views", area="bottom")
        self.installEventFilter(self)

    def add_cross(self, cross: Cross) -> None:
        """Show the cross here, too, in the slices that are shown here."""
        self._add(cross.layer, partial(_Follower, cross))

    def _add(self, layer: Layer, link: Callable[[Layer, ViewerModel], "_Link"]) -> None:
        copies = [duplicate(layer, visible=layer.visible) for _ in self.models]
        self._copies[layer] = copies
        pairs = zip(copies, self.models, strict=True)
        self._links_of[layer] = [link(copy, model) for copy, model in pairs]
        for model, copy in zip(self.models, copies, strict=True):
            model.add_layer(copy)
        layer.events.visible.connect(self._follow_visible)

    def drop(self, layer: Layer) -> None:
        """Show a layer no longer."""
        if layer not in self._copies:
            return
        layer.events.visible.disconnect(self._follow_visible)
        for link in self._links_of.pop(layer):
            link.end()
        for model, copy in zip(self.models, self._copies.pop(layer), strict=True):
            model.layers.remove(copy)

    def end(self) -> None:
        """Close the dock and let go of the viewer."""
        if self._ended:
            return
        self._ended = True
        self.removeEventFilter(self)
        self._disconnect()
        for canvas in self._canvases:
            canvas.close()
        for layer in list(self._copies):
            self.drop(layer)
        if self.parent() is not None:
            # a window that is being closed has let go of its docks
            with suppress(AttributeError):
                self._viewer.window.remove_dock_widget(self)
        self.deleteLater()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if tells_closed_dock(self, event):
            self._on_close()
        return False

    def _connect(self) -> None:
        dims = self._viewer.dims.events
        dims.point.connect(self._follow_point)
        dims.order.connect(self._turn)
        dims.ndisplay.connect(self._turn)
        self._viewer.mouse_move_callbacks.append(self._on_move)
        self._links: list[tuple[Any, Callable[..., None]]] = []
        for camera in map(camera_of, (self._viewer, *self.models)):
            self._link(camera.events.zoom, self._follow_zoom)
            self._link(camera.events.center, self._follow_centre)
        for model in self.models:
            self._link(model.dims.events.point, self._lead_point)

    def _link(self, event: Any, callback: Callable[..., None]) -> None:
        event.connect(callback)
        self._links.append((event, callback))

    def _disconnect(self) -> None:
        dims = self._viewer.dims.events
        dims.point.disconnect(self._follow_point)
        dims.order.disconnect(self._turn)
        dims.ndisplay.disconnect(self._turn)
        self._viewer.mouse_move_callbacks.remove(self._on_move)
        for event, callback in self._links:
            event.disconnect(callback)

    def _turn(self, _: object = None) -> None:
        """Show the planes that the viewer does not show."""
        rows, columns = in_plane(self._viewer) or (1, 2)
        (across,) = {0, 1, 2} - {rows, columns}
        orders = (rows, across, columns), (columns, rows, across)
        zoom = camera_of(self._viewer).zoom
        for model, order in zip(self.models, orders, strict=True):
            # quietly: napari fits what is turned, and the viewer must not follow
            self._quietly(model.dims, "order", order)
            if in_plane(self._viewer) is not None:
                self._quietly(camera_of(model), "zoom", zoom)
        self._follow_point()
        self._follow_centre()

    def _follow_point(self, _: object = None) -> None:
        point = tuple(self._viewer.dims.point)[-3:]
        plane = in_plane(self._viewer)
        if len(point) < 3:  # the viewer has lost its layers
            return
        for model in self.models:
            self._quietly(model.dims, "point", point)
            if plane is not None:
                (across,) = {0, 1, 2} - set(plane)
                self._centre(model, {across: point[across]})

    def _lead_point(self, event: Any) -> None:
        """A slice was chosen here."""
        if not self._busy:
            point = tuple(self._viewer.dims.point)
            self._viewer.dims.point = (*point[:-3], *event.source.point)

    def _follow_zoom(self, event: Any) -> None:
        if self._busy or in_plane(self._viewer) is None:
            return
        for viewer in (self._viewer, *self.models):
            self._quietly(camera_of(viewer), "zoom", event.source.zoom)

    def _follow_centre(self, event: Any = None) -> None:
        """One place along each axis is in the middle of all canvases."""
        plane = in_plane(self._viewer)
        if self._busy or plane is None:
            return
        viewers = (self._viewer, *self.models)
        source = camera_of(self._viewer) if event is None else event.source
        leader = next(one for one in viewers if camera_of(one) == source)
        axes = in_plane(leader)
        assert axes is not None
        middle = dict(zip(axes, source.center[-2:], strict=True))
        for viewer in viewers:
            if viewer is not leader:
                self._centre(viewer, middle)

    def _centre(self, viewer: Any, middle: dict[int, float]) -> None:
        """Move a canvas along those of its axes that are given."""
        axes = in_plane(viewer)
        if axes is None:
            return
        camera = camera_of(viewer)
        centre = list(camera.center)
        for place, axis in zip((-2, -1), axes, strict=True):
            centre[place] = middle.get(axis, centre[place])
        self._quietly(camera, "center", tuple(centre))

    def _quietly(self, thing: Any, name: str, value: Any) -> None:
        busy, self._busy = self._busy, True
        try:
            if not np.allclose(getattr(thing, name), value):
                setattr(thing, name, value)
        finally:
            self._busy = busy

    def _follow_visible(self, _: object = None) -> None:
        """Side by side hides all volumes; here the last of them stays."""
        images = [one for one in self._copies if isinstance(one, Image)]
        if any(one.visible for one in images):
            for layer, copies in self._copies.items():
                for copy in copies:
                    copy.visible = layer.visible

    def _on_move(self, _: object, event: Any) -> None:
        if "Shift" in event.modifiers and in_plane(self._viewer) is not None:
            point = tuple(self._viewer.dims.point)
            self._viewer.dims.point = (*point[:-3], *tuple(event.position)[-3:])


class _Link(Protocol):
    """Keeps a copy like its layer."""

    def end(self) -> None:
        """Let it go its way."""


def _mirror(layer: Layer, copy: Layer, _: ViewerModel) -> _Link:
    return Mirror(layer, copy)


class _Follower:
    """The cross in the slice of another canvas."""

    def __init__(self, cross: Cross, copy: Layer, model: ViewerModel) -> None:
        self._cross, self._copy, self._model = cross, copy, model
        self._events = (
            cross.layer.events.data,
            model.dims.events.point,
            model.dims.events.order,
        )
        for event in self._events:
            event.connect(self._follow)

    def end(self) -> None:
        for event in self._events:
            event.disconnect(self._follow)

    def _follow(self, _: object = None) -> None:
        self._copy.data = self._cross.lines(in_slice(self._model, self._cross.place))
        self._copy.edge_width = self._cross.layer.edge_width
