"""Runs one thing at a time for the pages of the Prepare dock, and tells how far."""

from collections.abc import Callable, Iterator
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, Signal

from napari_cyclegan3d.engine.events import Warned
from napari_cyclegan3d.engine.hallucination.events import Working as Done
from napari_cyclegan3d.gui.inspect.progress import InspectProgress
from napari_cyclegan3d.gui.prepare.task import Written
from napari_cyclegan3d.gui.status import StatusLine
from napari_cyclegan3d.gui.worker import Executor, Running
from napari_cyclegan3d.prepare.events import Working

CANCELLED = "Cancelled; nothing was changed."


class Runner(QObject):
    """Progress, end, failure and cancelling, the same for every page.

    Attributes:
        asks: Whether what runs is worth a question before the dock is closed.

    Args:
        executor: Runs the work.
        progress: Shows how far it is.
        status: Says how it ended.
        parent: Parent object.
    """

    busy_changed = Signal(bool)

    def __init__(
        self,
        executor: Executor,
        progress: InspectProgress,
        status: StatusLine,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._running = Running(executor)
        self._progress, self._status = progress, status
        self.asks = False
        self._told = self._written = self._settings = ""

    @property
    def is_busy(self) -> bool:
        """Whether something runs."""
        return self._running.is_busy

    def start(
        self,
        events: Iterator[Any],
        on_event: Callable[[Any], None],
        title: str,
        *,
        settings: str = "",
        asks: bool = False,
        measured: bool = True,
    ) -> None:
        """Run something, unless something runs already.

        Args:
            events: What it does, a generator.
            on_event: Called with its events but for Working and Warned.
            title: What is being done.
            settings: The settings for a report, as YAML.
            asks: Whether closing the dock is worth a question meanwhile.
            measured: Whether it tells how far it is.
        """
        if self.is_busy:
            self._status.refuse("Wait for what runs, or cancel it first.")
            return
        self.asks, self._settings = asks, settings
        self._told = self._written = ""
        self.busy_changed.emit(True)
        if measured:
            self._progress.begin(title)
        else:
            self._progress.wait(f"{title} …")

        def hear(event: object) -> None:
            match event:
                case Working():
                    self._progress.working(Done(event.text, event.fraction))
                case Warned():
                    show_warning(event.message)
                case _:
                    on_event(event)

        self._running.start(self._noted(events), hear, self._end)

    def tell(self, sentence: str) -> None:
        """What the status says if all goes well."""
        self._told = sentence

    def cancel(self) -> bool:
        """Stop soon; whether that was still to be asked for."""
        stops = self.is_busy and not self._running.is_cancelled
        if stops:
            self._status.say("Cancelling …")
            self._running.cancel()
        return stops

    def _noted(self, events: Iterator[Any]) -> Iterator[Any]:
        """The same events; what is written stays so, even if it is cancelled late."""
        for event in events:
            if isinstance(event, Written):
                self._written = event.sentence
            yield event

    def _end(self) -> None:
        cancelled, failure = self._running.is_cancelled, self._running.failure
        self._progress.end(complete=not cancelled and failure is None)
        self.asks = False
        self.busy_changed.emit(False)
        if failure is not None and not cancelled:
            self._status.fail(failure, self._settings)
        else:
            told = CANCELLED if cancelled else self._told
            self._status.say(self._written or told)
