"""Camera and canvas of a viewer, which napari 0.9 has moved."""

from typing import Any


def camera_of(viewer: Any) -> Any:
    """The camera."""
    return getattr(viewer, "scene", viewer).camera


def canvas_of(viewer: Any) -> Any:
    """What has the grid mode and, since 0.9, the overlays."""
    return getattr(viewer, "canvas", viewer)


def size_of(viewer: Any) -> tuple[int, int]:
    """Height and width of the canvas, in its pixels."""
    # before 0.9, napari keeps it to itself
    size = canvas_of(viewer).size if hasattr(viewer, "canvas") else viewer._canvas_size
    return int(size[0]), int(size[1])
