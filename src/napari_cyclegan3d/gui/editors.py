"""Widgets that edit one value, by its type.

An editor shows every value that its type allows, and shows it unchanged: what a form is
given it gives back.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from qtpy.QtCore import QLocale
from qtpy.QtGui import QValidator, QWheelEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLineEdit,
    QSpinBox,
    QWidget,
)

from napari_cyclegan3d.engine.settings import limits
from napari_cyclegan3d.gui import labels

LARGEST_INT = 2**31 - 1
LARGEST_FLOAT = 1e9
DECIMALS = 10
# several boxes fit beside a label into a dock; napari's style wants them wider
NARROW, NARROWER = "min-width: 36px", "min-width: 36px; padding: 1px 4px"
SHORTEST = 8  # letters of a choice
NUMBER = re.compile(r"-?\d*\.?\d*([eE][+-]?\d*)?")  # also half-typed
DEVICES = ("auto", "cpu", "cuda:0", "mps")


@dataclass(frozen=True)
class Editor:
    """A widget that edits one value."""

    widget: QWidget
    value: Callable[[], Any]
    set_value: Callable[[Any], None]
    on_change: Callable[[Callable[[], None]], None]


def editor_for(annotation: Any, within: Mapping[str, float]) -> Editor:
    """The editor that suits a type.

    Args:
        annotation: Type of the value.
        within: Its limits, by their names in pydantic: ge, gt, le, lt.
    """
    plain = {bool: _check_box, int: _int_box, float: _float_box, str: _device_box}
    if annotation in plain:
        return plain[annotation](within)
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        info = FieldInfo.from_annotation(annotation)
        return editor_for(info.annotation, limits(info))
    if get_origin(annotation) is Literal:
        return _combo_box(arguments)
    if NoneType in arguments:
        (inner,) = (kind for kind in arguments if kind is not NoneType)
        return _optional(editor_for(inner, within))
    if get_origin(annotation) is tuple:
        if arguments[-1] is Ellipsis:
            return _list_line()
        return _row([editor_for(kind, within) for kind in arguments])
    raise TypeError(f"no editor for {annotation}")


class _NoWheel:
    """Scrolling a dock must not change the value that the mouse happens to cross."""

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        if event is not None:
            event.ignore()


class _IntBox(_NoWheel, QSpinBox):
    pass


class QuietCombo(_NoWheel, QComboBox):
    """A combo box that the wheel does not change, however narrow the dock is."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumContentsLength(SHORTEST)
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )


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
        negative = text.startswith("-") and self.minimum() >= 0
        if negative or not NUMBER.fullmatch(text):
            return QValidator.State.Invalid, text, position
        try:
            within = self.minimum() <= float(text) <= self.maximum()
        except ValueError:
            within = False
        state = QValidator.State.Acceptable if within else QValidator.State.Intermediate
        return state, text, position


def _check_box(_: Mapping[str, float]) -> Editor:
    box = QCheckBox()
    return Editor(box, box.isChecked, box.setChecked, _calls(box.toggled))


def _int_box(within: Mapping[str, float]) -> Editor:
    box = _IntBox()
    box.setStyleSheet(NARROW)
    box.setRange(int(within.get("ge", 0)), int(within.get("le", LARGEST_INT)))
    box.setGroupSeparatorShown(False)
    return Editor(box, box.value, box.setValue, _calls(box.valueChanged))


def _float_box(within: Mapping[str, float]) -> Editor:
    box = _FloatBox()
    box.setStyleSheet(NARROW)
    box.setLocale(QLocale.c())  # a point everywhere, as in YAML
    box.setDecimals(DECIMALS)
    box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
    smallest = 10.0**-DECIMALS
    low = within.get("ge", within.get("gt", -LARGEST_FLOAT - smallest) + smallest)
    high = within.get("le", within.get("lt", LARGEST_FLOAT + smallest) - smallest)
    box.setRange(low, high)
    box.setValue(1.0)  # where the setting is automatic at first; low may be 1e-10
    return Editor(box, box.value, box.setValue, _calls(box.valueChanged))


def _combo_box(choices: tuple[Any, ...]) -> Editor:
    box = QuietCombo()
    for choice in choices:
        box.addItem(labels.choice(choice), choice)
    return Editor(
        box,
        box.currentData,
        lambda value: box.setCurrentIndex(choices.index(value)),
        _calls(box.currentIndexChanged),
    )


def _device_box(_: Mapping[str, float]) -> Editor:
    """A choice of devices, the only texts there are; cuda:3 and others are typed."""
    box = QuietCombo()
    box.setEditable(True)
    box.addItems(DEVICES)
    return Editor(
        box, box.currentText, box.setCurrentText, _calls(box.currentTextChanged)
    )


def _list_line() -> Editor:
    """Any number of values with commas between; the settings check what they are."""
    line = QLineEdit()

    def value() -> tuple[str, ...]:
        entries = tuple(entry.strip() for entry in line.text().split(","))
        return () if entries == ("",) else entries

    return Editor(
        line,
        value,
        lambda values: line.setText(", ".join(map(str, values))),
        _calls(line.textChanged),
    )


def _row(editors: list[Editor]) -> Editor:
    row = QWidget()
    row.setFocusProxy(editors[0].widget)
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for editor in editors:
        if isinstance(editor.widget, QAbstractSpinBox):  # the arrow keys step, too
            editor.widget.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
            editor.widget.setStyleSheet(NARROWER)
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
    nothing = inner.value()

    def set_value(value: Any) -> None:
        automatic.setChecked(value is None)
        inner.set_value(nothing if value is None else value)

    def on_change(call: Callable[[], None]) -> None:
        automatic.toggled.connect(lambda *_: call())
        inner.on_change(call)

    return Editor(
        row,
        lambda: None if automatic.isChecked() else inner.value(),
        set_value,
        on_change,
    )


def _calls(signal: Any) -> Callable[[Callable[[], None]], None]:
    """What connects a signal of Qt to a function without arguments."""

    def on_change(call: Callable[[], None]) -> None:
        signal.connect(lambda *_: call())

    return on_change
