"""A training tried for a few seconds on noise: its memory, and how fast it is."""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.devices import choose_device
from napari_cyclegan3d.engine.gan import Gan
from napari_cyclegan3d.engine.memory import (
    check_memory,
    explained_shortage,
    free_memory,
    release_memory,
)
from napari_cyclegan3d.engine.patches import Batch
from napari_cyclegan3d.engine.selfcheck import choose_sound_precision
from napari_cyclegan3d.engine.session import METHODS
from napari_cyclegan3d.engine.volume import Shape


@dataclass(frozen=True)
class Trial:
    """What a training takes, as far as it is known.

    Attributes:
        memory: Bytes that it needs on the device.
        free: Bytes that the device had free before; None where it does not tell.
        seconds_per_step: Median of the steps so far; None before the first one.
        device: The device, and why this one.
    """

    memory: int
    free: int | None
    seconds_per_step: float | None
    device: str


def try_out(config: TrainConfig, seconds: float = 4.0) -> Generator[Trial, None, None]:
    """Do steps of a training on noise, and forget them.

    Reads and writes no file, and leaves PyTorch's random state as it was.

    Args:
        config: Settings of the training.
        seconds: After how long the last step begins.

    Yields:
        The memory before any is taken; then the speed after each step.

    Raises:
        InputError: The device does not exist.
        MemoryShortageError: It has too little memory.
    """
    device, reason = choose_device(config.device)
    memory, free = check_memory(config, device), free_memory(device)
    yield Trial(memory, free, None, reason)
    try:
        for taken in _steps(config, device, seconds):
            yield Trial(memory, free, taken, reason)
    finally:
        release_memory()


def _steps(
    config: TrainConfig, device: torch.device, seconds: float
) -> Iterator[float]:
    """The median of the seconds that steps take, after each."""
    with _unnoticed(device):
        gan = METHODS[config.method](config, device)
        choose_sound_precision(gan)
    batches = _noise(config)
    taken: list[float] = []
    ends = time.perf_counter() + seconds
    while not taken or time.perf_counter() < ends:
        begun = time.perf_counter()
        _step(gan, batches)
        taken.append(time.perf_counter() - begun)
        # the first one also prepares the device
        yield median(taken[1:] or taken)


def _step(gan: Gan, batches: list[Batch]) -> None:
    with explained_shortage(gan.config, gan.device), _unnoticed(gan.device):
        gan.step(*batches)


def _noise(config: TrainConfig) -> list[Batch]:
    """Patches of the right size for one step."""
    random = torch.Generator().manual_seed(0)
    paired = config.sampling.pairs or config.method == "srgan"

    def noise(sides: Shape) -> Tensor:
        shape = (config.batch, 1, *sides[3 - config.dims :])
        return torch.randn(shape, generator=random)

    return [
        Batch(noise(config.patch), noise(config.patch_b), paired)
        for _ in range(config.optim.accumulate)
    ]


@contextmanager
def _unnoticed(device: torch.device) -> Iterator[None]:
    """A block that leaves the random numbers of all others as they are."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
