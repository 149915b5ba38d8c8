"""Live curves: losses, how well the discriminators judge, and validation scores."""

import math
from array import array
from bisect import bisect_right
from collections.abc import Mapping

from qtpy.QtCore import QTimer  # before pyqtgraph, which else picks a binding itself
from qtpy.QtWidgets import QLabel, QTabWidget, QVBoxLayout, QWidget

import numpy as np  # isort: skip
import pyqtgraph as pg  # isort: skip

REDRAW_MS = 250
COLOURS = (
    "#4c9be8",
    "#f28e2b",
    "#59a14f",
    "#e15759",
    "#b07aa1",
    "#edc948",
    "#9c9c9c",
    "#76b7b2",
    "#ff9da7",
)
SMOOTHING = 0.9
HEIGHT = 110
SHARE, CONTRAST = "_seen_real", "contrast_"


class Curves(QWidget):
    """Curves over the steps, redrawn a few times a second.

    Args:
        smoothing: Weight of what was before, 0 to 1; 0: as measured, with points.
        parent: Parent widget.
    """

    def __init__(self, smoothing: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._smoothing = smoothing
        self._points: dict[str, tuple[array[float], array[float]]] = {}
        self._curves: dict[str, pg.PlotDataItem] = {}
        self.names = QLabel()  # a legend inside would cover what it names
        self.names.setWordWrap(True)
        self.names.setStyleSheet("font-size: 8pt")
        self.plot = pg.PlotWidget()
        self.plot.setFixedHeight(HEIGHT)
        self.plot.setToolTip("over the steps of the training")
        self.plot.showGrid(x=True, y=True, alpha=0.2)
        self._timer = QTimer(self)
        self._timer.setInterval(REDRAW_MS)
        self._timer.setSingleShot(True)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.names)
        layout.addWidget(self.plot)

        self._timer.timeout.connect(self.redraw)

    def clear(self) -> None:
        """Forget all curves."""
        self._points.clear()
        self._curves.clear()
        self.names.clear()
        self.plot.clear()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Append a point to each curve that is named and has a finite value."""
        for name, value in values.items():
            if not math.isfinite(value):
                continue
            steps, smooth = self._points.setdefault(name, (array("d"), array("d")))
            last = smooth[-1] if smooth else value
            steps.append(step)
            smooth.append(self._smoothing * last + (1 - self._smoothing) * value)
        if not self._timer.isActive():
            self._timer.start()

    def rewind(self, step: int) -> None:
        """Forget what came after a step to which the training goes back."""
        for points in self._points.values():
            kept = bisect_right(points[0], step)
            for values in points:
                del values[kept:]

    def redraw(self) -> None:
        """Draw what has been added."""
        for name, (steps, values) in self._points.items():
            if name not in self._curves:
                self._curves[name] = self._new_curve(name)
            # copies: a list that numpy looks into cannot grow
            self._curves[name].setData(np.array(steps), np.array(values))

    def _new_curve(self, name: str) -> pg.PlotDataItem:
        colour = COLOURS[len(self._curves) % len(COLOURS)]
        title = name.replace("_", "&nbsp;")  # a name stays in one line
        self.names.setText(
            f"{self.names.text()} <span style='color: {colour}'>■&nbsp;{title}</span> "
        )
        symbol = None if self._smoothing else "o"
        pen = pg.mkPen(colour, width=2)
        return self.plot.plot(name=name, pen=pen, symbol=symbol, symbolSize=5)


class TrainingCurves(QTabWidget):
    """Losses; accuracy of the discriminators and contrasts; scores."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.losses = Curves(SMOOTHING)
        self.shares = Curves(SMOOTHING)
        self.shares.plot.setYRange(-1, 1)
        self.scores = Curves(0)
        self.addTab(self.losses, "Losses")
        self.addTab(self.shares, "Discriminators")
        self.addTab(self.scores, "Scores")
        self.setTabToolTip(
            1,
            "<qt>accuracy: share of patches that a discriminator takes for what they "
            "are; 0.5 is guessing. contrast: correlation of the fake with its source; "
            "below 0 it is inverted.</qt>",
        )
        self.setTabToolTip(2, "<qt>On volumes that are not trained on.</qt>")

    def clear(self) -> None:
        """Forget all curves."""
        for curves in (self.losses, self.shares, self.scores):
            curves.clear()

    def rewind(self, step: int) -> None:
        """Forget what came after a step to which the training goes back."""
        for curves in (self.losses, self.shares, self.scores):
            curves.rewind(step)

    def add_terms(self, step: int, terms: Mapping[str, float]) -> None:
        """Append the terms of a step, each to the plot where it belongs."""
        contrasts = {k: v for k, v in terms.items() if k.startswith(CONTRAST)}
        self.shares.add(step, {**accuracies(terms), **contrasts})
        self.losses.add(
            step,
            {
                name: value
                for name, value in terms.items()
                if name not in contrasts and not name.endswith(SHARE)
            },
        )


def accuracies(terms: Mapping[str, float]) -> dict[str, float]:
    """Share of real and fake patches that each discriminator recognises, 0 to 1."""
    found = {}
    for domain in "ab":
        real, fake = (terms.get(f"{k}_{domain}{SHARE}") for k in ("real", "fake"))
        if real is not None and fake is not None:
            found[f"accuracy_{domain}"] = (real + 1 - fake) / 2
    return found
