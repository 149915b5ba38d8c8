"""Volumes beside each other, with one camera and one set of sliders."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari.layers import Layer

from napari_cyclegan3d.gui.canvas import canvas_of
from napari_cyclegan3d.gui.views.shown import Shown
from napari_cyclegan3d.gui.views.temporary import (
    Changed,
    Matched,
    Mirror,
    add_private,
    duplicate,
    remove_private,
)

if TYPE_CHECKING:
    from napari.viewer import Viewer


class SideBySide:
    """Raw, enhanced and true volume in the cells of napari's grid.

    A layer has one cell only, and what lies over the volumes must lie over each; so
    the cells have copies, which share the voxels and look as the layers do.

    Args:
        viewer: The viewer.
        shown: The layers.
        over: Layers that lie over each volume, the uppermost last.
    """

    def __init__(self, viewer: "Viewer", shown: Shown, over: Sequence[Layer]) -> None:
        self._viewer = viewer
        self._changed, self._grid = Changed(), Changed()
        self._matched = Matched(shown)
        self.copies: list[Layer] = []
        self._mirrors: list[Mirror] = []
        raw, enhanced = shown.names
        cells = {f"{raw} volume": shown.raw, f"{enhanced} volume": shown.enhanced}
        if shown.truth is not None:
            cells["true volume"] = shown.truth
        self._volumes = list(cells.values())
        for layer in list(viewer.layers):
            self._changed.set(layer, visible=False)
        # with a negative stride the uppermost layers fill the first cell
        for name, volume in reversed(cells.items()):
            self._copy(volume, name)
            for layer in over:
                self._copy(layer, f"{layer.name} over the {name}")
        add_private(viewer, *self.copies)
        self._grid.set(
            canvas_of(viewer).grid,
            stride=-(1 + len(over)),
            shape=(1, len(cells)),
            enabled=True,
        )

    def end(self) -> None:
        """Go back to how it was before."""
        for mirror in self._mirrors:
            mirror.end()
        self._grid.restore()  # napari lays all cells out again for every layer
        remove_private(self._viewer, *self.copies)
        self._changed.restore()
        self._matched.end()

    def _copy(self, layer: Layer, name: str) -> None:
        copy = duplicate(layer, name=name)
        title = getattr(copy, "name_overlay", None)
        if title is not None and layer in self._volumes:
            title.visible = True
        self.copies.append(copy)
        self._mirrors.append(Mirror(layer, copy))
