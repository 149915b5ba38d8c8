"""The batches of a training, drawn by a thread while the step before them computes."""

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from napari_cyclegan3d.engine import parallel
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.patches import Batch, PatchSampler

# steps drawn ahead: a patch that shows nothing is drawn again, and takes longer
AHEAD = 2


class Prefetcher:
    """The batches of each step, of this process alone where several train together.

    Processes share out the numbers of the patches: together they draw what one alone
    draws for the whole batch. What was drawn ahead is no part of the state. The thread
    ends with `close`, or when nobody holds the prefetcher any more.

    Args:
        sampler: Draws patches by their numbers.
        config: Batch, and batches of a step.
        pinned: Whether batches lie in memory that a GPU can copy from on its own.
    """

    def __init__(
        self, sampler: PatchSampler, config: TrainConfig, *, pinned: bool = False
    ) -> None:
        self.sampler, self.pinned = sampler, pinned
        self.batch, self.accumulate = config.batch, config.optim.accumulate
        self.drawn = 0
        self.waiting: deque[Future[list[Batch]]] = deque()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="patches")

    def step(self) -> list[Batch]:
        """The batches of the next step.

        Raises:
            InputError: A volume can no longer be read.
        """
        each = self.batch * self.accumulate * parallel.world()
        while len(self.waiting) <= AHEAD:
            first = self.drawn + each * len(self.waiting)
            self.waiting.append(self.thread.submit(self._draw, first))
        batches = self.waiting[0].result()
        self.waiting.popleft()
        self.drawn += each
        return batches

    def state_dict(self) -> dict[str, Any]:
        """A plain number from which the same batches follow again."""
        return {"drawn": self.drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            KeyError, ValueError: The state is that of something else.
        """
        self._drop()
        self.drawn = int(state["drawn"])

    def close(self) -> None:
        """End the thread."""
        self._drop()
        self.thread.shutdown()

    def _drop(self) -> None:
        while self.waiting:
            self.waiting.popleft().cancel()

    def _draw(self, first: int) -> list[Batch]:
        """This process's batches of the step whose first patch has this number."""
        whole = self.batch * parallel.world()
        starts = range(first, first + whole * self.accumulate, whole)
        own = self.batch * parallel.rank()
        batches = [
            self.sampler.numbered(range(start + own, start + own + self.batch))
            for start in starts
        ]
        if not self.pinned:
            return batches
        return [
            replace(one, real_a=one.real_a.pin_memory(), real_b=one.real_b.pin_memory())
            for one in batches
        ]
