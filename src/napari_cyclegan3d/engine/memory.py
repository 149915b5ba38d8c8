"""How much memory a training needs, before it starts.

One step is run without data: PyTorch's fake tensors have shapes and formats, but no
memory, so that this takes a second or two whatever the patch. What lives at the same
time is counted: weights, gradients, moments of the optimisers, running means, replay
pools, activations, and the buffers that convolutions take while they run. On the CPU
the holes that the allocator leaves are added, as they were measured.
"""

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.cyclegan import CycleGan
from napari_cyclegan3d.engine.devices import choose_precision
from napari_cyclegan3d.engine.errors import MemoryShortageError
from napari_cyclegan3d.engine.footprint import LiveBytes
from napari_cyclegan3d.engine.patches import Batch
from napari_cyclegan3d.engine.selfcheck import tried_layers
from napari_cyclegan3d.engine.srgan import SrGan

aten = torch.ops.aten
# where PyTorch unfolds an image into columns: small single ones in fp32 (Slow3d)
BACKENDS = torch._C._ConvBackend  # type: ignore[attr-defined]
UNFOLDING = (BACKENDS.Slow3d, BACKENDS.SlowTranspose3d)
# oneDNN copies images into blocks of so many channels, if these are not the last axis
BLOCK = 16
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
    needed, free = training_memory(config, device), _free_memory(device)
    if free is None or needed <= USABLE * free:
        return needed
    raise MemoryShortageError(
        f"batch {config.batch} of patch {config.patch} needs about "
        f"{needed / 1e9:.1f} GB, and {device} has {free / 1e9:.1f} GB free; try "
        + remedies(config, USABLE * free / needed)
    )


def remedies(config: TrainConfig, share: float) -> str:
    """Settings that take about this share of the memory, in words."""
    smaller = _smaller(config, share)
    return smaller if config.optim.recompute else f"{smaller}, or optim.recompute true"


class _Meter(LiveBytes):
    """The same, with the buffers that convolutions on the CPU take while they run.

    Attributes:
        unfolded: Bytes of all columns, one after the other.
    """

    unfolded = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is aten._local_scalar_dense.default:
            return 0.0  # no fake tensor has a value
        result = super().__torch_dispatch__(func, types, args, kwargs)
        buffer = 0
        if func is aten.convolution.default:
            image, weight, _, *setting = args[:9]
            buffer = self._buffer(image, result, weight, setting)
        elif func is aten.convolution_backward.default:
            # the gradients of image and weights are found one after the other
            gradient, image, weight, _, *setting = args[:-1]
            buffer = self._buffer(image, gradient, weight, setting)
            if image.dtype == torch.bfloat16:
                buffer = max(buffer, 4 * image.numel())  # its gradient adds up in fp32
        self.peak = max(self.peak, self.now + buffer)
        return result

    def _buffer(
        self, image: Tensor, result: Tensor, weight: Tensor, setting: Sequence[Any]
    ) -> int:
        """Bytes that a convolution takes beside its tensors."""
        backend = torch._C._select_conv_backend(image, weight, None, *setting)
        if backend not in UNFOLDING:
            return 0 if _has_last_channels(image) else _blocked(image, result)
        places = min(one[0, 0].numel() for one in (image, result))
        columns = len(image) * weight[0].numel() * places * image.element_size()
        self.unfolded += columns
        return columns


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
    with FakeTensorMode(allow_non_fake_inputs=True), _Meter() as meter:
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


def _has_last_channels(image: Tensor) -> bool:
    layout = torch.channels_last if image.dim() == 4 else torch.channels_last_3d
    return image.is_contiguous(memory_format=layout)


def _blocked(*images: Tensor) -> int:
    """Bytes of copies of images in oneDNN's blocks."""
    return sum(
        one[:, :1].numel() * math.ceil(one.shape[1] / BLOCK) * BLOCK * one.itemsize
        for one in images
    )


def _kept_patches(config: TrainConfig) -> int:
    """Bytes of replay pools, and of batches that wait for their turn in a step."""
    both = 4 * (math.prod(config.patch) + math.prod(config.patch_b))
    pools = config.sampling.pool if config.method == "cyclegan" else 0
    return both * (config.batch * max(0, config.optim.accumulate - 2) + pools)


def _free_memory(device: torch.device) -> int | None:
    """Bytes that the device has free; None where it does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    meminfo = Path("/proc/meminfo")
    if device.type != "cpu" or not meminfo.exists():
        return None
    lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def _smaller(config: TrainConfig, share: float) -> str:
    """The largest batch, or else patch, that takes this share of the memory."""
    if config.batch > 1 and int(config.batch * share) > 0:
        return f"batch {int(config.batch * share)}"
    multiple, smallest = config.patch_multiple, config.smallest_patch
    shrink = share ** (1 / config.dims)
    sides = tuple(
        side if side == 1 else max(smallest, int(side * shrink) // multiple * multiple)
        for side in config.patch
    )
    return "fewer filters" if sides == config.patch else f"patch {sides}"
