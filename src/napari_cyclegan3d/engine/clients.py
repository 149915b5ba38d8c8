"""Clusters of dask.distributed: one of processes of this machine, or one that runs."""

import logging
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

from napari_cyclegan3d.engine.errors import InputError

if TYPE_CHECKING:
    from distributed import Client, Worker, WorkerPlugin

# how long a scheduler may take to answer, in seconds
ANSWER = 10
ADDRESS = re.compile(r"\w+://[^/\s]+:\d+")


@contextmanager
def local_cluster(workers: int, *, gpus: bool = True) -> Iterator["Client"]:
    """A cluster of so many processes of this machine, for as long as the block lasts.

    They share the CPU cores. Where there are GPUs, each process sees one of them, the
    first sees the first, and so on in turn.

    Args:
        workers: How many processes.
        gpus: Whether they see GPUs.

    Raises:
        InputError: dask.distributed is not installed.
    """
    _require()
    from distributed import Client, Nanny, Scheduler, SpecCluster

    threads = max(1, torch.get_num_threads() // workers)
    devices = _devices() if gpus else [""]
    common: dict[str, Any] = {
        "nthreads": 1,
        "host": "127.0.0.1",
        # no voxels are kept in the workers, and what they work in is bounded
        "memory_limit": 0,
        "dashboard": False,
        "silence_logs": logging.CRITICAL,
    }
    specs = {
        number: {
            "cls": Nanny,
            "options": common | {"env": _environment(threads, devices, number)},
        }
        for number in range(workers)
    }
    scheduler = {
        "cls": Scheduler,
        "options": {"host": "127.0.0.1", "port": 0, "dashboard": False},
    }
    with (
        SpecCluster(specs, scheduler, silence_logs=logging.CRITICAL) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.register_plugin(_deaf())
        yield client


@contextmanager
def running_cluster(address: str) -> Iterator["Client"]:
    """A client of a scheduler that runs already, such as tcp://host:8786.

    Raises:
        InputError: Nothing answers there, or dask.distributed is not installed.
    """
    _require()
    from distributed import Client

    if not ADDRESS.fullmatch(address):
        raise InputError(
            f"cluster {address}: is no address; give one such as tcp://host:8786"
        )
    try:
        client = Client(address, timeout=ANSWER, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cluster {address}: no scheduler answers ({error}); start one with "
            "dask scheduler, and give its address, such as tcp://host:8786"
        ) from None
    with client, _quiet():
        yield client


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tracebacks that are logged when a cluster goes: it is said once."""
    loggers = [
        logging.getLogger(name) for name in ("distributed", "tornado", "asyncio")
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _deaf() -> "WorkerPlugin":
    """Makes workers leave Ctrl+C, which a terminal sends to all, to their client."""
    from distributed import WorkerPlugin

    class Deaf(WorkerPlugin):
        def setup(self, worker: "Worker") -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Deaf()


def _require() -> None:
    if find_spec("distributed") is None:
        raise InputError(
            "several workers need dask.distributed; install it with "
            "pip install 'napari-cyclegan3d[cluster]'"
        )


def _devices() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name] or [""]
    return [str(number) for number in range(torch.cuda.device_count())] or [""]


def _environment(threads: int, devices: list[str], number: int) -> dict[str, str]:
    return {
        "OMP_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": devices[number % len(devices)],
    }
