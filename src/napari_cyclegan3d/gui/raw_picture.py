"""A slice of a raw file, as it would look by a layout."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QLabel, QSlider, QVBoxLayout, QWidget

from napari_cyclegan3d.gui.worker import Executor, Running
from napari_cyclegan3d.io import raw

SIDE = 256  # of the picture
LARGEST_READ = 1024  # of a larger slice its middle is read
CONTRAST = (0.5, 99.5)


class SlicePicture(QWidget):
    """A slice of a raw file as a layout would have it, read off the GUI thread.

    Args:
        executor: Reads it.
        parent: Parent widget.
    """

    def __init__(self, executor: Executor, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._running = Running(executor)
        self._asked: tuple[Path, raw.RawLayout, int] | None = None
        self._shown: tuple[Path, raw.RawLayout] | None = None
        self._ended = False
        self.image = QLabel()
        self.image.setFixedSize(SIDE, SIDE)
        self.image.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.place = QSlider(Qt.Orientation.Horizontal)
        self.place.setToolTip("Which slice is shown")
        self.place.setAccessibleName("Slice")
        self.caption = QLabel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.image, self.place, self.caption):
            layout.addWidget(widget)
        layout.addStretch()

        self.place.valueChanged.connect(lambda _: self._ask())
        self.show_nothing()

    def show_slices(self, path: Path, layout: raw.RawLayout) -> None:
        """Show a slice of a file, by a layout that fits it."""
        self._shown = path, layout
        depth = layout.shape[0]
        if self.place.maximum() != depth - 1:
            self.place.blockSignals(True)
            self.place.setRange(0, depth - 1)
            self.place.setValue(depth // 2)
            self.place.blockSignals(False)
        self.place.setEnabled(depth > 1)
        self._ask()

    def show_nothing(self) -> None:
        """There is nothing that could be shown."""
        self._shown = self._asked = None
        self.image.setPixmap(QPixmap())
        self.image.setText("no slice can be shown")
        self.place.setEnabled(False)
        self.caption.clear()

    def end(self) -> None:
        """Read nothing any more."""
        self._ended, self._asked = True, None
        self._running.cancel()

    def _ask(self) -> None:
        if self._shown is None:
            return
        self._asked = *self._shown, self.place.value()
        if not self._running.is_busy:
            self._read()

    def _read(self) -> None:
        if self._asked is None or self._ended:
            return
        asked, self._asked = self._asked, None
        self._running.start(_pictures(*asked), self._show, self._read)

    def _show(self, found: tuple[raw.RawLayout, int, NDArray[np.uint8]]) -> None:
        layout, z, grey = found
        if self._ended or self._shown is None or self._shown[1] != layout:
            return  # another layout is meant by now
        rows, columns = grey.shape
        data = np.ascontiguousarray(grey).tobytes()
        image = QImage(data, columns, rows, columns, QImage.Format.Format_Grayscale8)
        ratio = Qt.AspectRatioMode.KeepAspectRatio
        # copied: the picture outlives the bytes it is made from
        scaled = QPixmap.fromImage(image.copy()).scaled(SIDE, SIDE, ratio)
        self.image.setPixmap(scaled)
        self.caption.setText(f"slice {z} of {layout.shape[0]}")


def _pictures(
    path: Path, layout: raw.RawLayout, z: int
) -> Iterator[tuple[raw.RawLayout, int, NDArray[np.uint8]]]:
    """One slice in grey, at most 1024 pixels a side are read of it."""
    volume = raw.open_with(path, layout)
    rows, columns = (
        slice((n - min(n, LARGEST_READ)) // 2, (n + min(n, LARGEST_READ)) // 2)
        for n in volume.shape[1:]
    )
    plane = volume.read((slice(z, z + 1), rows, columns))[0]
    step = max(1, -(-max(plane.shape) // SIDE))
    yield layout, z, grey_picture(plane[::step, ::step])


def grey_picture(plane: NDArray[Any]) -> NDArray[np.uint8]:
    """A slice in 8 bits, by its own contrast; what is no number is black."""
    values = plane.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(plane.shape, np.uint8)
    low, high = np.percentile(values[finite], CONTRAST)
    # wrong layouts give numbers up to the largest that there are
    with np.errstate(over="ignore", invalid="ignore"):
        share = (np.where(finite, values, low) - low) / max(high - low, 1e-300)
    return np.asarray(np.round(255 * np.nan_to_num(share).clip(0, 1)), np.uint8)
