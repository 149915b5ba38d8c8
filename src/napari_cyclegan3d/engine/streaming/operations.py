"""What a layer does with planes, and how planes in become planes out.

Every operation knows, in whole numbers and without a tensor, how many planes it can
make from those that have come (`ready`) and the first one that it still reads for a
given result (`first`). That alone decides the order of all work, and the memory.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as functional
from torch import Tensor

from napari_cyclegan3d.engine.streaming.planes import (
    Padding,
    Plane,
    Store,
    Window,
    channels_first,
    channels_last,
    join,
)

Triple = tuple[int, int, int]


class Operation(Protocol):
    """Planes in, planes out."""

    @property
    def looks_around(self) -> bool:
        """Whether it needs several planes in one piece."""

    @property
    def copies(self) -> int:
        """Sizes of its result that it holds while it works."""

    @property
    def padding(self) -> Padding:
        """What it expects around its input."""

    def ready(self, planes: int, ended: bool) -> int:
        """Planes that can be made once `planes` have come, and whether all have."""

    def first(self, made: int) -> int:
        """The first plane that is read for plane `made`, or a later one."""

    def shape(self, height: int, width: int) -> Plane:
        """Size of a plane of the result."""

    def compute(self, sources: list[Store], start: int, stop: int) -> Tensor:
        """Planes start to stop of the result, (z, y, x, channel), in own memory."""

    def to(self, dtype: torch.dtype, device: torch.device) -> "Operation":
        """The same with its weights in another number format."""


@dataclass(frozen=True)
class Weighted:
    """Weights and bias of a convolution, which a scale and shift can be folded into."""

    weight: Tensor
    bias: Tensor | None

    def to(self, dtype: torch.dtype, device: torch.device) -> "Weighted":
        """Weights as the kernels want them: channels last."""
        weight = self.weight.to(device, dtype)
        if weight.ndim == 5:
            weight = weight.contiguous(memory_format=torch.channels_last_3d)
        bias = None if self.bias is None else self.bias.to(device, dtype)
        return replace(self, weight=weight, bias=bias)


@dataclass(frozen=True)
class Convolution(Weighted):
    """Any kernel, stride and padding, zero or mirrored."""

    stride: Triple
    pad: Triple
    reflect: bool
    looks_around = True
    copies = 1

    @property
    def padding(self) -> Padding:
        """Its own padding."""
        return Padding(self.pad[0], self.pad[1:], self.reflect)

    def ready(self, planes: int, ended: bool) -> int:
        """Windows that are complete."""
        pad, kernel = self.pad[0], self.weight.shape[2]
        if self.reflect and not ended and planes <= pad:
            return 0  # what lies before the first plane is not known yet
        reach = planes + (2 if ended else 1) * pad - kernel
        return max(0, reach // self.stride[0] + 1)

    def first(self, made: int) -> int:
        """Start of the window."""
        return made * self.stride[0] - self.pad[0]

    def shape(self, height: int, width: int) -> Plane:
        """As of torch.nn.Conv3d."""
        sizes = [
            (size + 2 * self.pad[axis] - self.weight.shape[axis + 2])
            // self.stride[axis]
            + 1
            for axis, size in ((1, height), (2, width))
        ]
        return sizes[0], sizes[1]

    def compute(self, sources: list[Store], start: int, stop: int) -> Tensor:
        """Convolve a view of the window."""
        (source,) = sources
        assert isinstance(source, Window)
        low, high = self.first(start), self.first(stop - 1) + self.weight.shape[2]
        rim = self.pad[1:] if self.reflect else (0, 0)
        planes = source.view(low, high, rim)
        pad = (0, 0, 0) if self.reflect else (0, *self.pad[1:])
        image = channels_first(planes)
        if planes.dtype == torch.float32 and self._with_onednn(planes.device):
            one = (1, 1, 1)  # dilation; groups: 1
            result = torch.mkldnn_convolution(
                image, self.weight, self.bias, pad, self.stride, one, 1
            )
        else:
            result = functional.conv3d(image, self.weight, self.bias, self.stride, pad)
        return channels_last(result)

    def _with_onednn(self, device: torch.device) -> bool:
        """Whether to insist on oneDNN, which PyTorch leaves out for few channels.

        There its own loops are 6 to 9 times slower, and give channels first.
        """
        few = self.weight.shape[1] < 16
        return few and device.type == "cpu" and torch.backends.mkldnn.is_available()

    def to(self, dtype: torch.dtype, device: torch.device) -> "Convolution":
        """The same with its weights in another number format."""
        return super().to(dtype, device)  # type: ignore[return-value]


@dataclass(frozen=True)
class Transposed(Weighted):
    """A transposed convolution."""

    stride: Triple
    pad: Triple
    extra: Triple  # output_padding
    looks_around = True
    copies = 1
    padding = Padding()

    def ready(self, planes: int, ended: bool) -> int:
        """Planes that no later one adds to."""
        if not planes:
            return 0
        total = self._size(0, planes)
        if ended:
            return total
        return max(0, min(total, planes * self.stride[0] - self.pad[0]))

    def first(self, made: int) -> int:
        """The first plane whose kernel reaches the result."""
        return max(
            0, -(-(made + self.pad[0] - self.weight.shape[2] + 1) // self.stride[0])
        )

    def shape(self, height: int, width: int) -> Plane:
        """As of torch.nn.ConvTranspose3d."""
        return self._size(1, height), self._size(2, width)

    def _size(self, axis: int, size: int) -> int:
        kernel, stride = self.weight.shape[axis + 2], self.stride[axis]
        return (size - 1) * stride - 2 * self.pad[axis] + kernel + self.extra[axis]

    def compute(self, sources: list[Store], start: int, stop: int) -> Tensor:
        """Transposed convolution of the planes that reach the result, cut to it."""
        (source,) = sources
        assert isinstance(source, Window)
        stride, pad, extra = self.stride[0], self.pad[0], self.extra[0]
        low = self.first(start)
        high = min((stop - 1 + pad) // stride, source.last)
        before = start + pad - low * stride
        after = high * stride + self.weight.shape[2] - (stop + pad)
        cut = max(0, min(before, after + extra))
        result = functional.conv_transpose3d(
            channels_first(source.view(low, high + 1, (0, 0))),
            self.weight,
            self.bias,
            self.stride,
            (cut, *self.pad[1:]),
            self.extra,
        )
        return channels_last(result)[before - cut :][: stop - start]

    def to(self, dtype: torch.dtype, device: torch.device) -> "Transposed":
        """The same with its weights in another number format."""
        operation = self
        if device.type == "cpu" and dtype == torch.float32 and any(self.extra):
            # the same with zeros in a larger kernel: the kernels of oneDNN for an even
            # one are so much faster (1.6 times for 3 against 4 voxels)
            z, y, x = self.extra
            weight = functional.pad(self.weight, (0, x, 0, y, 0, z))
            operation = replace(self, weight=weight, extra=(0, 0, 0))
        return super(Transposed, operation).to(dtype, device)  # type: ignore[return-value]


@dataclass(frozen=True)
class MaxPool:
    """The largest of each block of 2 voxels per axis."""

    looks_around = True
    copies = 6
    padding = Padding()

    def ready(self, planes: int, ended: bool) -> int:
        """Whole pairs."""
        return planes // 2

    def first(self, made: int) -> int:
        """The first of the pair."""
        return 2 * made

    def shape(self, height: int, width: int) -> Plane:
        """Half."""
        return height // 2, width // 2

    def compute(self, sources: list[Store], start: int, stop: int) -> Tensor:
        """Pairs along each axis: without the indices that `max_pool3d` would store."""
        (planes,) = sources[0].pieces(2 * start, 2 * stop)
        for axis in (0, 1, 2):
            pairs = planes.narrow(axis, 0, planes.shape[axis] // 2 * 2)
            pairs = pairs.unflatten(axis, (-1, 2))
            planes = torch.maximum(pairs.select(axis + 1, 0), pairs.select(axis + 1, 1))
        return planes

    def to(self, dtype: torch.dtype, device: torch.device) -> "MaxPool":
        """Itself: it has no weights."""
        return self


@dataclass(frozen=True)
class Enlarge:
    """Each voxel becomes a block: its copies, or taken from the channels.

    Attributes:
        factor: Voxels per axis.
        shuffle: Take the block from factor^3 channels, as PixelShuffle does.
    """

    factor: int
    shuffle: bool
    looks_around = False
    copies = 1
    padding = Padding()

    def ready(self, planes: int, ended: bool) -> int:
        """As many for each."""
        return planes * self.factor

    def first(self, made: int) -> int:
        """The plane it is part of."""
        return made // self.factor

    def shape(self, height: int, width: int) -> Plane:
        """Enlarged."""
        return height * self.factor, width * self.factor

    def compute(self, sources: list[Store], start: int, stop: int) -> Tensor:
        """Enlarge whole planes, then cut."""
        low, high = start // self.factor, -(-stop // self.factor)
        planes = join(sources[0].pieces(low, high))
        n = self.factor
        z, y, x, c = planes.shape
        if self.shuffle:
            blocks = planes.view(z, y, x, c // n**3, n, n, n)
            blocks = blocks.permute(0, 4, 1, 5, 2, 6, 3)
        else:
            blocks = planes[:, None, :, None, :, None, :].expand(z, n, y, n, x, n, c)
        result = blocks.reshape(z * n, y * n, x * n, -1)
        return result[start - low * n : stop - low * n]

    def to(self, dtype: torch.dtype, device: torch.device) -> "Enlarge":
        """Itself: it has no weights."""
        return self


@dataclass(frozen=True)
class Join:
    """A copy of one activation, or the channels of several side by side."""

    looks_around = False
    copies = 1
    padding = Padding()

    def ready(self, planes: int, ended: bool) -> int:
        """As many."""
        return planes

    def first(self, made: int) -> int:
        """The same."""
        return made

    def shape(self, height: int, width: int) -> Plane:
        """The same."""
        return height, width

    def compute(self, sources: list[Store], start: int, stop: int) -> Tensor:
        """Copy."""
        parts = [join(source.pieces(start, stop)) for source in sources]
        return parts[0].clone() if len(parts) == 1 else torch.cat(parts, -1)

    def to(self, dtype: torch.dtype, device: torch.device) -> "Join":
        """Itself: it has no weights."""
        return self
