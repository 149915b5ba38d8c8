"""How much memory a training needs, before it starts.

One step is run without data: PyTorch's fake tensors have shapes and formats, but no
memory, so that this takes a second or two whatever the patch. What lives at the same
time is counted: weights, gradients, moments of the optimisers, running means, replay
pools, activations, and the buffers that convolutions take while they run. On the CPU
the holes that the allocator leaves are added, as they were measured.
"""

import ctypes
import gc
import json
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.cyclegan import CycleGan
from napari_cyclegan3d.engine.devices import choose_precision, is_memory_shortage
from napari_cyclegan3d.engine.errors import MemoryShortageError
from napari_cyclegan3d.engine.footprint import StepBytes
from napari_cyclegan3d.engine.patches import Batch
from napari_cyclegan3d.engine.selfcheck import tried_layers
from napari_cyclegan3d.engine.srgan import SrGan

# what the process grows by on the CPU, with the allocator tuned: all that lives at
# once with the holes between, holes that columns of many sizes leave, code of oneDNN
GAPS, UNFOLDED, BESIDES = 1.13, 0.45, 20_000_000
# fewer holes stay where layers are tried one by one, as nothing is kept of them
TRIED = 1.6
# settings of which memory depends
ESSENTIAL: dict[str, Any] = {
    **dict.fromkeys(("method", "dims", "scale", "patch", "batch"), True),
    **dict.fromkeys(("generator", "discriminator", "loss"), True),
    "optim": {"update", "clip", "accumulate", "recompute"},
    "sampling": {"pairs"},
}
# share of the free memory that a training may take
USABLE = 0.95
# smaller and smaller proposals that are tried before there is none
TRIES = 8


def training_memory(config: TrainConfig, device: torch.device) -> int:
    """Memory that a training takes on the device at its peak, in bytes.

    Volumes and previews are not counted. On a GPU the buffers of convolutions are
    not known beforehand: those of the CPU are counted.

    Args:
        config: Settings.
        device: Where to compute; its number format counts.
    """
    precision = choose_precision(config.precision, device)
    phases = _rehearsed(_essence(config, precision))
    kept = _kept_patches(config)
    if device.type != "cpu":
        return max(peak for peak, _ in phases) + kept
    most = max(GAPS * peak + UNFOLDED * unfolded for peak, unfolded in phases)
    return round(most) + BESIDES + kept


def check_memory(config: TrainConfig, device: torch.device) -> int:
    """The same, refused where the device has less.

    Raises:
        MemoryShortageError: It has too little memory; the message proposes a patch.
    """
    needed, free = training_memory(config, device), free_memory(device)
    if free is None or needed <= USABLE * free:
        return needed
    share = USABLE * free / needed
    fitting = _fitting(config, device, needed, USABLE * free)
    raise MemoryShortageError(
        f"batch {config.batch} of patch {config.patch} needs about "
        f"{needed / 1e9:.1f} GB, and {device} has {free / 1e9:.1f} GB free; try "
        + _remedies(config, fitting or _smaller(config, share)),
        fitting,
    )


@contextmanager
def explained_shortage(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """A block with a step, which may run out of memory though the plan did fit.

    Raises:
        MemoryShortageError: It did; the message proposes a patch.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_memory_shortage(error):
            raise
        smaller = _smaller(config, 0.5)
        raise MemoryShortageError(
            f"{device} has too little memory for batch {config.batch} of patch "
            f"{config.patch}; try {_remedies(config, smaller)}",
            smaller,
        ) from None


def free_memory(device: torch.device) -> int | None:
    """Bytes that the device has free; None where it does not tell.

    Asked of a GPU that nothing has used yet, this takes it into use.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    meminfo = Path("/proc/meminfo")
    if device.type != "cpu" or not meminfo.exists():
        return None
    lines = dict(line.split(":") for line in meminfo.read_text("ascii").splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def release_memory() -> None:
    """Give back what work that has ended left: on the GPU, and to the system."""
    # in another thread it would delete widgets of a window as well, and crash
    if threading.current_thread() is threading.main_thread():
        gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    with suppress(OSError, AttributeError):  # there is none but in glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _essence(config: TrainConfig, precision: torch.dtype) -> str:
    """The settings that memory depends on, and none that asks for random numbers."""
    values = config.model_dump(include=ESSENTIAL)
    values["precision"] = "fp32" if precision == torch.float32 else "bf16"
    # of a weight it matters only whether it is zero
    for name, value in values["loss"].items():
        if isinstance(value, float) and value > 1:
            values["loss"][name] = 1.0
    values["optim"]["kickstart"] = 0
    # more than two rounds take no more than two
    values["optim"]["accumulate"] = min(config.optim.accumulate, 2)
    values["sampling"]["pool"] = 0
    return json.dumps(values)


@lru_cache(maxsize=64)
def _rehearsed(settings: str) -> list[tuple[int, int]]:
    """Bytes at the peak, and of all columns, of a step and of what comes before it."""
    config = TrainConfig.model_validate_json(settings)
    kind = CycleGan if config.method == "cyclegan" else SrGan
    with torch.random.fork_rng(devices=[]):
        gan = kind(config, torch.device("cpu"))
    trials = [] if gan.precision == torch.float32 else tried_layers(gan)
    with FakeTensorMode(allow_non_fake_inputs=True), StepBytes() as meter:
        for network in (*gan.networks.values(), *gan.means.values()):
            for tensor in network.state_dict().values():
                meter.count(tensor)
        for _, shape, layer in trials:
            _try(layer, shape)
        before = meter.peak, round(meter.unfolded / TRIED)
        meter.unfolded, meter.peak = 0, meter.now
        meter.now += sum(_moments(network) for network in gan.networks.values())
        gan.step(*(_nothing(config) for _ in range(config.optim.accumulate)))
    # it would keep the process group, of which the step has averaged gradients
    FakeTensorMode.cache_clear()
    # what is done twice finds the holes of the first time
    rounds = config.optim.accumulate * (1.5 if config.optim.recompute else 1)
    return [before, (meter.peak, round(meter.unfolded / rounds))]


def _try(layer: torch.nn.Module, shape: Sequence[int]) -> None:
    """What `selfcheck` does with a layer in fp32."""
    image = torch.empty(tuple(shape), requires_grad=True)
    out = layer(image)
    torch.autograd.grad(out, [image, *layer.parameters()], torch.empty_like(out))


def _nothing(config: TrainConfig) -> Batch:
    a, b = (
        torch.empty(config.batch, 1, *sides[3 - config.dims :])
        for sides in (config.patch, config.patch_b)
    )
    return Batch(a, b, config.sampling.pairs or config.method == "srgan")


def _moments(network: torch.nn.Module) -> int:
    """Bytes of both moments of Adam."""
    return 2 * sum(one.nbytes for one in network.parameters())


def _kept_patches(config: TrainConfig) -> int:
    """Bytes of replay pools, and of batches that wait for their turn in a step."""
    both = 4 * (math.prod(config.patch) + math.prod(config.patch_b))
    pools = config.sampling.pool if config.method == "cyclegan" else 0
    return both * (config.batch * max(0, config.optim.accumulate - 2) + pools)


def _fitting(
    config: TrainConfig, device: torch.device, needed: int, room: float
) -> dict[str, Any]:
    """The first smaller settings that fit into so many bytes; {} where none do."""
    share = room / needed
    for _ in range(TRIES):
        changes = _smaller(config, share)
        if not changes:
            break
        taken = training_memory(config.model_copy(update=changes), device)
        if taken <= room:
            return changes
        share *= 0.7 * room / taken
    return {}


def _smaller(config: TrainConfig, share: float) -> dict[str, Any]:
    """Changes to a smaller batch, or else patch, that take this share of the memory."""
    batch = max(1, int(config.batch * share))
    changes: dict[str, Any] = {} if batch == config.batch else {"batch": batch}
    share *= config.batch / batch
    if share >= 1:
        return changes
    multiple, smallest = config.patch_multiple, config.smallest_patch
    shrink = share ** (1 / config.dims)
    sides = tuple(
        side if side == 1 else max(smallest, int(side * shrink) // multiple * multiple)
        for side in config.patch
    )
    return changes if sides == config.patch else changes | {"patch": sides}


def _remedies(config: TrainConfig, changes: Mapping[str, Any]) -> str:
    """Smaller settings in words."""
    words = " and ".join(f"{key} {value}" for key, value in changes.items())
    smaller = words or "fewer filters"
    return smaller if config.optim.recompute else f"{smaller}, or optim.recompute true"
