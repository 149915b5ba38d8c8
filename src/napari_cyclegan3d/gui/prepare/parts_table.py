"""Which subjects are trained on, validated on and kept for the test, as a table."""

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem, QWidget
from tifffile import natural_sorted

from napari_cyclegan3d.prepare.splitting import PARTS

TITLES = {"train": "Training", "validation": "Validation", "test": "Test"}
MOST_VISIBLE, ROOM = 6, 6


class PartsTable(QTableWidget):
    """A column for each part; as tall as its longest one, up to six, then it scrolls.

    Args:
        parent: Parent widget.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(PARTS), parent)
        self.setAccessibleName("Subjects of each part")
        self.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTabKeyNavigation(False)
        across, down = self.horizontalHeader(), self.verticalHeader()
        assert across is not None
        assert down is not None
        across.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        across.setSectionsClickable(False)
        down.setDefaultSectionSize(self.fontMetrics().height() + ROOM)
        down.hide()

    def show_subjects(self, subjects: Mapping[str, Sequence[str]]) -> None:
        """Show the subjects of each part, in their natural order."""
        self.clearContents()
        longest = max(len(subjects[part]) for part in PARTS)
        self.setRowCount(longest)
        titles = [f"{TITLES[part]} ({len(subjects[part])})" for part in PARTS]
        self.setHorizontalHeaderLabels(titles)
        for column, part in enumerate(PARTS):
            for row, name in enumerate(natural_sorted(subjects[part])):
                item = QTableWidgetItem(name)
                item.setToolTip(name)
                self.setItem(row, column, item)
        self._fit(longest)

    def subjects(self) -> dict[str, list[str]]:
        """What the columns show, by part."""
        found: dict[str, list[str]] = {}
        for column, part in enumerate(PARTS):
            items = (self.item(row, column) for row in range(self.rowCount()))
            found[part] = [item.text() for item in items if item is not None]
        return found

    def _fit(self, rows: int) -> None:
        across = self.horizontalHeader()
        assert across is not None
        height = self.rowHeight(0) * min(rows, MOST_VISIBLE)
        self.setFixedHeight(across.sizeHint().height() + height + 2 * self.frameWidth())
