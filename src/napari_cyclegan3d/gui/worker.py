"""An engine's events, computed off the GUI thread and handed over on it."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any

from napari.qt.threading import GeneratorWorker, create_worker
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget

from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError


class EngineFailedError(Exception):
    """An engine's RuntimeError; napari takes the original for a deleted widget."""


class EngineWorker(GeneratorWorker):
    """Closes the engine on its own thread, so that what it saves is saved there."""

    def work(self) -> Any:
        """Run the engine until its end, or until `quit`."""
        with closing(self._gen):
            return super().work()


def start_engine(
    events: Iterator[Any],
    on_event: Callable[[Any], None],
    on_error: Callable[[str], None],
    on_finished: Callable[[], None],
) -> EngineWorker:
    """Start computing events in a thread; all callbacks run on the GUI thread.

    Args:
        events: A generator of the engine.
        on_event: Called with each event.
        on_error: Called with one sentence if the engine fails.
        on_finished: Called last, however it ended.
    """

    def report(error: Exception) -> None:
        if isinstance(error, InputError | MemoryShortageError | EngineFailedError):
            on_error(str(error))
        else:
            on_error(f"{type(error).__name__}: {error}")

    worker: EngineWorker = create_worker(
        _translate_errors,
        events,
        _worker_class=EngineWorker,
        _start_thread=False,
        _ignore_errors=True,
        _connect={"yielded": on_event, "errored": report, "finished": on_finished},
    )
    worker.start()
    return worker


def tells_closed_dock(widget: QWidget, event: QEvent | None) -> bool:
    """Whether an event tells a widget that the user has closed the dock it was in.

    napari takes the widget out of such a dock; nobody could stop its worker any more.
    """
    moved = event is not None and event.type() == QEvent.Type.ParentChange
    return moved and widget.parent() is None


def _translate_errors(events: Iterator[Any]) -> Generator[Any, None, None]:
    try:
        yield from events
    except RuntimeError as error:
        raise EngineFailedError(str(error)) from error
