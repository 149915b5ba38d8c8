"""Camera and canvas of a viewer, which napari 0.9 has moved."""

from typing import Any

from napari.qt import QtViewer
from qtpy.QtWidgets import QApplication

WITHOUT_WINDOW = 800, 600  # as napari has it


def camera_of(viewer: Any) -> Any:
    """The camera."""
    return getattr(viewer, "scene", viewer).camera


def canvas_of(viewer: Any) -> Any:
    """What has the grid mode and, since 0.9, the overlays."""
    return getattr(viewer, "canvas", viewer)


def text_of(viewer: Any) -> Any:
    """The words in the corner of the canvas: an overlay."""
    overlays = getattr(canvas_of(viewer), "overlays", None)
    return viewer.text_overlay if overlays is None else overlays.text


def size_of(viewer: Any) -> tuple[int, int]:
    """Height and width of the canvas, in its pixels."""
    canvas = canvas_of(viewer)
    size = canvas.size if hasattr(canvas, "size") else _size_in_window(viewer)
    return int(size[0]), int(size[1])


def _size_in_window(viewer: Any) -> tuple[int, int]:
    """Before 0.9, only the window of a viewer tells the size of its canvas."""
    model = getattr(viewer, "__wrapped__", viewer)  # what docks get is a proxy
    for window in QApplication.topLevelWidgets():
        for one in window.findChildren(QtViewer):
            if one.viewer is model:
                height, width = one.canvas.size
                return height, width
    return WITHOUT_WINDOW
