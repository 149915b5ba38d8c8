import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch

Limited = Callable[[int], AbstractContextManager[None]]

# small tensors gain nothing from threads, and sums come out the same everywhere
torch.set_num_threads(1)
# models of equal trainings are equal files, whenever they are saved
os.environ["SOURCE_DATE_EPOCH"] = "1750000000"


@pytest.fixture
def limited() -> Limited:
    """A block in which no file grows beyond so many bytes, as if the disk were full."""

    resource = pytest.importorskip("resource", reason="limits are those of POSIX")

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)

    return limit
