"""The exact translation of a volume by several processes, on dask.distributed.

The plan is that of one process: columns of the output along z, as wide as the memory of
a worker allows, of whole chunks. Here they are also cut along z, into pieces that are
tasks. A piece reads a halo before and behind it. It is so deep that this is at most a
quarter more to read, and deeper if there are still some pieces for each worker; but no
worker is to have none, as long as the halo does not double what is read.

A process opens volume, model and sink by itself, once, and writes what it computes: no
voxel goes through the scheduler. Doing a piece twice gives the same chunks, so that of
a worker that dies is done by another, and what the sink has is left out.
"""

import bisect
import itertools
import math
import queue
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cyclegan3d.engine.cluster_worker import Job, settle, translate
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.engine.events import (
    EnhanceDone,
    EnhanceEvent,
    EnhanceStarted,
    RegionReady,
    TileDone,
    Warned,
)
from napari_cyclegan3d.engine.seams import seam_ratio
from napari_cyclegan3d.engine.sweeps import Exact
from napari_cyclegan3d.engine.tiling import round_up
from napari_cyclegan3d.engine.translation import Translation
from napari_cyclegan3d.engine.volume import Region

if TYPE_CHECKING:
    from distributed import Client, Future

# what the halo of a piece may add to it along z
MOST_WASTE = 0.25
# fewer, and most workers would wait for the last one
PIECES_PER_WORKER = 4
# how often it is looked at whether there still is a cluster
PATIENCE = 5.0
GONE = "cluster {}: has gone; what is done is kept, so the same command goes on"


def settled_on(
    client: "Client", model: Path, config: EnhanceConfig, processes: int = 1
) -> EnhanceConfig:
    """The settings for the processes of a cluster, chosen by one of its workers.

    Args:
        client: The cluster.
        model: A model file.
        config: `memory` stands for all that `processes` workers take.
        processes: How many workers share the memory; 1: each has it for itself.

    Raises:
        InputError: There are no workers, or they cannot use the model.
        MemoryShortageError: The memory is not enough for the program itself.
    """
    if not _workers(client):
        raise InputError(
            f"cluster {_address(client)}: has no workers; start some with: dask worker "
            f"{_address(client)} --nthreads 1"
        )
    future = client.submit(settle, model, config, processes, pure=False)
    with _cancelling(client, [future]):
        return future.result()


def enhance_on_cluster(job: Job, client: "Client") -> Iterator[EnhanceEvent]:
    """Translate a volume on a cluster; closing the iterator cancels what remains.

    The result is that of `enhance` in exact mode, with the same settings, which are
    decided here, once, for all workers.

    Args:
        job: What to do; `config.memory` stands for the work in one worker.
        client: A cluster with workers, one process each.

    Yields:
        The events of `enhance`.

    Raises:
        InputError: The job cannot be done in pieces, a worker cannot open a file or
            has died too often, or the cluster has gone.
        MemoryShortageError: Not even the smallest tile fits a worker.
    """
    if job.config.precision == "auto":
        config = settled_on(client, job.model, job.config)
        job = job.changed(precision=config.precision)
    # planning needs no GPU
    work = job.changed(device="cpu").open()
    plan = work.translation
    if plan.mode == "blend":
        raise InputError(
            "mode blend: its tiles overlap, so they cannot be written by several "
            "workers; use mode exact, or leave out the workers"
        )
    count = _workers(client)
    regions = Exact(plan, work.out).regions
    pieces = cut(plan, regions, count)
    job = job.changed(mode="exact", tile=work.turned.back(plan.sizes.core))
    progress = _Progress.of(plan, pieces)
    yield EnhanceStarted(
        work.shape,
        progress.tiles,
        plan.mode,
        work.turned.back(plan.tile),
        f"{count} worker{'s' if count > 1 else ''}; {job.config.precision}",
    )
    yield from (Warned(remark) for remark in plan.remarks)
    if pieces:
        for event in _driven(job, pieces, progress, client):
            if isinstance(event, RegionReady):
                event = RegionReady(work.turned.back(event.region))
            yield event
    z, y, x = plan.cuts()
    starts = z | {piece[0].start for piece in pieces} - {0}
    seams = seam_ratio(work.sink, work.turned.back((starts, y, x)))
    yield EnhanceDone(work.volume.resampled(work.sink, plan.scale), seams)


def cut(plan: Translation, regions: Sequence[Region], workers: int) -> list[Region]:
    """Pieces of regions of the output, along z, in whole units.

    Args:
        plan: How a region is translated.
        regions: Columns, or parts of them.
        workers: How many there are to do them.
    """
    unit, halo = plan.unit_depth, 0.0
    if plan.program is None:  # tiles have their halos anyway
        unit = max(unit, int(plan.sizes.core[0] * plan.scale))
    else:
        halo = sum(plan.sizes.reach[0].halo) * float(plan.scale)
    share = sum(z.stop - z.start for z, _, _ in regions) / workers
    depth = max(min(halo / MOST_WASTE, share), halo, share / PIECES_PER_WORKER, 1)
    pieces: list[Region] = []
    for z, y, x in regions:
        count = max(1, int((z.stop - z.start) / depth))
        step = round_up(math.ceil((z.stop - z.start) / count), unit)
        edges = [*range(z.start, z.stop, step), z.stop]
        pieces += [(slice(*ends), y, x) for ends in itertools.pairwise(edges)]
    return pieces


@dataclass
class _Progress:
    """How many tiles are done, from the parts of which workers tell."""

    marks: list[int]
    seen: set[tuple[int, ...]]
    voxels: int = 0
    done: int = 0

    @classmethod
    def of(cls, plan: Translation, pieces: Sequence[Region]) -> "_Progress":
        steps = [step for piece in pieces for step in plan.steps(piece)]
        return cls(list(itertools.accumulate(steps)), set())

    @property
    def tiles(self) -> int:
        return len(self.marks)

    def count(self, bounds: tuple[int, ...]) -> Iterator[TileDone]:
        """A part is there; one that is done again for a dead worker counts once."""
        if bounds in self.seen:
            return
        self.seen.add(bounds)
        low, high = bounds[::2], bounds[1::2]
        self.voxels += math.prod(b - a for a, b in zip(low, high, strict=True))
        reached = bisect.bisect_right(self.marks, self.voxels)
        yield from self._up_to(reached)

    def rest(self) -> Iterator[TileDone]:
        """All is there."""
        yield from self._up_to(self.tiles)

    def _up_to(self, reached: int) -> Iterator[TileDone]:
        while self.done < reached:
            self.done += 1
            yield TileDone(self.done, self.tiles)


def _driven(
    job: Job, pieces: Sequence[Region], progress: _Progress, client: "Client"
) -> Iterator[TileDone | RegionReady]:
    """Hand out the pieces and tell what comes back; in the end cancel what is left."""
    topic = f"napari-cyclegan3d-{uuid.uuid4().hex}"
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    client.subscribe_topic(topic, lambda event: inbox.put(tuple(event[1])))
    packed = job.packed()
    futures = {
        client.submit(translate, packed, topic, piece, pure=False): piece
        for piece in pieces
    }
    for future in futures:
        future.add_done_callback(inbox.put)
    left = len(futures)
    try:
        with _cancelling(client, list(futures)):
            while left:
                news = _next(inbox, client)
                if isinstance(news, tuple):
                    yield from progress.count(news)
                    continue
                news.result()
                left -= 1
                yield RegionReady(futures[news])
        yield from progress.rest()
    finally:
        if client.status == "running":
            client.unsubscribe_topic(topic)


def _next(inbox: "queue.SimpleQueue[Any]", client: "Client") -> Any:
    """What comes next, as long as there is a cluster for it to come from."""
    while True:
        try:
            return inbox.get(timeout=PATIENCE)
        except queue.Empty:
            if client.status != "running":
                raise InputError(GONE.format(_address(client))) from None


@contextmanager
def _cancelling(client: "Client", futures: Sequence["Future[Any]"]) -> Iterator[None]:
    """In the end nothing is left to do for the cluster; its errors are sentences."""
    from distributed import CancelledError, KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise MemoryShortageError(
            f"cluster {_address(client)}: {error.allowed_failures + 1} workers died at "
            "the same piece, as a rule because the machine has too little memory; use "
            "fewer workers; what is done is kept, so the same command goes on"
        ) from None
    except CancelledError:
        raise InputError(GONE.format(_address(client))) from None
    except ImportError as error:
        raise InputError(
            f"cluster {_address(client)}: {error}; install this package on all workers"
        ) from None
    finally:
        if client.status == "running":
            with suppress(OSError):  # it has gone, which was said already
                client.cancel(futures)


def _workers(client: "Client") -> int:
    return len(client.nthreads())


def _address(client: "Client") -> str:
    return str(client.scheduler.address) if client.scheduler else "(closed)"
