"""The plot of a line's profile."""

from html import escape
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt  # before pyqtgraph, which else picks a binding itself
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_cyclegan3d.gui.theme import (
    Colours,
    follow_theme,
    paint_plot,
    theme_colours,
)
from napari_cyclegan3d.gui.views.profile_data import Profile, Values

import pyqtgraph as pg  # isort: skip

if TYPE_CHECKING:
    from napari.viewer import Viewer

HEIGHT = 150
NAMES = ("raw", "enhanced", "truth", "expected")
EXPECTED = "expected of the raw, ± 2σ of its noise"
BAND = 60  # opacity of 255


class ProfilePlot(QWidget):
    """Curves over the distance along a line.

    Args:
        viewer: Whose theme it follows.
        parent: Parent widget.
    """

    def __init__(self, viewer: "Viewer", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colours = theme_colours()
        self._profile: Profile | None = None
        self._unit = ""
        self.names = QLabel()
        self.names.setWordWrap(True)
        self.names.setStyleSheet("font-size: 8pt")
        self.names.setTextFormat(Qt.TextFormat.RichText)
        self.plot = pg.PlotWidget()
        self.plot.setMinimumHeight(HEIGHT)
        self.plot.setMaximumHeight(2 * HEIGHT)
        self.plot.setMenuEnabled(False)
        self.plot.showGrid(x=True, y=True, alpha=0.2)
        self.plot.setToolTip(
            "<qt>Grey values along the line in the viewer, whose ends can be dragged. "
            "Where the raw volume leaves the band, it contradicts the enhanced one."
            "</qt>"
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.names)
        layout.addWidget(self.plot)
        follow_theme(viewer, self.set_colours)

    def draw(self, profile: Profile, unit: str) -> None:
        """Draw a profile; `unit` is that of its distance."""
        self._profile, self._unit = profile, unit
        self.plot.clear()
        curves = self._curves(profile)
        if profile.expected is not None and profile.deviation is not None:
            self._draw_band(profile.distance, profile.expected, profile.deviation)
        for name, values in curves.items():
            style = Qt.PenStyle.DashLine if name == "expected" else None
            pen = pg.mkPen(self._colour(name), width=2, style=style)
            self.plot.plot(
                profile.distance, values, pen=pen, connect="finite", name=name
            )
        self.plot.setLabel("bottom", f"distance ({unit})" if unit else "distance")
        self.names.setText(" ".join(map(self._title, curves)))

    def clear(self) -> None:
        """Draw nothing."""
        self._profile = None
        self.plot.clear()
        self.names.clear()

    def set_colours(self, colours: Colours) -> None:
        """Draw in the colours of a theme."""
        self._colours = colours
        self.plot.setBackground(colours.background)
        paint_plot(self.plot.getPlotItem(), colours)
        if self._profile is not None:
            self.draw(self._profile, self._unit)

    def _curves(self, profile: Profile) -> dict[str, Values]:
        curves = {"raw": profile.raw, **profile.others}
        if profile.expected is not None:
            curves["expected"] = profile.expected
        return curves

    def _draw_band(self, distance: Values, middle: Values, deviation: Values) -> None:
        there = np.isfinite(middle)
        low, high = (
            pg.PlotCurveItem(
                distance[there],
                (middle + side * deviation)[there],
                pen=pg.mkPen(None),
            )
            for side in (-2, 2)
        )
        colour = pg.mkColor(self._colour("expected"))
        colour.setAlpha(BAND)
        for item in (low, high, pg.FillBetweenItem(low, high, brush=colour)):
            self.plot.addItem(item)

    def _title(self, name: str) -> str:
        words = escape(EXPECTED if name == "expected" else name)
        return (
            f"<span style='color: {self._colour(name)}'>■</span>&nbsp;"
            f"<span style='color: {self._colours.text}'>{words}</span>"
        )

    def _colour(self, name: str) -> str:
        return self._colours.curves[NAMES.index(name)]
