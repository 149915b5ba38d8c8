"""A line in the viewer whose profile through all volumes is plotted."""

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from numpy.typing import NDArray

from napari_cyclegan3d.gui.canvas import camera_of
from napari_cyclegan3d.gui.layers import finest
from napari_cyclegan3d.gui.views.grid import grid_of, in_plane
from napari_cyclegan3d.gui.views.profile_data import Profile, Source, profile
from napari_cyclegan3d.gui.views.profile_plot import ProfilePlot
from napari_cyclegan3d.gui.views.shown import Shown
from napari_cyclegan3d.gui.views.temporary import (
    COLOUR,
    VIEW_KEY,
    remove_private,
)
from napari_cyclegan3d.gui.views.throttle import Throttle
from napari_cyclegan3d.gui.worker import Executor, Failure, Job

if TYPE_CHECKING:
    from napari.viewer import Viewer

PLACED = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
WIDTH = 1 / 250  # in sides of the volume
LONG = 300  # at first, in pixels of the canvas
INTERVAL_MS = 100


class ProfileLine:
    """A line that the user drags, and its plot.

    Args:
        viewer: The viewer.
        shown: The layers.
        plot: Where it is drawn.
        executor: Reads the voxels.
    """

    def __init__(
        self, viewer: "Viewer", shown: Shown, plot: ProfilePlot, executor: Executor
    ) -> None:
        self._viewer, self._shown, self._plot = viewer, shown, plot
        self._executor = executor
        self._grid = grid_of(shown.enhanced)
        self._raw = Source(finest(shown.raw), grid_of(shown.raw))
        volumes = {"enhanced": shown.enhanced, "truth": shown.truth}
        self._others = {
            name: Source(finest(one), grid_of(one))
            for name, one in volumes.items()
            if one is not None
        }
        self._job: Job | None = None
        self._waiting: NDArray[np.float64] | None = None
        self._drawing = self._reading = self._ended = False
        self._before = set(viewer.layers.selection)
        self.layer = self._new_layer()
        viewer.add_layer(self.layer)
        self._make_draggable()
        self._throttle = Throttle(self._read, INTERVAL_MS)
        self.layer.events.data.connect(self._changed)
        viewer.dims.events.current_step.connect(self._to_slice)
        viewer.dims.events.order.connect(self._begin_again)
        viewer.dims.events.ndisplay.connect(self._make_draggable)
        self._throttle()

    def set_ends(self, ends: NDArray[np.float64]) -> None:
        """Lay the line from one world position to another (2, 3)."""
        self._drawing = True
        try:
            self.layer.data = [self._grid.to_voxels(ends)]
            if in_plane(self._viewer) is not None:
                self.layer.selected_data = {0}
        finally:
            self._drawing = False
        self._throttle()

    def end(self) -> None:
        """Go."""
        self._ended = True
        dims = self._viewer.dims.events
        dims.current_step.disconnect(self._to_slice)
        dims.order.disconnect(self._begin_again)
        dims.ndisplay.disconnect(self._make_draggable)
        self.layer.events.data.disconnect(self._changed)
        self._throttle.end()
        if self._job is not None:
            self._job.quit()
        chosen = set(self._viewer.layers.selection)
        remove_private(self._viewer, self.layer)
        if chosen == {self.layer}:
            layers = self._viewer.layers
            layers.selection = {one for one in self._before if one in layers}
        self._plot.clear()

    def _new_layer(self) -> Shapes:
        enhanced = self._shown.enhanced  # its voxels, for napari rounds to slices
        return Shapes(
            [self._grid.to_voxels(self._first_ends())],
            shape_type="line",
            name="profile line",
            edge_width=max(self._grid.shape) * WIDTH,
            edge_color=COLOUR,
            opacity=1.0,
            metadata={VIEW_KEY: enhanced.name},
            **{name: getattr(enhanced, name) for name in PLACED},
        )

    def _first_ends(self) -> NDArray[np.float64]:
        """Across the middle of what is seen."""
        low, high = self._grid.edges
        inner = np.abs(self._grid.spacing) / 2
        camera, dims = camera_of(self._viewer), self._viewer.dims
        axes = [axis - dims.ndim + 3 for axis in dims.displayed]
        middle = self._grid.to_world(np.round(self._grid.to_voxels(dims.point[-3:])))
        for axis, value in zip(axes, camera.center[-len(axes) :], strict=True):
            if axis >= 0:
                middle[axis] = value
        ends = np.array([middle, middle])
        across = max(axes[-1], 0)
        ends[:, across] += np.array([-0.5, 0.5]) * LONG / float(camera.zoom)
        return np.asarray(np.clip(ends, low + inner, high - inner), np.float64)

    def _make_draggable(self, _: object = None) -> None:
        if in_plane(self._viewer) is not None:  # in 3D napari leaves this mode
            self.layer.mode = "direct"
            self.layer.selected_data = {0}

    def _begin_again(self, _: object = None) -> None:
        if in_plane(self._viewer) is not None:
            self.set_ends(self._first_ends())

    def _to_slice(self, _: object = None) -> None:
        """Keep the line in the slice that is shown."""
        plane = in_plane(self._viewer)
        if plane is None or self._drawing:
            return
        (across,) = {0, 1, 2} - set(plane)
        voxels = np.array(self.layer.data[0])
        point = self._grid.to_voxels(self._viewer.dims.point[-3:])
        at = np.clip(np.round(point[across]), 0, self._grid.shape[across] - 1)
        if not np.allclose(voxels[:, across], at):
            voxels[:, across] = at
            self.set_ends(self._grid.to_world(voxels))

    def _changed(self, _: Any) -> None:
        if self._drawing:
            return
        if len(self.layer.data) == 1:
            self._throttle()
        else:  # the user has deleted the line or drawn another
            drawn = [self._grid.to_world(one[:2]) for one in self.layer.data]
            self.set_ends(drawn[-1] if drawn else self._first_ends())

    def _read(self) -> None:
        ends = self._grid.to_world(self.layer.data[0])
        if self._reading:
            self._waiting = ends
            return
        self._waiting = None
        events = profile(self._raw, self._others, self._shown.inspection, ends)
        self._reading = True
        job = self._executor(events, self._draw, self._fail, self._finish)
        if self._reading:  # an executor may have finished already
            self._job = job

    def _draw(self, found: Profile) -> None:
        if not self._ended:
            unit = str(self._shown.raw.units[-1])
            self._plot.draw(found, "" if unit == "pixel" else unit)

    def _fail(self, failure: Failure) -> None:
        if not self._ended:
            self._plot.names.setText(failure.message)

    def _finish(self) -> None:
        self._job, self._reading = None, False
        if self._waiting is not None and not self._ended:
            self._read()
