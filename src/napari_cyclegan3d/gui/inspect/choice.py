"""The choice of what is inspected, how thoroughly, and by which model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.gui.forms import SettingsForm
from napari_cyclegan3d.gui.inspect.provenance import (
    Maker,
    is_of_inspection,
    maker_of,
    source_of,
)
from napari_cyclegan3d.gui.layers import finest, source_name
from napari_cyclegan3d.gui.parts import MODEL_FILES, small_button, status_line
from napari_cyclegan3d.gui.preferences import preferences
from napari_cyclegan3d.gui.source import parse_region
from napari_cyclegan3d.gui.views.temporary import is_private

if TYPE_CHECKING:
    from napari.viewer import Viewer

ROLES = {
    "enhanced": ("Enhanced", "What a network made"),
    "raw": ("Raw", "What it was made from"),
    "truth": ("Truth", "The true volume, on the grid of the enhanced one, if known"),
    "second": (
        "Second scan",
        "Another scan of the same object, on the grid of the raw one, if there is one: "
        "the best evidence",
    ),
}
NEEDED = ("enhanced", "raw")


class ChoicePage(QWidget):
    """Layers by their roles, the model and the settings.

    Args:
        viewer: Whose layers are offered.
        parent: Parent widget.

    Attributes:
        layers: The choosers, by role: enhanced, raw, truth, second.
        form: The settings.
        cost: A line about what the inspection will take.
    """

    changed = Signal()

    def __init__(self, viewer: "Viewer | None", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.layers = {role: _chooser(role, viewer) for role in ROLES}
        self.model = QLineEdit()
        self.model.setPlaceholderText("none: only the two volumes are compared")
        self.model.setAccessibleName("Model file")
        self.model.setToolTip(
            "<qt>The model that made the enhanced volume; standard and thorough mode "
            "run it again. A model file, or the .zip of a bioimage.io model</qt>"
        )
        self.model_button = small_button("Choose…", "Choose the model's file")
        self.form = SettingsForm(InspectConfig, top=("mode",), hidden=("noise_region",))
        self.noise_region = QLineEdit()
        self.noise_region.setPlaceholderText("found by itself; or as 0:32,:,100:200")
        self.noise_region.setAccessibleName("Noise region")
        description = InspectConfig.model_fields["noise_region"].description
        self.noise_region.setToolTip(f"<qt>{description}</qt>")
        self.cost = status_line()
        self._maker: Maker | None = None
        self._lay_out()

        self.layers["enhanced"].changed.connect(self._on_enhanced)
        for role in ("raw", "truth", "second"):
            self.layers[role].changed.connect(lambda _: self.changed.emit())
        for line in (self.model, self.noise_region):
            line.textChanged.connect(lambda _: self.changed.emit())
        self.model_button.clicked.connect(self._choose)
        self.form.changed.connect(self.changed)

    def layer(self, role: str) -> Image | None:
        """The layer that is chosen for a role."""
        chosen: Image | None = self.layers[role].value
        return chosen

    @property
    def model_path(self) -> Path | None:
        """The model's file; None: there is none."""
        text = self.model.text().strip()
        return Path(text).expanduser() if text else None

    def config(self) -> InspectConfig:
        """The settings.

        Raises:
            InputError: They contradict each other, or the noise region is none.
        """
        region, raw = parse_region(self.noise_region.text()), self.layer("raw")
        spans = None
        if region is not None and raw is not None:
            shape = finest(raw).shape[-3:]
            spans = [p.indices(n)[:2] for p, n in zip(region, shape, strict=True)]
        values = {**self.form.values(), "noise_region": spans}
        return parse(InspectConfig, values)

    @property
    def model_sha256(self) -> str:
        """Of the weights that made the enhanced layer; empty where that is unknown."""
        maker = self._maker
        known = maker is not None and maker.path == self.model_path
        return maker.sha256 if maker is not None and known else ""

    def reset_choices(self) -> None:
        """Offer the layers that there are now; a result that is new is chosen."""
        box = self.layers["enhanced"]
        before = set(box.choices)
        with signals_blocked(self):
            for chooser in self.layers.values():
                chooser.reset_choices()
        made = [one for one in _given(box.choices) if _is_made(one)]
        new = [one for one in made if one not in before]
        if new:
            self.choose(new[-1])
        else:
            self.changed.emit()

    def choose(self, enhanced: Image, raw: Image | None = None) -> None:
        """Choose a result; its source and its model are found, if they are known."""
        box = self.layers["enhanced"]
        if enhanced not in box.choices:
            return
        box.value = enhanced
        self._on_enhanced()
        if raw is not None:
            self.layers["raw"].value = raw

    def _on_enhanced(self, _: object = None) -> None:
        layer = self.layer("enhanced")
        with signals_blocked(self):
            if layer is not None:
                self._follow(layer)
        self.changed.emit()

    def _follow(self, layer: Image) -> None:
        """Choose what a result was made from, and by what."""
        raw = source_of(layer, _given(self.layers["raw"].choices))
        if raw is not None:
            self.layers["raw"].value = raw
        self._maker = maker_of(layer)
        if self._maker is not None:
            self.model.setText(str(self._maker.path))
            given = {**self.form.values(), "enhance": self._maker.config}
            self.form.set_value(InspectConfig.model_construct(**given))
        elif raw is not None:  # made by a model that is not known
            self.model.clear()

    def _choose(self) -> None:
        start = self.model_path.parent if self.model_path else preferences().folder
        name, _ = QFileDialog.getOpenFileName(self, "Model", str(start), MODEL_FILES)
        if name:
            self.model.setText(name)

    def _lay_out(self) -> None:
        rows = QFormLayout()
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for role, (title, _) in ROLES.items():
            rows.addRow(title, self.layers[role].native)
        line = QHBoxLayout()
        line.addWidget(self.model, stretch=1)
        line.addWidget(self.model_button)
        rows.addRow("Model", line)
        rows.addRow("Noise in", self.noise_region)
        layout = QVBoxLayout(self)
        layout.addLayout(rows)
        layout.addWidget(self.form)
        layout.addWidget(self.cost)
        layout.addStretch()
        for box in self.findChildren(QComboBox):
            box.setMinimumContentsLength(8)
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        for lines in self.form.findChildren(QFormLayout):
            lines.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)


def _chooser(role: str, viewer: "Viewer | None") -> ComboBox:
    """A chooser of layers; those of inspections and views are left out."""
    title, meaning = ROLES[role]

    def choices(_: object) -> list[Image]:
        return [
            one
            for one in (viewer.layers if viewer is not None else ())
            if isinstance(one, Image)
            and not is_of_inspection(one)
            and not is_private(one)
        ]

    box = ComboBox(choices=choices, nullable=role not in NEEDED)
    native: Any = box.native
    native.setToolTip(f"<qt>{meaning}</qt>")
    native.setAccessibleName(title)
    native.setPlaceholderText("no image layer is open")
    return box


def _given(choices: Any) -> list[Image]:
    return [one for one in choices if one is not None]


def _is_made(layer: Image) -> bool:
    return maker_of(layer) is not None or source_name(layer) is not None
