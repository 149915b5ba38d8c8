"""Small pieces that the docks are put together from."""

from qtpy.QtWidgets import QFrame, QScrollArea, QWidget
from superqt import QCollapsible


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
