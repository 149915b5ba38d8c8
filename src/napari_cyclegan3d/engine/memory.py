"""How much memory a training needs, before it starts.

One step is run without data: PyTorch's fake tensors have shapes and formats, but no
memory, so that this takes a second or two whatever the patch. What lives at the same
time is counted: weights, gradients, moments of the optimisers, running means, replay
pools, activations. What no tensor shows, the buffers of convolutions and the gaps
between blocks of memory, is added as it was measured on the CPU.
"""

import json
import math
import weakref
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.cyclegan import CycleGan
from napari_cyclegan3d.engine.devices import choose_precision
from napari_cyclegan3d.engine.errors import MemoryShortageError
from napari_cyclegan3d.engine.patches import Batch
from napari_cyclegan3d.engine.srgan import SrGan

aten = torch.ops.aten
CONVOLUTIONS = (aten.convolution.default, aten.convolution_backward.default)
# oneDNN copies images into blocks of so many channels
BLOCK = 16
# PyTorch 2.13 computes single small images in fp32 without oneDNN: it unfolds them
SMALL_IMAGE, SMALL_KERNEL = 20480, 3
# what the process grows by on the CPU, with the allocator tuned: the tensors and gaps
# between them, the largest convolution's images in blocks, a share of all unfolded
# images (the allocator finds no use for their gaps), and code of oneDNN
GAPS, WORK, UNFOLDED = 1.2, 1.15, 0.55
BESIDES = {torch.float32: 30_000_000, torch.bfloat16: 0}
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
    not known beforehand: one copy of the images of the largest one is counted.

    Args:
        config: Settings.
        device: Where to compute; its number format counts.
    """
    precision = choose_precision(config.precision, device)
    peak, work, unfolded = _rehearsed(_essence(config, precision))
    kept = _kept_patches(config)
    if device.type != "cpu":
        return peak + work + kept
    besides = WORK * work + UNFOLDED * unfolded + BESIDES[precision]
    return round(GAPS * peak + besides) + kept


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


class _Meter(TorchDispatchMode):
    """Counts the bytes of all tensors that live at the same time.

    Attributes:
        live: Bytes now.
        peak: Most bytes so far.
        work: Bytes of the images of the largest convolution, in oneDNN's blocks.
        unfolded: Bytes of all images that are unfolded, one after the other.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = self.work = self.unfolded = 0
        self.known: set[int] = set()

    def add(self, tensor: Tensor) -> None:
        """Count a tensor's memory until it is freed, once for all its views."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self.known:
            self.known.add(key)
            self.live += size
            weakref.finalize(storage, self._freed, key, size)

    def _freed(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live -= size

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        del types
        if func is aten._local_scalar_dense.default:
            return 0.0  # no fake tensor has a value
        result = func(*args, **(kwargs or {}))
        made = [one for one in tree_leaves(result) if isinstance(one, Tensor)]
        for tensor in made:
            self.add(tensor)
        if func in CONVOLUTIONS:
            given = [one for one in tree_leaves(args) if isinstance(one, Tensor)]
            images = [one for one in (*given, *made) if one.dim() > 1]
            self.work = max(self.work, sum(map(_blocked, images)))
        if func is aten.convolution_backward.default:
            self._unfold(*args[:3])
        self.peak = max(self.peak, self.live)
        return result

    def _unfold(self, gradient: Tensor, image: Tensor, weight: Tensor) -> None:
        single = len(image) == 1 and image.shape[1:-1].numel() <= SMALL_IMAGE
        small = max(weight.shape[2:]) <= SMALL_KERNEL
        if single and small and image.dim() == 5 and image.dtype == torch.float32:
            places = gradient[0, 0].numel()
            self.unfolded += weight[0].numel() * places * image.element_size()


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
def _rehearsed(settings: str) -> tuple[int, int, int]:
    """Bytes of all tensors at the peak of a step, and `work` and `unfolded` of it."""
    config = TrainConfig.model_validate_json(settings)
    kind = CycleGan if config.method == "cyclegan" else SrGan
    with torch.random.fork_rng(devices=[]):
        gan = kind(config, torch.device("cpu"))
    with FakeTensorMode(allow_non_fake_inputs=True), _Meter() as meter:
        for network in (*gan.networks.values(), *gan.means.values()):
            for tensor in network.state_dict().values():
                meter.add(tensor)
        meter.live += sum(_moments(network) for network in gan.networks.values())
        gan.step(*(_nothing(config) for _ in range(config.optim.accumulate)))
    return meter.peak, meter.work, meter.unfolded


def _nothing(config: TrainConfig) -> Batch:
    a, b = (
        torch.empty(config.batch, 1, *sides[3 - config.dims :])
        for sides in (config.patch, config.patch_b)
    )
    return Batch(a, b, config.sampling.pairs or config.method == "srgan")


def _moments(network: torch.nn.Module) -> int:
    """Bytes of both moments of Adam."""
    return 2 * sum(one.nbytes for one in network.parameters())


def _blocked(image: Tensor) -> int:
    samples, channels, *sides = image.shape
    padded = math.ceil(channels / BLOCK) * BLOCK
    return samples * padded * math.prod(sides) * image.element_size()


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
