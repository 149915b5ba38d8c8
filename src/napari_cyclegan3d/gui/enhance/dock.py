"""The Enhance dock: a model, what is to be enhanced, and where the results go."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import QCoreApplication, QEvent, QSize, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.gui.drops import accept_drops
from napari_cyclegan3d.gui.enhance.controller import EnhanceController
from napari_cyclegan3d.gui.enhance.model import ModelChooser
from napari_cyclegan3d.gui.enhance.queue_list import QueueList
from napari_cyclegan3d.gui.enhance.source import SourcePage
from napari_cyclegan3d.gui.enhance.target import TargetPage
from napari_cyclegan3d.gui.forms import SettingsForm
from napari_cyclegan3d.gui.memory_label import MemoryLabel
from napari_cyclegan3d.gui.offer import Offer
from napari_cyclegan3d.gui.parts import (
    scrolled,
    small_button,
    tab_in_reading_order,
)
from napari_cyclegan3d.gui.status import StatusLine
from napari_cyclegan3d.gui.worker import Executor, start_engine

if TYPE_CHECKING:
    import napari

WIDTH, NARROW = 400, 30


class EnhanceDock(QWidget):
    """Translate layers, files and folders with a trained model.

    Args:
        viewer: The viewer whose layers can be chosen and that gets the results.
        executor: Runs the work.
    """

    def __init__(
        self, viewer: "napari.viewer.Viewer", executor: Executor = start_engine
    ) -> None:
        super().__init__()
        self.viewer = viewer
        self.model = ModelChooser(executor)
        self.source = SourcePage()
        self.target = TargetPage()
        self.form = SettingsForm(EnhanceConfig, top=("direction",))
        self.box_button = QPushButton("Preview box")
        self.slab_button = QPushButton("Preview slab")
        self.click_button = small_button(
            "At click",
            "While this is on, click into the image to see the result there",
            checkable=True,
        )
        self.status = StatusLine()
        self.offer = Offer()
        self.progress = QProgressBar()
        self.enhance_button = QPushButton("Enhance")
        self.cancel_button = QPushButton("Cancel")
        self.memory = MemoryLabel(lambda: str(self.form.values()["device"]))
        self._lay_out()
        self._explain()
        self.controller = EnhanceController(self, executor)
        accept_drops(self, viewer, self.controller.drop)

    @property
    def is_busy(self) -> bool:
        """Whether an enhancement or a preview runs."""
        return self.controller.is_busy

    @property
    def queue(self) -> QueueList:
        """What is enhanced, one after the other."""
        return self.source.queue

    def reset_choices(self, _: object = None) -> None:
        """Offer the layers that there are now; napari calls it when they change."""
        self.source.reset_choices()

    def select_model(self, path: Path) -> None:
        """Use a model file; what is asked for meanwhile waits until it is read."""
        self.model.select(path)

    def add(self, items: Sequence[Image | Path]) -> None:
        """Put layers, files and folders into the queue."""
        self.controller.add(items)

    def show_queue(self) -> None:
        """Scroll to the queue: a low dock would hide what was just put there."""
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)
        self._area.ensureWidgetVisible(self.queue, 0, 0)

    def enhance(self) -> None:
        """Enhance what is in the queue, or else the chosen layer."""
        self.controller.enhance()

    def cancel(self) -> None:
        """Stop after the current tile; what is not finished goes."""
        self.controller.cancel()

    def preview_box(self, world: Sequence[float] | None = None) -> None:
        """Show the result of a box around a place, by default of where one looks."""
        self.controller.preview(world, slab=False)

    def preview_slab(self) -> None:
        """Show the result of a few slices where one looks."""
        self.controller.preview(None, slab=True)

    def sizeHint(self) -> QSize:
        """Narrow, whatever is in it."""
        return QSize(WIDTH, super().sizeHint().height())

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() == Qt.Key.Key_Escape and self.is_busy:
            self.cancel()
        else:
            super().keyPressEvent(event)

    def _lay_out(self) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        rows = QFormLayout()
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for title, widget in (
            ("Model", self.model),
            ("Source", self.source),
            ("Result", self.target),
        ):
            rows.addRow(title, widget)
        column.addLayout(rows)
        column.addWidget(self.form)
        column.addStretch()
        layout = QVBoxLayout(self)
        self._area = scrolled(page)
        layout.addWidget(self._area, stretch=1)
        layout.addLayout(_row(self.box_button, self.click_button, self.slab_button))
        layout.addWidget(self.offer)
        layout.addWidget(self.status)
        progress = _row(self.progress)
        progress.addWidget(self.memory)
        layout.addLayout(progress)
        layout.addLayout(_row(self.enhance_button, self.cancel_button))
        # neither long names nor rows of numbers widen the dock
        for box in page.findChildren(QComboBox):
            box.setMinimumContentsLength(8)
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        for lines in self.form.findChildren(QFormLayout):
            lines.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        for number in page.findChildren(QAbstractSpinBox):
            number.setStyleSheet(f"min-width: {NARROW}px")  # napari's is 70
        tab_in_reading_order(self)

    def _explain(self) -> None:
        for widget, text in (
            (
                self.box_button,
                "The result of a box around the middle of the view, in about a second",
            ),
            (
                self.slab_button,
                "The result of the slices that are shown, as far as a second goes",
            ),
            (self.enhance_button, "Enhance the queue, or else the chosen layer"),
            (self.cancel_button, "Stop after the current tile (Esc)"),
        ):
            widget.setToolTip(f"<qt>{text}</qt>")


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget, stretch=1)
    return row
