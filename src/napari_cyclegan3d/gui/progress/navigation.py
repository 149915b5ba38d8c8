"""Keys that zoom and move what is plotted, beside wheel and mouse."""

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QWidget

STEP, FACTOR = 0.1, 0.8
KEYS = "With the keyboard: A shows all, + and − zoom, arrows move."
Key = Qt.Key
MOVES = {
    Key.Key_Left: (-STEP, 0.0),
    Key.Key_Right: (STEP, 0.0),
    Key.Key_Up: (0.0, -STEP),
    Key.Key_Down: (0.0, STEP),
}


class PlotKeys(QObject):
    """Answers keys while a widget has the focus.

    Args:
        widget: What is looked at.
        whole: Show all of it.
        zoom: Show so many times what is shown.
        move: Show what lies so many widths to the right and heights down.
    """

    def __init__(
        self,
        widget: QWidget,
        whole: Callable[[], None],
        zoom: Callable[[float], None],
        move: Callable[[float, float], None],
    ) -> None:
        super().__init__(widget)
        self._answers: dict[int, Callable[[], None]] = {
            Key.Key_A: whole,
            Key.Key_Plus: partial(zoom, FACTOR),
            Key.Key_Equal: partial(zoom, FACTOR),
            Key.Key_Minus: partial(zoom, 1 / FACTOR),
            **{key: partial(move, *shift) for key, shift in MOVES.items()},
        }
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(self)

    def eventFilter(self, _: QObject | None, event: QEvent | None) -> bool:
        if not isinstance(event, QKeyEvent) or event.key() not in self._answers:
            return False
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            return False
        if event.type() == QEvent.Type.KeyPress:
            self._answers[event.key()]()
        event.accept()  # else a shortcut of the window may take it
        return True
