"""Calls that come faster than the eye sees."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer

INTERVAL_MS = 33


class Throttle(QObject):
    """Calls a function at most 30 times a second; the last call is never lost.

    Args:
        function: What is called.
        interval: Least time between two calls, in milliseconds.
    """

    def __init__(
        self, function: Callable[..., None], interval: int = INTERVAL_MS
    ) -> None:
        super().__init__()
        self._function = function
        self._waiting: tuple[Any, ...] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(interval)
        self._timer.timeout.connect(self._call)

    def __call__(self, *arguments: Any) -> None:
        """Call the function now, or soon."""
        self._waiting = arguments
        if not self._timer.isActive():
            self._call()

    def end(self) -> None:
        """Call nothing any more."""
        self._waiting = None
        self._timer.stop()

    def _call(self) -> None:
        if self._waiting is None:
            return
        arguments, self._waiting = self._waiting, None
        self._timer.start()
        self._function(*arguments)
