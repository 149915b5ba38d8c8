"""U-Nets with max pooling: those of 3DCycleGaN.

https://github.com/pvilla/3DCycleGaN, MIT. Without normalisation there, with a linear
output, at 1x and with learned enlargement or reduction by 2 and 4. Order and width of
the layers are the same (width f = 32 there).
"""

from fractions import Fraction
from typing import cast

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.networks.layers import (
    CONV,
    MAX_POOL,
    TRANSPOSED,
    norm_layers,
)
from napari_cyclegan3d.engine.sections.networks import GeneratorConfig, Norm


def _conv(dims: int, inputs: int, outputs: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(
        CONV[dims](inputs, outputs, kernel_size=3, padding=1),
        *norm_layers(dims, outputs, norm),
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
        *norm_layers(dims, outputs, norm),
        nn.ReLU(inplace=True),
    )


class UNetSim(nn.Module):
    """Same size in and out, or twice the size; sides must be multiples of 4 voxels."""

    stride = 4

    def __init__(
        self,
        dims: int,
        inputs: int,
        channels: int,
        config: GeneratorConfig,
        *,
        double: bool,
    ) -> None:
        super().__init__()
        f, norm = config.filters, config.norm
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
        self.final = CONV[dims](f // 2, channels, kernel_size=1)
        self.pool = MAX_POOL[dims](2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, z, y, x) → (n, channels, z, y, x), or twice that."""
        full = self.conv1(x)  # 1, 2f
        half = self.conv2(self.pool(full))  # 1/2, 4f
        up = self.center(self.pool(half))  # 1/4 → 1/2, f
        up = self.dec2(torch.cat([up, half], 1))  # 1/2 → 1
        return cast(Tensor, self.final(self.dec1(torch.cat([up, full], 1))))


class UNetSimUp4(nn.Module):
    """Four times the size; sides must be multiples of 2 voxels."""

    stride, scale = 2, Fraction(4)

    def __init__(
        self, dims: int, inputs: int, channels: int, config: GeneratorConfig
    ) -> None:
        super().__init__()
        f, norm = config.filters, config.norm
        self.conv1 = _conv(dims, inputs, 2 * f, norm)
        self.conv2 = _conv(dims, 2 * f, 4 * f, norm)
        self.center = _decoder(dims, (4 * f, 2 * f, f), norm)
        self.dec2 = _decoder(dims, (5 * f, 2 * f, 2 * f), norm)
        self.dec2s = _decoder(dims, (3 * f, f, 2 * f), norm)
        self.dec1 = _decoder(dims, (4 * f, f, f // 2), norm)
        self.final = CONV[dims](f // 2, channels, kernel_size=1)
        self.pool = MAX_POOL[dims](2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, z, y, x) → (n, channels, 4z, 4y, 4x)."""
        first = self.conv1(x)  # 1, 2f
        second = self.conv2(first)  # 1, 4f
        up = self.center(self.pool(second))  # 1/2 → 1, f
        deep = self.dec2(torch.cat([up, second], 1))  # 1 → 2, 2f
        shallow = self.dec2s(torch.cat([up, first], 1))  # 1 → 2, 2f
        return cast(Tensor, self.final(self.dec1(torch.cat([deep, shallow], 1))))


class UNetSimDown(nn.Module):
    """Half the size (sides: multiples of 8), or a quarter (16) with a pool up front."""

    def __init__(
        self,
        dims: int,
        inputs: int,
        channels: int,
        config: GeneratorConfig,
        *,
        quarter: bool,
    ) -> None:
        super().__init__()
        f, norm = config.filters, config.norm
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
        self.final = CONV[dims](f // 2, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, z, y, x) → (n, channels, z/2, y/2, x/2), or a quarter."""
        full = self.conv1(self.first_pool(x))
        half = self.conv2(self.pool(full))
        quarter = self.conv3(self.conv3s(self.pool(half)))
        up = self.center(self.pool(quarter))  # 1/8 → 1/4
        up = self.dec2(torch.cat([up, quarter], 1))  # 1/4 → 1/2
        return cast(Tensor, self.final(self.dec1(torch.cat([up, half], 1))))


class UNet11(nn.Module):
    """Five pools deep, after VGG11; sides must be multiples of 32 voxels."""

    stride, scale = 32, Fraction(1)

    def __init__(
        self, dims: int, inputs: int, channels: int, config: GeneratorConfig
    ) -> None:
        super().__init__()
        f, norm = config.filters, config.norm
        self.conv1 = _conv(dims, inputs, 2 * f, norm)
        self.conv2 = _conv(dims, 2 * f, 4 * f, norm)
        self.conv3s = _conv(dims, 4 * f, 8 * f, norm)
        self.conv3 = _conv(dims, 8 * f, 8 * f, norm)
        self.conv4s = _conv(dims, 8 * f, 16 * f, norm)
        self.conv4 = _conv(dims, 16 * f, 16 * f, norm)
        self.conv5s = _conv(dims, 16 * f, 16 * f, norm)
        self.conv5 = _conv(dims, 16 * f, 16 * f, norm)
        self.center = _decoder(dims, (16 * f, 16 * f, 8 * f), norm)
        self.dec5 = _decoder(dims, (24 * f, 16 * f, 8 * f), norm)
        self.dec4 = _decoder(dims, (24 * f, 16 * f, 4 * f), norm)
        self.dec3 = _decoder(dims, (12 * f, 8 * f, 2 * f), norm)
        self.dec2 = _decoder(dims, (6 * f, 4 * f, f), norm)
        self.dec1 = _conv(dims, 3 * f, f, norm)
        self.final = CONV[dims](f, channels, kernel_size=1)
        self.pool = MAX_POOL[dims](2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, z, y, x) → (n, channels, z, y, x)."""
        skip1 = self.conv1(x)  # 1, 2f
        skip2 = self.conv2(self.pool(skip1))  # 1/2, 4f
        skip3 = self.conv3(self.conv3s(self.pool(skip2)))  # 1/4, 8f
        skip4 = self.conv4(self.conv4s(self.pool(skip3)))  # 1/8, 16f
        skip5 = self.conv5(self.conv5s(self.pool(skip4)))  # 1/16, 16f
        up = self.center(self.pool(skip5))  # 1/32 → 1/16
        up = self.dec5(torch.cat([up, skip5], 1))
        up = self.dec4(torch.cat([up, skip4], 1))
        up = self.dec3(torch.cat([up, skip3], 1))
        up = self.dec2(torch.cat([up, skip2], 1))  # 1/2 → 1
        return cast(Tensor, self.final(self.dec1(torch.cat([up, skip1], 1))))
