"""The Settings page of the Train dock: a preset, and the form that it fills."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, cast

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.presets import load_preset, preset_names
from napari_cyclegan3d.engine.settings import merged, parse
from napari_cyclegan3d.gui.editors import QuietCombo
from napari_cyclegan3d.gui.forms import SettingsForm
from napari_cyclegan3d.gui.parts import small_button, status_line
from napari_cyclegan3d.gui.preferences import preferences
from napari_cyclegan3d.gui.train.estimate import Estimate
from napari_cyclegan3d.gui.worker import Executor, start_engine

CHANGED = " (changed)"
DEFAULTS = "Defaults"
# what a user is to see at once; all else is folded
TOP = (
    "method",
    "scale",
    "patch",
    "batch",
    "steps",
    "device",
    "precision",
    "preview_every",
)
# places in the viewer, chosen on the Data page
HIDDEN = ("preview_a", "preview_b")


@dataclass(frozen=True)
class _Choice:
    """Settings that the form can be filled with."""

    name: str
    config: TrainConfig
    about: str = ""
    tooltip: str = ""


class SettingsPage(QWidget):
    """Settings of a training: from a preset or from a run, then as the user likes.

    Args:
        executor: Runs trials.
        parent: Parent widget.
    """

    changed = Signal()

    def __init__(
        self, executor: Executor = start_engine, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._choices = _choices()
        self._chosen = self._choices[0]
        self.preset = QuietCombo()
        self.preset.setAccessibleName("Preset")
        for index, choice in enumerate(self._choices):
            self.preset.addItem(choice.name)
            self.preset.setItemData(index, choice.tooltip, Qt.ItemDataRole.ToolTipRole)
        self.about = status_line()
        self.form = SettingsForm(TrainConfig, top=TOP, hidden=HIDDEN)
        self.form.set_value(self._chosen.config)
        self.estimate = Estimate(self._sound_value, executor)
        self.command_button = small_button(
            "Copy as command", "The line that starts the same training in a terminal"
        )
        self.yaml_button = small_button(
            "Copy as YAML", "What differs from the defaults, for --config FILE"
        )
        copies = QHBoxLayout()
        copies.addWidget(self.command_button)
        copies.addWidget(self.yaml_button)
        copies.addStretch()

        self.form.rows.insertRow(0, "Preset", self.preset)
        self.form.rows.insertRow(1, self.about)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.estimate)
        layout.addWidget(self.form)
        layout.addLayout(copies)
        layout.addStretch()

        self.preset.activated.connect(lambda index: self._show(self._choices[index]))
        self.form.changed.connect(self._tell)
        self.changed.connect(self.estimate.changed)
        self.estimate.remedy.connect(self.apply)
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

    def show_settings(self, title: str, config: TrainConfig) -> None:
        """Show settings that are of no preset, under a title."""
        self.preset.setCurrentIndex(-1)
        self._show(_Choice(title, config))

    def apply(self, changes: Mapping[str, Any]) -> None:
        """Change some settings, and leave the others as they are."""
        values = merged(self.form.values(), changes)
        self.form.set_value(parse(TrainConfig, values))

    def _show(self, choice: _Choice) -> None:
        self._chosen = choice
        self.form.set_value(choice.config)

    def _sound_value(self) -> TrainConfig | None:
        try:
            return self.value()
        except InputError:
            return None

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
    """The defaults, with what the user prefers, then the presets."""
    preferred = preferences()
    wishes = {"device": preferred.device, "preview_every": preferred.preview_every}
    try:
        parse(TrainConfig, wishes)
    except InputError:  # a device that nobody has heard of
        wishes = {}
    choices = [_Choice(DEFAULTS, parse(TrainConfig, wishes))]
    for name in preset_names():
        preset = load_preset(name)
        config = parse(TrainConfig, {**wishes, **preset.settings})
        about = f"{preset.summary.splitlines()[0]}\nFrom {preset.source}"
        tooltip = f"<qt>{escape(preset.summary)}<br>{escape(preset.source)}</qt>"
        choices.append(_Choice(name, config, about, tooltip))
    return choices
