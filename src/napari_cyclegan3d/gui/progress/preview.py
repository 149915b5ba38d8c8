"""The preview: one fixed pair of patches and what becomes of it, by slices."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledSlider
from superqt.utils import signals_blocked

from napari_cyclegan3d.gui.parts import small_button
from napari_cyclegan3d.gui.progress.contrast import ContrastRow, Levels
from napari_cyclegan3d.gui.progress.grid import ImageGrid, Rows
from napari_cyclegan3d.gui.remembered import recall, remember
from napari_cyclegan3d.gui.theme import follow_theme

if TYPE_CHECKING:
    import napari

Images = Mapping[str, NDArray[np.float32]]
CYCLES = (("real_a", "fake_b", "cyclic_a"), ("real_b", "fake_a", "cyclic_b"))
ENLARGEMENT = (("real_a", "fake_b", "real_b"),)
CONTRAST = (0.5, 99.5)
AXES = "zyx"
# that many voxels of an image tell its contrast
SAMPLE = 2**14
DIFFERENCE_COLOURS = "inferno"
DIFFERENCE_TIP = (
    "Show beside them |real − cyclic|, the detail that a cycle loses (of an "
    "enlargement |real b − fake b|); white is half the contrast."
)


class CyclePreview(QWidget):
    """real_a → fake_b → cyclic_a over real_b → fake_a → cyclic_b.

    Without cycles: real_a → fake_b beside real_b. All images have one contrast, zoom
    and slice. On request, the difference that there should not be stands beside them.

    Args:
        viewer: Whose theme is followed.
        parent: Parent widget.
    """

    def __init__(
        self,
        viewer: "napari.viewer.Viewer | None" = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.images: Images = {}
        self._axis = 0
        self.canvas, self.contrast = ImageGrid(), ContrastRow()
        self.slider = QLabeledSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 0)
        self.directions = QButtonGroup(self)
        self.difference = small_button("|Δ|", DIFFERENCE_TIP, checkable=True)
        self._slices = self._slice_row()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.canvas, stretch=1)
        layout.addWidget(self._slices)
        layout.addWidget(self.contrast)

        self.difference.setChecked(bool(recall("preview/difference", False)))
        self._make_places()
        self.slider.valueChanged.connect(self._show_slice)
        self.directions.idClicked.connect(self._turn)
        self.difference.toggled.connect(self._switch_difference)
        self.contrast.changed.connect(self._show_slice)
        self.contrast.auto_button.clicked.connect(self._find_contrast)
        follow_theme(viewer, self.canvas.set_colours)

    def clear(self) -> None:
        """Show nothing, and take the contrast from the next images."""
        self.images = {}
        self.canvas.show_nothing()

    def set_images(self, images: Images) -> None:
        """Show volumes (z, y, x), or slices (rows, columns), in normalised intensities.

        Args:
            images: By name; those of both cycles, or real_a, fake_b and real_b.
        """
        first, others = not self.images, images.keys() != self.images.keys()
        self.images = {name: _as_volume(image) for name, image in images.items()}
        if others:
            self._make_places()
        if first:
            self._find_contrast()
        shape = self._shape()
        flat = shape[0] == 1
        if flat and self._axis:
            self._axis = 0
            self.directions.buttons()[0].setChecked(True)
        self._slices.setVisible(not flat)
        self._show_places(middle=first)

    def differences(self) -> dict[str, tuple[str, str]]:
        """The two images of each difference that is shown, by its name."""
        if not self.difference.isChecked():
            return {}
        if "cyclic_a" in self.images or not self.images:
            return {f"difference_{d}": (f"real_{d}", f"cyclic_{d}") for d in "ab"}
        return {"difference_b": ("real_b", "fake_b")}

    def _slice_row(self) -> QWidget:
        slices = QWidget()
        row = QHBoxLayout(slices)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(QLabel("slice"))
        for number, axis in enumerate(AXES):
            button = small_button(axis, f"Slices along {axis}", checkable=True)
            button.setChecked(number == 0)
            self.directions.addButton(button, number)
            row.addWidget(button)
        row.addWidget(self.slider, stretch=1)
        self.slider.setToolTip("Number of the slice, in voxels of the largest image")
        row.addWidget(self.difference)
        return slices

    def _make_places(self) -> None:
        cycles = "cyclic_a" in self.images or not self.images
        rows: Rows = CYCLES if cycles else ENLARGEMENT
        titles = {name: name.replace("_", " ") for row in rows for name in row}
        pairs = self.differences()
        for name, (one, other) in pairs.items():
            titles[name] = f"|{one.split('_')[0]} − {other.split('_')[0]}|"
        if pairs:
            rows = tuple(
                (*row, name) for row, name in zip(rows, sorted(pairs), strict=True)
            )
        self.canvas.set_rows(rows, titles)
        for name in pairs:
            self.canvas.set_colour_map(name, DIFFERENCE_COLOURS)

    def _switch_difference(self, on: bool) -> None:
        remember("preview/difference", on)
        self._make_places()
        self._show_slice()

    def _turn(self, axis: int) -> None:
        self._axis = axis
        if self.images:
            self._show_places(middle=True)

    def _show_places(self, *, middle: bool) -> None:
        """Show what there is along the axis, the middle of it first."""
        depth, *size = _turned(self._shape(), self._axis)
        with signals_blocked(self.slider):
            self.slider.setRange(0, depth - 1)
            if middle:
                self.slider.setValue(depth // 2)
        self.canvas.set_size((size[0], size[1]))
        self._show_slice()

    def _shape(self) -> tuple[int, ...]:
        """Shape of the largest image."""
        return max(image.shape for image in self.images.values())

    def _find_contrast(self) -> None:
        if not self.images:
            return
        reals = np.concatenate([_sampled(self.images[k]) for k in ("real_a", "real_b")])
        reals = reals[np.isfinite(reals)]
        if not reals.size:
            reals = np.zeros(1)
        low, high = map(float, np.percentile(reals, CONTRAST))
        room = max((high - low) / 2, 0.5)
        levels = (low, high if high > low else low + 1)
        self.contrast.set_value(levels, (low - room, high + room))
        self._show_slice()

    def _show_slice(self) -> None:
        if not self.images:
            return
        depth = self.slider.maximum() + 1
        low, high = self.contrast.value()
        planes = {}
        for name, volume in self.images.items():
            index = self.slider.value() * volume.shape[self._axis] // depth
            planes[name] = volume.take(index, axis=self._axis)
            self.canvas.set_image(name, planes[name], (low, high))
        for name, (one, other) in self.differences().items():
            off = np.abs(planes[one] - planes[other])
            self.canvas.set_image(name, off, difference_levels((low, high)))


def difference_levels(levels: Levels) -> Levels:
    """The contrast of a difference between images of a contrast."""
    return 0.0, (levels[1] - levels[0]) / 2


def _as_volume(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return image[None] if image.ndim == 2 else image


def _turned(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """Depth, rows and columns of slices along an axis."""
    return shape[axis], *shape[:axis], *shape[axis + 1 :]


def _sampled(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    step = volume.size // SAMPLE
    return volume.ravel()[:: step | 1]  # odd: not always the same column
