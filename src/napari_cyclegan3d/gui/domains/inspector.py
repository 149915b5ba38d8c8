"""Looks at rows of the domains one after another, off the GUI thread."""

from collections.abc import Callable, Iterator

from napari_cyclegan3d.gui.domains.facts import Facts, look_at
from napari_cyclegan3d.gui.source import Source
from napari_cyclegan3d.gui.worker import Executor, Failure, Job
from napari_cyclegan3d.io.dataset_json import Part

Answer = Callable[[Facts], None]
Request = tuple[Source, Part, Answer]


class Inspector:
    """Finds out what sources hold; one at a time, in the order they were asked for.

    Args:
        executor: Runs the reading.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._waiting: list[Request] = []
        self._asked: Request | None = None
        self._job: Job | None = None
        self._ended = False

    def ask(self, source: Source, part: Part, answer: Answer) -> None:
        """Look at a source; `answer` is called on the GUI thread."""
        if self._ended:
            return
        self._waiting.append((source, part, answer))
        if self._asked is None:
            self._next()

    def end(self) -> None:
        """Look at nothing more, and answer nobody."""
        self._ended = True
        self._waiting.clear()
        if self._job is not None:
            self._job.quit()
            self._job = None

    def _next(self) -> None:
        if self._ended or not self._waiting:
            return
        request = self._asked = self._waiting.pop(0)
        source, part, _ = request
        job = self._executor(
            _look(source, part), self._answer, self._fail, self._finish
        )
        # an executor may have finished before it returns
        self._job = job if self._asked is request else None

    def _answer(self, facts: Facts) -> None:
        if not self._ended and self._asked is not None:
            self._asked[2](facts)

    def _fail(self, failure: Failure) -> None:
        self._answer(Facts(error=failure.message))

    def _finish(self) -> None:
        self._asked = self._job = None
        self._next()


def _look(source: Source, part: Part) -> Iterator[Facts]:
    yield look_at(source, part)
