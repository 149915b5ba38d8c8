"""The choice of a model: its file, and its card."""

from collections.abc import Iterator
from pathlib import Path

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.engine.checkpoint import Model, load_model
from napari_cyclegan3d.engine.hallucination.facts import model_facts
from napari_cyclegan3d.exchange.importing import can_import, import_beside
from napari_cyclegan3d.gui.enhance.model_card import NOTHING, ModelCard
from napari_cyclegan3d.gui.parts import MODEL_FILES, small_button
from napari_cyclegan3d.gui.preferences import preferences
from napari_cyclegan3d.gui.worker import Executor, Job

# what was chosen, the model file, the model, and the hash of its weights
Read = tuple[Path, Path, Model, str]


class ModelChooser(QWidget):
    """A model file, read off the GUI thread.

    A model of another program, such as a package of bioimage.io, becomes a model file
    beside it, or in the folder of models; that is then chosen.

    Args:
        executor: Runs what is read.
        parent: Parent widget.

    Attributes:
        model: The model that is chosen; None while there is none.
        path: Its file.
        sha256: Of its weights; empty while there is none.
    """

    changed = Signal()
    failed = Signal(object)  # Failure

    def __init__(self, executor: Executor, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model: Model | None = None
        self.path: Path | None = None
        self.sha256 = ""
        self._executor = executor
        self._job: Job | None = None
        self._reading = 0
        self._layer: Image | None = None
        self.line = QLineEdit()
        self.line.setPlaceholderText("model.safetensors")
        self.line.setToolTip(
            "A model file, as trainings leave them in their folders; or the .zip of a "
            "bioimage.io model"
        )
        self.line.setAccessibleName("Model file")
        self.button = small_button("Choose…", "Choose a model file")
        self.card = ModelCard()
        row = QHBoxLayout()
        row.addWidget(self.line, stretch=1)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.card)

        self.line.editingFinished.connect(self._on_typed)
        self.button.clicked.connect(self._choose)

    @property
    def is_reading(self) -> bool:
        """Whether a model is being read."""
        return self._reading > 0

    def select(self, path: Path) -> None:
        """Use a model file; it is read in the background."""
        self.path, self.model = path, None
        self.line.setText(str(path))
        self.line.setCursorPosition(len(str(path)))
        self.card.show_nothing(f"Reading {path.name} …")
        self._reading += 1
        job = self._executor(
            _read(path, preferences().folder),
            self._on_model,
            self.failed.emit,
            self._on_read,
        )
        self._job = job if self.is_reading else None
        self.changed.emit()

    def show_layer(self, layer: Image | None) -> None:
        """The layer that is going to be translated, for a word on its voxels."""
        self._layer = layer
        if self.model is not None:
            self.card.show_model(self.model, layer)

    def stop(self) -> None:
        """Do not wait for what is being read."""
        self.path = None
        if self._job is not None:
            self._job.quit()

    def _on_model(self, read: Read) -> None:
        given, path, model, sha256 = read
        if given == self.path:  # no other was chosen meanwhile
            self.path, self.model, self.sha256 = path, model, sha256
            self.line.setText(str(path))
            self.card.show_model(model, self._layer)

    def _on_read(self) -> None:
        self._reading -= 1
        if self.is_reading:
            return
        self._job = None
        if self.model is None:
            self.card.show_nothing()
        self.changed.emit()

    def _on_typed(self) -> None:
        text = self.line.text().strip()
        if not text:
            self.path = self.model = None
            self.card.show_nothing(NOTHING)
            self.changed.emit()
        elif self.path is None or text != str(self.path):
            self.select(Path(text).expanduser())

    def _choose(self) -> None:
        start = self.path.parent if self.path else preferences().folder
        name, _ = QFileDialog.getOpenFileName(self, "Model", str(start), MODEL_FILES)
        if name:
            self.select(Path(name))


def _read(given: Path, folder: Path) -> Iterator[Read]:
    path = import_beside(given, folder) if can_import(given) else given
    model = load_model(path)
    yield given, path, model, model_facts(model).sha256
