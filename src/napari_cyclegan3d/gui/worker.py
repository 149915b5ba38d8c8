"""An engine's events, computed off the GUI thread and handed over on it."""

import os
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol, cast

from napari.qt.threading import GeneratorWorker, create_worker
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget

from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.gui.collecting import Collector

NICENESS = 10  # of 19


@dataclass(frozen=True)
class Failure:
    """Why an engine ended.

    Attributes:
        message: One sentence for the user.
        details: The traceback.
        error: What was raised.
    """

    message: str
    details: str
    error: Exception


class Job(Protocol):
    """An engine at work; all of these return at once."""

    def pause(self) -> None:
        """Wait before the next event."""

    def resume(self) -> None:
        """Go on after a pause."""

    def send(self, value: Any) -> None:
        """Give the engine a value with the question for the next event."""

    def quit(self) -> None:
        """End before the next event; the engine saves what it has to save."""


class Executor(Protocol):
    """Runs an engine; `start_engine` in a thread, tests at once."""

    def __call__(
        self,
        events: Iterator[Any],
        on_event: Callable[[Any], None],
        on_error: Callable[[Failure], None],
        on_finished: Callable[[], None],
    ) -> Job:
        """Compute events; all callbacks run on the GUI thread.

        Args:
            events: A generator of the engine.
            on_event: Called with each event.
            on_error: Called if the engine fails.
            on_finished: Called last, however it ended.
        """


class EngineFailedError(Exception):
    """An engine's RuntimeError; napari takes the original for a deleted widget."""


class EngineWorker(GeneratorWorker):
    """Runs the engine on a thread of its own, behind the GUI thread.

    It is closed there, too, so that what it saves is saved there. On Linux that thread,
    and all that start from it, leave the processor to the window when both want it.
    """

    def work(self) -> Any:
        """Run the engine until its end, or until `quit`."""
        # not the thread of Qt's pool, which other plugins will work on next
        with ThreadPoolExecutor(1, "engine", initializer=_step_back) as own:
            return own.submit(self._run).result()

    def _run(self) -> Any:
        with closing(self._gen):
            return super().work()


def start_engine(
    events: Iterator[Any],
    on_event: Callable[[Any], None],
    on_error: Callable[[Failure], None],
    on_finished: Callable[[], None],
) -> EngineWorker:
    """Start computing events in a thread; an `Executor`."""

    def finish() -> None:
        collector.end()
        on_finished()

    collector = Collector.of_application()
    collector.begin()
    worker: EngineWorker = create_worker(
        translated,
        events,
        _worker_class=EngineWorker,
        _start_thread=False,
        _ignore_errors=True,
        _connect={
            "yielded": on_event,
            "errored": lambda error: on_error(failure_of(error)),
            "finished": finish,
        },
    )
    worker.start()
    return worker


class Running:
    """Runs one engine; once it is cancelled, nobody hears its late events.

    Args:
        executor: Runs it.

    Attributes:
        is_busy: Whether one runs.
        is_cancelled: Whether the one that runs, or the last one, was cancelled.
        failure: Why it ended, if it failed.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._job: Job | None = None
        self.is_busy = self.is_cancelled = False
        self.failure: Failure | None = None

    def start(
        self,
        events: Iterator[Any],
        on_event: Callable[[Any], None],
        on_end: Callable[[], None],
    ) -> None:
        """Run an engine; `on_end` is called last and may start another."""
        self.is_busy, self.is_cancelled, self.failure = True, False, None

        def hear(event: object) -> None:
            if not self.is_cancelled:
                on_event(event)

        def end() -> None:
            self.is_busy, self._job = False, None
            on_end()

        job = self._executor(events, hear, self._fail, end)
        if self.is_busy:  # an executor may have done all of it by now
            self._job = job
            if self.is_cancelled:
                job.quit()

    def cancel(self) -> None:
        """End before the next event."""
        if self.is_busy:
            self.is_cancelled = True
            if self._job is not None:
                self._job.quit()

    def _fail(self, failure: Failure) -> None:
        self.failure = failure


def failure_of(error: Exception) -> Failure:
    """What is told of an exception."""
    cause = error.__cause__ if isinstance(error, EngineFailedError) else error
    told = isinstance(error, InputError | MemoryShortageError | EngineFailedError)
    message = str(error) if told else f"{type(error).__name__}: {error}"
    details = "".join(traceback.format_exception(cause or error))
    return Failure(message, details, error)


def forget_frames(error: BaseException) -> None:
    """Let go of what the frames of a traceback hold: networks, and with them memory.

    The traceback itself can still be told.
    """
    chain: BaseException | None = error
    while chain is not None:
        traceback.clear_frames(chain.__traceback__)
        chain = chain.__cause__ or chain.__context__


def translated(events: Iterator[Any]) -> Generator[Any, Any, None]:
    """The same events, with the RuntimeErrors of an engine as what they are."""
    try:
        yield from events
    except RuntimeError as error:
        raise EngineFailedError(str(error)) from error


def _step_back() -> None:
    """Lower the priority of the calling thread, where threads have their own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def tells_closed_dock(widget: QWidget, event: QEvent | None) -> bool:
    """Whether an event tells a widget that the user has closed the dock it was in.

    napari takes the widget out of such a dock; nobody could stop its worker any more.
    """
    moved = event is not None and event.type() == QEvent.Type.ParentChange
    return moved and cast(Any, widget.parent()) is None
