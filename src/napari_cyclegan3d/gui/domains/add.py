"""Where sources are typed or chosen that a domain gets."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QWidget,
)

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.layers import to_volume

if TYPE_CHECKING:
    import napari

SUFFIXES = (*io.READABLE_SUFFIXES, ".json")
FILES = f"Volumes ({' '.join(f'*{suffix}' for suffix in SUFFIXES)});;All files (*)"


class AddBar(QWidget):
    """A line for paths and patterns, and a menu with layers and file choosers.

    Args:
        viewer: The viewer whose layers are offered; None: none are.
        parent: Parent widget.
    """

    chosen = Signal(list)  # layers, paths and texts
    refused = Signal(str)

    def __init__(
        self, viewer: "napari.viewer.Viewer | None", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.line = QLineEdit()
        self.line.setPlaceholderText("path or pattern")
        self.line.setToolTip(
            "A file, a folder, a pattern such as scans/**/*.nii.gz, FILE.h5::dataset, "
            "bids:FOLDER?suffix=T1w; each may end in a region, [0:64,:,100:200]"
        )
        self.button = QPushButton("Add")
        self.button.setToolTip("Add layers, files or a folder")
        self.menu = QMenu(self.button)
        self.button.setMenu(self.menu)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line, stretch=1)
        layout.addWidget(self.button)

        self.line.returnPressed.connect(self._add_typed)
        self.menu.aboutToShow.connect(self.fill_menu)

    def offered(self) -> list[Image]:
        """The layers that can be added now."""
        return [layer for layer in self._images() if not _why_not(layer)]

    def fill_menu(self) -> None:
        """Offer the layers that there are now, and files and folders."""
        self.menu.clear()
        for layer in self._images():
            why_not = _why_not(layer)
            action = self.menu.addAction(_plain(layer.name))
            assert action is not None
            action.setEnabled(not why_not)
            action.setToolTip(why_not or "Add this layer")
            action.triggered.connect(lambda _, one=layer: self.chosen.emit([one]))
        self.menu.setToolTipsVisible(True)
        self.menu.addSeparator()
        for text, choose in (
            ("Files…", self._choose_files),
            ("Folder…", self._choose_folder),
        ):
            action = self.menu.addAction(text)
            assert action is not None
            action.triggered.connect(choose)

    def _images(self) -> Sequence[Image]:
        layers = self._viewer.layers if self._viewer is not None else ()
        return [layer for layer in layers if isinstance(layer, Image)]

    def _add_typed(self) -> None:
        text = self.line.text().strip()
        if text:
            self.line.clear()
            self.chosen.emit([text])

    def _choose_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Add volumes", "", FILES)
        if names:
            self.chosen.emit([Path(name) for name in names])

    def _choose_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(
            self, "Add a folder of slices or volumes"
        )
        if name:
            self.chosen.emit([Path(name)])


def refuse_unusable(layer: Image) -> None:
    """Refuse a layer that is neither a volume nor a series of volumes.

    Raises:
        InputError: It has colours, or other axes than (t,) z, y, x.
    """
    to_volume(layer, 0)


def _why_not(layer: Image) -> str:
    """Why a layer cannot be used; empty if it can."""
    try:
        refuse_unusable(layer)
    except InputError as error:
        return str(error)
    return ""


def _plain(name: str) -> str:
    return name.replace("&", "&&")  # else the next letter is underlined
