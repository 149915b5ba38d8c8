"""The U-Net with strided convolutions of pix2pix, as mri-gan uses it.

Isola et al. 2017, arXiv:1611.07004. Widths of all layers are settings: those of mri-gan
(https://github.com/vidit21srivastava/mri-gan) are the defaults.
"""

from fractions import Fraction
from typing import cast

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.networks.layers import CONV, TRANSPOSED, norm_layers
from napari_cyclegan3d.engine.sections.networks import GeneratorConfig

KERNEL, STRIDE, PADDING = 4, 2, 1  # these halve, or double, the size
ENCODER_SLOPE = 0.3


class StridedUNet(nn.Module):
    """Same size in and out; sides must be multiples of 2^(length of the encoder)."""

    scale = Fraction(1)

    def __init__(
        self, dims: int, inputs: int, channels: int, config: GeneratorConfig
    ) -> None:
        super().__init__()
        self.stride = 1 << len(config.encoder)
        self.encoder = nn.ModuleList()
        for depth, width in enumerate(config.encoder):
            layer = [
                CONV[dims](inputs, width, KERNEL, STRIDE, PADDING, bias=config.bias),
                *(norm_layers(dims, width, config.norm) if depth else ()),
                nn.LeakyReLU(ENCODER_SLOPE),  # not in place: a skip reads its result
            ]
            self.encoder.append(nn.Sequential(*layer))
            inputs = width
        self.decoder = nn.ModuleList()
        for skip, width in zip(config.encoder[-2::-1], config.decoder, strict=True):
            layer = [
                TRANSPOSED[dims](
                    inputs, width, KERNEL, STRIDE, PADDING, bias=config.bias
                ),
                *norm_layers(dims, width, config.norm),
                nn.ReLU(inplace=True),
            ]
            self.decoder.append(nn.Sequential(*layer))
            inputs = width + skip
        self.final = TRANSPOSED[dims](inputs, channels, KERNEL, STRIDE, PADDING)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, z, y, x) → (n, channels, z, y, x)."""
        skips = []
        for layer in self.encoder:
            x = layer(x)
            skips.append(x)
        for layer, skip in zip(self.decoder, skips[-2::-1], strict=True):
            x = torch.cat([layer(x), skip], 1)
        return cast(Tensor, self.final(x))
