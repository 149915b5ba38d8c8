"""What the page of steps does: connects its parts, the work and the viewer."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.enhance.view import middle_of_view, place_of
from napari_cyclegan3d.gui.history import saved
from napari_cyclegan3d.gui.prepare.history import lines, records_of
from napari_cyclegan3d.gui.prepare.opening import Opener
from napari_cyclegan3d.gui.prepare.results import Results
from napari_cyclegan3d.gui.prepare.runner import Runner
from napari_cyclegan3d.gui.prepare.settings import PrepareSettings
from napari_cyclegan3d.gui.prepare.task import Grey, Made, Written
from napari_cyclegan3d.gui.prepare.work import run
from napari_cyclegan3d.prepare.events import Event, Saved

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.prepare.dock import PrepareDock


class StepController:
    """Runs steps and saves.

    Args:
        dock: The dock.
        runner: Runs the work.
        opener: Opens files.
    """

    def __init__(self, dock: "PrepareDock", runner: Runner, opener: Opener) -> None:
        self.dock = dock
        self._runner, self._opener = runner, opener
        self.settings = PrepareSettings(dock)
        self._results = Results(dock.viewer, dock.views)
        self.settings.restore()
        self._connect()
        self.on_layers()

    def prepare(self) -> None:
        """Do the step on the chosen layer."""
        self._start_step(None, is_preview=False)

    def preview(self, world: Sequence[float] | None) -> None:
        """Show the result around a world position, or where the user looks."""
        self._start_step(world, is_preview=True)

    def save(self, path: Path) -> None:
        """Write the chosen layer into a file."""
        layer = self.dock.volume.layer
        if layer is not None:
            self._runner.start(
                _written(saved(layer, path)), lambda _: None, f"Writing {path.name}"
            )

    def drop(self, items: Sequence[Grey | Path]) -> None:
        """Choose a layer; open files as layers."""
        paths = [one for one in items if isinstance(one, Path)]
        for item in items:
            if not isinstance(item, Path):
                self.dock.choose(item)
        if paths:
            self._opener.open(paths, self.dock.volume)

    def on_layers(self) -> None:
        """Other layers are in the viewer, or another one is chosen."""
        layer = self.dock.volume.layer
        records = records_of(layer)
        self.dock.history.setText(lines(records))
        self.dock.history_fold.setVisible(bool(records))
        self._results.look_at(layer)
        self.dock.views_fold.setVisible(self.dock.views.pair is not None)
        if not self._runner.is_busy:
            self._show_running(busy=False)

    def problem(self) -> str:
        """What is wrong with what is chosen; empty: nothing, or nothing is chosen."""
        return self.settings.problem()

    def _on_choice(self) -> None:
        self.on_layers()
        self.dock.show_problem()

    def _on_change(self) -> None:
        self.settings.keep()
        self.dock.show_problem()

    def _start_step(self, world: Sequence[float] | None, *, is_preview: bool) -> None:
        dock, layer = self.dock, self.dock.volume.layer
        if self._runner.is_busy:
            return
        try:
            task = self.settings.task()
            if is_preview and layer is not None:
                where = world or middle_of_view(dock.viewer)
                task = self.settings.task(*place_of(layer, where))
        except InputError as error:
            dock.status.refuse(str(error))
            return
        dock.offer.withdraw()
        self._runner.start(
            run(task),
            self._made,
            f"{task.step.title}: {task.layer.name}",
            settings=self.settings.text(),
            asks=not is_preview,
        )

    def _made(self, made: Made) -> None:
        layer = self._results.add(made)
        told = [f"Added layer {layer.name!r}", *made.remarks]
        self._runner.tell("; ".join(told))
        if made.task.around is None:
            self.dock.views_fold.show()
            self.dock.views_fold.expand(animate=False)
            self.dock.offer.make(
                "The next step on the result?",
                "Go on with it",
                partial(self.dock.choose, layer),
            )

    def _show_running(self, busy: bool) -> None:
        dock = self.dock
        has_layer = dock.volume.layer is not None
        for button in (dock.preview_button, dock.prepare_button, dock.save_button):
            button.setEnabled(has_layer and not busy)
        for widget in (dock.volume, dock.steps):
            widget.setEnabled(not busy)

    def _connect(self) -> None:
        dock = self.dock
        dock.preview_button.clicked.connect(lambda: self.preview(None))
        dock.prepare_button.clicked.connect(self.prepare)
        dock.volume.changed.connect(self._on_choice)
        dock.steps.changed.connect(self._on_change)
        self._runner.busy_changed.connect(self._show_running)
        for chooser in (dock.volume, dock.steps.partner):
            chooser.wanted.connect(
                lambda path, one=chooser: self._opener.open([path], one)
            )


def _written(events: Iterator[Event]) -> Iterator[Event | Written]:
    """The events of a saving, the last one as what the user is told."""
    for event in events:
        yield Written(f"Wrote {event.path}") if isinstance(event, Saved) else event
