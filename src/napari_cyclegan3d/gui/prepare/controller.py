"""What the Prepare dock does: connects its parts, the worker and the viewer."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.events import Warned
from napari_cyclegan3d.engine.hallucination.events import Working as Done
from napari_cyclegan3d.gui.choosing import Asker
from napari_cyclegan3d.gui.closing import DockGuard, Work
from napari_cyclegan3d.gui.enhance.view import middle_of_view, place_of
from napari_cyclegan3d.gui.history import saved
from napari_cyclegan3d.gui.inspect.progress import InspectProgress
from napari_cyclegan3d.gui.prepare.history import lines, records_of
from napari_cyclegan3d.gui.prepare.results import Results
from napari_cyclegan3d.gui.prepare.settings import PrepareSettings
from napari_cyclegan3d.gui.prepare.task import Grey, Made, Opened
from napari_cyclegan3d.gui.prepare.volume import VolumeChooser
from napari_cyclegan3d.gui.prepare.work import open_layers, run
from napari_cyclegan3d.gui.worker import Executor, Running
from napari_cyclegan3d.prepare.events import Event, Saved, Working

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.prepare.dock import PrepareDock


class PrepareController:
    """Runs steps, opens and saves.

    Args:
        dock: The dock.
        executor: Runs the work.
    """

    def __init__(self, dock: "PrepareDock", executor: Executor) -> None:
        self.dock = dock
        self._running = Running(executor)
        self.settings = PrepareSettings(dock)
        self._progress = InspectProgress(dock.progress, dock.status)
        self._results = Results(dock.viewer, dock.views)
        self._asker = Asker(dock, executor)
        self._told = self._doing = ""
        self._written: Path | None = None
        # who gets the layer that is being opened
        self._asked_by: VolumeChooser = dock.volume
        self._connect()
        work = Work(
            lambda: "A preparation is running." if self._doing == "prepare" else "",
            lambda: self.is_busy,
            self._end,
            "Cancel it and close",
            "Let it run",
        )
        self._guard = DockGuard(dock, dock.viewer, work)
        self.settings.restore()
        self.on_layers()

    @property
    def is_busy(self) -> bool:
        """Whether something is prepared, opened or saved."""
        return self._running.is_busy

    def prepare(self) -> None:
        """Do the step on the chosen layer."""
        self._start_step("prepare", None)

    def preview(self, world: Sequence[float] | None) -> None:
        """Show the result around a world position, or where the user looks."""
        self._start_step("preview", world)

    def save(self, path: Path) -> None:
        """Write the chosen layer into a file."""
        layer = self.dock.volume.layer
        if self.is_busy or layer is None:
            return
        self._begin("save")
        self._progress.begin(f"Writing {path.name}")
        self._running.start(
            self._noted(saved(layer, path)), self._on_event, self._on_end
        )

    def open(self, paths: Sequence[Path], chooser: VolumeChooser) -> None:
        """Open files as layers; a chooser gets the last of them."""
        self._asker.ask(paths, partial(self._open, chooser), self.dock.status.refuse)

    def _open(self, chooser: VolumeChooser, items: Sequence[Path | str]) -> None:
        if self.is_busy:
            self.dock.status.refuse("Wait for what runs, or cancel it first.")
            return
        self._asked_by = chooser
        self._begin("open")
        self._progress.wait(f"Reading {Path(items[-1]).name} …")
        texts = [str(one) for one in items]
        self._running.start(open_layers(texts), self._on_event, self._on_end)

    def cancel(self) -> None:
        """Stop soon; nothing is changed."""
        if self.is_busy and not self._running.is_cancelled:
            self.dock.status.say("Cancelling …")
            self.dock.cancel_button.setEnabled(False)
            self._running.cancel()

    def drop(self, items: Sequence[Grey | Path]) -> None:
        """Choose a layer; open files as layers."""
        paths = [one for one in items if isinstance(one, Path)]
        for item in items:
            if not isinstance(item, Path):
                self.dock.choose(item)
        if paths:
            self.open(paths, self.dock.volume)

    def on_layers(self) -> None:
        """Other layers are in the viewer, or another one is chosen."""
        layer = self.dock.volume.layer
        records = records_of(layer)
        self.dock.history.setText(lines(records))
        self.dock.history_fold.setVisible(bool(records))
        self._results.look_at(layer)
        self.dock.views_fold.setVisible(self.dock.views.pair is not None)
        if not self.is_busy:
            self._show_running()

    def _noted(self, events: Iterator[Event]) -> Iterator[Event]:
        """The same events; what is written stays so, even if it is cancelled late."""
        for event in events:
            if isinstance(event, Saved):
                self._written = event.path
            yield event

    def _start_step(self, doing: str, world: Sequence[float] | None) -> None:
        if self.is_busy:
            return
        dock, layer = self.dock, self.dock.volume.layer
        try:
            task = self.settings.task()
            if doing == "preview" and layer is not None:
                where = world or middle_of_view(dock.viewer)
                task = self.settings.task(*place_of(layer, where))
        except InputError as error:
            dock.status.refuse(str(error))
            return
        self._begin(doing)
        dock.offer.withdraw()
        self._progress.begin(f"{task.step.title}: {task.layer.name}")
        self._running.start(run(task), self._on_event, self._on_end)

    def _on_event(self, event: object) -> None:
        match event:
            case Working():
                self._progress.working(Done(event.text, event.fraction))
            case Warned():
                show_warning(event.message)
            case Made():
                self._made(event)
            case Opened():
                self._opened(event)

    def _made(self, made: Made) -> None:
        layer = self._results.add(made)
        told = [f"Added layer {layer.name!r}", *made.remarks]
        self._told = "; ".join(told)
        if made.task.around is None:
            self.dock.views_fold.show()
            self.dock.views_fold.expand(animate=False)
            self.dock.offer.make(
                "The next step on the result?",
                "Go on with it",
                partial(self.dock.choose, layer),
            )

    def _opened(self, opened: Opened) -> None:
        layers = [self.dock.viewer.add_image(one[0], **one[1]) for one in opened.layers]
        self._asked_by.choose(layers[-1])
        self._told = f"Opened {', '.join(layer.name for layer in layers)}"

    def _on_end(self) -> None:
        cancelled, failure = self._running.is_cancelled, self._running.failure
        self._progress.end(complete=not cancelled and failure is None)
        self._doing = ""
        self._show_running()
        if failure is not None and not cancelled:
            self.dock.status.fail(failure, self.settings.text())
        else:
            told = "Cancelled; nothing was changed." if cancelled else self._told
            written = self._written
            self.dock.status.say(told if written is None else f"Wrote {written}")

    def _begin(self, doing: str) -> None:
        self._doing, self._told, self._written = doing, "", None
        self._show_running(busy=True)

    def _show_running(self, *, busy: bool = False) -> None:
        dock = self.dock
        has_layer = dock.volume.layer is not None
        for button in (dock.preview_button, dock.prepare_button, dock.save_button):
            button.setEnabled(has_layer and not busy)
        for widget in (dock.volume, dock.steps):
            widget.setEnabled(not busy)
        dock.cancel_button.setEnabled(busy)
        dock.progress.setVisible(busy)
        if not busy:
            self.settings.on_change()

    def _connect(self) -> None:
        dock = self.dock
        dock.preview_button.clicked.connect(lambda: self.preview(None))
        dock.prepare_button.clicked.connect(self.prepare)
        dock.cancel_button.clicked.connect(self.cancel)
        dock.volume.changed.connect(self.on_layers)
        dock.steps.changed.connect(self.settings.on_change)
        for chooser in (dock.volume, dock.steps.partner):
            chooser.wanted.connect(lambda path, one=chooser: self.open([path], one))

    def _end(self) -> None:
        """The dock closes."""
        self.cancel()
        self.dock.views.clear()
