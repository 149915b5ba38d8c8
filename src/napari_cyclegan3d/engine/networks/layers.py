"""Layers that the networks share, from the same code along 1, 2 and 3 axes.

One axis is for measuring, see halo. Tensors are (batch, channel, z, y, x), or
(batch, channel, y, x) in 2D.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.sections.networks import Norm

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
MAX_POOL = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
BATCH_NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


class ChannelAffine(nn.Module):
    """A learned scale and shift per channel.

    What the frozen batch norm of 3DCycleGaN amounts to: its statistics never moved.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift (batch, channel, …)."""
        shape = (1, -1, *(1,) * (x.ndim - 2))
        return x * self.weight.view(shape) + self.bias.view(shape)


class InstanceNorm(nn.Module):
    """Mean 0 and deviation 1 of each channel of each image (arXiv:1607.08022).

    Unlike the modules of PyTorch it takes images of a single voxel, which become 0:
    the deepest layer of a strided U-Net may have no more.

    Args:
        channels: Channels of the image.
        affine: Learn a scale and shift per channel.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    eps = 1e-5

    def __init__(self, channels: int, *, affine: bool) -> None:
        super().__init__()
        self.channels = channels
        scale = nn.Parameter(torch.ones(channels)) if affine else None
        shift = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_parameter("weight", scale)
        self.register_parameter("bias", shift)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (batch, channel, …)."""
        cudnn = torch.backends.cudnn.enabled
        return torch.instance_norm(
            x, self.weight, self.bias, None, None, True, 0.0, self.eps, cudnn
        )


class Residual(nn.Module):
    """Layers whose result is added to what they got (He et al. 2016)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, z, y, x) → the same."""
        return x + cast(Tensor, self.layers(x))


class PixelShuffle(nn.Module):
    """Channels become voxels: 2^dims channels each block of 2 voxels per axis.

    The sub-pixel layer of Shi et al. 2016, arXiv:1609.05158, in any number of
    dimensions; the order of the channels is that of `torch.nn.PixelShuffle`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(n, c·2^dims, z, y, x) → (n, c, 2z, 2y, 2x)."""
        batch, channels, *sides = x.shape
        dims = len(sides)
        split = x.reshape(batch, channels >> dims, *(2,) * dims, *sides)
        pairs = [axis for i in range(dims) for axis in (2 + dims + i, 2 + i)]
        doubled = [2 * side for side in sides]
        return split.permute(0, 1, *pairs).reshape(batch, channels >> dims, *doubled)


class NearestTransposed(nn.Module):
    """A transposed convolution that doubles the size and starts without checkerboard.

    Its kernel of 6 starts as one of 3 with every tap doubled, so that at first it is
    a convolution, then an enlargement to the nearest neighbour (Aitken et al. 2017,
    arXiv:1707.02937; used in 3D-GAN-superresolution).
    """

    def __init__(self, dims: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dims = dims
        self.conv = TRANSPOSED[dims](
            inputs, outputs, kernel_size=6, stride=2, padding=2
        )

    @torch.no_grad()
    def start(self, draw: Callable[[Tensor], object]) -> None:
        """Fill the kernel from one of 3 that `draw` fills in place."""
        weight = self.conv.weight
        small = weight.new_empty(*weight.shape[:2], *(3,) * self.dims)
        draw(small)
        for axis in range(2, 2 + self.dims):
            small = small.repeat_interleave(2, axis)
        weight.copy_(small)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, z, y, x) → (n, outputs, 2z, 2y, 2x)."""
        return cast(Tensor, self.conv(x))


def norm_layers(dims: int, channels: int, norm: Norm) -> list[nn.Module]:
    """The normalisation that follows a convolution: one module, or none."""
    if norm in ("instance", "instance_affine"):
        return [InstanceNorm(channels, affine=norm == "instance_affine")]
    if norm == "batch":
        return [BATCH_NORM[dims](channels)]
    if norm == "affine":
        return [ChannelAffine(channels)]
    return []
