"""Prepared volumes in the viewer. GUI thread only."""

from typing import TYPE_CHECKING

from napari.layers import Image, Labels

from napari_cyclegan3d.gui.layers import LayerData
from napari_cyclegan3d.gui.prepare.comparison import BeforeAfter
from napari_cyclegan3d.gui.prepare.task import Grey, Made, made_from

if TYPE_CHECKING:
    from napari.viewer import Viewer

OPACITY = 0.4  # of a mask over its volume


class Results:
    """The layers of results; there is one with the newest preview.

    Args:
        viewer: Where they appear.
        views: Compare a result with what it was made from.
    """

    def __init__(self, viewer: "Viewer", views: BeforeAfter) -> None:
        self._viewer, self._views = viewer, views
        self._preview: Grey | None = None

    def add(self, made: Made) -> Grey:
        """Show a result, or a preview in the place of the one before."""
        self._take_away()
        layer = add_layer(self._viewer, made.data)
        if made.task.around is not None:
            self._preview = layer
        else:
            self._views.compare(made.task.layer, layer)
        return layer

    def look_at(self, layer: Grey | None) -> None:
        """Compare a layer with what it was made from, if that is still there.

        What was taken out of the viewer is let go.
        """
        there = self._viewer.layers
        if self._preview not in there:
            self._preview = None
        pair = self._views.pair
        running = self._views.views is not None  # they see to it themselves
        if pair is not None and not running and not all(one in there for one in pair):
            self._views.clear()
        name = made_from(layer) if layer is not None else None
        before = [one for one in self._viewer.layers if one.name == name]
        if layer is not None and before:
            self._views.compare(before[0], layer)

    def _take_away(self) -> None:
        if self._preview is not None and self._preview in self._viewer.layers:
            self._viewer.layers.remove(self._preview)
        self._preview = None


def add_layer(viewer: "Viewer", result: LayerData) -> Grey:
    """Add a layer; what was selected stays so."""
    data, kwargs, kind = result
    selected = set(viewer.layers.selection)
    layer: Image | Labels
    if kind == "labels":
        layer = viewer.add_labels(data, **kwargs, opacity=OPACITY)
    else:
        layer = viewer.add_image(data, **kwargs)
    if selected:
        viewer.layers.selection = selected
    return layer
