"""What a worker of a cluster does, see `cluster`: one piece of a volume after another.

A process does one piece at a time, whatever number of threads its worker has: they all
belong to this piece.
"""

import os
import pickle
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.devices import tune_allocator
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.inference import enhanced_shape
from napari_cyclegan3d.engine.patches import slices_first
from napari_cyclegan3d.engine.settling import settled
from napari_cyclegan3d.engine.sweeps import ResumableSink
from napari_cyclegan3d.engine.translation import Translation
from napari_cyclegan3d.engine.turning import Turned, TurnedSink, slice_axes
from napari_cyclegan3d.engine.volume import Region, Shape, Volume

if TYPE_CHECKING:
    from distributed import Worker

_ALONE = threading.Lock()


@dataclass(frozen=True)
class Job:
    """A translation, as it is told to the workers.

    Attributes:
        volume: Opens the input; it is pickled, so a function of a module, or a partial
            one, with paths that mean the same to all workers.
        sink: Opens the output, which exists, likewise.
        model: The model file.
        config: The settings.
    """

    volume: Callable[[], Volume]
    sink: Callable[[], ResumableSink]
    model: Path
    config: EnhanceConfig
    # the files may have changed since an earlier job
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def changed(self, **settings: Any) -> "Job":
        """The same with other settings."""
        return replace(self, config=self.config.model_copy(update=settings))

    def packed(self) -> bytes:
        """What goes to the workers."""
        return pickle.dumps(self)

    def open(self) -> "Work":
        """Open everything, and plan.

        Raises:
            InputError: Something cannot be opened or does not fit, or is not done in
                one pass.
            MemoryShortageError: Not even the smallest tile fits the memory.
        """
        volume, sink, model = self.volume(), self.sink(), load_model(self.model)
        axes = slice_axes(model, self.config)
        if len(axes) > 1:
            raise InputError(
                "slices all: is the mean of three passes, which do not go on where "
                "they were; choose one axis, or leave out the workers"
            )
        turned = Turned(axes[0])
        translation = Translation(
            slices_first(volume, axes[0]),
            model,
            turned.settings(self.config),
            turned.there(sink.chunks),
        )
        shape = enhanced_shape(volume, model, self.config)
        out = TurnedSink(sink, turned, 1)
        return Work(volume, sink, shape, turned, translation, out)


@dataclass(frozen=True)
class Work:
    """A job with all that it needs, in one process.

    Attributes:
        volume: The input.
        sink: The output.
        shape: Its voxels (z, y, x).
        turned: The order of axes in which the volume is translated.
        translation: How that is done.
        out: Takes what comes out of it.
    """

    volume: Volume
    sink: ResumableSink
    shape: Shape
    turned: Turned
    translation: Translation
    out: TurnedSink


def settle(model: Path, config: EnhanceConfig, processes: int) -> EnhanceConfig:
    """A task: the settings for a process like this one, see `settled`."""
    worker = _prepared()
    with _ALONE, _named(worker):
        return settled(load_model(model), config, processes)


def translate(packed: bytes, topic: str, region: Region) -> None:
    """A task: translate a region and write it, telling of each part under a topic."""
    worker = _prepared()
    with _ALONE, ThreadPoolExecutor(1, "writer") as writer:
        with _named(worker):
            work = _opened(packed)
        waiting: Future[None] | None = None
        for part, voxels in work.translation.blocks(region):
            if waiting is not None:
                waiting.result()
            if _cancelled(worker):
                return
            waiting = writer.submit(work.out.put, part, voxels)
            bounds = [end for axis in part for end in (axis.start, axis.stop)]
            worker.log_event(topic, bounds)
        if waiting is not None:
            waiting.result()


@lru_cache(maxsize=1)
def _opened(packed: bytes) -> Work:
    job: Job = pickle.loads(packed)
    return job.open()


def _prepared() -> "Worker":
    from distributed import get_worker

    worker = get_worker()
    own = int(os.environ.get("OMP_NUM_THREADS", 1))
    torch.set_num_threads(max(own, worker.state.nthreads))
    tune_allocator()
    return worker


def _cancelled(worker: "Worker") -> bool:
    task = worker.state.tasks.get(worker.get_current_task())
    return task is None or task.state == "cancelled"


@contextmanager
def _named(worker: "Worker") -> Iterator[None]:
    """What is refused, with the worker that does it."""
    try:
        yield
    except InputError as error:
        raise InputError(
            f"worker {worker.address}: {error} (every worker must have all files "
            "under the same paths)"
        ) from None
