"""The Settings page of the Train dock: a preset, and the form that it fills."""

from dataclasses import dataclass
from html import escape
from typing import cast

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.presets import load_preset, preset_names
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.gui.editors import QuietCombo
from napari_cyclegan3d.gui.forms import SettingsForm

CHANGED = " (changed)"


@dataclass(frozen=True)
class _Choice:
    """Settings that the form can be filled with."""

    name: str
    config: TrainConfig
    about: str = ""
    tooltip: str = ""


class SettingsPage(QWidget):
    """Settings of a training: from a preset or from a run, then as the user likes."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choices = _choices()
        self._chosen = self._choices[0]
        self.preset = QuietCombo()
        for index, choice in enumerate(self._choices):
            self.preset.addItem(choice.name)
            self.preset.setItemData(index, choice.tooltip, Qt.ItemDataRole.ToolTipRole)
        self.about = QLabel()
        self.about.setTextFormat(Qt.TextFormat.PlainText)
        self.about.setWordWrap(True)
        self.form = SettingsForm(TrainConfig)

        self.form.rows.insertRow(0, "preset", self.preset)
        self.form.rows.insertRow(1, self.about)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form)
        layout.addStretch()

        self.preset.activated.connect(lambda index: self._show(self._choices[index]))
        self.form.changed.connect(self._tell)
        self._tell()

    def value(self) -> TrainConfig:
        """The settings that the form shows.

        Raises:
            InputError: They contradict each other; the message says how.
        """
        return cast(TrainConfig, self.form.value())

    def choose(self, name: str) -> None:
        """Fill the form from a preset, or with the defaults."""
        index = [choice.name for choice in self._choices].index(name)
        self.preset.setCurrentIndex(index)
        self._show(self._choices[index])

    def show_run(self, name: str, config: TrainConfig) -> None:
        """Show the settings of a run instead of those of a preset."""
        self.preset.setCurrentIndex(-1)
        self._show(_Choice(f"As in {name}", config))

    def _show(self, choice: _Choice) -> None:
        self._chosen = choice
        self.form.set_value(choice.config)

    def _tell(self) -> None:
        """Say what was chosen, and whether it was changed."""
        try:
            changed = self.value() != self._chosen.config
        except InputError:
            changed = True
        self.about.setText(self._chosen.about)
        self.about.setVisible(bool(self._chosen.about))
        for index, choice in enumerate(self._choices):
            self.preset.setItemText(index, choice.name)
        name = self._chosen.name + CHANGED * changed
        self.preset.setPlaceholderText(name)
        self.preset.setItemText(self.preset.currentIndex(), name)
        self.changed.emit()


def _choices() -> list[_Choice]:
    """The defaults, then the presets."""
    choices = [_Choice("Defaults", TrainConfig())]
    for name in preset_names():
        preset = load_preset(name)
        config = parse(TrainConfig, preset.settings)
        about = f"{preset.summary.splitlines()[0]}\nFrom {preset.source}"
        tooltip = f"<qt>{escape(preset.summary)}<br>{escape(preset.source)}</qt>"
        choices.append(_Choice(name, config, about, tooltip))
    return choices
