"""Convolutions of planes, each in the form for which the kernels are fast."""

from dataclasses import dataclass, replace

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
)

Triple = tuple[int, int, int]
# kernels so deep are sliced: 3 is no faster, and more than 8 channels take longer
SLICED = range(5, 9)


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
        return self._convolved(source.view(low, high, rim))

    def _convolved(self, planes: Tensor) -> Tensor:
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
        outputs, _, depth, *_ = self.weight.shape
        ready: Convolution = self
        if outputs == 1 and depth in SLICED and self.stride[0] == 1:
            ready = SlicedConvolution(
                self.weight, self.bias, self.stride, self.pad, self.reflect
            )
        return super(Convolution, ready).to(dtype, device)  # type: ignore[return-value]


@dataclass(frozen=True)
class SlicedConvolution(Convolution):
    """The same of one channel: its slices along z as channels, added up in float32.

    Kernels of oneDNN take nearly as long for one channel as for eight.
    """

    copies = 4

    def _convolved(self, planes: Tensor) -> Tensor:
        depth = self.weight.shape[2]
        flat = replace(
            self, weight=self.weight[0].transpose(0, 1)[:, :, None], bias=None
        )
        slices = super(SlicedConvolution, flat)._convolved(planes)
        count = len(planes) - depth + 1
        result = slices[:count, ..., 0].float()
        for place in range(1, depth):
            result += slices[place : place + count, ..., place]
        if self.bias is not None:
            result += self.bias
        return result[..., None]


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
