"""What the Train dock consists of, and where it stands."""

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize
from qtpy.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.gui.domains.page import DataPage
from napari_cyclegan3d.gui.memory_label import MemoryLabel
from napari_cyclegan3d.gui.offer import Offer
from napari_cyclegan3d.gui.parts import (
    scrolled,
    small_button,
    tab_in_reading_order,
)
from napari_cyclegan3d.gui.progress.page import ProgressPage
from napari_cyclegan3d.gui.status import StatusLine
from napari_cyclegan3d.gui.train.settings_page import SettingsPage
from napari_cyclegan3d.gui.worker import Executor

if TYPE_CHECKING:
    import napari

WIDTH = 400


class TrainPanel(QWidget):
    """Three pages, a status with progress, and buttons; it does nothing by itself.

    Args:
        viewer: The viewer whose layers can be chosen.
        executor: Runs what takes time.
    """

    def __init__(self, viewer: "napari.viewer.Viewer", executor: Executor) -> None:
        super().__init__()
        self.data = DataPage(viewer, executor)
        self.settings = SettingsPage(executor)
        self.progress_page = ProgressPage(viewer, executor)
        self.status, self.offer = StatusLine(), Offer()
        self.progress = QProgressBar()
        self.memory = MemoryLabel(lambda: self.settings.form.values()["device"])
        self.tabs = QTabWidget()
        self._make_buttons()
        self._lay_out()

    def sizeHint(self) -> QSize:
        """As wide as a small screen allows, whatever the pages would like."""
        return QSize(WIDTH, super().sizeHint().height())

    def _make_buttons(self) -> None:
        self.start_button = QPushButton("Start")
        self.pause_button = QPushButton("Pause")
        self.resume_button = QPushButton("Resume")
        self.stop_button = QPushButton("Stop")
        self.save_button = small_button(
            "Save now", "Save state and model after this step, and go on"
        )
        self.continue_button = small_button(
            "Continue a run…", "Choose the folder of an earlier run, to go on with it"
        )
        self.use_button = small_button(
            "Use this model", "Open the Enhance dock with the model of this run"
        )
        self.start_button.setToolTip("Train anew with these volumes and settings")
        self.pause_button.setToolTip("Wait after this step")
        self.resume_button.setToolTip("Go on, also with a run that was stopped")
        self.stop_button.setToolTip("Save after this step and stop")

    def _lay_out(self) -> None:
        self.tabs.addTab(scrolled(self.data), "Data")
        self.tabs.addTab(scrolled(self.settings), "Settings")
        self.tabs.addTab(scrolled(self.progress_page), "Progress")
        main, more = QHBoxLayout(), QHBoxLayout()
        for button in (
            self.start_button,
            self.pause_button,
            self.resume_button,
            self.stop_button,
        ):
            main.addWidget(button)
        for button in (self.save_button, self.continue_button, self.use_button):
            more.addWidget(button)
        more.addStretch()
        far = QHBoxLayout()
        far.addWidget(self.progress, stretch=1)
        far.addWidget(self.memory)
        layout = QVBoxLayout(self)
        layout.addWidget(self.offer)
        layout.addWidget(self.tabs, stretch=1)
        layout.addWidget(self.status)
        layout.addLayout(far)
        layout.addLayout(main)
        layout.addLayout(more)
        tab_in_reading_order(self)
