"""Files, folders and layers dragged onto a widget."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Layer
from qtpy.QtCore import QEvent, QMimeData, QObject
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QLineEdit, QRubberBand, QWidget

if TYPE_CHECKING:
    import napari

OnDrop = Callable[[list[Any]], None]
Kinds = tuple[type[Layer], ...]


def accept_drops(
    widget: QWidget,
    viewer: "napari.viewer.Viewer | None",
    on_drop: OnDrop,
    kinds: Kinds = (Image,),
) -> None:
    """Let files, folders and layers be dropped on a widget.

    A frame shows that the widget takes them. Texts in it no longer take paths: files
    that are dropped on one go to the widget as well.

    Args:
        widget: Where to drop; call this when its children are there.
        viewer: Whose layers can be dropped; without one only files can.
        on_drop: Called with all that was dropped at once.
        kinds: Which layers can be dropped.
    """
    _Target(widget, viewer, on_drop, kinds)


def dragged(
    mime: QMimeData | None,
    viewer: "napari.viewer.Viewer | None",
    kinds: Kinds = (Image,),
) -> list[Layer | Path]:
    """The layers of a viewer and the local files and folders that are dragged.

    napari's list of layers drags an object with the layers in `items`; what it also
    holds as bytes is a pickle, which is not opened.
    """
    if mime is None:
        return []
    layers = [
        one
        for one in getattr(mime, "items", ())
        if isinstance(one, kinds) and viewer is not None and one in viewer.layers
    ]
    urls = mime.urls() if mime.hasUrls() else []
    return [*layers, *(Path(url.toLocalFile()) for url in urls if url.isLocalFile())]


class _Target(QObject):
    """Watches the drags over one widget, and lives as long as it."""

    def __init__(
        self,
        widget: QWidget,
        viewer: "napari.viewer.Viewer | None",
        on_drop: OnDrop,
        kinds: Kinds,
    ) -> None:
        super().__init__(widget)
        self._viewer, self._kinds = viewer, kinds
        self._on_drop = on_drop
        self._frame = QRubberBand(QRubberBand.Shape.Rectangle, widget)
        widget.setAcceptDrops(True)
        for text in widget.findChildren(QLineEdit):
            text.setAcceptDrops(False)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        kind = event.type() if event is not None else None
        if kind == QEvent.Type.DragLeave:
            self._frame.hide()
        elif isinstance(event, QDropEvent):  # enter, move and drop
            items = dragged(event.mimeData(), self._viewer, self._kinds)
            if not items:
                return False
            self._show_frame(watched, kind != QEvent.Type.Drop)
            event.acceptProposedAction()
            if kind == QEvent.Type.Drop:
                self._on_drop(items)
            return True
        return False

    def _show_frame(self, widget: QObject | None, visible: bool) -> None:
        if isinstance(widget, QWidget):
            self._frame.setGeometry(widget.rect())
        self._frame.setVisible(visible)
