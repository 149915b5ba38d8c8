"""Where the user looks, in voxels of a layer."""

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_cyclegan3d.gui.canvas import camera_of

if TYPE_CHECKING:
    import napari

Place = tuple[float, float, float]


def place_of(layer: Image, world: Sequence[float]) -> tuple[Place, int | None]:
    """A world position as a voxel (z, y, x) of a layer, and a frame of a series."""
    voxel = np.asarray(layer.world_to_data(tuple(world)[-layer.ndim :]), dtype=float)
    z, y, x = voxel[-3:]
    frame = None
    if layer.ndim == 4:
        length = layer.data[0].shape[0] if layer.multiscale else layer.data.shape[0]
        frame = int(np.clip(round(voxel[0]), 0, length - 1))
    return (float(z), float(y), float(x)), frame


def middle_of_view(viewer: "napari.viewer.Viewer") -> list[float]:
    """The world position in the middle of the canvas, on the slice that is shown."""
    camera = camera_of(viewer)
    point = [float(one) for one in viewer.dims.point]
    displayed = list(viewer.dims.displayed)
    for axis, value in zip(displayed, camera.center[-len(displayed) :], strict=True):
        point[axis] = float(value)
    return point


def axis_across(viewer: "napari.viewer.Viewer", layer: Image) -> int:
    """Which of z, y, x (0, 1, 2) runs across the slices that are shown."""
    others = [axis - viewer.dims.ndim + 3 for axis in viewer.dims.not_displayed]
    in_space = [axis for axis in others if axis >= 0]
    return in_space[-1] if in_space else 0


class ClickTool:
    """While it is on, a click into the canvas tells where.

    Args:
        viewer: The viewer.
        on_click: Gets the world position; dragging the view is no click.
    """

    def __init__(
        self,
        viewer: "napari.viewer.Viewer",
        on_click: Callable[[Sequence[float]], None],
    ) -> None:
        self._viewer, self._on_click = viewer, on_click

    def switch(self, on: bool) -> None:
        """Listen to clicks, or no longer."""
        callbacks = self._viewer.mouse_drag_callbacks
        if on and self._listen not in callbacks:
            callbacks.append(self._listen)
        elif not on and self._listen in callbacks:
            callbacks.remove(self._listen)

    def _listen(self, _: object, event: Any) -> Generator[None, None, None]:
        where, button = tuple(event.position), event.button
        yield
        while event.type == "mouse_move":
            if not np.allclose(event.position, where):
                return
            yield
        if button == 1:
            self._on_click(where)
