"""The volumes of one domain: layers and files."""

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from magicgui.widgets import create_widget
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QGroupBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.layers import to_volume
from napari_cyclegan3d.io.dataset_json import Part
from napari_cyclegan3d.io.domains import open_domain

if TYPE_CHECKING:
    from magicgui.widgets.bases import CategoricalWidget

SUFFIXES = (*io.READABLE_SUFFIXES, ".json")
FILES = f"Volumes ({' '.join(f'*{suffix}' for suffix in SUFFIXES)});;All files (*)"
VISIBLE_ROWS = 4


class DomainList(QGroupBox):
    """Choose layers and files for domain A or B.

    Args:
        title: Shown above the list.
        part: Which part of a file that lists a data set is meant.
        parent: Parent widget.
    """

    changed = Signal()

    def __init__(
        self,
        title: str,
        part: Part = "train",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(title, parent)
        self._part = part
        self._items: list[Image | Path] = []
        self._list = QListWidget()
        self._list.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        row_height = self._list.fontMetrics().height() + 6
        self._list.setFixedHeight(VISIBLE_ROWS * row_height)
        self.layer_choice = cast(
            "CategoricalWidget[Any]", create_widget(annotation=Image, label="layer")
        )
        add_layer = QPushButton("Add layer")
        add_files = QPushButton("Add files…")
        add_folder = QPushButton("Add folder…")
        remove = QPushButton("Remove")

        layers = QHBoxLayout()
        layers.addWidget(self.layer_choice.native, stretch=1)
        layers.addWidget(add_layer)
        files = QHBoxLayout()
        for button in (add_files, add_folder, remove):
            files.addWidget(button)
        layout = QVBoxLayout(self)
        layout.addWidget(self._list)
        layout.addLayout(layers)
        layout.addLayout(files)

        add_layer.clicked.connect(self._add_layer)
        add_files.clicked.connect(self._add_files)
        add_folder.clicked.connect(self._add_folder)
        remove.clicked.connect(self._remove)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is chosen."""
        return not self._items

    def value(self) -> list[Volume]:
        """The volumes, in the order in which they were added; nothing is loaded.

        Raises:
            InputError: One of them cannot be used.
        """
        volumes: list[Volume] = []
        # neighbouring files together: single slices of one folder are one volume
        for are_layers, items in groupby(
            self._items, lambda item: isinstance(item, Image)
        ):
            if are_layers:
                volumes += map(to_volume, items)
            else:
                volumes += open_domain([str(item) for item in items], self._part)
        return volumes

    def set_value(self, items: list[Image | Path]) -> None:
        """Show these layers and files."""
        self._items = []
        self._list.clear()
        for item in items:
            self._append(item)
        self.changed.emit()

    def add(self, item: Image | Path) -> None:
        """Add a layer or a file, unless it is there already."""
        if item not in self._items:
            self._append(item)
            self.changed.emit()

    def _append(self, item: Image | Path) -> None:
        self._items.append(item)
        text = f"layer: {item.name}" if isinstance(item, Image) else item.name
        row = QListWidgetItem(text)
        row.setToolTip(text if isinstance(item, Image) else str(item))
        self._list.addItem(row)

    def _add_layer(self) -> None:
        layer = self.layer_choice.value
        if layer is not None:
            self.add(layer)

    def _add_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Add volumes", "", FILES)
        for name in names:
            self.add(Path(name))

    def _add_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(
            self, "Add a folder of slices or volumes"
        )
        if name:
            self.add(Path(name))

    def _remove(self) -> None:
        chosen = {index.row() for index in self._list.selectedIndexes()}
        self.set_value(
            [item for row, item in enumerate(self._items) if row not in chosen]
        )
