"""The Train dock: domains, settings, and a training to watch, pause and stop."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtGui import QHideEvent
from qtpy.QtWidgets import QFileDialog

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.gui.closing import DockGuard, Work
from napari_cyclegan3d.gui.source import Item
from napari_cyclegan3d.gui.train.choosing import choose
from napari_cyclegan3d.gui.train.clipboard import copy_command, copy_yaml
from napari_cyclegan3d.gui.train.controller import State, TrainController
from napari_cyclegan3d.gui.train.panel import TrainPanel
from napari_cyclegan3d.gui.train.remembering import (
    free_run,
    last_step,
    next_run,
    recall_dock,
    remember_dock,
)
from napari_cyclegan3d.gui.train.resuming import offer_unfinished, show_run
from napari_cyclegan3d.gui.train.work import Plan
from napari_cyclegan3d.gui.worker import Executor, start_engine

if TYPE_CHECKING:
    import napari

__all__ = ["State", "TrainDock"]


class TrainDock(TrainPanel):
    """Train a model on layers and files, and watch it.

    Args:
        viewer: The viewer whose layers can be chosen; None: files only.
        executor: Runs what takes time.
    """

    def __init__(
        self,
        viewer: "napari.viewer.Viewer",
        executor: Executor = start_engine,
    ) -> None:
        super().__init__(viewer, executor)
        self.viewer = viewer
        self.controller = TrainController(self, executor)
        self._guard = DockGuard(
            self,
            viewer,
            Work(
                self._question,
                lambda: self.is_busy or self.settings.estimate.is_busy,
                self.end,
                "Save and close",
                "Keep training",
            ),
        )
        self._connect()
        self.data.run_folder.value = free_run()
        recall_dock(self)
        self.invite()
        offer_unfinished(self)

    @property
    def state(self) -> State:
        """What the dock is doing."""
        return self.controller.state

    @property
    def is_busy(self) -> bool:
        """Whether a training runs, or waits."""
        return self.state is not State.IDLE

    @property
    def run_path(self) -> Path:
        """The folder that the training writes to."""
        return self.data.run_path

    def reset_choices(self, _: object = None) -> None:
        """Offer the layers that there are now; napari calls it when they change."""
        self.data.reset_choices()

    def start(self, *, resume: bool, start_from: Path | None = None) -> None:
        """Train with what is set, or say why that is not possible.

        Args:
            resume: Go on with the run in the folder.
            start_from: Model to begin with.
        """
        if self.is_busy:
            return
        if not resume:
            self._move_on()
        try:
            plan = self._plan(resume=resume, start_from=start_from)
        except InputError as error:
            self.status.refuse(str(error))
            return
        self.offer.withdraw()
        remember_dock(self)
        self.settings.estimate.allow(allowed=False)
        self.tabs.setCurrentIndex(2)
        self.controller.start(plan)

    def pause(self) -> None:
        """Wait after the current step."""
        self.controller.pause()

    def resume(self) -> None:
        """Go on after a pause, or with the newest state of a stopped run."""
        if self.state is State.PAUSED:
            self.controller.resume()
        else:
            self.start(resume=True)

    def stop(self) -> None:
        """Stop after the current step and save."""
        self.controller.stop()

    def save_now(self) -> None:
        """Save after the current step, and go on."""
        self.controller.save()

    def end(self) -> None:
        """End all that runs, for good: the dock is closed."""
        remember_dock(self)
        self.settings.estimate.stop()
        self.stop()
        self.data.end()

    def continue_run(self, path: Path) -> bool:
        """Show settings, volumes and curves of an earlier run, to go on with it.

        Returns:
            Whether that is possible; the status says why it is not.
        """
        return not self.is_busy and show_run(self, path)

    def choose(self, sources: Mapping[str, Sequence[Item]], *, pairs: bool) -> bool:
        """Choose what another dock has prepared.

        Args:
            sources: By domain (a, b, validate_a, validate_b); others stay as they are.
            pairs: Whether they are pairs, which are added and trained on as such; else
                they are chosen instead of what is in these domains.

        Returns:
            Whether that is possible; the status says why it is not.
        """
        return choose(self, sources, pairs=pairs)

    def use_model(self) -> None:
        """Open the Enhance dock with the model of the run."""
        from napari_cyclegan3d.gui.menus import open_enhance

        open_enhance(self.viewer).select_model(RunFolder(self.run_path).model_path)

    def show_state(self, state: State) -> None:
        """Let the user press what makes sense now."""
        run = RunFolder(self.run_path)
        idle, paused = state is State.IDLE, state is State.PAUSED
        running = state is State.RUNNING
        self.start_button.setEnabled(idle)
        self.pause_button.setEnabled(running)
        self.resume_button.setEnabled(paused or (idle and bool(run.states())))
        self.stop_button.setEnabled(running or paused)
        self.save_button.setEnabled(self.controller.can_save)
        self.continue_button.setEnabled(idle)
        self.use_button.setEnabled(self.viewer is not None and run.model_path.exists())
        self.data.setEnabled(idle)
        self.settings.setEnabled(idle)
        self.settings.estimate.allow(allowed=idle)

    def hideEvent(self, event: QHideEvent | None) -> None:
        super().hideEvent(event)
        remember_dock(self)

    def _move_on(self) -> None:
        """Leave the run in the folder as it is; a new one gets the next folder."""
        path = next_run(self.run_path)
        if path != self.run_path:
            self.data.run_folder.value = path

    def _plan(self, *, resume: bool, start_from: Path | None = None) -> Plan:
        """What is set, with the places of the previews."""
        config = self.settings.value()
        a, b = self.data.preview_places()
        if not resume or a is not None or b is not None:  # else as the run has it
            config = config.model_copy(update={"preview_a": a, "preview_b": b})
        return Plan(config, self.data.sources(), self.run_path, resume, start_from)

    def _question(self) -> str:
        if not self.is_busy:
            return ""
        return (
            f"{self.run_path.name} is training. Save it and close? It can be "
            "continued at the next start."
        )

    def invite(self) -> None:
        """Say what is still wrong or missing, as soon as anything is changed."""
        if self.is_busy:
            return
        try:
            config = self.settings.value()
        except InputError as error:
            self.status.say(str(error))
            return
        self.data.check(config)
        step = last_step(self.run_path)
        press = "press Start." if step is None else "press Resume."
        missing = self.data.missing(config.method)
        todo = f"add volumes to {missing}, then {press}" if missing else press
        begin = "" if step is None else f"This run is at step {step}: "
        self.status.say(begin + todo if begin else todo[0].upper() + todo[1:])

    def _show_run(self) -> None:
        """Show the settings of a run that can be resumed."""
        self.show_state(self.state)
        path = self.run_path
        try:
            if last_step(path) is not None:
                config = RunFolder(path).config()
                self.settings.show_settings(f"As in {path.name}", config)
        except InputError as error:
            self.status.refuse(str(error))
            return
        self.invite()

    def _choose_run(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self, "Folder of a run", str(self.run_path.parent)
        )
        if folder:
            self.continue_run(Path(folder))

    def _copy_command(self) -> None:
        run = RunFolder(self.run_path)
        try:
            resumed = run.config() if run.states() else None
            plan = self._plan(resume=resumed is not None)
        except InputError as error:
            self.status.refuse(str(error))
            return
        self.status.say(copy_command(plan, self.data.texts(), resumed))

    def _copy_yaml(self) -> None:
        try:
            self.status.say(copy_yaml(self._plan(resume=False).config))
        except InputError as error:
            self.status.refuse(str(error))

    def _connect(self) -> None:
        self.start_button.clicked.connect(lambda: self.start(resume=False))
        self.pause_button.clicked.connect(self.pause)
        self.resume_button.clicked.connect(self.resume)
        self.stop_button.clicked.connect(self.stop)
        self.save_button.clicked.connect(self.save_now)
        self.continue_button.clicked.connect(self._choose_run)
        self.use_button.clicked.connect(self.use_model)
        self.settings.command_button.clicked.connect(self._copy_command)
        self.settings.yaml_button.clicked.connect(self._copy_yaml)
        self.data.changed.connect(self.invite)
        self.settings.changed.connect(self.invite)
        self.data.run_folder.changed.connect(self._show_run)
