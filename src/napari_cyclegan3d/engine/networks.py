"""Generators and discriminators, in 2D and 3D from the same code.

The generators are those of 3DCycleGaN (https://github.com/pvilla/3DCycleGaN, MIT):
U-Nets with max pooling, without normalisation and with a linear output, at 1x and with
learned enlargement or reduction by 2 and 4. Order and width of the layers are the same
(width f = 32 there). The discriminator is the PatchGAN of pix2pix (Isola et al. 2017,
arXiv:1611.07004).

Tensors are (batch, channel, z, y, x), or (batch, channel, y, x) in 2D.
"""

import copy
from fractions import Fraction
from typing import cast

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.sections import DiscriminatorConfig, GeneratorConfig, Norm

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
MAX_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVG_POOL = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
INSTANCE_NORM = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class ChannelAffine(nn.Module):
    """A learned scale and shift per channel.

    What the frozen batch norm of 3DCycleGaN amounts to: its statistics never moved.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift (batch, channel, …)."""
        shape = (1, -1, *(1,) * (x.ndim - 2))
        return x * self.weight.view(shape) + self.bias.view(shape)


def _norm(dims: int, channels: int, norm: Norm) -> list[nn.Module]:
    if norm == "instance":
        return [INSTANCE_NORM[dims](channels, affine=True)]
    if norm == "affine":
        return [ChannelAffine(channels)]
    return []


def _conv(dims: int, inputs: int, outputs: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(
        CONV[dims](inputs, outputs, kernel_size=3, padding=1),
        *_norm(dims, outputs, norm),
        nn.ReLU(inplace=True),
    )


def _decoder(dims: int, channels: tuple[int, int, int], norm: Norm) -> nn.Sequential:
    """A convolution, then a transposed one that doubles the size."""
    inputs, middle, outputs = channels
    return nn.Sequential(
        *_conv(dims, inputs, middle, norm),
        TRANSPOSED[dims](
            middle, outputs, kernel_size=3, stride=2, padding=1, output_padding=1
        ),
        *_norm(dims, outputs, norm),
        nn.ReLU(inplace=True),
    )


class UNetSim(nn.Module):
    """Same size in and out, or twice the size; sides must be multiples of 4 voxels."""

    stride = 4

    def __init__(
        self, dims: int, inputs: int, f: int, norm: Norm, *, double: bool
    ) -> None:
        super().__init__()
        self.scale = Fraction(2 if double else 1)
        self.conv1 = _conv(dims, inputs, 2 * f, norm)
        self.conv2 = _conv(dims, 2 * f, 4 * f, norm)
        self.center = _decoder(dims, (4 * f, 2 * f, f), norm)
        if double:
            self.dec2 = _decoder(dims, (5 * f, 2 * f, 2 * f), norm)
            self.dec1 = _decoder(dims, (4 * f, f, f // 2), norm)
        else:
            self.dec2 = _decoder(dims, (5 * f, f, f), norm)
            self.dec1 = _conv(dims, 3 * f, f // 2, norm)
        self.final = CONV[dims](f // 2, 1, kernel_size=1)
        self.pool = MAX_POOL[dims](2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, z, y, x) → (n, 1, z, y, x), or twice that."""
        full = self.conv1(x)  # 1, 2f
        half = self.conv2(self.pool(full))  # 1/2, 4f
        up = self.center(self.pool(half))  # 1/4 → 1/2, f
        up = self.dec2(torch.cat([up, half], 1))  # 1/2 → 1
        return cast(Tensor, self.final(self.dec1(torch.cat([up, full], 1))))


class UNetSimUp4(nn.Module):
    """Four times the size; sides must be multiples of 2 voxels."""

    stride, scale = 2, Fraction(4)

    def __init__(self, dims: int, inputs: int, f: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = _conv(dims, inputs, 2 * f, norm)
        self.conv2 = _conv(dims, 2 * f, 4 * f, norm)
        self.center = _decoder(dims, (4 * f, 2 * f, f), norm)
        self.dec2 = _decoder(dims, (5 * f, 2 * f, 2 * f), norm)
        self.dec2s = _decoder(dims, (3 * f, f, 2 * f), norm)
        self.dec1 = _decoder(dims, (4 * f, f, f // 2), norm)
        self.final = CONV[dims](f // 2, 1, kernel_size=1)
        self.pool = MAX_POOL[dims](2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, z, y, x) → (n, 1, 4z, 4y, 4x)."""
        first = self.conv1(x)  # 1, 2f
        second = self.conv2(first)  # 1, 4f
        up = self.center(self.pool(second))  # 1/2 → 1, f
        deep = self.dec2(torch.cat([up, second], 1))  # 1 → 2, 2f
        shallow = self.dec2s(torch.cat([up, first], 1))  # 1 → 2, 2f
        return cast(Tensor, self.final(self.dec1(torch.cat([deep, shallow], 1))))


class UNetSimDown(nn.Module):
    """Half the size (sides: multiples of 8), or a quarter (16) with a pool up front."""

    def __init__(
        self, dims: int, inputs: int, f: int, norm: Norm, *, quarter: bool
    ) -> None:
        super().__init__()
        self.stride, self.scale = (
            (16, Fraction(1, 4)) if quarter else (8, Fraction(1, 2))
        )
        self.pool = MAX_POOL[dims](2)
        self.first_pool = MAX_POOL[dims](2) if quarter else nn.Identity()
        self.conv1 = _conv(dims, inputs, 2 * f, norm)
        self.conv2 = _conv(dims, 2 * f, 4 * f, norm)
        self.conv3s = _conv(dims, 4 * f, 8 * f, norm)
        self.conv3 = _conv(dims, 8 * f, 8 * f, norm)
        self.center = _decoder(dims, (8 * f, 2 * f, f), norm)
        self.dec2 = _decoder(dims, (9 * f, f, f), norm)
        self.dec1 = _conv(dims, 5 * f, f // 2, norm)
        self.final = CONV[dims](f // 2, 1, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, z, y, x) → (n, 1, z/2, y/2, x/2), or a quarter."""
        full = self.conv1(self.first_pool(x))
        half = self.conv2(self.pool(full))
        quarter = self.conv3(self.conv3s(self.pool(half)))
        up = self.center(self.pool(quarter))  # 1/8 → 1/4
        up = self.dec2(torch.cat([up, quarter], 1))  # 1/4 → 1/2
        return cast(Tensor, self.final(self.dec1(torch.cat([up, half], 1))))


class Generator(nn.Module):
    """A U-Net of the right scale, and what a tiler must know of it.

    Attributes:
        stride: Sides of the input must be multiples of this many voxels.
        scale: Output size over input size.
        inputs: Input channels: the image, and one of noise where it takes noise.
    """

    def __init__(
        self, scale: Fraction, config: GeneratorConfig, *, noise: bool, dims: int = 3
    ) -> None:
        super().__init__()
        self.dims, self.inputs = dims, 1 + noise
        f, norm = config.filters, config.norm
        if scale < 1:
            self.body: UNetSim | UNetSimUp4 | UNetSimDown = UNetSimDown(
                dims, self.inputs, f, norm, quarter=scale == Fraction(1, 4)
            )
        elif scale == 4:
            self.body = UNetSimUp4(dims, self.inputs, f, norm)
        else:
            self.body = UNetSim(dims, self.inputs, f, norm, double=scale == 2)
        self.scale = self.body.scale
        self.stride = self.body.stride
        self.tile_dependent = norm == "instance"

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, z, y, x) → (n, 1, scale·z, scale·y, scale·x)."""
        return cast(Tensor, self.body(x))


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches: one number (a logit) for each."""

    def __init__(self, config: DiscriminatorConfig, dims: int = 3) -> None:
        super().__init__()
        conv, f = CONV[dims], config.filters
        layers: list[nn.Module] = [
            conv(1, f, kernel_size=4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        widths = [f * min(2**i, 8) for i in range(config.layers + 1)]
        for i in range(1, config.layers + 1):
            stride = 2 if i < config.layers else 1
            layers += [
                conv(
                    widths[i - 1],
                    widths[i],
                    kernel_size=4,
                    stride=stride,
                    padding=1,
                    bias=config.norm == "none",  # the norm brings its own shift
                ),
                *_norm(dims, widths[i], config.norm),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers.append(conv(widths[-1], 1, kernel_size=4, stride=1, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, z, y, x) → (n, 1, z', y', x') logits, one per patch."""
        return cast(Tensor, self.layers(x))


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Kaiming-normal weights (He et al. 2015, arXiv:1502.01852), zero biases.

    The last convolution starts near zero, so that a discriminator starts undecided and
    a generator in the middle of the range.
    """
    convolutions = [m for m in network.modules() if isinstance(m, CONVOLUTIONS)]
    for convolution in convolutions:
        nn.init.kaiming_normal_(
            convolution.weight, a=0.2, mode="fan_in", generator=generator
        )
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    nn.init.normal_(convolutions[-1].weight, std=0.02, generator=generator)


def measure_halo(generator: Generator) -> tuple[int, int]:
    """Voxels before and after a stride-aligned core on which its output depends.

    Measured, not derived: with all weights positive and pooling by mean, the gradient
    of one core's output is positive exactly where the input can matter. The extents
    are rounded up to multiples of the stride, and hold for each axis.
    """
    probe = copy.deepcopy(generator).double().cpu()
    _make_positive(probe)
    stride = probe.stride
    before, after, size = 0, 0, 0
    for margin in (8, 16, 32):  # strides on each side; enough when a rim stays zero
        size = (2 * margin + 1) * stride
        # the kernels are cubes: one axis tells of all, and 2 voxels of stride across
        # the others are enough for the pools
        shape = (1, probe.inputs, *(stride,) * (probe.dims - 1), size)
        image = torch.ones(shape, dtype=torch.float64, requires_grad=True)
        out = probe(image)
        core = slice(
            int(margin * stride * probe.scale), int((margin + 1) * stride * probe.scale)
        )
        (gradient,) = torch.autograd.grad(out[..., core].sum(), image)
        touched = gradient.abs().sum(dim=tuple(range(gradient.ndim - 1))).nonzero()
        before = margin * stride - int(touched.min())
        after = int(touched.max()) - ((margin + 1) * stride - 1)
        if before < margin * stride and after < margin * stride:
            break
    return (-(-before // stride) * stride, -(-after // stride) * stride)


def _make_positive(network: nn.Module) -> None:
    for name, module in list(network.named_children()):
        if isinstance(module, tuple(MAX_POOL.values())):
            pool = next(
                AVG_POOL[d] for d, kind in MAX_POOL.items() if type(module) is kind
            )
            setattr(network, name, pool(2))
        elif isinstance(module, tuple(INSTANCE_NORM.values())):
            setattr(network, name, nn.Identity())
        else:
            _make_positive(module)
    for parameter in network.parameters(recurse=False):
        # small enough for sums over kernels to stay far from overflow
        nn.init.constant_(parameter, 0.01)
