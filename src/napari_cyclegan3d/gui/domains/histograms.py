"""The grey values of A and B over each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt  # before pyqtgraph, which else picks a binding itself
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cyclegan3d.gui.domains.counts import Counts, common_range, densities
from napari_cyclegan3d.gui.theme import Colours, follow_theme, paint_plot

import pyqtgraph as pg  # isort: skip

if TYPE_CHECKING:
    import napari

HEIGHT = 110
BINS = 128
OPACITY = 90  # of 255, of what is under a curve


class Histograms(pg.PlotWidget):
    """How often which grey values occur in A and B, each with its own maximum as 1.

    Roots are drawn, for the background of a scan would hide all the rest.

    Args:
        viewer: The viewer whose theme is followed.
        parent: Parent widget.
    """

    def __init__(
        self, viewer: "napari.viewer.Viewer | None", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setFixedHeight(HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # nothing to type here
        self.setToolTip("Grey values of A and B in a sample of voxels; root of counts")
        plot = self.getPlotItem()
        plot.hideAxis("left")
        plot.hideButtons()
        plot.setMenuEnabled(False)
        plot.setMouseEnabled(False, False)
        self.legend = plot.addLegend(offset=(-4, 2), labelTextSize="9pt")
        nothing = np.zeros(1)
        self.curves = [
            plot.plot([0.0, 1.0], nothing, stepMode="center", fillLevel=0, name=name)
            for name in ("A", "B")
        ]
        follow_theme(viewer, self._paint)

    def show_counts(self, a: Sequence[Counts], b: Sequence[Counts]) -> None:
        """Draw the histograms of the rows of both domains."""
        some = [*a, *b]
        low, high = common_range(some) if some else (0.0, 1.0)
        edges = np.linspace(low, high, BINS + 1)
        for curve, counts in zip(self.curves, (a, b), strict=True):
            heights = np.sqrt(densities(counts, edges)) if counts else np.zeros(BINS)
            curve.setData(edges, heights / (heights.max() or 1.0))
            curve.setVisible(bool(counts))

    def _paint(self, colours: Colours) -> None:
        self.setBackground(colours.background)
        paint_plot(self.getPlotItem(), colours)
        self.legend.setLabelTextColor(colours.text)
        for _, label in self.legend.items:  # which keep their colour else
            label.setText(label.text)
        for curve, colour in zip(self.curves, colours.curves, strict=False):
            curve.setPen(pg.mkPen(colour, width=1))
            filling = pg.mkColor(colour)
            filling.setAlpha(OPACITY)
            curve.setBrush(filling)
