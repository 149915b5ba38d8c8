"""What is known of a model: what it was trained on, by what, when, and how it looks."""

from datetime import datetime
from html import escape

import numpy as np
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_cyclegan3d.engine.checkpoint import Model, Provenance
from napari_cyclegan3d.engine.foreign import ForeignGraph
from napari_cyclegan3d.engine.thumbnails import SHOWN, Thumbnail
from napari_cyclegan3d.gui.labels import voxel_size

# voxel sizes of layer and training data that differ by more deserve a word
SPACING_TOLERANCE = 0.1
MOST_NAMES = 3
SIDE = 72
NOTHING = "Choose a model file, or drop one here."


class ModelCard(QWidget):
    """A text about a model, and thumbnails of what it makes of A."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLabel(NOTHING)
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setWordWrap(True)
        self.text.setMinimumWidth(1)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._labels = {name: QLabel() for name in SHOWN}
        self.pictures = QWidget()
        grid = QGridLayout(self.pictures)
        grid.setContentsMargins(0, 0, 0, 0)
        for column, (name, picture) in enumerate(self._labels.items()):
            title = QLabel(name.replace("_", " "))
            title.setAlignment(Qt.AlignmentFlag.AlignCenter)
            picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
            picture.setToolTip(f"{title.text()} in the last preview of the training")
            grid.addWidget(picture, 0, column)
            grid.addWidget(title, 1, column)
        self.pictures.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(self.pictures)

    def show_nothing(self, sentence: str = NOTHING) -> None:
        """No model is chosen."""
        self.text.setText(escape(sentence))
        self.pictures.hide()

    def show_model(self, model: Model, layer: Image | None) -> None:
        """Describe a model, and whether it has seen voxels like those of a layer."""
        self.text.setText(describe(model, layer))
        pictures = model.header.provenance.thumbnails
        for name, label in self._labels.items():
            if name in pictures:
                label.setPixmap(_pixmap(pictures[name]))
        self.pictures.setVisible(bool(pictures))


def describe(model: Model, layer: Image | None) -> str:
    """The text of a card, as rich text."""
    if model.header.foreign is not None:
        return _describe_foreign(model, model.header.foreign)
    origin, config = model.header.provenance, model.header.config
    size_a = voxel_size(origin.spacing_a, origin.unit_a)
    size_b = voxel_size(origin.spacing_b, origin.unit_b)
    lines = [
        f"<b>{escape(model.name)}</b>{escape(_when(origin))}",
        escape(f"A: {_names(origin.volumes_a) or 'made from B'} ({size_a})"),
        escape(f"B: {_names(origin.volumes_b)} ({size_b})"),
        f"{origin.steps} steps, scale {model.header.scale}x, {config.method}, "
        f"{config.dims}D {config.generator.kind}",
    ]
    if origin.score is not None:
        lines.append(f"score in validation: {origin.score:.4g}")
    warning = _unseen(model, layer) if layer is not None else ""
    if warning:
        lines.append(f"<b>⚠ {escape(warning)}</b>")
    return "<br>".join(lines)


def _describe_foreign(model: Model, graph: ForeignGraph) -> str:
    """The text of an imported model's card."""
    kind = "TorchScript" if graph.form == "torchscript" else "ONNX"
    lines = [
        f"<b>{escape(model.name)}</b>",
        escape(f"imported: {graph.title}"),
        escape(graph.credits),
        f"scale {model.header.scale}x, {model.header.config.dims}D {kind}",
    ]
    if graph.sees_all:
        lines.append("Volumes larger than a tile are blended.")
    return "<br>".join(lines)


def _unseen(model: Model, layer: Image) -> str:
    """A sentence if the layer's voxels have another size than those trained on."""
    origin = model.header.provenance
    if layer.ndim not in (3, 4) or origin.unit_a == "pixel":
        return ""
    size = np.array(layer.scale)[-3:]
    same_unit = str(layer.units[-1]) == origin.unit_a
    ratio = size / np.array(origin.spacing_a)
    if not same_unit or np.abs(ratio - 1).max() <= SPACING_TOLERANCE:
        return ""
    shown = voxel_size(tuple(size), origin.unit_a)
    return (
        f"{layer.name} has voxels of {shown}: the model has not seen any of that size."
    )


def _names(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _when(origin: Provenance) -> str:
    """The day of saving, in local time."""
    if origin.date is None:
        return ""
    try:
        saved = datetime.fromisoformat(origin.date).astimezone()
    except ValueError:
        return ""
    return f", {saved:%Y-%m-%d %H:%M}"


def _pixmap(thumbnail: Thumbnail) -> QPixmap:
    grey = thumbnail.image()
    rows, columns = grey.shape
    image = QImage(
        grey.tobytes(), columns, rows, columns, QImage.Format.Format_Grayscale8
    )
    return QPixmap.fromImage(image).scaled(
        SIDE,
        SIDE,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
