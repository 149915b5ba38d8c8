"""Connects the Train dock with a training: what is asked for, and what comes of it."""

import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, QTimer

from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.training import (
    Balanced,
    CheckpointSaved,
    Request,
    Started,
    StepDone,
    TrainingDone,
    Validated,
    Warned,
)
from napari_cyclegan3d.gui.activity import Activity
from napari_cyclegan3d.gui.progress.page import score_line
from napari_cyclegan3d.gui.train.commands import settings_yaml
from napari_cyclegan3d.gui.train.estimate import duration, in_words, speed
from napari_cyclegan3d.gui.train.remembering import forget_run, remember_run
from napari_cyclegan3d.gui.train.work import Plan, training
from napari_cyclegan3d.gui.worker import Executor, Failure, Job

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.train.dock import TrainDock

AUTOSAVE_MS = 5 * 60_000
# steps may come faster than anybody reads, and each time the bar moves, Qt draws the
# window anew before it goes on
SHOWN_EVERY = 0.25
RECENT = 0.9  # share of the earlier steps in the mean time of a step


class State(Enum):
    """What the dock is doing."""

    IDLE = "idle"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"


class TrainController(QObject):
    """Runs one training at a time.

    Attributes:
        state: What is going on.
        run: Folder of the training whose progress is shown; None before the first.

    Args:
        dock: Shows what happens.
        executor: Runs the training.
    """

    def __init__(self, dock: "TrainDock", executor: Executor) -> None:
        super().__init__(dock)
        self.state = State.IDLE
        self.run: Path | None = None
        self._dock, self._executor = dock, executor
        self._job: Job | None = None
        self._plan: Plan | None = None
        self._failure: Failure | None = None
        self._activity: Activity | None = None
        self._noticed = ""  # the last score or change, shown below the step
        self._step = self._steps = 0
        self._seconds = 0.0  # of a step, lately
        self._shown = 0.0
        self._autosave = QTimer(self)
        self._autosave.setInterval(AUTOSAVE_MS)
        self._autosave.timeout.connect(self.save)

    def is_idle(self) -> bool:
        """Whether nothing is trained."""
        return self.state is State.IDLE

    @property
    def can_save(self) -> bool:
        """Whether a training makes steps, so that it hears what it is asked for."""
        return self.state is State.RUNNING and self._activity is not None

    def start(self, plan: Plan) -> None:
        """Train as planned."""
        if not self.is_idle():
            return
        self._plan, self._failure, self._noticed = plan, None, ""
        if not plan.resume:
            self.run = None  # nothing of it is shown yet
        elif plan.run != self.run:
            self._dock.progress_page.open_run(plan.run)
            self.run = plan.run
        self._set_state(State.RUNNING)
        self._dock.progress.setRange(0, 0)  # for how long, nobody knows
        self._dock.status.say("Reading the volumes …")
        job = self._executor(
            training(plan), self._on_event, self._on_error, self._on_finished
        )
        if not self.is_idle():  # it may be through already
            self._job = job

    def pause(self) -> None:
        """Wait after the current step."""
        if self._job is not None and self.state is State.RUNNING:
            self._job.pause()
            self._set_state(State.PAUSED)
            self._dock.status.say("Paused")

    def resume(self) -> None:
        """Go on after a pause."""
        if self._job is not None and self.state is State.PAUSED:
            self._job.resume()
            self._set_state(State.RUNNING)

    def save(self) -> None:
        """Save after the current step, and go on."""
        if self._job is not None and self.can_save:
            self._job.send(Request.SAVE)

    def stop(self) -> None:
        """Stop after the current step and save."""
        if self._job is not None and self.state is not State.STOPPING:
            assert self._plan is not None
            self._plan.reading.give_up()
            self._dock.status.say("Stopping and saving …")
            self._set_state(State.STOPPING)
            self._job.quit()

    def _on_event(self, event: object) -> None:
        if isinstance(event, Started):
            self._on_started(event)
        self._dock.progress_page.show_event(event)
        match event:
            case StepDone():
                self._on_step(event)
            case Validated():
                self._noticed = score_line(event)
            case Balanced():
                self._noticed = f"Step {event.step}: {event.reason}"
            case Warned():
                show_warning(event.message)
            case CheckpointSaved():
                self._dock.status.say(f"Step {event.step}: saved {event.model}")
                self._dock.show_state(self.state)
            case TrainingDone():
                forget_run()

    def _on_started(self, event: Started) -> None:
        assert self._plan is not None
        if not self._plan.resume:
            self._dock.progress_page.clear(self._plan.run)
        self.run = self._plan.run
        self._step, self._steps, self._seconds = event.step, event.steps, 0.0
        remember_run(self.run, runs=True)
        self._activity = Activity(f"Training {self.run.name}")
        self._autosave.start()
        self._show_progress()
        self._dock.show_state(self.state)
        if self.state is State.RUNNING:
            self._dock.status.say(f"Training on {event.device}")

    def _on_step(self, event: StepDone) -> None:
        kept = RECENT if self._seconds else 0.0
        self._seconds = kept * self._seconds + (1 - kept) * event.seconds
        self._step = event.step
        now = time.monotonic()
        if now - self._shown >= SHOWN_EVERY:
            self._shown = now
            self._show_progress()
            if self.state is State.RUNNING:
                self._dock.status.say(f"{self._step_line()}\n{self._noticed}".strip())

    def _show_progress(self) -> None:
        self._dock.progress.setRange(0, self._steps)
        self._dock.progress.setValue(self._step)
        if self._activity is not None:
            self._activity.show(self._step, self._steps)

    def _step_line(self) -> str:
        left = duration((self._steps - self._step) * self._seconds)
        return (
            f"Step {self._step} of {self._steps}, {speed(self._seconds)}, "
            f"about {left} left"
        )

    def _on_error(self, failure: Failure) -> None:
        self._failure = failure

    def _on_finished(self) -> None:
        self._job = None
        self._autosave.stop()
        if self._activity is not None:
            self._show_progress()
            self._activity.end()
            self._activity = None
            assert self.run is not None
            if self._step < self._steps:
                remember_run(self.run, runs=False)
        else:
            self._dock.progress.setRange(0, 1)
            self._dock.progress.reset()
        self._set_state(State.IDLE)
        assert self._plan is not None
        if self._failure is not None:
            self._tell(self._failure, self._plan)
        elif RunFolder(self._plan.run).states():
            self._dock.status.say(f"Saved in {self._plan.run}")
        else:
            self._dock.status.say(
                "Stopped before the first step; nothing to go on from."
            )

    def _tell(self, failure: Failure, plan: Plan) -> None:
        if isinstance(failure.error, InputError):
            self._dock.status.refuse(failure.message)
            return
        self._dock.status.fail(failure, settings_yaml(plan.config))
        settings = getattr(failure.error, "settings", {})
        if isinstance(failure.error, MemoryShortageError) and settings:
            self._dock.offer.make(
                f"{in_words(settings).capitalize()} would fit.",
                f"Restart with {in_words(settings)}",
                lambda: self._restart(plan, settings),
            )

    def _restart(self, plan: Plan, settings: dict[str, object]) -> None:
        """Begin again with less, in a new folder, with what was learned so far."""
        model = RunFolder(plan.run).model_path
        learned = model if self.run == plan.run and model.exists() else None
        self._dock.settings.apply(settings)
        self._dock.start(resume=False, start_from=learned or plan.start_from)

    def _set_state(self, state: State) -> None:
        self.state = state
        self._dock.show_state(state)
