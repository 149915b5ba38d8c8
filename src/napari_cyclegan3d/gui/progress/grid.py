"""Slices beside each other that are zoomed and moved as one."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cyclegan3d.gui.progress.navigation import KEYS, PlotKeys
from napari_cyclegan3d.gui.theme import Colours, theme_colours

import pyqtgraph as pg  # isort: skip - after qtpy, else it picks a binding itself

HEIGHT = 210
MOST_COLUMNS, COLUMN = 4, 78
TITLE = 28  # and the space around it
Rows = tuple[tuple[str, ...], ...]


class ImageGrid(pg.GraphicsLayoutWidget):
    """Rows of images with titles; the same place is under the same pixel of each.

    Images of different size are shown at the same size.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._items: dict[str, pg.ImageItem] = {}
        self._titles: dict[str, pg.LabelItem] = {}
        self._views: list[pg.ViewBox] = []
        self._size, self._colours = (1, 1), theme_colours()
        self._rows: Rows = ((),)
        self.setMinimumHeight(HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        self.setToolTip(
            "<qt>Wheel and mouse zoom and move all images; a double click shows all "
            f"of them again. {KEYS}</qt>"
        )
        self.scene().sigMouseClicked.connect(
            lambda click: self.show_whole() if click.double() else None
        )
        PlotKeys(self, self.show_whole, self._zoom, self._move)

    def set_rows(self, rows: Rows, titles: Mapping[str, str]) -> None:
        """Make a place for each image.

        Args:
            rows: Names of the images.
            titles: What is written above them.
        """
        if rows == self._rows:
            return
        self.clear()
        self._rows = rows
        self._items, self._titles, self._views = {}, {}, []
        for column in range(MOST_COLUMNS):
            # equal, however long the titles are
            width = COLUMN if column < len(rows[0]) else 0
            self.ci.layout.setColumnMinimumWidth(column, width)
            self.ci.layout.setColumnPreferredWidth(column, width)
        for row, names in enumerate(rows):
            for column, name in enumerate(names):
                self._titles[name] = self.addLabel(
                    titles[name],
                    row=2 * row,
                    col=column,
                    size="8pt",
                    color=self._colours.text,
                )
                view = self.addViewBox(row=2 * row + 1, col=column)
                view.setAspectLocked()
                view.invertY()
                view.setMenuEnabled(False)
                view.sigRangeChangedManually.connect(partial(self._follow, view))
                item = pg.ImageItem(axisOrder="row-major")
                view.addItem(item)
                self._views.append(view)
                self._items[name] = item
        self.updateGeometry()
        self.show_whole()

    def set_colour_map(self, name: str, colour_map: str) -> None:
        """Show an image in colours; `colour_map` as pyqtgraph calls it."""
        self._items[name].setColorMap(pg.colormap.get(colour_map))

    def set_image(
        self, name: str, image: NDArray[np.float32], levels: tuple[float, float]
    ) -> None:
        """Show (rows, columns); `levels` become black and white."""
        self._items[name].setImage(image, levels=levels)
        height, width = self._size
        self._items[name].setRect(0, 0, width, height)

    def set_size(self, size: tuple[int, int]) -> None:
        """Rows and columns at which all images are shown; a new size shows them all."""
        if size != self._size:
            self._size = size
            self.updateGeometry()
            self.show_whole()

    def set_colours(self, colours: Colours) -> None:
        """Draw in the colours of a theme."""
        self._colours = colours
        self.setBackground(colours.background)
        for title in self._titles.values():
            title.setText(title.text, color=colours.text)

    def show_nothing(self) -> None:
        """Take the images away."""
        for item in self._items.values():
            item.clear()

    def show_whole(self) -> None:
        """Show all of each image."""
        height, width = self._size
        self._set_range((0, width), (0, height))

    def sizeHint(self) -> QSize:
        """As high as the images are at this width."""
        rows, columns = len(self._rows), max(len(self._rows[0]), 1)
        height, width = self._size
        image = self.width() / columns * height / width
        return QSize(columns * COLUMN, max(HEIGHT, round(rows * (image + TITLE))))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self.updateGeometry()

    def _follow(self, chosen: pg.ViewBox, _: object) -> None:
        """Show in all views what the user has chosen in one of them."""
        self._set_range(*chosen.viewRange())

    def _zoom(self, factor: float) -> None:
        (left, right), (top, bottom) = self._views[0].viewRange()
        self._set_range(_scaled(left, right, factor), _scaled(top, bottom, factor))

    def _move(self, across: float, down: float) -> None:
        (left, right), (top, bottom) = self._views[0].viewRange()
        x, y = across * (right - left), down * (bottom - top)
        self._set_range((left + x, right + x), (top + y, bottom + y))

    def _set_range(self, x: Sequence[float], y: Sequence[float]) -> None:
        # by hand: linked views of one aspect zoom out a little whenever they are
        # resized
        for view in self._views:
            view.setRange(xRange=x, yRange=y, padding=0)


def _scaled(first: float, last: float, factor: float) -> tuple[float, float]:
    middle, half = (first + last) / 2, factor * (last - first) / 2
    return middle - half, middle + half
