"""Settings model → form → settings model, without loss.

Labels, limits and tooltips come from the fields of the model; nothing is written twice.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from qtpy.QtCore import QLocale, Signal
from qtpy.QtGui import QValidator, QWheelEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_cyclegan3d.engine.settings import Settings, limits, parse

LARGEST_INT = 2**31 - 1
DECIMALS = 10
NUMBER = re.compile(r"\d*\.?\d*([eE][+-]?\d*)?")  # also half-typed


@dataclass(frozen=True)
class Editor:
    """A widget that edits one value."""

    widget: QWidget
    value: Callable[[], Any]
    set_value: Callable[[Any], None]
    on_change: Callable[[Callable[[], None]], None]


class SettingsForm(QWidget):
    """Edits one settings model; its sections are folded.

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
        self._rows = QFormLayout()
        self._rows.setFieldGrowthPolicy(
            QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._rows)
        for name, info in model.model_fields.items():
            self._add(name, info)
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
        for name, editor in self._editors.items():
            editor.set_value(getattr(settings, name))
        for name, form in self._sections.items():
            form.set_value(getattr(settings, name))

    def _add(self, name: str, info: FieldInfo) -> None:
        label = name.replace("_", " ")
        section = info.annotation
        if isinstance(section, type) and issubclass(section, Settings):
            form = SettingsForm(section, parent=self)
            form.changed.connect(self.changed)
            self._sections[name] = form
            fold = QCollapsible(label.capitalize(), self)
            fold.setToolTip(section.__doc__ or "")
            fold.addWidget(form)
            layout = self.layout()
            assert layout is not None
            layout.addWidget(fold)
            return
        # any device can be typed; all other fields are known by their types
        editor = (
            _device_editor()
            if name == "device"
            else _editor(info.annotation, limits(info))
        )
        editor.widget.setToolTip(_tooltip(info))
        editor.widget.setObjectName(name)
        editor.on_change(self.changed.emit)
        self._editors[name] = editor
        self._rows.addRow(label, editor.widget)


def _editor(annotation: Any, within: Mapping[str, float]) -> Editor:
    """The editor that suits a type, within limits."""
    arguments = get_args(annotation)
    if annotation is bool:
        return _check_box()
    if annotation is int:
        return _int_box(within)
    if annotation is float:
        return _float_box(within)
    if get_origin(annotation) is Literal:
        return _combo_box(arguments)
    if NoneType in arguments:
        (inner,) = (kind for kind in arguments if kind is not NoneType)
        return _optional(_editor(inner, within))
    if get_origin(annotation) is tuple:
        return _row([_editor(kind, within) for kind in arguments])
    raise TypeError(f"no editor for {annotation}")


class _NoWheel:
    """Scrolling a dock must not change the value that the mouse happens to cross."""

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        if event is not None:
            event.ignore()


class _IntBox(_NoWheel, QSpinBox):
    pass


class _Combo(_NoWheel, QComboBox):
    pass


class _FloatBox(_NoWheel, QDoubleSpinBox):
    """Shows 0.0002 as 0.0002 and keeps it, steps in decades and takes 2e-4."""

    def textFromValue(self, value: float) -> str:
        return f"{value:.{DECIMALS}g}"

    def valueFromText(self, text: str | None) -> float:
        return float(text or 0)

    def validate(
        self, text: str | None, position: int
    ) -> tuple[QValidator.State, str, int]:
        # Qt itself refuses the e
        text = text or ""
        if not NUMBER.fullmatch(text):
            return QValidator.State.Invalid, text, position
        try:
            within = self.minimum() <= float(text) <= self.maximum()
        except ValueError:
            within = False
        state = QValidator.State.Acceptable if within else QValidator.State.Intermediate
        return state, text, position


def _check_box() -> Editor:
    box = QCheckBox()
    return Editor(
        box,
        box.isChecked,
        box.setChecked,
        lambda call: void(box.toggled.connect(lambda *_: call())),
    )


def _int_box(within: Mapping[str, float]) -> Editor:
    box = _IntBox()
    box.setRange(int(within.get("ge", 0)), int(within.get("le", LARGEST_INT)))
    box.setGroupSeparatorShown(False)
    return Editor(
        box,
        box.value,
        box.setValue,
        lambda call: void(box.valueChanged.connect(lambda *_: call())),
    )


def _float_box(within: Mapping[str, float]) -> Editor:
    box = _FloatBox()
    box.setLocale(QLocale.c())  # a point everywhere, as in YAML
    box.setDecimals(DECIMALS)
    box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
    smallest = 10.0**-DECIMALS
    low = within.get("ge", within["gt"] + smallest if "gt" in within else 0.0)
    box.setRange(low, within.get("le", within.get("lt", 1e9) - smallest))
    return Editor(
        box,
        box.value,
        box.setValue,
        lambda call: void(box.valueChanged.connect(lambda *_: call())),
    )


def _combo_box(choices: tuple[Any, ...]) -> Editor:
    box = _Combo()
    for choice in choices:
        box.addItem(str(choice), choice)
    return Editor(
        box,
        box.currentData,
        lambda value: box.setCurrentIndex(choices.index(value)),
        lambda call: void(box.currentIndexChanged.connect(lambda *_: call())),
    )


def _device_editor() -> Editor:
    """A choice of devices; others, such as cuda:3, can be typed."""
    box = _Combo()
    box.setEditable(True)
    box.addItems(["auto", "cpu", "cuda:0", "mps"])
    return Editor(
        box,
        box.currentText,
        box.setCurrentText,
        lambda call: void(box.currentTextChanged.connect(lambda *_: call())),
    )


def _row(editors: list[Editor]) -> Editor:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for editor in editors:
        layout.addWidget(editor.widget)

    def set_values(values: tuple[Any, ...]) -> None:
        for editor, value in zip(editors, values, strict=True):
            editor.set_value(value)

    def on_change(call: Callable[[], None]) -> None:
        for editor in editors:
            editor.on_change(call)

    return Editor(row, lambda: tuple(e.value() for e in editors), set_values, on_change)


def _optional(inner: Editor) -> Editor:
    """A check box "automatic" that stands for None, beside the editor of the value."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    automatic = QCheckBox("automatic")
    layout.addWidget(automatic)
    layout.addWidget(inner.widget, stretch=1)
    automatic.toggled.connect(lambda checked: inner.widget.setDisabled(checked))

    def set_value(value: Any) -> None:
        automatic.setChecked(value is None)
        if value is not None:
            inner.set_value(value)

    def on_change(call: Callable[[], None]) -> None:
        automatic.toggled.connect(lambda *_: call())
        inner.on_change(call)

    return Editor(
        row,
        lambda: None if automatic.isChecked() else inner.value(),
        set_value,
        on_change,
    )


def void(_: object) -> None:
    """Drop what Qt's connect returns."""


def _tooltip(info: FieldInfo) -> str:
    # rich text wraps; plain tooltips run across the screen
    return f"<qt>{info.description}</qt>"
