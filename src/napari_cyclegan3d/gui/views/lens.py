"""A lens: around the cursor, the raw volume instead of the enhanced one."""

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer

from napari_cyclegan3d.gui.canvas import camera_of
from napari_cyclegan3d.gui.layers import finest
from napari_cyclegan3d.gui.views.curtain import hide_others
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

SIDE = 140  # of the lens, in pixels of the canvas
SMALLEST = 3  # voxels


class Lens:
    """A small window into the raw volume that follows the cursor, in 2D.

    Args:
        viewer: The viewer.
        shown: The layers.
    """

    def __init__(self, viewer: "Viewer", shown: Shown) -> None:
        self._viewer, self._layer = viewer, shown.raw
        self._voxels, self._grid = finest(shown.raw), grid_of(shown.raw)
        self._changed = Changed()
        self._matched = Matched(shown)
        hide_others(self._changed, viewer, (shown.enhanced,), shown)
        self._changed.set(shown.enhanced, visible=True)
        self._mirror: Mirror | None = None
        self.copy: Layer | None = None
        self._throttle = Throttle(self._move)
        viewer.mouse_move_callbacks.append(self._on_move)

    def end(self) -> None:
        """Go back to how it was before."""
        self._viewer.mouse_move_callbacks.remove(self._on_move)
        self._throttle.end()
        if self._mirror is not None:
            self._mirror.end()
        remove_private(self._viewer, *self.copies)
        self._changed.restore()
        self._matched.end()

    @property
    def copies(self) -> list[Layer]:
        """The layers that it has put into the viewer."""
        return [] if self.copy is None else [self.copy]

    def _on_move(self, _: object, event: Any) -> None:
        self._throttle(tuple(event.position)[-3:])

    def _move(self, world: tuple[float, ...]) -> None:
        plane = in_plane(self._viewer)
        voxel = self._grid.voxel_at(world)
        if plane is None or voxel is None:
            if self.copy is not None:
                self.copy.visible = False
            return
        part = [slice(None)] * 3
        start = np.zeros(3)
        for axis in plane:
            size = self._grid.shape[axis]
            side = min(max(SMALLEST, self._side(axis)), size)
            start[axis] = min(max(0, voxel[axis] - side // 2), size - side)
            part[axis] = slice(int(start[axis]), int(start[axis]) + side)
        translate = np.array(self._layer.translate) + start * self._layer.scale
        self._put(self._voxels[tuple(part)], translate)

    def _side(self, axis: int) -> int:
        """Of the lens, in voxels."""
        spacing = abs(float(self._grid.spacing[axis]))
        return round(SIDE / float(camera_of(self._viewer).zoom) / spacing)

    def _put(self, voxels: Any, translate: Any) -> None:
        if self.copy is None:
            self.copy = duplicate(
                self._layer,
                voxels,
                name="lens",
                translate=translate,
                opacity=1.0,
                blending="translucent",
            )
            add_private(self._viewer, self.copy)
            self._mirror = Mirror(self._layer, self.copy)
            return
        self.copy.visible = True
        self.copy.data = voxels
        self.copy.translate = translate
