"""The live preview: both cycles of one fixed pair of patches, slice by slice."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt  # before pyqtgraph, which else picks a binding itself
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget
from superqt import QLabeledSlider

import pyqtgraph as pg  # isort: skip

ROWS = (("real_a", "fake_b", "cyclic_a"), ("real_b", "fake_a", "cyclic_b"))
HEIGHT = 260
CONTRAST = (0.5, 99.5)


class CyclePreview(QWidget):
    """real_a → fake_b → cyclic_a over real_b → fake_a → cyclic_b.

    All six have one contrast, zoom and slice. Images of different size are shown at the
    same size, so that the same place is under the same pixel.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.images: Mapping[str, NDArray[np.float32]] = {}
        self._items: dict[str, pg.ImageItem] = {}
        self._levels: tuple[float, float] | None = None
        self.canvas = pg.GraphicsLayoutWidget()
        self.canvas.setMinimumHeight(HEIGHT)
        self.slider = QLabeledSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 0)
        self.slider.setToolTip("slice along z")
        row = QHBoxLayout()
        row.addWidget(QLabel("z slice"))
        row.addWidget(self.slider, stretch=1)
        self._make_views()

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.canvas, stretch=1)
        layout.addLayout(row)

        self.slider.valueChanged.connect(self._show_slice)

    def clear(self) -> None:
        """Show nothing, and take the contrast from the next images."""
        self.images, self._levels = {}, None
        for item in self._items.values():
            item.clear()

    def set_images(self, images: Mapping[str, NDArray[np.float32]]) -> None:
        """Show six volumes (z, y, x), in normalised intensities."""
        depth = max(image.shape[0] for image in images.values())
        first, self.images = not self.images, images
        if self._levels is None:
            reals = np.concatenate([images["real_a"].ravel(), images["real_b"].ravel()])
            low, high = np.percentile(reals, CONTRAST)
            self._levels = (float(low), float(high))
        self.slider.setRange(0, depth - 1)
        if first:
            self.slider.setValue(depth // 2)
            height, width = max(image.shape[1:] for image in images.values())
            self._view.setRange(xRange=(0, width), yRange=(0, height), padding=0)
        self._show_slice()

    def _make_views(self) -> None:
        for row, names in enumerate(ROWS):
            for column, name in enumerate(names):
                title = name.replace("_", " ")
                self.canvas.addLabel(title, row=2 * row, col=column, size="8pt")
                view = self.canvas.addViewBox(row=2 * row + 1, col=column)
                view.setAspectLocked()
                view.invertY()
                item = pg.ImageItem(axisOrder="row-major")
                view.addItem(item)
                self._items[name] = item
                if name == ROWS[0][0]:
                    self._view = view
                else:
                    view.setXLink(self._view)
                    view.setYLink(self._view)

    def _show_slice(self) -> None:
        if not self.images:
            return
        depth = self.slider.maximum() + 1
        height, width = max(image.shape[1:] for image in self.images.values())
        for name, image in self.images.items():
            index = self.slider.value() * image.shape[0] // depth
            self._items[name].setImage(image[index], levels=self._levels)
            self._items[name].setRect(0, 0, width, height)
