"""Dragging files and layers onto a widget."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from qtpy.QtWidgets import (
    QApplication,
    QLineEdit,
    QListView,
    QRubberBand,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.gui.drops import accept_drops

Viewers = Callable[..., Any]
MOVE = Qt.DropAction.MoveAction
BUTTONS = Qt.MouseButton.LeftButton
NO_KEY = Qt.KeyboardModifier.NoModifier


@pytest.fixture
def widget(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    layout = QVBoxLayout(widget)
    layout.addWidget(QLineEdit())
    qtbot.addWidget(widget)
    widget.show()
    return widget


def enter(widget: QWidget, mime: QMimeData) -> bool:
    event = QDragEnterEvent(QPoint(5, 5), MOVE, mime, BUTTONS, NO_KEY)
    event.ignore()
    QApplication.sendEvent(widget, event)
    return bool(event.isAccepted())


def drop(widget: QWidget, mime: QMimeData) -> bool:
    event = QDropEvent(QPointF(5, 5), MOVE, mime, BUTTONS, NO_KEY)
    event.ignore()
    QApplication.sendEvent(widget, event)
    return bool(event.isAccepted())


def of_files(*paths: Path) -> QMimeData:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return mime


def of_layers(viewer: Any, names: set[str]) -> QMimeData:
    """What napari's own list gives when these of its rows are dragged."""
    for view in QApplication.allWidgets():
        model = view.model() if isinstance(view, QListView) else None
        rows = range(model.rowCount() if model is not None else 0)
        found = [model.index(row, 0) for row in rows]
        if {index.data() for index in found} == {one.name for one in viewer.layers}:
            return model.mimeData([one for one in found if one.data() in names])
    raise AssertionError("napari shows no list of layers")


def test_several_files_and_folders_are_dropped_at_once(
    widget: QWidget, tmp_path: Path
) -> None:
    got: list[Any] = []
    accept_drops(widget, None, got.append)
    mime = of_files(tmp_path / "a.tif", tmp_path)
    assert enter(widget, mime)
    assert drop(widget, mime)
    assert got == [[tmp_path / "a.tif", tmp_path]]


def test_layers_are_dropped_from_napari_s_list_and_other_kinds_are_not(
    widget: QWidget, make_napari_viewer_proxy: Viewers
) -> None:
    viewer = make_napari_viewer_proxy()
    image = viewer.add_image(np.zeros((4, 5, 6)), name="image")
    viewer.add_labels(np.zeros((4, 5, 6), int), name="labels")
    got: list[Any] = []
    accept_drops(widget, viewer, got.append)
    mime = of_layers(viewer, {"image", "labels"})
    assert enter(widget, mime)
    assert drop(widget, mime)
    assert got == [[image]]
    assert not enter(widget, of_layers(viewer, {"labels"}))
    assert [layer.name for layer in viewer.layers] == ["image", "labels"]


def test_other_kinds_of_layers_are_dropped_where_they_are_wanted(
    widget: QWidget, make_napari_viewer_proxy: Viewers
) -> None:
    viewer = make_napari_viewer_proxy()
    labels = viewer.add_labels(np.zeros((4, 5, 6), int), name="labels")
    got: list[Any] = []
    accept_drops(widget, viewer, got.append, (Labels,))
    mime = of_layers(viewer, {"labels"})
    assert enter(widget, mime)
    assert drop(widget, mime)
    assert got == [[labels]]


def test_the_pickle_in_a_drag_is_not_opened(
    widget: QWidget, make_napari_viewer_proxy: Viewers
) -> None:
    got: list[Any] = []
    accept_drops(widget, make_napari_viewer_proxy(), got.append)
    mime = QMimeData()
    mime.setData("application/x-list-index", b"cos\nabort\n(tR.")  # ends the process
    assert not enter(widget, mime)
    assert got == []


def test_text_and_pages_of_the_web_go_elsewhere(widget: QWidget) -> None:
    got: list[Any] = []
    accept_drops(widget, None, got.append)
    mime = QMimeData()
    mime.setUrls([QUrl("https://example.org/a.tif")])
    assert not enter(widget, mime)
    mime = QMimeData()
    mime.setText("a.tif")
    assert not enter(widget, mime)
    assert got == []


def test_a_frame_shows_while_something_is_over_the_widget(
    widget: QWidget, tmp_path: Path
) -> None:
    accept_drops(widget, None, lambda items: None)
    frame = widget.findChild(QRubberBand)
    enter(widget, of_files(tmp_path))
    assert frame.isVisible()
    assert frame.geometry() == widget.rect()
    event = QDragLeaveEvent()
    assert event.type() == QEvent.Type.DragLeave
    QApplication.sendEvent(widget, event)
    assert not frame.isVisible()
    enter(widget, of_files(tmp_path))
    drop(widget, of_files(tmp_path))
    assert not frame.isVisible()


def test_a_path_dropped_on_a_line_inside_goes_to_the_widget(
    widget: QWidget, tmp_path: Path
) -> None:
    got: list[Any] = []
    accept_drops(widget, None, got.append)
    assert not widget.findChild(QLineEdit).acceptDrops()
    assert enter(widget.findChild(QLineEdit), of_files(tmp_path))
