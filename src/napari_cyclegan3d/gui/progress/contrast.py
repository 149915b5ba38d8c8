"""The grey values that become black and white, by slider or by number."""

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QWidget,
)
from superqt import QDoubleRangeSlider
from superqt.utils import signals_blocked

from napari_cyclegan3d.gui.parts import small_button

Levels = tuple[float, float]
FARTHEST, STEP = 1000.0, 0.05
NARROW = 46


class ContrastRow(QWidget):
    """Two ends of a range; `changed` when the user moves one of them.

    Attributes:
        changed: The user has chosen other levels.
        auto_button: Asks for levels that suit what is shown.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # superqt has no types here
        self.slider: Any = QDoubleRangeSlider(Qt.Orientation.Horizontal)  # type: ignore[no-untyped-call]
        # the slider knows no keys; the numbers do
        self.slider.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.slider.setToolTip("Contrast: what is shown black, and what white")
        self.low, self.high = _number("shown black"), _number("shown white")
        self.auto_button = small_button(
            "Auto", "Contrast from the real images that are shown"
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(QLabel("contrast"))
        row.addWidget(self.low)
        row.addWidget(self.slider, stretch=1)
        row.addWidget(self.high)
        row.addWidget(self.auto_button)

        self.slider.valueChanged.connect(self._choose)
        for number in (self.low, self.high):
            number.valueChanged.connect(self._choose_numbers)

    def value(self) -> Levels:
        """Black and white, in normalised intensities."""
        low, high = self.slider.value()
        return low, max(high, low + STEP / 10)

    def set_value(self, levels: Levels, limits: Levels) -> None:
        """Show levels, on a slider that reaches from limit to limit at least."""
        lowest, highest = min(*limits, *levels), max(*limits, *levels)
        with signals_blocked(self.slider):
            self.slider.setRange(lowest, highest)
            self.slider.setValue(levels)
        self._show_numbers()

    def _choose(self, _: object) -> None:
        self._show_numbers()
        self.changed.emit()

    def _choose_numbers(self, _: object) -> None:
        low, high = sorted((self.low.value(), self.high.value()))
        limits = self.slider.minimum(), self.slider.maximum()
        with signals_blocked(self.slider):
            self.slider.setRange(min(low, limits[0]), max(high, limits[1]))
            self.slider.setValue((low, high))
        self.changed.emit()

    def _show_numbers(self) -> None:
        for number, value in zip(
            (self.low, self.high), self.slider.value(), strict=True
        ):
            with signals_blocked(number):
                number.setValue(value)


def _number(meaning: str) -> QDoubleSpinBox:
    number = QDoubleSpinBox()
    number.setRange(-FARTHEST, FARTHEST)
    number.setSingleStep(STEP)
    number.setDecimals(2)
    number.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
    number.setStyleSheet(f"min-width: {NARROW}px; max-width: {NARROW}px; padding: 1px")
    number.setKeyboardTracking(False)
    number.setToolTip(f"Normalised intensity that is {meaning}")
    return number
