"""The Train dock: domains, settings, and a training to watch, pause and stop."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit
from napari.utils.notifications import show_error
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.training import (
    CheckpointSaved,
    Domains,
    PreviewReady,
    Started,
    StepDone,
    TrainingDone,
    train,
)
from napari_cyclegan3d.gui.curves import LossCurves
from napari_cyclegan3d.gui.domain_list import DomainList
from napari_cyclegan3d.gui.forms import SettingsForm
from napari_cyclegan3d.gui.preview import CyclePreview
from napari_cyclegan3d.gui.worker import EngineWorker, start_engine, tells_closed_dock
from napari_cyclegan3d.io.pictures import write_preview

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
        self._run_path = _free_run_folder()
        self.domain_a = DomainList("Domain A: what you have (fast, noisy, coarse)")
        self.domain_b = DomainList("Domain B: what you want (slow, clean, fine)")
        self.run_folder = FileEdit(
            mode=FileDialogMode.EXISTING_DIRECTORY, value=self._run_path
        )
        self.form = SettingsForm(TrainConfig)
        self.curves, self.preview = LossCurves(), CyclePreview()
        self.status = QLabel("Add volumes to both domains, then start.")
        self.status.setTextFormat(Qt.TextFormat.PlainText)
        self.status.setWordWrap(True)
        self.progress = QProgressBar()
        self.start_button = QPushButton("Start")
        self.pause_button = QPushButton("Pause")
        self.resume_button = QPushButton("Resume")
        self.stop_button = QPushButton("Stop")

        self.tabs = QTabWidget()
        self.tabs.addTab(_scrolled(self._data_page()), "Data")
        self.tabs.addTab(_scrolled(self.form), "Settings")
        self.tabs.addTab(_scrolled(self._progress_page()), "Progress")
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
        self.run_folder.changed.connect(self._show_run)
        self._set_state(State.IDLE)

    @property
    def run_path(self) -> Path:
        """The folder that the training writes to."""
        return Path(str(self.run_folder.value))

    def reset_choices(self, _: object = None) -> None:
        """Offer the layers that there are now; napari calls it when they change."""
        self.domain_a.layer_choice.reset_choices()
        self.domain_b.layer_choice.reset_choices()

    def start(self, *, resume: bool) -> None:
        """Train with what is set, or say why that is not possible."""
        try:
            config = cast(TrainConfig, self.form.value())
            domains = Domains(self.domain_a.value(), self.domain_b.value())
        except InputError as error:
            self._refuse(str(error))
            return
        self._error, self._run_path = None, self.run_path
        if not resume:
            self.curves.clear()
        self.preview.clear()
        self.worker = start_engine(
            train(config, domains, self._run_path, resume=resume),
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

    def _show_run(self) -> None:
        """Show the settings of a run that can be resumed."""
        self._set_state(self.state)
        run = RunFolder(self.run_path)
        if not run.states():
            return
        try:
            self.form.set_value(run.config())
        except InputError as error:
            self._refuse(str(error))
            return
        step = int(run.states()[-1].stem.removeprefix("state_"))
        self.status.setText(
            f"This run is at step {step}: add its volumes, then press Resume."
        )

    def _on_event(self, event: object) -> None:
        match event:
            case Started():
                self.progress.setRange(0, event.steps)
                self.progress.setValue(event.step)
                self.status.setText(f"Training on {event.device}")
            case StepDone():
                self.progress.setValue(event.step)
                self.curves.add(event.step, event.terms)
                if self.state is State.RUNNING:
                    self.status.setText(_step_line(event))
            case PreviewReady():
                self.preview.set_images(event.images)
                self._save_preview(event.step, event.images)
            case CheckpointSaved() | TrainingDone():
                self.status.setText(f"Step {event.step}: saved {event.model}")

    def _save_preview(self, step: int, images: Mapping[str, Any]) -> None:
        try:
            write_preview(self._run_path, step, images)
        except InputError as error:
            self._refuse(str(error))

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
        self.form.setEnabled(idle)
        for part in (self.domain_a, self.domain_b, self.run_folder.native):
            part.setEnabled(idle)
        if paused:
            self.status.setText("Paused")

    def _buttons(self) -> tuple[QPushButton, ...]:
        return (
            self.start_button,
            self.pause_button,
            self.resume_button,
            self.stop_button,
        )

    def _data_page(self) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.addWidget(self.domain_a)
        layout.addWidget(self.domain_b)
        folder = QFormLayout()
        folder.addRow("Run folder", self.run_folder.native)
        layout.addLayout(folder)
        layout.addStretch()
        return page

    def _progress_page(self) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.addWidget(self.curves)
        layout.addWidget(self.preview, stretch=1)
        return page


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


def _scrolled(page: QWidget) -> QScrollArea:
    """The page in a scroll area, so that the dock fits a small screen."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidget(page)
    return area


def _free_run_folder() -> Path:
    number = 1
    while (RUNS_FOLDER / f"run-{number:03d}").exists():
        number += 1
    return RUNS_FOLDER / f"run-{number:03d}"
