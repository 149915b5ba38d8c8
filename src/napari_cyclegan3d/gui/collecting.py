"""Python's garbage is collected on the GUI thread while engines run in others.

The collector runs on whichever thread makes the most objects, which is the engine's. If
it finds a widget there that only a cycle holds, Qt deletes the widget on the wrong
thread, and the process may crash. What it finds in young objects takes milliseconds;
only now and then are all of them looked at.
"""

import gc

from qtpy.QtCore import QCoreApplication, QObject, QTimer

YOUNG_MS = 1000
ALL_AFTER = 600  # collections of young objects


class Collector(QObject):
    """Takes the place of the automatic collection while at least one engine runs."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._running = self._rounds = 0
        self._timer = QTimer(self)
        self._timer.setInterval(YOUNG_MS)
        self._timer.timeout.connect(self._collect)

    @classmethod
    def of_application(cls) -> "Collector":
        """The one collector of the process."""
        application = QCoreApplication.instance()
        assert application is not None
        direct = [one for one in application.children() if isinstance(one, cls)]
        return direct[0] if direct else cls(application)

    def begin(self) -> None:
        """An engine begins."""
        if not self._running:
            gc.disable()
            self._timer.start()
        self._running += 1

    def end(self) -> None:
        """An engine has ended."""
        self._running -= 1
        if not self._running:
            self._timer.stop()
            gc.enable()

    def _collect(self) -> None:
        self._rounds += 1
        gc.collect(2 if self._rounds % ALL_AFTER == 0 else 1)
