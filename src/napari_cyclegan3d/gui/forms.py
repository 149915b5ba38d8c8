"""Settings model → form → settings model, without loss.

Names, limits and tooltips come from the fields of the model; nothing is written twice.
"""

from collections.abc import Collection, Sequence
from typing import Any

from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible
from superqt.utils import signals_blocked

from napari_cyclegan3d.engine.settings import Settings, limits, parse
from napari_cyclegan3d.gui.editors import Editor, editor_for
from napari_cyclegan3d.gui.labels import TITLES, label
from napari_cyclegan3d.gui.parts import folded

MORE = "More settings"


class SettingsForm(QWidget):
    """Edits one settings model; its sections are folded.

    Others may insert rows of their own among its `rows`.

    Args:
        model: Class of the settings.
        parent: Parent widget.
        top: Settings that are not folded, beside the sections; by default all.
        hidden: Settings that others edit; the form only keeps them.
    """

    changed = Signal()

    def __init__(
        self,
        model: type[Settings],
        parent: QWidget | None = None,
        *,
        top: Collection[str] | None = None,
        hidden: Collection[str] = (),
    ) -> None:
        super().__init__(parent)
        self.model = model
        self._editors: dict[str, Editor] = {}
        self._sections: dict[str, SettingsForm] = {}
        self._hidden: dict[str, Any] = dict.fromkeys(hidden)
        self._folds: dict[str, QCollapsible] = {}
        self.rows, self._more = _rows(), _rows()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self.rows)
        if top is not None:
            more = QWidget()
            more.setLayout(self._more)
            self._add_fold("more", folded(MORE, more))
        for name, info in model.model_fields.items():
            section = info.annotation
            if isinstance(section, type) and issubclass(section, Settings):
                self._add_section(name, section)
            elif name not in self._hidden:
                in_sight = top is None or name in top
                self._add_row(name, info, self.rows if in_sight else self._more)
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
        return {**own, **self._hidden, **sections}

    def set_value(self, settings: Settings) -> None:
        """Show these settings."""
        # half of the old and half of the new settings may contradict each other
        with signals_blocked(self):
            for name, editor in self._editors.items():
                editor.set_value(getattr(settings, name))
            for name, form in self._sections.items():
                form.set_value(getattr(settings, name))
        self._hidden = {name: getattr(settings, name) for name in self._hidden}
        self.changed.emit()

    def unfolded(self) -> list[str]:
        """Names of the sections that are not folded."""
        return [name for name, fold in self._folds.items() if fold.isExpanded()]

    def unfold(self, names: Sequence[str]) -> None:
        """Show these sections; those that do not exist are passed over."""
        for name in names:
            if name in self._folds:
                self._folds[name].expand(animate=False)

    def _add_section(self, name: str, section: type[Settings]) -> None:
        form = SettingsForm(section)
        form.changed.connect(self.changed)
        self._sections[name] = form
        fold = folded(TITLES.get(name, name), form)
        fold.setToolTip(f"<qt>{section.__doc__}</qt>")
        self._add_fold(name, fold)

    def _add_fold(self, name: str, fold: QCollapsible) -> None:
        self._folds[name] = fold
        layout = self.layout()
        assert layout is not None
        layout.addWidget(fold)

    def _add_row(self, name: str, info: FieldInfo, rows: QFormLayout) -> None:
        editor = editor_for(info.annotation, limits(info))
        # rich text wraps; plain tooltips run across the screen
        editor.widget.setToolTip(f"<qt>{info.description}</qt>")
        editor.widget.setObjectName(name)
        editor.on_change(self.changed.emit)
        self._editors[name] = editor
        title = QLabel(label(self.model, name))
        title.setToolTip(editor.widget.toolTip())
        title.setBuddy(editor.widget)
        editor.widget.setAccessibleName(title.text())
        rows.addRow(title, editor.widget)


def _rows() -> QFormLayout:
    rows = QFormLayout()
    rows.setContentsMargins(0, 0, 0, 0)
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return rows
