"""The enlarging generator of SRGAN: residual blocks, then one of three upsamplers.

Ledig et al. 2017, arXiv:1609.04802; in 3D: Sánchez and Vilaplana 2018, arXiv:1812.11440
(3D-GAN-superresolution), whose widths and slopes are used.
"""

from fractions import Fraction
from typing import cast

from torch import Tensor, nn

from napari_cyclegan3d.engine.networks.layers import (
    CONV,
    NearestTransposed,
    PixelShuffle,
    Residual,
    norm_layers,
)
from napari_cyclegan3d.engine.sections.networks import GeneratorConfig, Norm, Upsampler

SLOPE = 0.25
ENLARGED_WIDTH = 64


def _conv(dims: int, inputs: int, outputs: int) -> nn.Module:
    return CONV[dims](inputs, outputs, kernel_size=3, padding=1)


def _residual_block(dims: int, width: int, norm: Norm) -> Residual:
    return Residual(
        _conv(dims, width, width),
        *norm_layers(dims, width, norm),
        nn.LeakyReLU(SLOPE, inplace=True),
        _conv(dims, width, width),
        *norm_layers(dims, width, norm),
    )


def _doubling(
    dims: int, inputs: int, upsampler: Upsampler
) -> tuple[list[nn.Module], int]:
    """Layers that double the size, and the channels they give."""
    width = ENLARGED_WIDTH
    if upsampler == "subpixel_nn":
        enlarge = NearestTransposed(dims, inputs, width)
        return [enlarge, nn.LeakyReLU(SLOPE, inplace=True)], width
    layers = [_conv(dims, inputs, width), nn.LeakyReLU(SLOPE, inplace=True)]
    if upsampler == "subpixel":
        return [*layers, PixelShuffle()], width >> dims
    layers += [
        nn.Upsample(scale_factor=2, mode="nearest"),
        _conv(dims, width, width),
        nn.LeakyReLU(SLOPE, inplace=True),
    ]
    return layers, width


class SRResNet(nn.Module):
    """Twice or four times the size, of any size."""

    stride = 1

    def __init__(
        self,
        dims: int,
        inputs: int,
        channels: int,
        config: GeneratorConfig,
        *,
        scale: Fraction,
    ) -> None:
        super().__init__()
        f, norm = config.filters, config.norm
        self.scale = scale
        self.first = nn.Sequential(
            _conv(dims, inputs, f),
            *norm_layers(dims, f, norm),
            nn.LeakyReLU(SLOPE, inplace=True),
        )
        self.residual = Residual(
            *(_residual_block(dims, f, norm) for _ in range(config.blocks)),
            _conv(dims, f, f),
            *norm_layers(dims, f, norm),
        )
        stages: list[nn.Module] = []
        for _ in range(scale.numerator.bit_length() - 1):
            layers, f = _doubling(dims, f, config.upsampler)
            stages += layers
        self.enlarge = nn.Sequential(*stages)
        self.final = _conv(dims, f, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, z, y, x) → (n, channels, scale·z, scale·y, scale·x)."""
        return cast(Tensor, self.final(self.enlarge(self.residual(self.first(x)))))
