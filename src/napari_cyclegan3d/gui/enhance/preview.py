"""Glimpses of a result in the viewer, before the whole volume is enhanced."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from napari.layers import Image
from napari.utils.notifications import show_warning

from napari_cyclegan3d.engine.events import Warned
from napari_cyclegan3d.gui.enhance.progress import EnhanceProgress
from napari_cyclegan3d.gui.enhance.result import is_result_of, show_glimpse
from napari_cyclegan3d.gui.enhance.task import Glimpsed, Task
from napari_cyclegan3d.gui.enhance.view import (
    ClickTool,
    axis_across,
    middle_of_view,
    place_of,
)
from napari_cyclegan3d.gui.enhance.work import look
from napari_cyclegan3d.gui.worker import Running

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.enhance.dock import EnhanceDock


class ShowRunning(Protocol):
    """Shows in the dock whether something runs."""

    def __call__(self, *, busy: bool = False) -> None:
        """Switch its buttons."""


class EnhancePreview:
    """Runs glimpses; there is one layer with the newest of them.

    Args:
        dock: The dock.
        running: Runs one engine at a time.
        progress: Shows how far it is.
        show_running: Switches the buttons of the dock.
    """

    def __init__(
        self,
        dock: "EnhanceDock",
        running: Running,
        progress: EnhanceProgress,
        show_running: ShowRunning,
    ) -> None:
        self._dock, self._running = dock, running
        self._progress, self._show_running = progress, show_running
        self._shown: Image | None = None
        self._source: Image | None = None
        self._begun = 0.0
        self._click = ClickTool(dock.viewer, dock.preview_box)
        dock.click_button.toggled.connect(self._click.switch)

    def start(self, task: Task, world: Sequence[float] | None, *, slab: bool) -> None:
        """Show the result around a world position, or where the user looks."""
        layer = task.source.item
        assert isinstance(layer, Image)
        viewer = self._dock.viewer
        centre, frame = place_of(layer, world or middle_of_view(viewer))
        across = axis_across(viewer, layer) if slab else None
        self._source, self._begun = layer, time.monotonic()
        self._show_running(busy=True)
        self._progress.wait(f"{layer.name}: a part of the result comes …")
        events = look(task, centre, across, frame)
        self._running.start(events, self._on_event, self._on_end)

    def make_way(self, layer: Image) -> None:
        """Take the glimpse of a layer away: all of its result is there now."""
        viewer, shown = self._dock.viewer, self._shown
        if shown is not None and shown in viewer.layers and is_result_of(shown, layer):
            viewer.layers.remove(shown)
            self._shown = None

    def stop_listening(self) -> None:
        """No longer wait for clicks."""
        self._dock.click_button.setChecked(False)

    def _on_event(self, event: object) -> None:
        match event:
            case Warned():
                show_warning(event.message)
            case Glimpsed():
                self._show(event)

    def _show(self, glimpsed: Glimpsed) -> None:
        assert self._source is not None
        viewer = self._dock.viewer
        self._shown = show_glimpse(viewer, self._source, glimpsed, self._shown)
        sides = " × ".join(str(part.stop - part.start) for part in glimpsed.region)
        taken = time.monotonic() - self._begun
        self._dock.status.say(
            f"{self._source.name}: the result of {sides} voxels, in {taken:.1f} s"
        )

    def _on_end(self) -> None:
        self._source = None
        self._progress.end()
        self._show_running()
        if self._running.is_cancelled:
            self._dock.status.say("Cancelled; nothing was changed.")
        elif self._running.failure is not None:
            self._dock.status.fail(self._running.failure)
