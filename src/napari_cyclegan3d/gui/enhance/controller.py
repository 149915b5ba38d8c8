"""What the Enhance dock does: connects its pages, the worker and the viewer."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from napari.utils.notifications import show_warning

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.events import EnhanceStarted, TileDone, Warned
from napari_cyclegan3d.engine.hallucination.events import Working
from napari_cyclegan3d.gui.choosing import Asker
from napari_cyclegan3d.gui.closing import DockGuard, Work
from napari_cyclegan3d.gui.enhance.checking import found, offer_inspection
from napari_cyclegan3d.gui.enhance.preview import EnhancePreview
from napari_cyclegan3d.gui.enhance.progress import EnhanceProgress
from napari_cyclegan3d.gui.enhance.queue_list import Entry, State
from napari_cyclegan3d.gui.enhance.result import GrowingLayer, add_files
from napari_cyclegan3d.gui.enhance.settings import EnhanceSettings
from napari_cyclegan3d.gui.enhance.task import (
    Finished,
    Grew,
    Result,
    Stage,
    Task,
)
from napari_cyclegan3d.gui.enhance.work import run
from napari_cyclegan3d.gui.worker import Executor, Failure, Running

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.enhance.dock import EnhanceDock

# of models, and of packages of bioimage.io
MODEL_NAMES = (".safetensors", ".zip", "rdf.yaml", "bioimageio.yaml")
# results that are told one by one
TOLD = 2


class EnhanceController:
    """Runs the queue of a dock, and its previews.

    Args:
        dock: The dock.
        executor: Runs the work.
    """

    def __init__(self, dock: "EnhanceDock", executor: Executor) -> None:
        self.dock = dock
        self._running = Running(executor)
        self._settings = EnhanceSettings(dock)
        self._progress = EnhanceProgress(dock.progress, dock.status)
        self._preview = EnhancePreview(
            dock, self._running, self._progress, self._show_running
        )
        self._entry: Entry | None = None
        self._task: Task | None = None
        self._layers: dict[Result, GrowingLayer] = {}
        self._told: list[str] = []
        self._failures: list[Failure] = []
        self._then: Callable[[], None] | None = None

        self._asker = Asker(dock, executor)

        dock.source.wanted.connect(self.add)
        dock.model.changed.connect(self._on_model)
        dock.model.failed.connect(self._on_bad_model)
        dock.box_button.clicked.connect(lambda: self.preview(None, slab=False))
        dock.slab_button.clicked.connect(lambda: self.preview(None, slab=True))
        dock.enhance_button.clicked.connect(self.enhance)
        dock.cancel_button.clicked.connect(self.cancel)
        work = Work(
            lambda: "An enhancement is running." if self._entry else "",
            lambda: self.is_busy or dock.model.is_reading,
            self._end,
            "Cancel it and close",
            "Let it run",
        )
        self._guard = DockGuard(dock, dock.viewer, work)
        self._show_running()
        self._settings.restore()

    @property
    def is_busy(self) -> bool:
        """Whether an enhancement or a preview runs."""
        return self._running.is_busy

    def drop(self, items: Sequence[Image | Path]) -> None:
        """Use a model file; put everything else into the queue."""
        models = [
            one
            for one in items
            if isinstance(one, Path) and one.name.lower().endswith(MODEL_NAMES)
        ]
        for path in models[-1:]:
            self.dock.model.select(path)
        self.add([one for one in items if one not in models])

    def add(self, items: Sequence[Image | Path]) -> None:
        """Put layers, files and folders into the queue; ask what they leave open."""
        self._asker.ask(items, self._add, self.dock.status.refuse)

    def _add(self, items: Sequence[Image | Path | str]) -> None:
        refused = self.dock.source.add(items)
        self.dock.show_queue()
        if refused:
            self.dock.status.refuse("; ".join(refused))

    def enhance(self) -> None:
        """Enhance what waits in the queue, or else the chosen layer."""
        if self.is_busy or self._waits_for_model(self.enhance):
            return
        queue = self.dock.source.queue
        try:
            self._settings.task(Entry(self.dock.source.any_source()))
            if not queue.waiting:
                entry = self.dock.source.layer_entry()
                queue.clear_ended()
                queue.add(entry)
        except InputError as error:
            self.dock.status.refuse(str(error))
            return
        self._told, self._failures = [], []
        self._next()

    def preview(self, world: Sequence[float] | None, *, slab: bool) -> None:
        """Show a part of the result around a place, or where the user looks."""
        again = partial(self.preview, world, slab=slab)
        if self.is_busy or self._waits_for_model(again):
            return
        try:
            task = self._settings.task(self.dock.source.layer_entry())
            self._preview.start(task, world, slab=slab)
        except InputError as error:
            self.dock.status.refuse(str(error))

    def cancel(self) -> None:
        """Stop after the current tile; what is not finished goes."""
        self._then = None
        if self.is_busy and not self._running.is_cancelled:
            self.dock.status.say("Cancelling …")
            self.dock.cancel_button.setEnabled(False)
            self._running.cancel()

    def _next(self) -> None:
        """Start the next entry of the queue, if there is one."""
        waiting = self.dock.source.queue.waiting
        if not waiting:
            self._entry = self._task = None
            self._show_running()
            if self._failures:
                failure = _summary_of_failures(self._failures)
                self.dock.status.fail(failure, self._settings.text())
            elif self._told:
                self.dock.status.say(_summary(self._told))
            return
        self._entry = waiting[0]
        try:
            self._task = self._settings.task(self._entry)
        except InputError as error:
            self._fail(Failure(str(error), "", error))
            return
        self.dock.source.queue.set_state(self._entry, State.RUNNING)
        self._show_running(busy=True)
        self._progress.begin(self._entry.source.name)
        self._running.start(run(self._task), self._on_event, self._on_end)

    def _on_event(self, event: object) -> None:
        match event:
            case Stage():
                self._progress.stage(event)
            case EnhanceStarted():
                self._progress.started(event)
            case Warned():
                show_warning(event.message)
            case TileDone():
                self._progress.tile(event)
            case Working():
                self._progress.working(event)
            case Grew():
                self._grow(event.result)
            case Finished():
                self._finish(event.result)

    def _grow(self, result: Result) -> None:
        layer = self._layers.get(result)
        if layer is None:
            layer = GrowingLayer(self.dock.viewer, result, self.dock)
            self._layers[result] = layer
        elif layer.is_there:
            layer.grow()
        else:  # who takes the layer away does not want it
            self.cancel()

    def _finish(self, result: Result) -> None:
        seams = ""
        if result.seams is not None:
            seams = f"; steps at tile borders: {result.seams:.2f} times those elsewhere"
        if result.data is None:
            made = None
            if result.layer is not None:
                made = add_files(self.dock.viewer, result)
            told = f"Wrote {', '.join(map(str, result.paths))}"
        else:
            growing = self._layers.pop(result)
            made = growing.layer
            told = f"Added layer {made.name!r}"
            growing.finish()
            if result.layer is not None:
                self._preview.make_way(result.layer)
        self._told.append(f"{told}{seams}{found(result)}")
        if made is not None:
            offer_inspection(self.dock, result, made)

    def _on_end(self) -> None:
        assert self._entry is not None
        ended_well = not self._running.is_cancelled and self._running.failure is None
        self._progress.end(complete=ended_well)
        for layer in self._layers.values():
            layer.discard()
        self._layers.clear()
        queue = self.dock.source.queue
        if self._running.is_cancelled:
            self._was_cancelled()
        elif self._running.failure is not None:
            self._fail(self._running.failure)
        else:
            queue.set_state(self._entry, State.DONE, self._told[-1])
            self._next()

    def _was_cancelled(self) -> None:
        assert self._entry is not None
        assert self._task is not None
        kept = len(self._task.written)
        self.dock.source.queue.set_state(self._entry, State.CANCELLED)
        self._entry = self._task = None
        self._show_running()
        what = f"{kept} finished files stay" if kept else "nothing was changed"
        self.dock.status.say(f"Cancelled; {what}.")

    def _fail(self, failure: Failure) -> None:
        assert self._entry is not None
        self._failures.append(failure)
        self.dock.source.queue.set_state(self._entry, State.FAILED, failure.message)
        self._next()

    def _on_model(self) -> None:
        self._settings.on_change()
        if self.dock.model.is_reading:
            return
        then, self._then = self._then, None
        if self.dock.model.model is not None:
            self._settings.keep_model()
            if then is not None:
                then()

    def _on_bad_model(self, failure: Failure) -> None:
        self._then = None
        self.dock.status.fail(failure, self._settings.text())

    def _waits_for_model(self, action: Callable[[], None]) -> bool:
        """Do it once the model is read, if one is being read."""
        if not self.dock.model.is_reading:
            return False
        self._then = action
        self.dock.status.say("Reading the model …")
        return True

    def _show_running(self, *, busy: bool = False) -> None:
        dock = self.dock
        for widget in (
            dock.enhance_button,
            dock.box_button,
            dock.slab_button,
            dock.form,
            dock.target,
            dock.model,
        ):
            widget.setEnabled(not busy)
        dock.cancel_button.setEnabled(busy)
        self._settings.on_change()

    def _end(self) -> None:
        """The dock closes."""
        self._preview.stop_listening()
        self.dock.model.stop()
        self.cancel()


def _summary(told: list[str]) -> str:
    """What has become of a queue, in a line or two."""
    if len(told) <= TOLD:
        return "; ".join(told)
    return f"{len(told)} results; the last: {told[-1]}"


def _summary_of_failures(failures: list[Failure]) -> Failure:
    """The last failure, with the number of those before it."""
    last = failures[-1]
    if len(failures) == 1:
        return last
    return replace(last, message=f"{len(failures)} have failed; {last.message}")
