"""How the voxels of a raw file lie in it: asked where no sidecar says so."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import limits, parse
from napari_cyclegan3d.engine.units import METRES
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.editors import Editor, QuietCombo, editor_for
from napari_cyclegan3d.gui.labels import label
from napari_cyclegan3d.gui.parts import status_line
from napari_cyclegan3d.gui.raw_guess import guessed
from napari_cyclegan3d.gui.remembered import recall, remember
from napari_cyclegan3d.gui.worker import Executor, Running, start_engine
from napari_cyclegan3d.io import raw
from napari_cyclegan3d.io.sidecar import sidecar

LAST_KEY = "raw/layout"
ROWS = ("shape", "dtype", "byte_order", "offset", "spacing")
UNITS = ("pixel", *METRES)
SIDE = 256  # of the picture
LARGEST_READ = 1024  # of a larger slice its middle is read
CONTRAST = (0.5, 99.5)


class RawDialog(QDialog):
    """Shape, type and voxel size of a raw file, with a slice as it would look.

    Args:
        path: The file.
        must_describe: Whether the sidecar has to be written, because nobody asks again.
        parent: Parent widget.
        executor: Reads the slice.
    """

    def __init__(
        self,
        path: Path,
        *,
        must_describe: bool = False,
        parent: QWidget | None = None,
        executor: Executor = start_engine,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(path.name)
        self._path = path
        self.picture = SlicePicture(executor)
        self.unit = QuietCombo()
        self.unit.addItems(UNITS)
        self.editors = {name: _editor(name) for name in ROWS}
        self.said = status_line()
        self.keep = QCheckBox(f"Write {sidecar(path).name} beside it")
        self.keep.setToolTip(
            "<qt>A small file that says all of this, so that the voxels open by "
            "themselves from now on</qt>"
        )
        self.keep.setChecked(True)
        self.keep.setEnabled(not must_describe)
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Open | kinds.Cancel)
        self._lay_out()

        for editor in self.editors.values():
            editor.on_change(self._check)
        self.unit.currentIndexChanged.connect(lambda _: self._check())
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self._restore()

    def layout_of_file(self) -> raw.RawLayout:
        """What is set.

        Raises:
            InputError: It is impossible, or does not fit the size of the file.
        """
        values = {name: editor.value() for name, editor in self.editors.items()}
        layout = parse(raw.RawLayout, {**values, "unit": self.unit.currentText()})
        raw.refuse_misfit(self._path, layout)
        return layout

    def volume(self) -> Volume:
        """The volume, by what is set; writes the sidecar if that is wished.

        Raises:
            InputError: It is impossible, or the sidecar could not be written.
        """
        layout = self.layout_of_file()
        if self.keep.isChecked():
            raw.describe(self._path, layout)
        remember(LAST_KEY, layout.model_dump(mode="json"))
        return raw.open_with(self._path, layout)

    def done(self, result: int) -> None:
        """Close; nothing is read any more."""
        self.picture.end()
        super().done(result)

    def _check(self) -> None:
        """Say whether it fits, and show a slice if it does."""
        button = self.buttons.button(QDialogButtonBox.StandardButton.Open)
        assert button is not None
        try:
            layout = self.layout_of_file()
        except (InputError, OSError) as error:
            self.said.setText(str(error).removeprefix(f"{self._path}: "))
            self.picture.show_nothing()
            button.setEnabled(False)
            return
        self.said.setText(f"fits: {layout.file_bytes} bytes")
        self.picture.show_slices(self._path, layout)
        button.setEnabled(True)

    def _restore(self) -> None:
        """Begin with what the name, the size and the last file say."""
        last = recall(LAST_KEY)
        kept = dict(last) if isinstance(last, dict) else {}
        if kept.get("unit") in UNITS:
            self.unit.setCurrentText(kept["unit"])
        values = {"spacing": kept.get("spacing", (1.0, 1.0, 1.0))}
        for name, value in {**values, **guessed(self._path, kept)}.items():
            if name in self.editors:
                self.editors[name].set_value(
                    tuple(value) if isinstance(value, list) else value
                )
        self._check()

    def _lay_out(self) -> None:
        rows = QFormLayout()
        for name, editor in self.editors.items():
            rows.addRow(label(raw.RawLayout, name), editor.widget)
        rows.addRow("Unit", self.unit)
        settings = QVBoxLayout()
        settings.addLayout(rows)
        settings.addWidget(self.said)
        settings.addStretch()
        settings.addWidget(self.keep)
        columns = QHBoxLayout()
        columns.addLayout(settings, stretch=1)
        columns.addWidget(self.picture)
        layout = QVBoxLayout(self)
        layout.addLayout(columns)
        layout.addWidget(self.buttons)
        self.resize(680, self.sizeHint().height())


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


def _editor(name: str) -> Editor:
    info = raw.RawLayout.model_fields[name]
    editor = editor_for(info.annotation, limits(info))
    editor.widget.setToolTip(f"<qt>{info.description}</qt>")
    editor.widget.setObjectName(name)
    editor.widget.setAccessibleName(label(raw.RawLayout, name))
    return editor


def asked_for_raw(
    path: Path, parent: QWidget | None, *, must_describe: bool
) -> Volume | None:
    """The volume in a raw file, by what the user says of it; None: by nothing.

    Raises:
        InputError: The sidecar could not be written.
    """
    dialog = RawDialog(path, must_describe=must_describe, parent=parent)
    try:
        if dialog.exec() != QDialog.DialogCode.Accepted:
            return None
        return dialog.volume()
    finally:
        dialog.deleteLater()
