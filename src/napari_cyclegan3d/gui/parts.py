"""Small pieces that the docks are put together from."""

from collections.abc import Iterator
from itertools import pairwise

from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QLabel,
    QLayout,
    QLayoutItem,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QWidget,
)
from superqt import QCollapsible

UNFOLDED, FOLDED = "▾", "▸"
FOLD_STYLE = (
    "QPushButton { text-align: left; border: none; }"
    "QPushButton:focus { text-decoration: underline; }"
)
# what can be chosen as a model, for a file dialog
MODEL_FILES = "Models (*.safetensors);;Models of others (*.zip rdf.yaml *.yaml *.pt)"
# they have parts, but take the keyboard as a whole
WHOLE = (QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit)


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
    button.setStyleSheet(FOLD_STYLE)

    def turn(unfolded: bool) -> None:
        button.setText(f"{UNFOLDED if unfolded else FOLDED} {title}")
        fold.content().setEnabled(unfolded)  # else Tab walks through what is not seen

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


def tab_in_reading_order(page: QWidget) -> None:
    """Let Tab walk through a page as one reads it, not as it was put together."""
    for before, after in pairwise(_in_reading_order(page)):
        QWidget.setTabOrder(before, after)


def _in_reading_order(widget: QWidget) -> Iterator[QWidget]:
    """The widgets that take the keyboard, by the layouts that they lie in."""
    if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
        yield widget
    if isinstance(widget, WHOLE):
        return
    inner: list[QWidget | None] = []
    if isinstance(widget, QTabWidget):
        pages = (widget.widget(index) for index in range(widget.count()))
        inner = [widget.tabBar(), widget.cornerWidget(), *pages]
    elif isinstance(widget, QScrollArea):
        inner = [widget.widget()]
    for one in inner:
        if one is not None:
            yield from _in_reading_order(one)
    layout = None if inner else widget.layout()
    if layout is not None:
        yield from _in_layout(layout)


def _in_layout(layout: QLayout) -> Iterator[QWidget]:
    items: list[QLayoutItem | None] = [
        layout.itemAt(index) for index in range(layout.count())
    ]
    if isinstance(layout, QFormLayout):  # whose items come as they were put in
        roles = (
            QFormLayout.ItemRole.LabelRole,
            QFormLayout.ItemRole.FieldRole,
            QFormLayout.ItemRole.SpanningRole,
        )
        rows = range(layout.rowCount())
        items = [layout.itemAt(row, role) for row in rows for role in roles]
    for item in items:
        widget, inner = (item.widget(), item.layout()) if item else (None, None)
        if widget is not None:
            yield from _in_reading_order(widget)
        elif inner is not None:
            yield from _in_layout(inner)
