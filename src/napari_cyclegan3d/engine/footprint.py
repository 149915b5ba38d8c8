"""How much memory a network's work takes, found without doing the work."""

import copy
import math
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
# where PyTorch unfolds an image into columns: small single ones in fp32 (Slow3d)
BACKENDS = torch._C._ConvBackend  # type: ignore[attr-defined]
UNFOLDING = (BACKENDS.Slow3d, BACKENDS.SlowTranspose3d)
# oneDNN copies images into blocks of so many channels, if these are not the last axis
BLOCK = 16


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that operations make, while they are alive.

    Attributes:
        now: Bytes alive.
        peak: The most there were at once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now, self.peak = 0, 0
        self._known: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing here is compiled; to skip it imports the compiler, for a second."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.count(leaf)
        return result

    def count(self, tensor: torch.Tensor) -> None:
        """Count a tensor's memory until it is freed, once for all its views."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        size = int(storage.nbytes())
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


class StepBytes(LiveBytes):
    """The same of a step, with the buffers that convolutions on the CPU take.

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


def forward_bytes(network: nn.Module, shape: Sequence[int], dtype: torch.dtype) -> int:
    """The most memory that one forward pass takes at a time, weights left out.

    Args:
        network: Any network without control flow that depends on values.
        shape: Shape of its input.
        dtype: Number format of the input.
    """
    twin = copy.deepcopy(network).to(device="meta")
    with torch.inference_mode(), LiveBytes() as live:
        twin(torch.empty(tuple(shape), device="meta", dtype=dtype))
    return int(live.peak)


def _has_last_channels(image: Tensor) -> bool:
    layout = torch.channels_last if image.dim() == 4 else torch.channels_last_3d
    return image.is_contiguous(memory_format=layout)


def _blocked(*images: Tensor) -> int:
    """Bytes of copies of images in oneDNN's blocks."""
    return sum(
        one[:, :1].numel() * math.ceil(one.shape[1] / BLOCK) * BLOCK * one.itemsize
        for one in images
    )
