"""What the Prepare dock consists of, and where it stands."""

from typing import TYPE_CHECKING

from napari.layers import Image, Labels
from qtpy.QtCore import QSize
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QFormLayout,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.gui.offer import Offer
from napari_cyclegan3d.gui.parts import (
    folded,
    scrolled,
    status_line,
    tab_in_reading_order,
)
from napari_cyclegan3d.gui.prepare.comparison import BeforeAfter
from napari_cyclegan3d.gui.prepare.pair_page import PairPage
from napari_cyclegan3d.gui.prepare.split_page import SplitPage
from napari_cyclegan3d.gui.prepare.steps_page import StepsPage
from napari_cyclegan3d.gui.prepare.volume import VolumeChooser
from napari_cyclegan3d.gui.status import StatusLine
from napari_cyclegan3d.gui.worker import Executor

if TYPE_CHECKING:
    import napari

WIDTH, NARROW = 400, 30


class PreparePanel(QWidget):
    """Three pages, a status with progress, and buttons; it does nothing by itself.

    Attributes:
        tabs: The pages: one step, a pair of volumes, a split of domains.

    Args:
        viewer: The viewer whose layers can be chosen.
        executor: Runs what takes time.
    """

    def __init__(self, viewer: "napari.viewer.Viewer", executor: Executor) -> None:
        super().__init__()
        self.viewer = viewer
        self.volume = VolumeChooser(viewer, "Volume", (Image, Labels))
        self.volume.explain("What is prepared; it stays as it is")
        self.steps = StepsPage(viewer)
        self.views = BeforeAfter(viewer, executor)
        self.history = status_line()
        self.pair_page = PairPage(viewer)
        self.split_page = SplitPage(viewer, executor)
        self.offer = Offer()
        self.status = StatusLine()
        self.progress = QProgressBar()
        self.tabs = QTabWidget()
        self._make_buttons()
        self._lay_out()

    def sizeHint(self) -> QSize:
        """Narrow, whatever is in it."""
        return QSize(WIDTH, super().sizeHint().height())

    def show_buttons(self) -> None:
        """Show the buttons of the page that is shown."""
        for number, buttons in enumerate(self._actions):
            for button in buttons:
                button.setVisible(number == self.tabs.currentIndex())

    def _make_buttons(self) -> None:
        self.preview_button = _button(
            "Preview", "The result around the middle of the view"
        )
        self.prepare_button = _button(
            "Prepare", "Do the step; the result is a new layer"
        )
        self.save_button = _button(
            "Save…", "Write the chosen layer into a file, and its history beside it"
        )
        self.pair_button = _button(
            "Pair", "Bring B onto the grid of A; the results are two new layers"
        )
        self.save_pair_button = _button(
            "Save both…",
            "Write the pair into the folders a and b of a folder, with its history",
        )
        self.split_button = _button("Split", "Draw the subjects and write the lists")
        self.cancel_button = _button("Cancel", "Stop soon; nothing is changed (Esc)")
        # by the page they belong to
        self._actions = (
            (self.preview_button, self.prepare_button, self.save_button),
            (self.pair_button, self.save_pair_button),
            (self.split_button,),
        )

    def _lay_out(self) -> None:
        self.tabs.addTab(scrolled(self._step_page()), "Step")
        self.tabs.addTab(scrolled(self.pair_page), "Pair")
        self.tabs.addTab(scrolled(self.split_page), "Split")
        main, more = QHBoxLayout(), QHBoxLayout()
        for button in (
            self.preview_button,
            self.prepare_button,
            self.pair_button,
            self.split_button,
        ):
            main.addWidget(button, stretch=1)
        for button in (self.save_button, self.save_pair_button, self.cancel_button):
            more.addWidget(button, stretch=1)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tabs, stretch=1)
        for widget in (self.offer, self.status, self.progress):
            layout.addWidget(widget)
        layout.addLayout(main)
        layout.addLayout(more)
        for number in self.tabs.findChildren(QAbstractSpinBox):
            number.setStyleSheet(f"min-width: {NARROW}px")  # napari's is 70
        tab_in_reading_order(self)

    def _step_page(self) -> QWidget:
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
        return page


def _button(text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(f"<qt>{tooltip}</qt>")
    return button
