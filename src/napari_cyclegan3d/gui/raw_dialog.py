"""How the voxels of a raw file lie in it: asked where no sidecar says so."""

from pathlib import Path

from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
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
from napari_cyclegan3d.gui.raw_picture import SlicePicture
from napari_cyclegan3d.gui.remembered import recall, remember
from napari_cyclegan3d.gui.worker import Executor, start_engine
from napari_cyclegan3d.io import raw
from napari_cyclegan3d.io.sidecar import sidecar

LAST_KEY = "raw/layout"
ROWS = ("shape", "dtype", "byte_order", "offset", "spacing")
UNITS = ("pixel", *METRES)


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
