"""Rows with a picture and two lines of text."""

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QKeyEvent, QPainter, QPaintEvent, QPixmap
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QWidget

from napari_cyclegan3d.gui.thumbnails import SIDE, to_icon

MOST_VISIBLE = 3
MARGIN = 4
DELETE = (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
INVITATION = "Drop files, folders or layers here, or add them below."


class RowView(QListWidget):
    """A list that is as tall as its rows, up to three, and then scrolls.

    Args:
        name: What a screen reader calls it.
        parent: Parent widget.
    """

    delete_pressed = Signal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setIconSize(QSize(SIDE, SIDE))
        self.set_rows(0)

    def set_rows(self, count: int) -> None:
        """Have this many rows; new ones are empty, and the newest is in sight."""
        before = self.count()
        if count < before:
            self.clear()
        for _ in range(self.count(), count):
            item = QListWidgetItem()
            item.setSizeHint(QSize(1, SIDE + MARGIN))
            self.addItem(item)
        visible = min(max(count, 1), MOST_VISIBLE)
        self.setFixedHeight(visible * (SIDE + MARGIN) + 2 * self.frameWidth())
        if count > before:
            self.scrollToBottom()

    def set_row(
        self,
        number: int,
        name: str,
        facts: str,
        tip: str,
        picture: NDArray[np.uint8] | None,
    ) -> None:
        """Fill a row: two lines, what is told when the mouse rests, a grey picture."""
        item = self.item(number)
        assert item is not None
        item.setText(f"{name}\n{facts}")
        item.setToolTip(tip)
        item.setIcon(_empty() if picture is None else to_icon(picture))

    def chosen(self) -> list[int]:
        """Numbers of the selected rows."""
        return sorted(index.row() for index in self.selectedIndexes())

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() in DELETE:
            self.delete_pressed.emit()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        super().paintEvent(event)
        port = self.viewport()
        if self.count() == 0 and port is not None:
            painter = QPainter(port)
            painter.setOpacity(0.6)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(port.rect(), flags, INVITATION)
            painter.end()


def _empty() -> QIcon:
    """Room for a picture that comes later."""
    pixmap = QPixmap(SIDE, SIDE)
    pixmap.fill(Qt.GlobalColor.transparent)
    return QIcon(pixmap)
