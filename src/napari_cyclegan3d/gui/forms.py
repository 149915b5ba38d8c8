"""Settings model → form → settings model, without loss.

Names, limits and tooltips come from the fields of the model; nothing is written twice.
"""

from typing import Any

from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_cyclegan3d.engine.settings import Settings, limits, parse
from napari_cyclegan3d.gui.editors import Editor, editor_for
from napari_cyclegan3d.gui.parts import folded

TITLES = {
    "generator": "Generators",
    "discriminator": "Discriminators",
    "loss": "Losses and their weights",
    "optim": "Learning rate and updates",
    "intensity": "Grey values",
    "sampling": "Drawing of patches",
    "augment": "Augmentation",
    "degrade": "Making A from B (srgan)",
    "validation": "Validation",
    "balance": "Automatic balancing",
    "record": "Records of the training",
}


class SettingsForm(QWidget):
    """Edits one settings model; its sections are folded.

    Others may insert rows of their own among its `rows`.

    Args:
        model: Class of the settings.
        parent: Parent widget.
    """

    changed = Signal()

    def __init__(
        self,
        model: type[Settings],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.model = model
        self._editors: dict[str, Editor] = {}
        self._sections: dict[str, SettingsForm] = {}
        self.rows = QFormLayout()
        self.rows.setFieldGrowthPolicy(
            QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self.rows)
        for name, info in model.model_fields.items():
            section = info.annotation
            if isinstance(section, type) and issubclass(section, Settings):
                self._add_section(name, section)
            else:
                self._add_row(name, info)
        self.set_value(model())

    def value(self) -> Settings:
        """The settings that the form shows.

        Raises:
            InputError: They contradict each other; the message says how.
        """
        return parse(self.model, self.values())

    def values(self) -> dict[str, Any]:
        """What the form shows, unchecked."""
        own = {name: editor.value() for name, editor in self._editors.items()}
        sections = {name: form.values() for name, form in self._sections.items()}
        return {**own, **sections}

    def set_value(self, settings: Settings) -> None:
        """Show these settings."""
        # half of the old and half of the new settings may contradict each other
        with signals_blocked(self):
            for name, editor in self._editors.items():
                editor.set_value(getattr(settings, name))
            for name, form in self._sections.items():
                form.set_value(getattr(settings, name))
        self.changed.emit()

    def _add_section(self, name: str, section: type[Settings]) -> None:
        form = SettingsForm(section)
        form.changed.connect(self.changed)
        self._sections[name] = form
        fold = folded(TITLES.get(name, name), form)
        fold.setToolTip(f"<qt>{section.__doc__}</qt>")
        layout = self.layout()
        assert layout is not None
        layout.addWidget(fold)

    def _add_row(self, name: str, info: FieldInfo) -> None:
        editor = editor_for(info.annotation, limits(info))
        # rich text wraps; plain tooltips run across the screen
        editor.widget.setToolTip(f"<qt>{info.description}</qt>")
        editor.widget.setObjectName(name)
        editor.on_change(self.changed.emit)
        self._editors[name] = editor
        label = QLabel(name.replace("_", " "))
        label.setToolTip(editor.widget.toolTip())
        self.rows.addRow(label, editor.widget)
