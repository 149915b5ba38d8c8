"""A cross at the cursor, in every cell and view, and what is known of that place."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Vectors
from numpy.typing import ArrayLike, NDArray

from napari_cyclegan3d.gui.canvas import camera_of
from napari_cyclegan3d.gui.views.grid import grid_of, in_plane
from napari_cyclegan3d.gui.views.readout import words_at
from napari_cyclegan3d.gui.views.shown import Shown
from napari_cyclegan3d.gui.views.temporary import (
    COLOUR,
    VIEW_KEY,
    add_private,
    remove_private,
)
from napari_cyclegan3d.gui.views.throttle import Throttle

if TYPE_CHECKING:
    from napari.viewer import Viewer

PIXELS = 1.5  # width of a line


def in_slice(viewer: Any, place: Sequence[float]) -> NDArray[np.float64]:
    """The same place in the slice that is shown."""
    moved = np.array(place, dtype=np.float64)
    plane = in_plane(viewer)
    if plane is not None:
        (across,) = {0, 1, 2} - set(plane)
        moved[across] = viewer.dims.point[across - 3]
    return moved


class Cross:
    """Follows the cursor over the slice.

    Attributes:
        place: Where it is, in the world (z, y, x).
        layer: Its lines.

    Args:
        viewer: The viewer.
        shown: The layers.
        tell: Gets the words about the place.
    """

    def __init__(
        self, viewer: "Viewer", shown: Shown, tell: Callable[[str], None]
    ) -> None:
        self._viewer, self._shown, self._tell = viewer, shown, tell
        self._grid = grid_of(shown.raw)
        low, high = self._grid.edges
        self.place = tuple((low + high) / 2)
        self.layer = self._new_layer()
        add_private(viewer, self.layer)
        self._throttle = Throttle(self.move_to)
        viewer.mouse_move_callbacks.append(self._on_move)
        viewer.dims.events.point.connect(self._to_slice)

    def move_to(self, world: tuple[float, ...]) -> None:
        """Show a place in the world, and what is known of it."""
        place = tuple(world)[-3:]
        if self._grid.voxel_at(place) is None:
            return
        self.place = place
        self.layer.data = self.lines(place)
        width = PIXELS / float(camera_of(self._viewer).zoom)
        if not np.isclose(self.layer.edge_width, width):
            self.layer.edge_width = width
        self._tell(words_at(self._shown, place))

    def lines(self, place: ArrayLike) -> NDArray[np.float64]:
        """Three lines (3, 2, 3) through the volume that meet at a place.

        In a slice two of them are seen: the third begins at the volume's border.
        """
        low, high = self._grid.edges + np.abs(self._grid.spacing) * [[0.5], [-0.5]]
        starts = np.tile(np.asarray(place, np.float64), (3, 1))
        np.fill_diagonal(starts, low)
        return np.stack([starts, np.diag(high - low)], axis=1)

    def end(self) -> None:
        """Go."""
        self._viewer.dims.events.point.disconnect(self._to_slice)
        self._viewer.mouse_move_callbacks.remove(self._on_move)
        self._throttle.end()
        remove_private(self._viewer, self.layer)
        self._tell("")

    def _on_move(self, _: object, event: Any) -> None:
        if in_plane(self._viewer) is not None:
            self._throttle(tuple(event.position))

    def _to_slice(self, _: object = None) -> None:
        """Stay seen when another slice is."""
        place = in_slice(self._viewer, self.place)
        if not np.array_equal(place, self.place):
            self._throttle(tuple(place))

    def _new_layer(self) -> Vectors:
        raw = self._shown.raw
        return Vectors(
            self.lines(self.place),
            name="cross",
            vector_style="line",
            edge_width=PIXELS / float(camera_of(self._viewer).zoom),
            edge_color=COLOUR,
            opacity=0.8,
            units=raw.units,
            axis_labels=raw.axis_labels,
            metadata={VIEW_KEY: raw.name},
        )
