"""Pieces that the docks are put together from."""

from collections.abc import Callable
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.gui.enhance.dock import EnhanceDock
from napari_cyclegan3d.gui.parts import folded, tab_in_reading_order
from napari_cyclegan3d.gui.train.dock import TrainDock

Viewers = Callable[..., Any]


def named(widget: QWidget, name: str) -> QWidget:
    widget.setObjectName(name)
    return widget


def tabbed(page: QWidget) -> list[QWidget]:
    """What Tab gives the keyboard to, one after another."""
    found = []
    one = page.nextInFocusChain()
    while one is not None and one is not page:
        takes = one.focusPolicy() & Qt.FocusPolicy.TabFocus and one.isEnabled()
        if takes and page.isAncestorOf(one) and one.isVisibleTo(page):
            found.append(one)
        one = one.nextInFocusChain()
    return found


def test_tab_goes_as_one_reads_and_passes_over_what_is_folded(qtbot: QtBot) -> None:
    page = QWidget()
    qtbot.addWidget(page)
    last = named(QPushButton("last"), "last")
    form = QFormLayout()
    form.addRow("second", named(QLineEdit(), "second"))
    form.insertRow(0, "first", named(QLineEdit(), "first"))
    fold = folded("more", named(QLineEdit(), "inside"))
    fold.toggleButton().setObjectName("fold")
    layout = QVBoxLayout(page)
    layout.addLayout(form)
    layout.addWidget(fold)
    layout.addWidget(last)
    tab_in_reading_order(page)
    page.show()

    def names() -> list[str]:
        return [one.objectName() for one in tabbed(page)]

    assert names() == ["first", "second", "fold", "last"]
    fold.expand(animate=False)
    assert names() == ["first", "second", "fold", "inside", "last"]
    fold.collapse(animate=False)
    assert "inside" not in names()


@pytest.mark.parametrize(
    ("name", "kind"), [("Train", TrainDock), ("Enhance", EnhanceDock)]
)
def test_every_button_of_a_dock_that_can_be_pressed_is_reached_with_tab(
    name: str, kind: type, make_napari_viewer_proxy: Viewers
) -> None:
    viewer = make_napari_viewer_proxy()
    frame, dock = viewer.window.add_plugin_dock_widget("napari-cyclegan3d", name)
    assert isinstance(dock, kind)
    # in a window of its own: PySide6 keeps what it has found in a chain, which would
    # be all of napari's window
    frame.setFloating(True)
    reached = tabbed(dock)
    buttons = [
        one
        for one in dock.findChildren(QPushButton)
        if one.isVisibleTo(dock) and one.isEnabled()
    ]
    assert buttons
    assert not [one.text() for one in buttons if one not in reached]
