"""A bar in napari's activity dock; on the main thread only."""

from napari.utils import progress
from qtpy.QtCore import QTimer

REDRAW_MS = 250


class Activity:
    """Shows how far a job is, and for how long it goes on, a few times a second.

    napari lets the event loop run when the bar moves, which must not happen while an
    event is handled.

    Args:
        description: What is going on, in a few words.
    """

    def __init__(self, description: str) -> None:
        self._bar = progress(total=1, desc=description)
        self._done, self._total = 0, 1
        self._timer = QTimer()
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self._redraw)
        self._timer.start()

    def show(self, done: int, total: int) -> None:
        """`done` of `total` parts are done."""
        self._done, self._total = done, total

    def end(self) -> None:
        """Take the bar away."""
        self._timer.stop()
        self._bar.close()

    def _redraw(self) -> None:
        if self._bar.total != self._total:
            self._bar.total = self._total
        if self._bar.n != self._done:
            self._bar.update(self._done - self._bar.n)
