"""The Prepare dock: steps, pairs, and the split by subject."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QFileDialog

from napari_cyclegan3d import io
from napari_cyclegan3d.gui.closing import DockGuard, Work
from napari_cyclegan3d.gui.drops import accept_drops
from napari_cyclegan3d.gui.inspect.progress import InspectProgress
from napari_cyclegan3d.gui.prepare.opening import Opener
from napari_cyclegan3d.gui.prepare.pair_controller import PairController
from napari_cyclegan3d.gui.prepare.panel import PreparePanel
from napari_cyclegan3d.gui.prepare.runner import Runner
from napari_cyclegan3d.gui.prepare.split_controller import SplitController
from napari_cyclegan3d.gui.prepare.step_controller import StepController
from napari_cyclegan3d.gui.prepare.task import Grey
from napari_cyclegan3d.gui.remembered import recall, remember
from napari_cyclegan3d.gui.worker import Executor, start_engine
from napari_cyclegan3d.io.formats import FORMATS

if TYPE_CHECKING:
    import napari

FOLDER_KEY, TAB_KEY = "prepare/results", "prepare/tab"


class PrepareDock(PreparePanel):
    """Do what has to be done to volumes before a training, and look at it.

    Args:
        viewer: The viewer whose layers can be chosen and that gets the results.
        executor: Runs the work.
    """

    def __init__(
        self, viewer: "napari.viewer.Viewer", executor: Executor = start_engine
    ) -> None:
        super().__init__(viewer, executor)
        self._problem = ""
        progress = InspectProgress(self.progress, self.status)
        self._runner = Runner(executor, progress, self.status, self)
        opener = Opener(self, viewer, self._runner, self.status, executor)
        self._opener = opener
        self._step = StepController(self, self._runner, opener)
        self._pair = PairController(self, self._runner, opener)
        self._split = SplitController(self, self._runner)
        self._pages = self._step, self._pair, self._split
        work = Work(
            lambda: "A preparation is running." if self._runner.asks else "",
            lambda: self.is_busy,
            self._end,
            "Cancel it and close",
            "Let it run",
        )
        self._guard = DockGuard(self, viewer, work)
        self._connect()

    @property
    def is_busy(self) -> bool:
        """Whether something is prepared, opened or saved."""
        return self._runner.is_busy

    def reset_choices(self, _: object = None) -> None:
        """Offer the layers that there are now; napari calls it when they change."""
        self.volume.reset_choices()
        self.steps.partner.reset_choices()
        self.pair_page.reset_choices()
        self.split_page.reset_choices()
        self._step.on_layers()
        self._pair.on_layers()
        self.show_problem()

    def choose(self, layer: Grey) -> None:
        """Choose the layer that is prepared by a step."""
        self.tabs.setCurrentIndex(0)
        self.volume.choose(layer)

    def open(self, paths: Sequence[Path]) -> None:
        """Open files as layers, and choose the last one."""
        self._opener.open(paths, self.volume)

    def prepare(self) -> None:
        """Do the step on the chosen layer; the result is a new layer."""
        self._step.prepare()

    def preview(self, world: Sequence[float] | None = None) -> None:
        """Show the result around a place, by default of where one looks."""
        self._step.preview(world)

    def save(self, path: Path) -> None:
        """Write the chosen layer into a file, with its history."""
        self._step.save(path)

    def pair(self) -> None:
        """Bring A and B onto one grid; the results are two new layers."""
        self._pair.pair()

    def save_pair(self, folder: Path) -> None:
        """Write the last pair into a folder, as the command does, with its history."""
        self._pair.save(folder)

    def split(self) -> None:
        """Divide A and B by subject, and write the lists."""
        self._split.split()

    def drop(self, items: Sequence[Grey | Path]) -> None:
        """Give layers and files to the page that is shown."""
        self._pages[self.tabs.currentIndex()].drop(items)

    def cancel(self) -> None:
        """Stop soon; nothing is changed."""
        if self._runner.cancel():
            self.cancel_button.setEnabled(False)

    def show_problem(self) -> None:
        """Say what is wrong with what is chosen on the page that is shown."""
        problem = self._pages[self.tabs.currentIndex()].problem()
        if not self.is_busy and (problem or self._problem):
            self.status.say(problem)
        self._problem = problem

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() == Qt.Key.Key_Escape and self.is_busy:
            self.cancel()
        else:
            super().keyPressEvent(event)

    def _choose_file(self) -> None:
        layer = self.volume.layer
        if layer is None:
            self.status.refuse("Open a volume and choose its layer first.")
            return
        filters = [
            f"{row.name} ({' '.join(f'*{one}' for one in row.suffixes)})"
            for row in FORMATS
            if row.create is not None
        ]
        folder = Path(str(recall(FOLDER_KEY) or ""))
        name, chosen = QFileDialog.getSaveFileName(
            self, "Save", str(folder / layer.name), ";;".join(filters)
        )
        if name:
            path = Path(name)
            if not io.can_write(path):  # no suffix was typed
                row = FORMATS[filters.index(chosen)] if chosen in filters else None
                path = path.with_name(f"{path.name}{(row or FORMATS[0]).suffixes[0]}")
            remember(FOLDER_KEY, str(path.parent))
            self.save(path)

    def _choose_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(
            self, "Folder for the pair", str(recall(FOLDER_KEY) or "")
        )
        if name:
            remember(FOLDER_KEY, name)
            self.save_pair(Path(name))

    def _connect(self) -> None:
        self._runner.busy_changed.connect(self._show_running)
        self.cancel_button.clicked.connect(self.cancel)
        self.save_button.clicked.connect(self._choose_file)
        self.save_pair_button.clicked.connect(self._choose_folder)
        accept_drops(self, self.viewer, self.drop, (Image, Labels))
        kept = recall(TAB_KEY)
        self.tabs.setCurrentIndex(kept if isinstance(kept, int) else 0)
        self.tabs.currentChanged.connect(self._turn)
        self.show_buttons()
        self._show_running(busy=False)

    def _turn(self, index: int) -> None:
        """Another page is shown."""
        remember(TAB_KEY, index)
        self.show_buttons()
        self.show_problem()

    def _show_running(self, busy: bool) -> None:
        self.cancel_button.setEnabled(busy)
        self.progress.setVisible(busy)

    def _end(self) -> None:
        """The dock closes."""
        self.cancel()
        self.views.clear()
        self.split_page.end()
