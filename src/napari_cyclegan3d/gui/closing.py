"""Closing a dock or the window while something runs: one question, then an orderly end.

napari asks by itself when a window with layers or running tasks is closed; whoever has
answered one of the two questions is not asked the other. A script that closes a viewer
is asked nothing; what runs is ended and saved all the same.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from napari.settings import get_settings
from qtpy.QtCore import QEvent, QEventLoop, QObject, Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QMainWindow,
    QMessageBox,
    QPushButton,
    QWidget,
)

from napari_cyclegan3d.gui.worker import tells_closed_dock

if TYPE_CHECKING:
    from napari.viewer import Viewer

CLOSE_BUTTON = "QTitleBarCloseButton"  # of napari's title bar; the other one hides
POLL_MS = 20


@dataclass(frozen=True)
class Work:
    """What runs in a dock.

    Attributes:
        question: A sentence that says what runs; empty where nobody needs to ask.
        is_running: Whether anything still has to end.
        end: Asks it to end; it saves what it has to save.
        close_text: Words of the button that ends it.
        keep_text: Words of the button that lets it go on.
    """

    question: Callable[[], str]
    is_running: Callable[[], bool]
    end: Callable[[], None]
    close_text: str
    keep_text: str


class DockGuard(QObject):
    """Ends the work of a dock before the dock, or its window, is closed.

    A dock that was closed is deleted when its work has ended.

    Args:
        dock: The widget in the dock.
        viewer: The viewer of the window.
        work: What runs in the dock.
    """

    def __init__(self, dock: QWidget, viewer: "Viewer", work: Work) -> None:
        super().__init__(dock)
        self.viewer, self.work = viewer, work
        self._dock = dock
        self._holder: QDockWidget | None = None
        # the dock is put into the window after the widget was put into the dock
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._watch)
        dock.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is None:
            return False
        if isinstance(watched, QPushButton):
            released = event.type() == QEvent.Type.MouseButtonRelease
            return released and watched.isDown() and not self._may_close(watched)
        if tells_closed_dock(self._dock, event):
            self._holder = None
            self.work.end()
            self._delete_when_ended()
        elif event.type() in (QEvent.Type.ParentChange, QEvent.Type.Show):
            self._soon.start()
        return False

    def _delete_when_ended(self) -> None:
        """Nobody opens a closed dock again; napari makes a new one."""
        if self.work.is_running():
            QTimer.singleShot(POLL_MS, self._delete_when_ended)
        elif self._holder is None:
            self._dock.deleteLater()

    @property
    def is_docked(self) -> bool:
        """Whether the dock is in a window, not closed."""
        return self._holder is not None

    def _watch(self) -> None:
        holder = _above(self._dock, QDockWidget)
        window = _above(self._dock, QMainWindow)
        if holder is None or window is None or holder is self._holder:
            return
        self._holder = holder
        WindowGuard.of(window).guards.add(self)
        # napari makes a new title bar when a dock is torn off or put back
        holder.topLevelChanged.connect(self._watch_button)
        self._watch_button()

    def _watch_button(self) -> None:
        title = self._holder.titleBarWidget() if self._holder is not None else None
        button = title.findChild(QPushButton, CLOSE_BUTTON) if title else None
        if button is not None:
            button.installEventFilter(self)

    def _may_close(self, button: QPushButton) -> bool:
        if not _asked([self.work], self._dock):
            button.setDown(False)
            return False
        _end([self.work])
        return True


class WindowGuard(QObject):
    """Asks once for all docks of a window when the window is closed.

    Attributes:
        guards: Those of the docks.
    """

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self.guards: WeakSet[DockGuard] = WeakSet()
        self._window = window
        self._ends = False
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.timeout.connect(window.close)
        window.installEventFilter(self)

    @classmethod
    def of(cls, window: QMainWindow) -> "WindowGuard":
        """The one guard of a window."""
        found = [one for one in window.children() if isinstance(one, WindowGuard)]
        return found[0] if found else cls(window)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is None or event.type() != QEvent.Type.Close:
            return False
        docked = [one for one in self.guards if one.is_docked]
        works = [one.work for one in docked if one.work.is_running()]
        if works and not self._ends:
            asks = self._asks(event, docked)
            if not asks or _asked(works, self._window):
                self._end(works)
                if not event.spontaneous():
                    return False
                # of this event napari would ask again; it does not of another
                self._again.start()
        elif not self._ends:
            return False
        event.ignore()
        return True

    def _end(self, works: Sequence[Work]) -> None:
        self._ends = True
        try:
            _end(works)
        finally:
            self._ends = False

    def _asks(self, event: QEvent, docked: Sequence[DockGuard]) -> bool:
        """Whether somebody closes the window who can be asked, and was not yet."""
        if event.spontaneous():
            return True
        canvas = self._window.centralWidget()
        direct = Qt.FindChildOption.FindDirectChildrenOnly
        parts = canvas.findChildren(QWidget, options=direct) if canvas else []
        # a script's viewer.close() closes the canvas first
        if not any(part.isVisible() for part in parts):
            return False
        napari_asks = get_settings().application.confirm_close_window
        return not (napari_asks and any(one.viewer.layers for one in docked))


def _asked(works: Sequence[Work], parent: QWidget) -> bool:
    """Whether what runs may be ended; asks, if anything is worth a question."""
    asking = [work for work in works if work.is_running() and work.question()]
    if not asking:
        return True
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Close?")
    box.setText("\n".join(work.question() for work in asking))
    close = box.addButton(asking[0].close_text, QMessageBox.ButtonRole.AcceptRole)
    keep = box.addButton(asking[0].keep_text, QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(keep)
    box.exec()
    ended = box.clickedButton() is close
    box.deleteLater()
    return ended


def _end(works: Sequence[Work]) -> None:
    """End what runs, and wait for it while the window is drawn on.

    No event loop of its own: that would delete a canvas that is just being closed.
    """
    for work in works:
        work.end()
    while any(work.is_running() for work in works):
        QApplication.processEvents(
            QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents, POLL_MS
        )
        time.sleep(POLL_MS / 1000)


def _above(widget: QWidget, kind: type[Any]) -> Any:
    """The nearest widget of a kind that a widget lies in; None: there is none."""
    above = widget.parentWidget()
    while above is not None and not isinstance(above, kind):
        above = above.parentWidget()
    return above
