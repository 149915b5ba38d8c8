"""The live preview: one fixed pair of patches and what becomes of it, by slices."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt  # before pyqtgraph, which else picks a binding itself
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget
from superqt import QLabeledSlider

import pyqtgraph as pg  # isort: skip

ROWS = (("real_a", "fake_b", "cyclic_a"), ("real_b", "fake_a", "cyclic_b"))
ENLARGEMENT = (("real_a", "fake_b", "real_b"),)
HEIGHT = 210
CONTRAST = (0.5, 99.5)


class CyclePreview(QWidget):
    """real_a → fake_b → cyclic_a over real_b → fake_a → cyclic_b.

    Without cycles: real_a → fake_b beside real_b. All images have one contrast, zoom
    and slice. Images of different size are shown at the same size, so that the same
    place is under the same pixel.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.images: Mapping[str, NDArray[np.float32]] = {}
        self._items: dict[str, pg.ImageItem] = {}
        self._views: list[pg.ViewBox] = []
        self._levels: tuple[float, float] | None = None
        self.canvas = pg.GraphicsLayoutWidget()
        self.canvas.setMinimumHeight(HEIGHT)
        # it would like to stay as high as it has once been
        self.canvas.setSizePolicy(
            QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored
        )
        self.canvas.setToolTip(
            "<qt>Wheel and mouse zoom and move all images; a double click shows all "
            "of them again.</qt>"
        )
        self.slider = QLabeledSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 0)
        self.slider.setToolTip("slice along z")
        self._slices = QWidget()
        row = QHBoxLayout(self._slices)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("z slice"))
        row.addWidget(self.slider, stretch=1)
        self._make_views(ROWS)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.canvas, stretch=1)
        layout.addWidget(self._slices)

        self.slider.valueChanged.connect(self._show_slice)
        self.canvas.scene().sigMouseClicked.connect(
            lambda click: self._show_whole() if click.double() else None
        )

    def clear(self) -> None:
        """Show nothing, and take the contrast from the next images."""
        self.images, self._levels = {}, None
        for item in self._items.values():
            item.clear()

    def set_images(self, images: Mapping[str, NDArray[np.float32]]) -> None:
        """Show volumes (z, y, x), or slices (rows, columns), in normalised intensities.

        Args:
            images: By name; those of both cycles, or real_a, fake_b and real_b.
        """
        volumes = {name: _as_volume(image) for name, image in images.items()}
        if volumes.keys() != self._items.keys():
            self._make_views(ROWS if "cyclic_a" in volumes else ENLARGEMENT)
        first, self.images = not self.images, volumes
        if self._levels is None:
            reals = np.concatenate([volumes[k].ravel() for k in ("real_a", "real_b")])
            low, high = np.percentile(reals, CONTRAST)
            self._levels = (float(low), float(high))
        depth = max(image.shape[0] for image in volumes.values())
        self.slider.setRange(0, depth - 1)
        self._slices.setVisible(depth > 1)
        if first:
            self.slider.setValue(depth // 2)
            self._show_whole()
        self._show_slice()

    def _make_views(self, rows: tuple[tuple[str, ...], ...]) -> None:
        self.canvas.clear()
        self._items, self._views = {}, []
        for row, names in enumerate(rows):
            for column, name in enumerate(names):
                title = name.replace("_", " ")
                self.canvas.addLabel(title, row=2 * row, col=column, size="8pt")
                view = self.canvas.addViewBox(row=2 * row + 1, col=column)
                view.setAspectLocked()
                view.invertY()
                view.setMenuEnabled(False)
                view.sigRangeChangedManually.connect(partial(self._follow, view))
                item = pg.ImageItem(axisOrder="row-major")
                view.addItem(item)
                self._views.append(view)
                self._items[name] = item

    def _show_whole(self) -> None:
        if self.images:
            height, width = self._size()
            self._set_range((0, width), (0, height))

    def _follow(self, chosen: pg.ViewBox, _: object) -> None:
        """Show in all views what the user has chosen in one of them."""
        self._set_range(*chosen.viewRange())

    def _set_range(self, x: Sequence[float], y: Sequence[float]) -> None:
        # by hand: linked views of one aspect zoom out a little whenever they are
        # resized
        for view in self._views:
            view.setRange(xRange=x, yRange=y, padding=0)

    def _size(self) -> tuple[int, int]:
        """Rows and columns of the largest image."""
        rows, columns = max(image.shape[1:] for image in self.images.values())
        return rows, columns

    def _show_slice(self) -> None:
        if not self.images:
            return
        depth = self.slider.maximum() + 1
        height, width = self._size()
        for name, image in self.images.items():
            index = self.slider.value() * image.shape[0] // depth
            self._items[name].setImage(image[index], levels=self._levels)
            self._items[name].setRect(0, 0, width, height)


def _as_volume(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return image[None] if image.ndim == 2 else image
