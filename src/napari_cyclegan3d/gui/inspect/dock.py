"""The Inspect dock: what is inspected, the findings, and what is decided about them."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import QSize, Qt, QUrl
from qtpy.QtGui import QDesktopServices, QKeyEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QFileDialog,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import HONESTY
from napari_cyclegan3d.gui.drops import accept_drops
from napari_cyclegan3d.gui.inspect.choice import ChoicePage
from napari_cyclegan3d.gui.inspect.controller import InspectController
from napari_cyclegan3d.gui.inspect.findings_page import FindingsPage
from napari_cyclegan3d.gui.offer import Offer
from napari_cyclegan3d.gui.parts import (
    scrolled,
    status_line,
    tab_in_reading_order,
)
from napari_cyclegan3d.gui.remembered import recall, remember
from napari_cyclegan3d.gui.status import StatusLine
from napari_cyclegan3d.gui.views.bar import ViewsBar
from napari_cyclegan3d.gui.worker import Executor, start_engine

if TYPE_CHECKING:
    import napari

WIDTH, NARROW = 400, 30
FOLDER_KEY = "inspect/reports"
FILTER = "Inspections (inspection.json)"


class InspectDock(QWidget):
    """Find, judge and report what a network invented or deleted.

    Args:
        viewer: The viewer whose layers are inspected and that shows the findings.
        executor: Runs the work.
    """

    def __init__(
        self, viewer: "napari.viewer.Viewer", executor: Executor = start_engine
    ) -> None:
        super().__init__()
        self.viewer = viewer
        self.choice = ChoicePage(viewer)
        self.views = ViewsBar(viewer, executor)
        self.findings = FindingsPage(self.views)
        self.honesty = status_line()
        self.honesty.setText(HONESTY)
        self.status = StatusLine()
        self.offer = Offer()
        self.progress = QProgressBar()
        self.inspect_button = QPushButton("Inspect")
        self.inspect_button.setToolTip("Look for what the network invented or deleted")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop soon; nothing is changed (Esc)")
        self._lay_out()
        self.controller = InspectController(self, executor)
        self.findings.export_button.clicked.connect(self._choose_report)
        self.findings.load_button.clicked.connect(self._choose_inspection)
        accept_drops(self, viewer, self.controller.drop)

    @property
    def is_busy(self) -> bool:
        """Whether an inspection, a saving or a loading runs."""
        return self.controller.is_busy

    def reset_choices(self, _: object = None) -> None:
        """Offer the layers that there are now; napari calls it when they change."""
        self.choice.reset_choices()

    def choose(self, enhanced: Image, raw: Image | None = None) -> None:
        """Choose a layer that a network made; its source is found, if it is known."""
        self.choice.choose(enhanced, raw)

    def inspect(self) -> None:
        """Inspect what is chosen."""
        self.controller.inspect()

    def cancel(self) -> None:
        """Stop soon; nothing is changed."""
        self.controller.cancel()

    def show_inspection(
        self, inspected: Inspected, raw: Image, enhanced: Image
    ) -> None:
        """Show an inspection of two layers that was made elsewhere."""
        self.controller.show(inspected, raw, enhanced)

    def load(self, path: Path) -> None:
        """Show a report again: its folder or its inspection.json."""
        self.controller.load(path)

    def export(self, parent: Path) -> None:
        """Write a report into a new folder within a folder."""
        self.controller.export(parent)

    def show_findings(self) -> None:
        """Turn to the page with the findings."""
        self.tabs.setCurrentIndex(1)

    def offer_page(self, sentence: str, page: Path) -> None:
        """Offer to open a page in the browser."""

        def look() -> None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(page)))

        self.offer.make(sentence, "Open", look)

    def sizeHint(self) -> QSize:
        """Narrow, whatever is in it."""
        return QSize(WIDTH, super().sizeHint().height())

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() == Qt.Key.Key_Escape and self.is_busy:
            self.cancel()
        else:
            super().keyPressEvent(event)

    def _choose_report(self) -> None:
        name = QFileDialog.getExistingDirectory(
            self, "Folder for the report's folder", str(recall(FOLDER_KEY) or "")
        )
        if name:
            remember(FOLDER_KEY, name)
            self.export(Path(name))

    def _choose_inspection(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "Report", str(recall(FOLDER_KEY) or ""), FILTER
        )
        if name:
            remember(FOLDER_KEY, str(Path(name).parents[1]))
            self.load(Path(name))

    def _lay_out(self) -> None:
        self.tabs = QTabWidget()
        self.tabs.addTab(scrolled(self.choice), "Volumes")
        self.tabs.addTab(scrolled(self.findings), "Findings")
        buttons = QHBoxLayout()
        buttons.addWidget(self.inspect_button, stretch=1)
        buttons.addWidget(self.cancel_button, stretch=1)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tabs, stretch=1)
        for widget in (self.honesty, self.offer, self.status, self.progress):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        for number in self.findChildren(QAbstractSpinBox):
            number.setStyleSheet(f"min-width: {NARROW}px")  # napari's is 70
        tab_in_reading_order(self)
