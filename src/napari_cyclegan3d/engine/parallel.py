"""Training in several processes at once, one per device.

Started by torchrun, every process runs the same training: the same weights, its own
patches (`prefetch`), gradients averaged before each step of an optimiser, so that all
weights stay the same. One process writes and speaks to the user. Alone, all functions
here do nothing, or what is right for one.

Gradients are averaged by one reduction of all gradients of an optimiser, flattened,
instead of wrapping the networks in DistributedDataParallel: a GAN step calls each
network several times in a backward pass, with the discriminators frozen in between,
and the wrapper expects one call.

Processes must stay in step: what one decides alone (a stop, a refusal) is told to all
in `settle`, before each training step.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, distributed

from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError

# all begin at about the same time; then the others wait while one validates (that a
# process has ended is seen at once)
MEETING, PATIENCE = timedelta(minutes=10), timedelta(hours=2)

Given = ParamSpec("Given")
T = TypeVar("T")


class PeerLostError(InputError):
    """Another process of the training has ended."""


def world() -> int:
    """How many processes train together; 1 alone."""
    return distributed.get_world_size() if _together() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if _together() else 0


def is_writer() -> bool:
    """Whether this is the one process that writes files and speaks to the user."""
    return rank() == 0


def writers_only(method: Callable[Given, None]) -> Callable[Given, None]:
    """A function that does nothing in the other processes."""

    @wraps(method)
    def guarded(*args: Given.args, **kwargs: Given.kwargs) -> None:
        if is_writer():
            method(*args, **kwargs)

    return guarded


@contextmanager
def joined() -> Iterator[None]:
    """Train together with the other processes, if torchrun started this one."""
    if not distributed.is_torchelastic_launched():
        yield
        return
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(_local_rank() % torch.cuda.device_count())
    # PyTorch imports this with the first optimiser. Imported when there is a group, it
    # keeps it for ever; a thread of the group that wakes while Python ends aborts it
    import_module("torch.distributed.nn")
    from torch.distributed.rendezvous import rendezvous

    store, own_rank, processes = next(rendezvous("env://", timeout=MEETING))
    distributed.init_process_group(
        backend, store=store, rank=own_rank, world_size=processes, timeout=PATIENCE
    )
    refusal = None
    try:
        yield
    except InputError as error:
        refusal = error
    # not after other errors, where the others may never come to this
    if not isinstance(refusal, PeerLostError):
        distributed.destroy_process_group()
    if refusal is not None:
        raise refusal


def own_device(name: str) -> str:
    """The device of this process for the setting `device`: a GPU for each.

    Raises:
        InputError: All processes would compute on the same GPU.
    """
    if not _together() or world() == 1:
        return name
    if name.startswith("cuda:"):
        raise InputError(
            f"device {name} for {world()} processes; give auto or cuda, and each "
            "takes a GPU of its own"
        )
    wanted = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return f"cuda:{_local_rank()}" if wanted else name


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace each gradient by its mean over all processes.

    Parameters without a gradient are left out; which those are must be the same in
    every process.

    Raises:
        PeerLostError: Another process has ended.
    """
    if world() == 1:
        return
    gradients = [one.grad for one in parameters if one.grad is not None]
    if not gradients:
        return
    flat = torch.cat([one.flatten() for one in gradients])
    with _noticing_losses():
        distributed.all_reduce(flat)
    flat /= world()
    parts = flat.split([one.numel() for one in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))


def own_share(tensor: Tensor) -> Tensor:
    """This process's slice of what was drawn for the whole batch, along dimension 0.

    Drawn alike in every process, the slices together are what one process alone draws
    for the whole batch.
    """
    each = tensor.shape[0] // world()
    return tensor[rank() * each : (rank() + 1) * each]


def mean_terms(terms: Mapping[str, float]) -> dict[str, float]:
    """The mean of each number over all processes, by name.

    Raises:
        PeerLostError: Another process has ended.
    """
    if world() == 1:
        return dict(terms)
    numbers = torch.tensor(list(terms.values()), dtype=torch.float64)
    with _noticing_losses():
        distributed.all_reduce(numbers)
    return dict(zip(terms, (numbers / world()).tolist(), strict=True))


def settle(failure: Exception | None = None, *, stop: bool = False) -> bool:
    """Whether any process wants to stop; every process waits here for all others.

    Args:
        failure: Why this process cannot go on.
        stop: Whether it wants to stop.

    Raises:
        Exception: `failure`, in this process.
        InputError: The failure of another process, in all others.
    """
    if world() == 1:
        if failure is not None:
            raise failure
        return stop
    votes = torch.tensor([failure is not None, stop], dtype=torch.int32)
    with _noticing_losses():
        distributed.all_reduce(votes, distributed.ReduceOp.MAX)
        if votes[0]:
            messages = [""] * world()
            distributed.all_gather_object(messages, str(failure or ""))
            if failure is not None and is_writer():
                raise failure
            raise InputError(next(text for text in messages if text))
    return bool(votes[1])


@contextmanager
def refusing_together() -> Iterator[None]:
    """A block in which what one process refuses is refused by all."""
    failure = None
    try:
        yield
    except (InputError, MemoryShortageError) as error:
        failure = error
    settle(failure)


def from_writer(compute: Callable[[], T]) -> T:
    """What the writing process computes; the others wait for it.

    Raises:
        PeerLostError: The writing process has ended.
    """
    result = [compute() if is_writer() else None]
    if world() > 1:
        with _noticing_losses():
            distributed.broadcast_object_list(result)
    return result[0]  # type: ignore[return-value]


def of_others(give: Callable[[], T]) -> list[T]:
    """What the processes other than the writing one give, for the writing one.

    Args:
        give: Makes plain values and tensors on the CPU.

    Raises:
        PeerLostError: Another process has ended.
    """
    if world() == 1:
        return []
    values: list[Any] | None = [None] * world() if is_writer() else None
    with _noticing_losses():
        distributed.gather_object(None if is_writer() else give(), values)
    return values[1:] if values else []


@contextmanager
def _noticing_losses() -> Iterator[None]:
    try:
        yield
    except RuntimeError:
        raise PeerLostError(
            "another process of this training has ended, what it said stands above; "
            "go on from the last saved state with --resume"
        ) from None


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", 0))
