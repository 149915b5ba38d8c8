"""Curves over the steps of a training, to zoom, to hide and to export."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from qtpy.QtCore import (
    QPoint,
    Qt,
    QTimer,
)  # before pyqtgraph, which else picks a binding
from qtpy.QtGui import QPainter, QPixmap, QShowEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.gui.progress.curve_data import Series, Values
from napari_cyclegan3d.gui.progress.navigation import KEYS, PlotKeys
from napari_cyclegan3d.gui.theme import Colours, paint_plot, theme_colours

import pyqtgraph as pg  # isort: skip

REDRAW_MS = 500
HEIGHT = 120
NARROWEST = 320  # of the dock that the names are sure to fit
MOST_DRAWN = 400
PICTURE_SCALE = 3


class Curves(QWidget):
    """Curves over the steps, redrawn a few times a second while they are seen.

    Args:
        smoothing: Weight of what was before, 0 to 1; 0: as measured, with points.
        limits: Lowest and highest value that are shown; None: as there are.
        parent: Parent widget.
    """

    def __init__(
        self,
        smoothing: float,
        limits: tuple[float, float] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.series: dict[str, Series] = {}
        self.hidden: set[str] = set()
        self._smoothing, self._dotted = smoothing, not smoothing
        self._limits = limits
        self._lines: dict[str, pg.PlotDataItem] = {}
        self._colours = theme_colours()
        self.names = QLabel()  # a legend inside would cover what it names
        self.names.setWordWrap(True)
        self.names.setStyleSheet("font-size: 8pt")
        self.names.setTextInteractionFlags(
            Qt.TextInteractionFlag.LinksAccessibleByMouse
            | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        )
        self.names.setToolTip("A click on a name hides its curve or shows it again")
        self.plot = self._new_plot()
        self._timer = QTimer(self)
        self._timer.setInterval(REDRAW_MS)
        self._timer.setSingleShot(True)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.names)
        layout.addWidget(self.plot, stretch=1)
        self.show_all()

        self._timer.timeout.connect(self._redraw_if_seen)
        self.names.linkActivated.connect(self.switch)
        self.plot.getViewBox().sigXRangeChanged.connect(self._schedule)

    def clear(self) -> None:
        """Forget all curves."""
        self.series.clear()
        self._lines.clear()
        self.plot.clear()
        self._name_curves()
        self.show_all()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Append a point to each curve that is named and has a finite value."""
        for name, value in values.items():
            self._series(name).add(step, value)
        self._schedule()

    def put_before(self, steps: Values, values: Mapping[str, Values]) -> None:
        """Add what earlier sessions of the same training have measured."""
        for name, measured in values.items():
            self._series(name).put_before(steps, measured)
        self._schedule()

    def rewind(self, step: int) -> None:
        """Forget what came after a step to which the training goes back."""
        for series in self.series.values():
            series.rewind(step)
        self._schedule()

    def switch(self, name: str) -> None:
        """Hide a curve, or show it again."""
        self.hidden ^= {name}
        self._name_curves()
        self.redraw()

    def set_smoothing(self, smoothing: float) -> None:
        """Change the weight of what was before, 0 to 1."""
        self._smoothing = smoothing
        self.redraw()

    def set_logarithmic(self, on: bool) -> None:
        """Draw orders of magnitude; what is not above 0 has none."""
        self.plot.setLogMode(y=on)
        self.plot.enableAutoRange(axis="y")

    def show_all(self) -> None:
        """Show the whole training, and follow it."""
        self.plot.enableAutoRange()
        if self._limits is not None:
            self.plot.setYRange(*self._limits)

    def set_colours(self, colours: Colours) -> None:
        """Draw in the colours of a theme."""
        self._colours = colours
        self.plot.setBackground(colours.background)
        paint_plot(self.plot.getPlotItem(), colours)
        for name, line in self._lines.items():
            line.setPen(self._pen(name))
            line.setSymbolBrush(self._colour(name))
        self._name_curves()

    def write_picture(self, path: Path) -> None:
        """Write what is shown, with the names, as a PNG file.

        Raises:
            InputError: The file could not be written.
        """
        self.redraw()
        picture = QPixmap(self.size() * PICTURE_SCALE)
        picture.setDevicePixelRatio(PICTURE_SCALE)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        self.render(painter, QPoint())
        painter.end()
        with atomic_path(path) as temporary:
            if not picture.save(str(temporary), "PNG"):
                raise InputError(f"{path}: could not be written; choose another folder")

    def columns(self) -> dict[str, tuple[Values, Values]]:
        """Steps and values of all curves, as measured."""
        return {name: series.points() for name, series in self.series.items()}

    def redraw(self) -> None:
        """Draw what has been added."""
        self._timer.stop()
        box = self.plot.getViewBox()
        follows = box.autoRangeEnabled()[0]
        span = (-np.inf, np.inf) if follows else tuple(box.viewRange()[0])
        for name, series in self.series.items():
            if name not in self._lines:
                self._lines[name] = self._new_line(name)
            self._lines[name].setVisible(name not in self.hidden)
            if name not in self.hidden:
                x, y = series.drawn(span, MOST_DRAWN, self._smoothing)
                self._lines[name].setData(x, y)

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        self._schedule()

    def _schedule(self, _: object = None) -> None:
        if self.isVisible() and not self._timer.isActive():
            self._timer.start()

    def _redraw_if_seen(self) -> None:
        if self.isVisible():
            self.redraw()

    def _series(self, name: str) -> Series:
        if name not in self.series:
            self.series[name] = Series()
            self._name_curves()
        return self.series[name]

    def _new_line(self, name: str) -> pg.PlotDataItem:
        return self.plot.plot(
            name=name,
            pen=self._pen(name),
            symbol="o" if self._dotted else None,
            symbolSize=5,
            symbolPen=None,
            symbolBrush=self._colour(name),
        )

    def _new_plot(self) -> pg.PlotWidget:
        plot = pg.PlotWidget()
        plot.setMinimumHeight(HEIGHT)
        # what it would like grows with what it has
        plot.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        plot.setToolTip(
            "<qt>Over the steps of the training. Wheel and mouse zoom and move; a "
            f"double click shows all again. {KEYS}</qt>"
        )
        plot.setMenuEnabled(False)
        plot.showGrid(x=True, y=True, alpha=0.2)
        box = plot.getViewBox()
        plot.scene().sigMouseClicked.connect(
            lambda click: self.show_all() if click.double() else None
        )
        PlotKeys(
            plot,
            self.show_all,
            lambda factor: box.scaleBy((factor, factor)),
            lambda right, down: box.translateBy(
                x=right * box.viewRect().width(), y=-down * box.viewRect().height()
            ),
        )
        return plot

    def _name_curves(self) -> None:
        self.names.setText(" ".join(map(self._link, self.series)))
        # a stack of pages does not ask how high words are that wrap; it must not depend
        # on the present width, which depends on the height where there are scroll bars
        self.names.setMinimumHeight(max(0, self.names.heightForWidth(NARROWEST)))

    def _link(self, name: str) -> str:
        hidden = name in self.hidden
        square, line = ("□", "line-through") if hidden else ("■", "none")
        ink = self._colours.faint if hidden else self._colours.text
        title = name.replace("_", "&nbsp;")  # a name stays in one line
        mark = f"<span style='color: {self._colour(name)}'>{square}</span>"
        style = f"color: {ink}; text-decoration: {line}"
        return f"<a href='{name}' style='{style}'>{mark}&nbsp;{title}</a>"

    def _pen(self, name: str) -> pg.functions.mkPen:
        return pg.mkPen(self._colour(name), width=2)

    def _colour(self, name: str) -> str:
        colours = self._colours.curves
        return colours[list(self.series).index(name) % len(colours)]
