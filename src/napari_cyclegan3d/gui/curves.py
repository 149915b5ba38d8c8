"""Live loss curves."""

from collections.abc import Mapping

from qtpy.QtCore import QTimer  # before pyqtgraph, which else picks a binding itself
from qtpy.QtWidgets import QVBoxLayout, QWidget

import pyqtgraph as pg  # isort: skip

REDRAW_MS = 250
COLOURS = ("#4c9be8", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#edc948", "#9c9c9c")
SMOOTHING = 0.9
HEIGHT = 190


class LossCurves(QWidget):
    """Curves of the terms of the objective, smoothed, redrawn a few times a second."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._steps: list[int] = []
        self._smooth: dict[str, list[float]] = {}
        self._curves: dict[str, pg.PlotDataItem] = {}
        self.plot = pg.PlotWidget()
        self.plot.setFixedHeight(HEIGHT)
        self.plot.setLabel("bottom", "step")
        self.plot.addLegend(offset=(-1, 1), labelTextSize="7pt", colCount=2)
        self.plot.showGrid(x=True, y=True, alpha=0.2)
        self._timer = QTimer(self)
        self._timer.setInterval(REDRAW_MS)
        self._timer.setSingleShot(True)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)

        self._timer.timeout.connect(self.redraw)

    def clear(self) -> None:
        """Forget all curves."""
        self._steps.clear()
        self._smooth.clear()
        self._curves.clear()
        self.plot.clear()

    def add(self, step: int, terms: Mapping[str, float]) -> None:
        """Append a step; it is drawn at the next redraw."""
        self._steps.append(step)
        for name, value in terms.items():
            values = self._smooth.setdefault(name, [])
            last = values[-1] if values else value
            values.append(SMOOTHING * last + (1 - SMOOTHING) * value)
        if not self._timer.isActive():
            self._timer.start()

    def redraw(self) -> None:
        """Draw what has been added."""
        for index, (name, values) in enumerate(self._smooth.items()):
            if name not in self._curves:
                pen = pg.mkPen(COLOURS[index % len(COLOURS)], width=2)
                self._curves[name] = self.plot.plot(name=name, pen=pen)
            self._curves[name].setData(self._steps, values)
