"""A curtain: on its left the raw volume, on its right the enhanced one."""

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer

from napari_cyclegan3d.gui.canvas import camera_of, size_of
from napari_cyclegan3d.gui.layers import finest
from napari_cyclegan3d.gui.views.grid import grid_of, in_plane
from napari_cyclegan3d.gui.views.shown import Shown
from napari_cyclegan3d.gui.views.temporary import (
    Changed,
    Matched,
    Mirror,
    add_private,
    duplicate,
    remove_private,
)
from napari_cyclegan3d.gui.views.throttle import Throttle

if TYPE_CHECKING:
    from napari.viewer import Viewer


class Curtain:
    """Shows two volumes at once, each on its side of a cut that can be moved.

    In 2D a copy of the enhanced layer lies over the raw one, which shows a part of its
    voxels; the cut keeps its place on the canvas when the camera moves. In 3D both
    layers are clipped.

    Args:
        viewer: The viewer.
        shown: The layers.
        share: Where the cut is: 0 left, 1 right, of what can be seen of the volume in
            2D, of the whole volume in 3D.
    """

    def __init__(self, viewer: "Viewer", shown: Shown, share: float) -> None:
        self._viewer, self._shown, self._share = viewer, shown, share
        self._changed = Changed()
        self._matched = Matched(shown)
        self._sides: _Swipe | _Clipped | None = None
        self._throttle = Throttle(self._move)
        hide_others(self._changed, viewer, (shown.raw, shown.enhanced), shown)
        self._turn()
        viewer.dims.events.ndisplay.connect(self._turn)
        viewer.dims.events.order.connect(self._turn)
        self._camera = camera_of(viewer).events
        self._camera.center.connect(self._follow)
        self._camera.zoom.connect(self._follow)

    def set_share(self, share: float) -> None:
        """Move the cut, 0 to 1 from left to right."""
        self._share = share
        self._throttle()

    def end(self) -> None:
        """Go back to how it was before."""
        self._viewer.dims.events.ndisplay.disconnect(self._turn)
        self._viewer.dims.events.order.disconnect(self._turn)
        self._camera.center.disconnect(self._follow)
        self._camera.zoom.disconnect(self._follow)
        self._throttle.end()
        if self._sides is not None:
            self._sides.end()
        self._changed.restore()
        self._matched.end()

    @property
    def copies(self) -> list[Layer]:
        """The layers that it has put into the viewer."""
        return [self._sides.copy] if isinstance(self._sides, _Swipe) else []

    def _turn(self, _: object = None) -> None:
        """Begin again, in the plane that is shown now."""
        if self._sides is not None:
            self._sides.end()
            self._sides = None
        plane = in_plane(self._viewer)
        if plane is not None:
            self._sides = _Swipe(self._viewer, self._shown, plane[1])
        elif len(self._viewer.dims.displayed) == 3:
            self._sides = _Clipped(self._viewer, self._shown)
        self._move()

    def _follow(self, _: object = None) -> None:
        self._throttle()

    def _move(self) -> None:
        if self._sides is not None:
            self._sides.move(self._share)


class _Swipe:
    """2D: a part of the enhanced volume over the raw one."""

    def __init__(self, viewer: "Viewer", shown: Shown, axis: int) -> None:
        self._viewer, self._axis = viewer, axis
        self._layer = shown.enhanced
        self._voxels = finest(self._layer)
        self._changed = Changed()
        self._changed.set(self._layer, visible=False)
        self._changed.set(shown.raw, visible=True)
        self.copy = duplicate(
            self._layer,
            self._voxels,
            name="curtain",
            opacity=1.0,
            blending="translucent",
        )
        self._start = 0
        layers = viewer.layers
        above = max(layers.index(shown.raw), layers.index(self._layer)) + 1
        add_private(viewer, self.copy, index=above)
        self._mirror = Mirror(self._layer, self.copy)

    def move(self, share: float) -> None:
        grid, size = grid_of(self._layer), self._voxels.shape[self._axis]
        low, high = grid.edges[:, self._axis]
        left, right = self._seen(float(low), float(high))
        cut = round((left + share * (right - left) - low) / (high - low) * size)
        self.copy.visible = cut < size
        if cut == size:
            return
        backwards = grid.spacing[self._axis] < 0
        part = [slice(None)] * 3
        part[self._axis] = slice(0, size - cut) if backwards else slice(cut, None)
        start = 0 if backwards else cut
        translate = np.array(self._layer.translate)
        translate[self._axis] += start * self._layer.scale[self._axis]
        # never beyond the volume, for napari's sliders would reach farther meanwhile
        if start < self._start:
            self.copy.translate = translate
        self.copy.data = self._voxels[tuple(part)]
        self.copy.translate = translate
        self._start = start

    def _seen(self, low: float, high: float) -> tuple[float, float]:
        """The part of the volume's extent that is on the canvas; all if none is."""
        camera = camera_of(self._viewer)
        middle, half = (
            float(camera.center[-1]),
            size_of(self._viewer)[1] / camera.zoom / 2,
        )
        left, right = max(low, middle - half), min(high, middle + half)
        return (left, right) if left < right else (low, high)

    def end(self) -> None:
        self._mirror.end()
        remove_private(self._viewer, self.copy)
        self._changed.restore()


class _Clipped:
    """3D: both volumes, clipped at the same place from opposite sides."""

    def __init__(self, viewer: "Viewer", shown: Shown) -> None:
        self._viewer = viewer
        self._layers = shown.raw, shown.enhanced
        self._changed = Changed()
        self._before = [_planes(layer) for layer in self._layers]
        for layer in self._layers:
            self._changed.set(layer, visible=True)

    def move(self, share: float) -> None:
        low, high = grid_of(self._layers[0]).edges
        world = low + share * (high - low)
        dims = self._viewer.dims
        axes = [axis - dims.ndim + 3 for axis in dims.displayed]
        # napari takes them for data coordinates, but draws them in the world
        position = tuple(float(world[axis]) for axis in axes)
        pairs = zip(self._layers, (-1.0, 1.0), self._before, strict=True)
        for layer, side, before in pairs:
            plane = {"position": position, "normal": (0.0, 0.0, side), "enabled": True}
            layer.experimental_clipping_planes = [*before, plane]

    def end(self) -> None:
        for layer, before in zip(self._layers, self._before, strict=True):
            layer.experimental_clipping_planes = before
        self._changed.restore()


def hide_others(
    changed: Changed, viewer: "Viewer", kept: tuple[Image, ...], shown: Shown
) -> None:
    """Hide all images but those that are kept and the residual over them."""
    for layer in viewer.layers:
        if isinstance(layer, Image) and layer not in (*kept, shown.residual):
            changed.set(layer, visible=False)


def _planes(layer: Image) -> list[dict[str, Any]]:
    """The clipping planes that the user has set."""
    return [
        {"position": one.position, "normal": one.normal, "enabled": one.enabled}
        for one in layer.experimental_clipping_planes
    ]
