"""The choice of where results go, and what is done with them."""

from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.gui.enhance.output import SUFFIXES, Output
from napari_cyclegan3d.gui.parts import small_button, status_line

KINDS = {
    "auto": "a layer, or a file if too large",
    "layer": "a new layer",
    "file": "a file",
}
FORMATS = dict(
    zip(SUFFIXES, ("OME-Zarr", "TIFF", "NIfTI, packed", "NIfTI", "HDF5"), strict=True)
)


class TargetPage(QWidget):
    """Layer or file, its format and folder, and the full cycle."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind, self.suffix = QComboBox(), QComboBox()
        self.kind.setToolTip(
            "<qt>Files are enhanced into files, unless layers are asked for. A result "
            "larger than the free memory goes to disk.</qt>"
        )
        self.kind.setAccessibleName("Result")
        for key, text in KINDS.items():
            self.kind.addItem(text, key)
        self.suffix.setToolTip("Format of files; OME-Zarr is best for large volumes")
        self.suffix.setAccessibleName("Format")
        for key, text in FORMATS.items():
            self.suffix.addItem(f"{text} ({key})", key)
        self.folder = QLineEdit()
        self.folder.setPlaceholderText("beside the source")
        self.folder.setToolTip("Folder for files; nothing in it is ever replaced")
        self.folder.setAccessibleName("Folder for results")
        self.folder_button = small_button("Choose…", "Choose the folder for files")
        self.cycle = QCheckBox("also back again (full cycle)")
        self.cycle.setToolTip(
            "<qt>Translate the result back, as a second result: where that differs "
            "from the source, the result is to be doubted.</qt>"
        )
        self.inspect = QCheckBox("inspect at once (quick)")
        self.inspect.setToolTip(
            "<qt>Compare the result with its source and count what was invented, "
            "deleted or cannot be verified.</qt>"
        )
        self.note = status_line()
        self._file = QWidget()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.kind)
        layout.addWidget(self._file)
        layout.addWidget(self.note)
        layout.addWidget(self.cycle)
        layout.addWidget(self.inspect)
        rows = QVBoxLayout(self._file)
        rows.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.folder, stretch=1)
        row.addWidget(self.folder_button)
        rows.addWidget(self.suffix)
        rows.addLayout(row)
        self.show_note("", to_file=False)

        self.kind.currentIndexChanged.connect(self.changed)
        self.suffix.currentIndexChanged.connect(self.changed)
        self.folder.textChanged.connect(self.changed)
        self.cycle.toggled.connect(self.changed)
        self.inspect.toggled.connect(self.changed)
        self.folder_button.clicked.connect(self._choose)

    def value(self) -> Output:
        """Where results go."""
        folder = self.folder.text().strip()
        return Output(
            self.kind.currentData(),
            self.suffix.currentData(),
            Path(folder).expanduser() if folder else None,
        )

    def state(self) -> dict[str, Any]:
        """What is set, to be remembered."""
        return {
            "kind": self.kind.currentData(),
            "suffix": self.suffix.currentData(),
            "folder": self.folder.text(),
            "cycle": self.cycle.isChecked(),
            "inspect": self.inspect.isChecked(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Set what was remembered; what is not known is left as it is."""
        for box, key in ((self.kind, "kind"), (self.suffix, "suffix")):
            index = box.findData(state.get(key))
            if index >= 0:
                box.setCurrentIndex(index)
        self.folder.setText(str(state.get("folder", "")))
        self.cycle.setChecked(bool(state.get("cycle", False)))
        self.inspect.setChecked(bool(state.get("inspect", False)))

    def show_note(self, text: str, *, to_file: bool) -> None:
        """Say what the choice means for what is going to be enhanced."""
        self.note.setText(text)
        self.note.setVisible(bool(text))
        self._file.setVisible(to_file or self.kind.currentData() == "file")

    def _choose(self) -> None:
        name = QFileDialog.getExistingDirectory(
            self, "Folder for results", self.folder.text()
        )
        if name:
            self.folder.setText(name)
