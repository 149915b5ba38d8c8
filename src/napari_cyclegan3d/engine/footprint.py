"""How much memory a network's work takes, found without doing the work."""

import copy
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


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
