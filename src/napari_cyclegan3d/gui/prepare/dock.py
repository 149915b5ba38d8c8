"""The Prepare dock: a volume, a step, and the volume before and after it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image, Labels
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d import io
from napari_cyclegan3d.gui.drops import accept_drops
from napari_cyclegan3d.gui.offer import Offer
from napari_cyclegan3d.gui.parts import (
    folded,
    scrolled,
    status_line,
    tab_in_reading_order,
)
from napari_cyclegan3d.gui.prepare.comparison import BeforeAfter
from napari_cyclegan3d.gui.prepare.controller import PrepareController
from napari_cyclegan3d.gui.prepare.steps_page import StepsPage
from napari_cyclegan3d.gui.prepare.task import Grey
from napari_cyclegan3d.gui.prepare.volume import VolumeChooser
from napari_cyclegan3d.gui.remembered import recall, remember
from napari_cyclegan3d.gui.status import StatusLine
from napari_cyclegan3d.gui.worker import Executor, start_engine
from napari_cyclegan3d.io.formats import FORMATS

if TYPE_CHECKING:
    import napari

WIDTH, NARROW = 400, 30
FOLDER_KEY = "prepare/results"


class PrepareDock(QWidget):
    """Do what has to be done to volumes before a training, and look at it.

    Args:
        viewer: The viewer whose layers can be chosen and that gets the results.
        executor: Runs the work.
    """

    def __init__(
        self, viewer: "napari.viewer.Viewer", executor: Executor = start_engine
    ) -> None:
        super().__init__()
        self.viewer = viewer
        self.volume = VolumeChooser(viewer, "Volume", (Image, Labels))
        self.volume.explain("What is prepared; it stays as it is")
        self.steps = StepsPage(viewer)
        self.views = BeforeAfter(viewer, executor)
        self.history = status_line()
        self.offer = Offer()
        self.status = StatusLine()
        self.progress = QProgressBar()
        self.preview_button = QPushButton("Preview")
        self.prepare_button = QPushButton("Prepare")
        self.save_button = QPushButton("Save…")
        self.cancel_button = QPushButton("Cancel")
        self._lay_out()
        self._explain()
        self.controller = PrepareController(self, executor)
        self.save_button.clicked.connect(self._choose_file)
        accept_drops(self, viewer, self.controller.drop, (Image, Labels))

    @property
    def is_busy(self) -> bool:
        """Whether something is prepared, opened or saved."""
        return self.controller.is_busy

    def reset_choices(self, _: object = None) -> None:
        """Offer the layers that there are now; napari calls it when they change."""
        self.volume.reset_choices()
        self.steps.partner.reset_choices()
        self.controller.on_layers()

    def choose(self, layer: Grey) -> None:
        """Choose the layer that is prepared."""
        self.volume.choose(layer)

    def open(self, paths: Sequence[Path]) -> None:
        """Open files as layers, and choose the last one."""
        self.controller.open(paths, self.volume)

    def prepare(self) -> None:
        """Do the step on the chosen layer; the result is a new layer."""
        self.controller.prepare()

    def preview(self, world: Sequence[float] | None = None) -> None:
        """Show the result around a place, by default of where one looks."""
        self.controller.preview(world)

    def save(self, path: Path) -> None:
        """Write the chosen layer into a file, with its history."""
        self.controller.save(path)

    def cancel(self) -> None:
        """Stop soon; nothing is changed."""
        self.controller.cancel()

    def sizeHint(self) -> QSize:
        """Narrow, whatever is in it."""
        return QSize(WIDTH, super().sizeHint().height())

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

    def _lay_out(self) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        rows = QFormLayout()
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow("Volume", self.volume)
        column.addLayout(rows)
        column.addWidget(self.steps)
        self.views_fold = folded("before and after", self.views)
        self.history_fold = folded("what was done before", self.history)
        column.addWidget(self.views_fold)
        column.addWidget(self.history_fold)
        column.addStretch()
        layout = QVBoxLayout(self)
        layout.addWidget(scrolled(page), stretch=1)
        for widget in (self.offer, self.status, self.progress):
            layout.addWidget(widget)
        layout.addLayout(_row(self.preview_button, self.prepare_button))
        layout.addLayout(_row(self.save_button, self.cancel_button))
        for number in page.findChildren(QAbstractSpinBox):
            number.setStyleSheet(f"min-width: {NARROW}px")  # napari's is 70
        tab_in_reading_order(self)

    def _explain(self) -> None:
        for widget, text in (
            (self.preview_button, "The result around the middle of the view"),
            (self.prepare_button, "Do the step; the result is a new layer"),
            (
                self.save_button,
                "Write the chosen layer into a file, and its history beside it",
            ),
            (self.cancel_button, "Stop soon; nothing is changed (Esc)"),
        ):
            widget.setToolTip(f"<qt>{text}</qt>")


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget, stretch=1)
    return row
