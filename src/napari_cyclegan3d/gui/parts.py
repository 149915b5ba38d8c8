"""Small pieces that the docks are put together from."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QScrollArea, QWidget
from superqt import QCollapsible


def status_line() -> QLabel:
    """An empty label for sentences, which wrap and never widen the dock."""
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setMinimumWidth(1)  # else the width of the longest word
    return label


def scrolled(page: QWidget) -> QScrollArea:
    """The page in a scroll area, so that the dock fits a small screen."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidget(page)
    return area


def folded(title: str, widget: QWidget) -> QCollapsible:
    """The widget under a title that unfolds it."""
    fold = QCollapsible(title, expandedIcon="▾", collapsedIcon="▸")
    layout = fold.layout()
    assert layout is not None
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(0)
    fold.addWidget(widget)
    return fold


def small_button(text: str, tooltip: str, *, checkable: bool = False) -> QPushButton:
    """A button no wider than its word, to stand in a row with others."""
    button = QPushButton(text)
    button.setStyleSheet("padding: 2px 5px")
    button.setCheckable(checkable)
    button.setToolTip(f"<qt>{tooltip}</qt>")
    return button
