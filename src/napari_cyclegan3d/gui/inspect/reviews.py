"""Decisions go to disk at once, one writing at a time."""

from collections.abc import Callable, Iterator

from napari_cyclegan3d.gui.inspect.work import Saved
from napari_cyclegan3d.gui.worker import Executor, Failure, Running


class ReviewWriter:
    """Writes what was decided last; what was decided meanwhile follows.

    Args:
        executor: Runs the writing.
        on_failure: Called with why it could not be done.
    """

    def __init__(
        self, executor: Executor, on_failure: Callable[[Failure], None]
    ) -> None:
        self._running = Running(executor)
        self._on_failure = on_failure
        self._next: Iterator[Saved] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether something is not on disk yet."""
        return self._running.is_busy or self._next is not None

    def write(self, writing: Iterator[Saved]) -> None:
        """Write, after what is being written."""
        self._next = writing
        if not self._running.is_busy:
            self._start()

    def _start(self) -> None:
        writing, self._next = self._next, None
        if writing is not None:
            self._running.start(writing, lambda _: None, self._on_end)

    def _on_end(self) -> None:
        if self._running.failure is not None:
            self._on_failure(self._running.failure)
        self._start()
