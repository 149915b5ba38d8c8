"""A network as a list of steps, and what is done to a result before it is stored."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from napari_cyclegan3d.engine.streaming.operations import Operation


@dataclass(frozen=True)
class Pointwise:
    """A function of each number.

    Attributes:
        function: Called with a tensor and, as `out`, where the result goes.
    """

    function: Callable[..., Tensor]

    def __call__(self, planes: Tensor, out: Tensor | None) -> Tensor:
        """The result, in `out`, or in place."""
        return self.function(planes, out=planes if out is None else out)

    def to(self, dtype: torch.dtype, device: torch.device) -> "Pointwise":
        """Itself: it has no weights."""
        return self


@dataclass(frozen=True)
class Affine:
    """A scale and shift per channel."""

    scale: Tensor
    shift: Tensor

    def __call__(self, planes: Tensor, out: Tensor | None) -> Tensor:
        """The result, in `out`, or in place."""
        out = planes if out is None else out
        return torch.addcmul(self.shift, planes, self.scale, out=out)

    def to(self, dtype: torch.dtype, device: torch.device) -> "Affine":
        """The same in another number format."""
        return Affine(self.scale.to(device, dtype), self.shift.to(device, dtype))


@dataclass(frozen=True)
class Project:
    """A convolution with a kernel of one voxel: a product of matrices, in float32.

    Networks end in one, and bf16 knows 256 grey values between a number and its double:
    too few for a result.

    Attributes:
        weight: (inputs, outputs).
        bias: (outputs,).
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, planes: Tensor, out: Tensor | None) -> Tensor:
        """The result, in new memory, or copied to `out`."""
        flat = planes.reshape(-1, planes.shape[-1]).to(self.weight.dtype)
        result = torch.mm(flat, self.weight).add_(self.bias)
        result = result.view(*planes.shape[:-1], -1)
        return result if out is None else out.copy_(result)

    def to(self, dtype: torch.dtype, device: torch.device) -> "Project":
        """The same on another device; its number format stays."""
        return Project(self.weight.to(device), self.bias.to(device))


@dataclass(frozen=True)
class Plus:
    """Another activation is added.

    Attributes:
        value: Which: 0 is the input, i + 1 the result of step i.
    """

    value: int

    def to(self, dtype: torch.dtype, device: torch.device) -> "Plus":
        """Itself: it has no weights."""
        return self


Finish = Pointwise | Affine | Project | Plus


@dataclass(frozen=True)
class Step:
    """One operation and all that is done to its result before that is stored.

    Attributes:
        operation: What it does with planes.
        sources: What it reads: 0 is the input, i + 1 the result of step i.
        finish: What follows, in order.
        channels: Channels of what is stored.
        widest: Channels of what the operation itself gives.
    """

    operation: Operation
    sources: tuple[int, ...]
    finish: tuple[Finish, ...]
    channels: int
    widest: int

    @property
    def added(self) -> tuple[int, ...]:
        """Other activations that are added to the result."""
        return tuple(part.value for part in self.finish if isinstance(part, Plus))

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """Weights of the operation and of what follows."""
        parts = (self.operation, *self.finish)
        tensors = (value for part in parts for value in vars(part).values())
        return tuple(value for value in tensors if isinstance(value, Tensor))

    def then(self, part: Finish, channels: int | None = None) -> "Step":
        """The same with one more thing done to the result."""
        channels = self.channels if channels is None else channels
        return replace(self, finish=(*self.finish, part), channels=channels)

    def to(self, dtype: torch.dtype, device: torch.device) -> "Step":
        """The same with its weights in another number format."""
        operation = self.operation.to(dtype, device)
        finish = tuple(part.to(dtype, device) for part in self.finish)
        return replace(self, operation=operation, finish=finish)
