"""Small pieces that the docks are put together from."""

from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QScrollArea, QWidget
from superqt import QCollapsible

UNFOLDED, FOLDED = "▾", "▸"


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
    # a bar that comes and goes changes the width, on which the height of pictures and
    # sentences depends, and with it whether there is a bar: Qt never comes to an end
    area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
    area.setWidget(page)
    return area


def folded(title: str, widget: QWidget) -> QCollapsible:
    """The widget under a title that unfolds it.

    The arrow is a part of the text: an icon would not follow the theme.
    """
    nothing = QPixmap(1, 1)  # superqt takes an icon without a picture for none given
    nothing.fill(Qt.GlobalColor.transparent)
    icon = QIcon(nothing)
    fold = QCollapsible(title, expandedIcon=icon, collapsedIcon=icon)
    button = fold.toggleButton()
    button.setAccessibleName(title)

    def turn(unfolded: bool) -> None:
        button.setText(f"{UNFOLDED if unfolded else FOLDED} {title}")

    fold.toggled.connect(turn)  # the button tells only of clicks
    turn(button.isChecked())
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
