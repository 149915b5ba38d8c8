"""The Enhance dock: a model, a layer, a result exactly over it."""

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from magicgui.widgets import FileEdit, create_widget
from napari.layers import Image
from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.engine.checkpoint import Model, load_model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.inference import (
    EnhanceDone,
    EnhanceStarted,
    TileDone,
    Warned,
    enhance,
)
from napari_cyclegan3d.gui.forms import SettingsForm
from napari_cyclegan3d.gui.layers import result_layer_data, to_volume
from napari_cyclegan3d.gui.parts import scrolled, status_line
from napari_cyclegan3d.gui.worker import EngineWorker, start_engine, tells_closed_dock

if TYPE_CHECKING:
    import napari
    from magicgui.widgets.bases import CategoricalWidget

# voxel sizes of layer and training data that differ by more deserve a word
SPACING_TOLERANCE = 0.1


class EnhanceDock(QWidget):
    """Translate a layer with a trained model.

    Args:
        viewer: The viewer whose layers can be chosen and that gets the result.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self.viewer = viewer
        self.worker: EngineWorker | None = None
        self.model: Model | None = None
        self._source: Image | None = None
        self._error: str | None = None
        self._cancelled = False
        self.model_file = FileEdit(filter="Models (*.safetensors)")
        self.card = QLabel("Choose a model file.")
        self.card.setWordWrap(True)
        self.layer_choice = cast(
            "CategoricalWidget[Any]", create_widget(annotation=Image, label="layer")
        )
        self.form = SettingsForm(EnhanceConfig)
        self.status = status_line()
        self.progress = QProgressBar()
        self.enhance_button = QPushButton("Enhance")
        self.cancel_button = QPushButton("Cancel")

        buttons = QHBoxLayout()
        buttons.addWidget(self.enhance_button)
        buttons.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.addWidget(scrolled(self._page()), stretch=1)
        layout.addWidget(self.status)
        layout.addWidget(self.progress)
        layout.addLayout(buttons)

        self.model_file.changed.connect(self._load_model)
        self.layer_choice.changed.connect(self._on_change)
        self.form.changed.connect(self._on_change)
        self.enhance_button.clicked.connect(self.enhance)
        self.cancel_button.clicked.connect(self.cancel)
        self._set_running(running=False)

    def reset_choices(self, _: object = None) -> None:
        """Offer the layers that there are now; napari calls it when they change."""
        self.layer_choice.reset_choices()

    def enhance(self) -> None:
        """Translate the chosen layer, or say why that is not possible."""
        layer = self.layer_choice.value
        if self.model is None:
            self._refuse("Choose a model file first.")
            return
        if layer is None:
            self._refuse("Open a volume and choose its layer first.")
            return
        try:
            config = cast(EnhanceConfig, self.form.value())
            volume = to_volume(layer)
        except InputError as error:
            self._refuse(str(error))
            return
        self._source, self._error, self._cancelled = layer, None, False
        self.worker = start_engine(
            enhance(volume, self.model, config),
            self._on_event,
            self._on_error,
            self._on_finished,
        )
        self.status.setText("Reading the volume …")
        self._set_running(running=True)

    def cancel(self) -> None:
        """Stop after the current tile; no layer is added."""
        if self.worker is not None:
            self._cancelled = True
            self.status.setText("Cancelling …")
            self.cancel_button.setEnabled(False)
            self.worker.quit()

    def event(self, event: QEvent | None) -> bool:
        if tells_closed_dock(self, event):
            self.cancel()
        return bool(super().event(event))

    def _on_event(self, event: object) -> None:
        match event:
            case EnhanceStarted():
                self.progress.setRange(0, event.tiles)
                self.progress.setValue(0)
                size = "×".join(map(str, event.tile))
                self.status.setText(f"{event.mode} tiles of {size} on {event.device}")
            case Warned():
                show_warning(event.message)
            case TileDone():
                self.progress.setValue(event.done)
            case EnhanceDone() if not self._cancelled:
                self._add_result(event)

    def _add_result(self, event: EnhanceDone) -> None:
        assert self._source is not None
        assert self.model is not None
        config = cast(EnhanceConfig, self.form.value())
        scale = self.model.scale(config.direction)
        data, kwargs, _ = result_layer_data(self._source, event.volume, scale)
        result = self.viewer.add_image(data, **kwargs)
        seams = ""
        if event.seams is not None:
            seams = f"; steps at tile borders: {event.seams:.2f} times those elsewhere"
        self.status.setText(f"Added layer {result.name!r}{seams}")

    def _on_error(self, message: str) -> None:
        self._error = message

    def _on_finished(self) -> None:
        self.worker = None
        self._set_running(running=False)
        if self._error is not None:
            self._refuse(self._error)
        elif self._cancelled:
            self.progress.reset()
            self.status.setText("Cancelled; nothing was changed.")

    def _load_model(self) -> None:
        self.model = None
        try:
            self.model = load_model(Path(str(self.model_file.value)))
        except InputError as error:
            self.card.setText("Choose a model file.")
            self._refuse(str(error))
            return
        self._on_change()

    def _on_change(self) -> None:
        """Say what is still wrong with the settings, as soon as anything is changed."""
        self._show_card()
        if self.worker is not None:
            return
        try:
            self.form.value()
        except InputError as error:
            self.status.setText(str(error))
        else:
            self.status.setText("")

    def _show_card(self) -> None:
        if self.model is not None:
            self.card.setText(_card(self.model, self.layer_choice.value))

    def _refuse(self, message: str) -> None:
        self.status.setText(message)
        show_error(message)

    def _set_running(self, *, running: bool) -> None:
        self.enhance_button.setEnabled(not running)
        self.cancel_button.setEnabled(running)
        self.form.setEnabled(not running)

    def _page(self) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        self.form.rows.insertRow(0, "model", self.model_file.native)
        self.form.rows.insertRow(1, self.card)
        self.form.rows.insertRow(2, "layer", self.layer_choice.native)
        layout.addWidget(self.form)
        layout.addStretch()
        return page


def _card(model: Model, layer: Image | None) -> str:
    """What a model was trained on, and whether the layer's voxels are of that size."""
    origin = model.header.provenance
    size_a = _spacing(origin.spacing_a, origin.unit_a)
    size_b = _spacing(origin.spacing_b, origin.unit_b)
    config = model.header.config
    lines = [
        escape(f"A: {', '.join(origin.volumes_a) or 'made from B'} ({size_a})"),
        escape(f"B: {', '.join(origin.volumes_b)} ({size_b})"),
        f"{origin.steps} steps, scale {model.header.scale}x",
        f"{config.method}, {config.dims}D {config.generator.kind}",
    ]
    if layer is not None and layer.ndim == 3:
        known = origin.unit_a != "pixel" and str(layer.units[-1]) == origin.unit_a
        ratio = np.array(layer.scale) / np.array(origin.spacing_a)
        if known and np.abs(ratio - 1).max() > SPACING_TOLERANCE:
            shown = _spacing(tuple(layer.scale), origin.unit_a)
            lines.append(
                f"<b>{escape(layer.name)} has voxels of {shown}: the model has not "
                "seen any of that size.</b>"
            )
    return "<br>".join(lines)


def _spacing(spacing: tuple[float, ...], unit: str) -> str:
    return " × ".join(f"{side:.4g}" for side in spacing) + f" {unit}"
