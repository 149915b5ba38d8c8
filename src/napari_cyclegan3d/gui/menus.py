"""What the entries in napari's Layers menu do."""

from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from napari import Viewer
from napari.layers import Image
from napari.utils.notifications import show_info

from napari_cyclegan3d.gui.canvas import canvas_of
from napari_cyclegan3d.gui.inspect.opening import open_inspect
from napari_cyclegan3d.gui.inspect.provenance import source_of
from napari_cyclegan3d.gui.layers import source_name

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.enhance.dock import EnhanceDock
    from napari_cyclegan3d.gui.prepare.dock import PrepareDock

PLUGIN = "napari-cyclegan3d"
# what was visible in a viewer before two layers were shown beside each other
_before: WeakKeyDictionary[Any, dict[str, bool]] = WeakKeyDictionary()


def enhance_layer(viewer: Viewer) -> None:
    """Open the Enhance dock with the selected layers in its queue."""
    open_enhance(viewer).add(_selected(viewer))


def open_enhance(viewer: Viewer) -> "EnhanceDock":
    """The Enhance dock of a viewer, opened if it is not yet."""
    # beside each other, two docks are too low for a small screen
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Enhance", tabify=True)
    return cast("EnhanceDock", dock)


def prepare_layer(viewer: Viewer) -> None:
    """Open the Prepare dock with the selected layer chosen."""
    chosen = [one for one in viewer.layers if one in viewer.layers.selection]
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Prepare", tabify=True)
    for layer in chosen[-1:]:
        cast("PrepareDock", dock).choose(layer)


def inspect_layer(viewer: Viewer) -> None:
    """Open the Inspect dock for the selected result, or a result and its source."""
    chosen = _selected(viewer)
    dock = open_inspect(viewer)
    for layer in chosen:
        if len(chosen) == 1 or source_of(layer, chosen) is not None:
            dock.choose(layer)


def compare(viewer: Viewer) -> None:
    """Show a result and its source beside each other; the next call ends that.

    One selected result finds its source by itself; otherwise two layers are to be
    selected.
    """
    grid = canvas_of(viewer).grid
    itself = getattr(viewer, "__wrapped__", viewer)  # not the plugin's proxy of it
    before = _before.pop(itself, None)
    if before is not None:
        grid.enabled = False
        for layer in viewer.layers:
            layer.visible = before.get(layer.name, layer.visible)
        return
    pair = _pair(viewer)
    if pair is None:
        show_info(
            "Select an enhanced layer whose source is still in the viewer, or two "
            "layers."
        )
        return
    _before[itself] = {layer.name: layer.visible for layer in viewer.layers}
    for layer in viewer.layers:
        layer.visible = layer in pair
    grid.enabled = True


def _pair(viewer: Viewer) -> list[Image] | None:
    chosen = _selected(viewer)
    if len(chosen) == 1:
        name = source_name(chosen[0])
        chosen += [layer for layer in viewer.layers if layer.name == name]
    return chosen if len(chosen) == 2 else None


def _selected(viewer: Viewer) -> list[Image]:
    chosen = viewer.layers.selection
    return [one for one in viewer.layers if one in chosen and isinstance(one, Image)]
