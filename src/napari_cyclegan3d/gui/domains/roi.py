"""A box over a layer that the user drags in the viewer, and places picked in it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_cyclegan3d.engine.volume import Region
from napari_cyclegan3d.gui.layers import placed_in_space, to_volume

if TYPE_CHECKING:
    import napari

Voxel = tuple[int, int, int]
Bounds = list[tuple[int, int]]
COLOUR = "yellow"
FAINT = 0.3  # opacity beside the box
WIDTH = 1 / 150  # of a line, in sides of the volume


class RegionBox:
    """A rectangle in the slice that is shown, as deep as the region.

    The user moves and resizes it; in another plane it is the other side of the same
    box. In 3D the whole box is drawn, to look at.

    Args:
        viewer: The viewer that gets the outline, as a layer of its own.
        layer: The layer that the region is a part of.
        region: The part at first; None: all of it.
        on_change: Called with the region whenever the user has changed it; None: all.
        on_end: Called once, when the outline is gone.
    """

    def __init__(
        self,
        viewer: "napari.viewer.Viewer",
        layer: Image,
        region: Region | None,
        on_change: Callable[[Region | None], None],
        on_end: Callable[[], None],
    ) -> None:
        self._viewer, self._layer = viewer, layer
        self._on_change, self._on_end = on_change, on_end
        self._shape = to_volume(layer, 0).shape
        self._bounds = bounds_of(region, self._shape)
        self._drawing = self._ended = False
        self._selected = set(viewer.layers.selection)
        self.outline = viewer.add_shapes(
            name=f"region of {layer.name}",
            ndim=3,
            **placed_in_space(layer),
        )
        self._turn()
        self.outline.events.data.connect(self._read)
        viewer.dims.events.current_step.connect(self.draw)
        viewer.dims.events.order.connect(self.draw)
        viewer.dims.events.ndisplay.connect(self._turn)
        viewer.layers.events.removed.connect(self._lost)

    def set_region(self, region: Region | None) -> None:
        """Show another part."""
        self._bounds = bounds_of(region, self._shape)
        self.draw()

    def draw(self, _: object = None) -> None:
        """Draw the box as it is now, in the plane that is shown."""
        if self._drawing:  # napari tells of new limits of its sliders meanwhile
            return
        at = slice_shown(self._viewer, self._layer)
        shown = displayed_axes(self._viewer)
        inside = True
        if len(shown) == 2:
            (depth,) = {0, 1, 2} - set(shown)
            inside = self._bounds[depth][0] <= at[depth] < self._bounds[depth][1]
            rectangles = [rectangle(self._bounds, self._shape, depth, at[depth])]
        elif len(shown) == 3:
            rectangles = [
                rectangle(self._bounds, self._shape, axis, end)
                for axis in range(3)
                for end in edges(self._bounds, self._shape, axis)
            ]
        else:  # another axis, such as time, lies in the plane
            rectangles = []
        self._drawing = True
        try:
            self._replace(rectangles)
        finally:
            self._drawing = False
        self.outline.opacity = 1.0 if inside else FAINT

    def end(self) -> None:
        """Take the outline away."""
        if self._ended:
            return
        self._ended = True
        dims = self._viewer.dims.events
        dims.current_step.disconnect(self.draw)
        dims.order.disconnect(self.draw)
        dims.ndisplay.disconnect(self._turn)
        self._viewer.layers.events.removed.disconnect(self._lost)
        self.outline.events.data.disconnect(self._read)
        if self.outline in self._viewer.layers:
            self._viewer.layers.remove(self.outline)
        layers = self._viewer.layers
        layers.selection = {one for one in self._selected if one in layers}
        self._on_end()

    def _turn(self, _: object = None) -> None:
        self.draw()
        if self._viewer.dims.ndisplay == 2:  # in 3D napari leaves this mode
            self.outline.mode = "select"

    def _replace(self, rectangles: list[NDArray[np.float64]]) -> None:
        self.outline.selected_data = set()
        self.outline.data = []
        if rectangles:
            self.outline.add_rectangles(
                rectangles,
                edge_width=max(self._shape) * WIDTH,
                edge_color=COLOUR,
                face_color="transparent",
            )
            if len(rectangles) == 1:
                self.outline.selected_data = {0}

    def _read(self, event: Any) -> None:
        """Take over what the user has made of the rectangle."""
        shown = displayed_axes(self._viewer)
        if self._drawing or event.action not in ("changed", "added", "removed"):
            return
        if not self.outline.data:  # deleted by the user
            self.end()
            return
        if len(shown) != 2:
            self.draw()
            return
        corners = np.asarray(self.outline.data[-1])
        for axis in shown:
            size = self._shape[axis]
            self._bounds[axis] = voxels_between(corners[:, axis], size)
        self.draw()
        self._on_change(region_of(self._bounds, self._shape))

    def _lost(self, event: Any) -> None:
        if event.value in (self.outline, self._layer):
            self.end()


class PlacePicker:
    """Waits for one click on a layer.

    Args:
        viewer: The viewer that is clicked in.
        layer: The layer that is meant.
        on_pick: Called with the voxel (z, y, x) that was clicked at; in 3D the middle
            of what lies below the pointer.
    """

    def __init__(
        self,
        viewer: "napari.viewer.Viewer",
        layer: Image,
        on_pick: Callable[[Voxel], None],
    ) -> None:
        self._viewer, self._layer, self._on_pick = viewer, layer, on_pick
        viewer.mouse_drag_callbacks.append(self._click)

    def end(self) -> None:
        """Wait no longer."""
        if self._click in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._click)

    def _click(self, _: object, event: Any) -> None:
        shape = to_volume(self._layer, 0).shape
        if self._viewer.dims.ndisplay == 3:
            ends = self._layer.get_ray_intersections(
                event.position, event.view_direction, event.dims_displayed
            )
            if ends[0] is None:
                return  # beside the volume
            place = np.mean(ends, axis=0)
        else:
            place = np.asarray(self._layer.world_to_data(event.position))
        z, y, x = (int(value) for value in np.round(place[-3:]))
        if all(0 <= n < size for n, size in zip((z, y, x), shape, strict=True)):
            self.end()
            self._on_pick((z, y, x))


def bounds_of(region: Region | None, shape: Voxel) -> Bounds:
    """First voxel and the one after the last, per axis."""
    parts = region or (slice(None),) * 3
    ends = (part.indices(n) for part, n in zip(parts, shape, strict=True))
    return [(start, max(start + 1, stop)) for start, stop, _ in ends]


def region_of(bounds: Bounds, shape: Voxel) -> Region | None:
    """The region of some bounds; None if it is everything."""
    parts = [
        slice(None) if ends == (0, size) else slice(*ends)
        for ends, size in zip(bounds, shape, strict=True)
    ]
    z, y, x = parts
    return None if parts == [slice(None)] * 3 else (z, y, x)


def edges(bounds: Bounds, shape: Voxel, axis: int) -> tuple[float, float]:
    """Where a box begins and ends along an axis: at the edges of its voxels.

    At the border of the volume it is their centres, for napari's sliders would reach
    farther than the volume else.
    """
    start, stop = bounds[axis]
    return max(start - 0.5, 0.0), min(stop - 0.5, shape[axis] - 1.0)


def voxels_between(ends: NDArray[np.floating], size: int) -> tuple[int, int]:
    """The voxels that a line covers, of an axis with `size` of them; at least one."""
    low, high = float(ends.min()), float(ends.max())
    start = min(max(round(low + 0.5), 0), size - 1) if low > 0 else 0
    stop = round(high + 0.5) if high < size - 1 else size
    return start, max(start + 1, stop)


def rectangle(
    bounds: Bounds, shape: Voxel, axis: int, at: float
) -> NDArray[np.float64]:
    """Corners (4, 3) of a box's cut across an axis."""
    first, second = (other for other in range(3) if other != axis)
    corners = np.full((4, 3), float(at))
    corners[:, first] = np.array(edges(bounds, shape, first))[[0, 0, 1, 1]]
    corners[:, second] = np.array(edges(bounds, shape, second))[[0, 1, 1, 0]]
    return corners


def displayed_axes(viewer: "napari.viewer.Viewer") -> list[int]:
    """Which axes (0: z) of a volume lie in the plane that is shown."""
    before = viewer.dims.ndim - 3  # axes that only other layers have, such as time
    return [axis - before for axis in viewer.dims.displayed if axis >= before]


def slice_shown(viewer: "napari.viewer.Viewer", layer: Image) -> Voxel:
    """The voxel of a layer at which the viewer's sliders stand."""
    place = np.round(np.asarray(layer.world_to_data(viewer.dims.point)))
    z, y, x = (int(value) for value in place[-3:])
    return z, y, x
