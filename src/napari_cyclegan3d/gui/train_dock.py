"""The Train dock: domains, settings, and a training to watch, pause and stop."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.training import (
    Balanced,
    CheckpointSaved,
    Started,
    StepDone,
    TrainingDone,
    Validated,
    Warned,
    train,
)
from napari_cyclegan3d.gui.data_page import DataPage
from napari_cyclegan3d.gui.parts import scrolled, status_line
from napari_cyclegan3d.gui.progress_page import ProgressPage, score_line
from napari_cyclegan3d.gui.settings_page import SettingsPage
from napari_cyclegan3d.gui.worker import EngineWorker, start_engine, tells_closed_dock
from napari_cyclegan3d.io.journal import Journal

if TYPE_CHECKING:
    import napari

RUNS_FOLDER = Path.home() / "cyclegan3d-runs"


class State(Enum):
    """What the dock is doing."""

    IDLE = "idle"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"


class TrainDock(QWidget):
    """Train a model on layers and files, and watch it.

    Args:
        viewer: The viewer whose layers can be chosen.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self.viewer = viewer
        self.state = State.IDLE
        self.worker: EngineWorker | None = None
        self._error: str | None = None
        self._goes_on = False  # with what the progress page shows
        self._noticed = ""  # the last score or change, shown below the step
        self._run_path = _free_run_folder()
        self.data, self.settings = DataPage(self._run_path), SettingsPage()
        self.progress_page = ProgressPage()
        self.status = status_line()
        self.progress = QProgressBar()
        self.start_button = QPushButton("Start")
        self.pause_button = QPushButton("Pause")
        self.resume_button = QPushButton("Resume")
        self.stop_button = QPushButton("Stop")

        self.tabs = QTabWidget()
        self.tabs.addTab(scrolled(self.data), "Data")
        self.tabs.addTab(scrolled(self.settings), "Settings")
        self.tabs.addTab(scrolled(self.progress_page), "Progress")
        buttons = QHBoxLayout()
        for button in self._buttons():
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tabs, stretch=1)
        layout.addWidget(self.status)
        layout.addWidget(self.progress)
        layout.addLayout(buttons)

        self.start_button.clicked.connect(lambda: self.start(resume=False))
        self.pause_button.clicked.connect(self.pause)
        self.resume_button.clicked.connect(self.resume)
        self.stop_button.clicked.connect(self.stop)
        self.data.changed.connect(self._invite)
        self.settings.changed.connect(self._invite)
        self.data.run_folder.changed.connect(self._show_run)
        self._set_state(State.IDLE)
        self._invite()

    @property
    def run_path(self) -> Path:
        """The folder that the training writes to."""
        return self.data.run_path

    def reset_choices(self, _: object = None) -> None:
        """Offer the layers that there are now; napari calls it when they change."""
        self.data.reset_choices()

    def start(self, *, resume: bool) -> None:
        """Train with what is set, or say why that is not possible."""
        try:
            config = self.settings.value()
            domains, left_out = self.data.domains()
            journal = Journal(self.run_path, config.record)
        except InputError as error:
            self._refuse(str(error))
            return
        self._goes_on = resume and self.run_path == self._run_path
        self._error, self._noticed, self._run_path = None, "", self.run_path
        events = train(config, domains, self._run_path, resume=resume)
        self.worker = start_engine(
            _recorded(events, journal, left_out),
            self._on_event,
            self._on_error,
            self._on_finished,
        )
        self.status.setText("Reading the volumes …")
        self.tabs.setCurrentIndex(2)
        self._set_state(State.RUNNING)

    def pause(self) -> None:
        """Wait after the current step."""
        if self.worker is not None:
            self.worker.pause()
            self._set_state(State.PAUSED)

    def resume(self) -> None:
        """Go on after a pause, or with the newest state of a stopped run."""
        if self.state is not State.PAUSED:
            self.start(resume=True)
        elif self.worker is not None:
            self.worker.resume()
            self._set_state(State.RUNNING)

    def stop(self) -> None:
        """Stop after the current step and save."""
        if self.worker is not None:
            self.status.setText("Stopping and saving …")
            self._set_state(State.STOPPING)
            self.worker.quit()

    def event(self, event: QEvent | None) -> bool:
        if tells_closed_dock(self, event):
            self.stop()
        return bool(super().event(event))

    def _invite(self) -> None:
        """Say what is still wrong or missing, as soon as anything is changed."""
        if self.state is not State.IDLE:
            return
        try:
            method = self.settings.value().method
        except InputError as error:
            self.status.setText(str(error))
            return
        states = RunFolder(self.run_path).states()
        press = "press Resume." if states else "press Start."
        missing = self.data.missing(method)
        todo = f"add volumes to {missing}, then {press}" if missing else press
        if states:
            step = int(states[-1].stem.removeprefix("state_"))
            self.status.setText(f"This run is at step {step}: {todo}")
        else:
            self.status.setText(todo[0].upper() + todo[1:])

    def _show_run(self) -> None:
        """Show the settings of a run that can be resumed."""
        self._set_state(self.state)
        run = RunFolder(self.run_path)
        try:
            if run.states():
                self.settings.show_run(self.run_path.name, run.config())
        except InputError as error:
            self._refuse(str(error))
            return
        self._invite()

    def _on_event(self, event: object) -> None:
        if isinstance(event, Started) and not self._goes_on:
            self.progress_page.clear()
        self.progress_page.show_event(event)
        match event:
            case Started():
                self.progress.setRange(0, event.steps)
                self.progress.setValue(event.step)
                self.status.setText(f"Training on {event.device}")
            case StepDone():
                self.progress.setValue(event.step)
                if self.state is State.RUNNING:
                    self.status.setText(f"{_step_line(event)}\n{self._noticed}".strip())
            case Validated():
                self._noticed = score_line(event)
            case Balanced():
                self._noticed = f"Step {event.step}: {event.reason}"
            case Warned():
                show_warning(event.message)
            case CheckpointSaved() | TrainingDone():
                self.status.setText(f"Step {event.step}: saved {event.model}")

    def _on_error(self, message: str) -> None:
        self._error = message

    def _on_finished(self) -> None:
        self.worker = None
        self._set_state(State.IDLE)
        if self._error is not None:
            self._refuse(self._error)
        elif RunFolder(self._run_path).states():
            self.status.setText(f"Saved in {self._run_path}")
        else:
            self.status.setText("Stopped before the first step; nothing to go on from.")

    def _refuse(self, message: str) -> None:
        self.status.setText(message)
        show_error(message)

    def _set_state(self, state: State) -> None:
        self.state = state
        idle, paused = state is State.IDLE, state is State.PAUSED
        self.start_button.setEnabled(idle)
        self.pause_button.setEnabled(state is State.RUNNING)
        stopped_run = idle and bool(RunFolder(self.run_path).states())
        self.resume_button.setEnabled(paused or stopped_run)
        self.stop_button.setEnabled(state is State.RUNNING or paused)
        self.data.setEnabled(idle)
        self.settings.setEnabled(idle)
        if paused:
            self.status.setText("Paused")

    def _buttons(self) -> tuple[QPushButton, ...]:
        return (
            self.start_button,
            self.pause_button,
            self.resume_button,
            self.stop_button,
        )


def _recorded(
    events: Iterator[Any], journal: Journal, left_out: Sequence[str]
) -> Iterator[Any]:
    """The events, each written down before it is handed on; runs with the training.

    What is left out of the training is told as soon as it has started.
    """
    engine = cast("Generator[Any, None, None]", events)
    with closing(journal), closing(engine):
        for event in events:
            try:
                journal.handle(event)
            except InputError as error:
                yield Warned(str(error))
            yield event
            if isinstance(event, Started):
                yield from map(Warned, left_out)


def _step_line(event: StepDone) -> str:
    left = (event.steps - event.step) * event.seconds
    return (
        f"Step {event.step} of {event.steps}, {event.seconds:.2f} s a step, "
        f"about {_duration(left)} left"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _free_run_folder() -> Path:
    number = 1
    while (RUNS_FOLDER / f"run-{number:03d}").exists():
        number += 1
    return RUNS_FOLDER / f"run-{number:03d}"
