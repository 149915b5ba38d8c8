"""Ways into the Inspect dock: from other docks, menus and dropped reports."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import napari

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.inspect.dock import InspectDock

PLUGIN, NAME = "napari-cyclegan3d", "Inspect"
RECORD = "inspection.json"
Paths = str | Sequence[str]
# what napari takes for: read, but there is no layer to add
NO_LAYERS: list[tuple[Any, ...]] = [(None,)]


def open_inspect(viewer: "napari.viewer.Viewer") -> "InspectDock":
    """The Inspect dock of a viewer, opened if it is not yet."""
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, NAME, tabify=True)
    return cast("InspectDock", dock)


def get_reader(path: Paths) -> Callable[[Paths], list[tuple[Any, ...]]] | None:
    """Napari's question whether this is the report of an inspection."""
    names = [path] if isinstance(path, str) else path
    known = len(names) == 1 and Path(names[0]).name == RECORD
    return read if known else None


def read(path: Paths) -> list[tuple[Any, ...]]:
    """Open a report in the Inspect dock, which adds its layers."""
    viewer = napari.current_viewer()
    name = path if isinstance(path, str) else path[0]
    if viewer is not None:
        open_inspect(viewer).load(Path(name))
    return NO_LAYERS
