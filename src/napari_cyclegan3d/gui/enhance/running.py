"""One engine at a time."""

from collections.abc import Callable, Iterator
from typing import Any

from napari_cyclegan3d.gui.worker import Executor, Failure, Job


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
