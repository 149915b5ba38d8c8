"""Which number format a network computes in: the faster one that is sound."""

import copy
import statistics
import time
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.devices import choose_precision
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.foreign import ForeignGenerator
from napari_cyclegan3d.engine.networks import CONVOLUTIONS, Generator

Precision = Literal["auto", "fp32", "bf16"]
PROBE_VOXELS = 48
ROUNDS = 3
# more than the rounding of any sound network
LARGEST_ERROR = 0.1
LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}
# what the trials of a network have shown, by device
_found: WeakKeyDictionary[Generator, dict[torch.device, torch.dtype]] = (
    WeakKeyDictionary()
)


def converted(network: Generator, dtype: torch.dtype) -> Generator:
    """A copy in a number format, with its weights in the layout that is faster.

    Casting the weights once is faster than autocast, which casts at each call. A last
    convolution of one voxel stays in fp32: it costs little, and bf16 knows 256 grey
    values between a number and its double, too few for a result.
    """
    if isinstance(network, ForeignGenerator):
        return network
    twin = copy.deepcopy(network)
    # PyTorch's stubs do not know this form of `to`
    twin.to(dtype, memory_format=LAYOUTS[network.dims])  # type: ignore[call-overload]
    for last in [m for m in twin.modules() if isinstance(m, CONVOLUTIONS)][-1:]:
        if set(last.kernel_size) == {1}:
            last.float().register_forward_pre_hook(_in_fp32)
    return twin.eval().requires_grad_(False)


def _in_fp32(_: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
    return (given[0].float(),)


def fastest_precision(
    name: Precision, network: Generator, device: torch.device
) -> torch.dtype:
    """The number format for a setting; "auto" tries both where bf16 is native.

    bf16 is taken if it is faster here and its result is that of fp32 within rounding.
    That takes a moment and is remembered for as long as the network lives.

    Args:
        name: "auto", "fp32" or "bf16".
        network: What will compute, on `device`.
        device: Where.

    Raises:
        InputError: bf16 is asked of an imported graph.
    """
    if isinstance(network, ForeignGenerator):
        if name == "bf16":
            raise InputError(
                f"precision bf16: {network.name} is an imported model, whose graph "
                "computes in its own number format; use auto"
            )
        return torch.float32
    wanted = choose_precision(name, device)
    if name != "auto" or wanted == torch.float32:
        return wanted
    found = _found.setdefault(network, {})
    if device not in found:
        found[device] = _tried(network, device)
    return found[device]


def _tried(network: Generator, device: torch.device) -> torch.dtype:
    """bf16 if it is faster and sound, else fp32."""
    side = max(2, PROBE_VOXELS // network.stride // 2) * network.stride
    random = torch.Generator().manual_seed(0)
    image = torch.randn(
        (1, network.inputs, *(side,) * network.dims), generator=random
    ).to(device)
    exact, slow = _timed(converted(network, torch.float32), image)
    try:
        rounded, quick = _timed(converted(network, torch.bfloat16), image)
    except NotImplementedError:  # some layers exist in fp32 only
        return torch.float32
    error = (rounded - exact).square().mean().sqrt() / exact.std()
    sound = bool(error < LARGEST_ERROR)  # false for NaN, too
    return torch.bfloat16 if sound and quick < slow else torch.float32


def _timed(network: nn.Module, image: Tensor) -> tuple[Tensor, float]:
    """Output in fp32, and the median of some times in seconds."""
    image = image.to(next(network.parameters()).dtype)
    seconds = []
    with torch.inference_mode():
        out = network(image)  # the first pass chooses kernels
        for _ in range(ROUNDS):
            _wait(image.device)
            started = time.perf_counter()
            out = network(image)
            _wait(image.device)
            seconds.append(time.perf_counter() - started)
    return out.float(), statistics.median(seconds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
