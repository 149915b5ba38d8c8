"""The order of work, in whole numbers: who can make how many planes, and who waits.

No tensor is needed to know it, so that the same class runs the stream and predicts its
memory.
"""

from collections.abc import Sequence

from napari_cyclegan3d.engine.streaming.steps import Step

Work = tuple[int, int, int]  # step, from plane, to plane


class Flow:
    """How far each step is.

    The step nearest to the end of the network works first, so that what one step makes
    is used up before the next piece of it comes.

    Args:
        steps: The network.
        limits: Planes that each step makes at once.
    """

    def __init__(self, steps: Sequence[Step], limits: Sequence[int]) -> None:
        self._steps, self._limits = steps, limits
        self.planes = [0] * (len(steps) + 1)  # of each value: input, then results
        self._ended = [False] * (len(steps) + 1)
        self._readers: list[list[tuple[Step, int, bool]]] = [[] for _ in self.planes]
        for result, step in enumerate(steps, start=1):
            for value in step.sources:
                self._readers[value].append((step, result, True))
            for value in step.added:
                self._readers[value].append((step, result, False))

    def push(self, planes: int) -> None:
        """So many planes of the input have come."""
        self.planes[0] += planes

    def close(self) -> None:
        """No more planes will come."""
        self._ended[0] = True

    def next(self) -> Work | None:
        """What is to be done now; None: planes of the input must come first."""
        if self._ended[0]:
            self._end()
        for index in range(len(self._steps) - 1, -1, -1):
            made = self.planes[index + 1]
            count = self._ready(index) - made
            if count > 0:
                parts = -(-count // self._limits[index])
                return index, made, made + -(-count // parts)
        return None

    def done(self, work: Work) -> None:
        """That piece of work is done."""
        index, _, stop = work
        self.planes[index + 1] = stop

    def keep(self, value: int) -> int:
        """The first plane of a value that is still needed."""
        firsts = [
            step.operation.first(self.planes[result]) if reads else self.planes[result]
            for step, result, reads in self._readers[value]
        ]
        return min(firsts, default=self.planes[value])

    def ended(self, value: int) -> bool:
        """Whether all planes of a value have been made."""
        return self._ended[value]

    def _ready(self, index: int) -> int:
        step = self._steps[index]
        planes = min(self.planes[value] for value in step.sources)
        ended = all(self._ended[value] for value in step.sources)
        ready = step.operation.ready(planes, ended)
        return min([ready, *(self.planes[value] for value in step.added)])

    def _end(self) -> None:
        """Pass on that a value is complete to those that have all they need."""
        for index, step in enumerate(self._steps):
            if not self._ended[index + 1]:
                read = (*step.sources, *step.added)
                self._ended[index + 1] = (
                    all(self._ended[value] for value in read)
                    and self._ready(index) == self.planes[index + 1]
                )
