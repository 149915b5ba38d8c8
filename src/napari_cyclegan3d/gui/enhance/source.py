"""The choice of what is enhanced: a layer, or a queue of layers, files and folders."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from magicgui.widgets import create_widget
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.enhance.queue_list import Entry, QueueList
from napari_cyclegan3d.gui.layers import finest, is_series, to_volume
from napari_cyclegan3d.gui.parts import small_button
from napari_cyclegan3d.gui.remembered import recall, remember
from napari_cyclegan3d.gui.source import Source

if TYPE_CHECKING:
    from magicgui.widgets.bases import CategoricalWidget

FOLDER_KEY = "enhance/files"


class SourcePage(QWidget):
    """A layer and its frames, buttons that fill the queue, and the queue."""

    changed = Signal()
    wanted = Signal(list)  # paths of files and folders for the queue

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.layer_choice = cast(
            "CategoricalWidget[Any]", create_widget(annotation=Image, label="layer")
        )
        self.layer_choice.native.setToolTip(
            "The layer that is previewed, and enhanced where the queue is empty"
        )
        self.layer_choice.native.setAccessibleName("Layer")
        self.layer_choice.native.setPlaceholderText("no image layer is open")
        self.frames = FrameRange()
        self.queue = QueueList()
        self.queue_button = small_button("+ Layer", "Put the layer into the queue")
        self.files_button = small_button("+ Files…", "Put files into the queue")
        self.folder_button = small_button(
            "+ Folder…", "Put the volumes of a folder, or its slices, into the queue"
        )
        self.remove_button = small_button(
            "Remove", "Take the selected rows out of the queue (Del)"
        )
        self.clear_button = small_button("Clear done", "Take away what is not waiting")
        adding = _row(self.queue_button, self.files_button, self.folder_button)
        self._removing = QWidget()
        self._removing.setLayout(_row(self.remove_button, self.clear_button))
        self._removing.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.layer_choice.native)
        layout.addWidget(self.frames)
        layout.addLayout(adding)
        layout.addWidget(self.queue)
        layout.addWidget(self._removing)

        self.layer_choice.changed.connect(self._on_layer)
        self.queue.changed.connect(self._on_queue)
        self.queue_button.clicked.connect(self._queue_layer)
        self.files_button.clicked.connect(self._choose_files)
        self.folder_button.clicked.connect(self._choose_folder)
        self.remove_button.clicked.connect(self.queue.remove_selected)
        self.clear_button.clicked.connect(self.queue.clear_ended)

    @property
    def layer(self) -> Image | None:
        """The layer that is chosen."""
        chosen: Image | None = self.layer_choice.value
        return chosen

    def reset_choices(self) -> None:
        """Offer the layers that there are now."""
        self.layer_choice.reset_choices()
        self.queue.forget_others(self.layer_choice.choices)
        self._on_layer()

    def showEvent(self, event: QShowEvent | None) -> None:
        """The layer choice finds the layers, without a word, when it gets a window."""
        super().showEvent(event)
        self._on_layer()

    def layer_entry(self) -> Entry:
        """The chosen layer with its frames, for the queue.

        Raises:
            InputError: There is none, or it cannot be enhanced.
        """
        if self.layer is None:
            raise InputError("Open a volume and choose its layer first.")
        frames = None
        if is_series(self.layer):
            self.frames.set_length(len(finest(self.layer)))
            frames = self.frames.value()
        return entry_of(self.layer, frames)

    def any_source(self) -> Source:
        """What is enhanced next.

        Raises:
            InputError: There is nothing.
        """
        waiting = self.queue.waiting
        return (waiting[0] if waiting else self.layer_entry()).source

    def add(self, items: Iterable[Image | Path | str]) -> list[str]:
        """Put layers, files and folders into the queue.

        Returns:
            Sentences about those that cannot be enhanced.
        """
        refused = []
        for item in items:
            try:
                self.queue.add(entry_of(item))
            except InputError as error:
                refused.append(str(error))
                continue
            if isinstance(item, Image) and item in self.layer_choice.choices:
                self.layer_choice.value = item
        return refused

    def _queue_layer(self) -> None:
        try:
            self.queue.add(self.layer_entry())
        except InputError:
            self.changed.emit()  # the reason is shown already

    def _choose_files(self) -> None:
        kinds = " ".join(f"*{suffix}" for suffix in io.READABLE_SUFFIXES)
        names, _ = QFileDialog.getOpenFileNames(
            self, "Volumes to enhance", recall(FOLDER_KEY, ""), f"Volumes ({kinds})"
        )
        self._add_paths(names)

    def _choose_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(
            self, "Folder of volumes or slices", recall(FOLDER_KEY, "")
        )
        self._add_paths([name] if name else [])

    def _add_paths(self, names: list[str]) -> None:
        if names:
            remember(FOLDER_KEY, str(Path(names[0]).parent))
        self.wanted.emit([Path(name) for name in names])

    def _on_layer(self) -> None:
        layer = self.layer
        series = layer is not None and is_series(layer)
        self.frames.setVisible(series)
        if layer is not None and series:
            self.frames.set_length(len(finest(layer)))
        self.changed.emit()

    def _on_queue(self) -> None:
        self._removing.setVisible(bool(self.queue.entries))
        self.changed.emit()


class FrameRange(QWidget):
    """The first and the last frame of a series."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.first, self.last = QSpinBox(), QSpinBox()
        self.first.setAccessibleName("First frame")
        self.last.setAccessibleName("Last frame")
        for box in (self.first, self.last):
            box.setToolTip("Frames of the series that are enhanced, one by one")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("frames"))
        layout.addWidget(self.first, stretch=1)
        layout.addWidget(QLabel("to"))
        layout.addWidget(self.last, stretch=1)
        self._length = 0
        self.first.valueChanged.connect(self.last.setMinimum)
        self.hide()

    def set_length(self, length: int) -> None:
        """Offer so many frames; all of them, if it is another number than before."""
        if length == self._length:
            return
        self._length = length
        for box in (self.first, self.last):
            box.setRange(0, length - 1)
        self.first.setValue(0)
        self.last.setValue(length - 1)

    def value(self) -> range:
        """The frames that are chosen."""
        return range(self.first.value(), self.last.value() + 1)


def entry_of(item: Image | Path | str, frames: range | None = None) -> Entry:
    """An item of the queue; files are looked at later, when it is their turn.

    Args:
        item: A layer, a path, or what `open_domain` takes.
        frames: Those of a series.

    Raises:
        InputError: It is no volume that can be enhanced.
    """
    if isinstance(item, Image):
        to_volume(item, frames.start if frames else 0)
    elif isinstance(item, Path) and not io.can_read(item) and not item.is_dir():
        raise InputError(
            f"{item.name}: no volume that can be read; known files are "
            f"{', '.join(io.READABLE_SUFFIXES)}"
        )
    if isinstance(item, Image) and is_series(item) and frames is None:
        frames = range(len(finest(item)))
    return Entry(Source.of(item), frames)


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget)
    return row
