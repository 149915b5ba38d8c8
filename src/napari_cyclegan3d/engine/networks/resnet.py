"""The generator of CycleGAN: residual blocks between reduction and enlargement.

Zhu et al. 2017, arXiv:1703.10593, after Johnson et al. 2016, arXiv:1603.08155, with the
layers of MRI_T1_T2_CycleGAN (https://github.com/agustinroviraquezada/MRI_T1_T2_CycleGAN,
MIT): convolutions are padded by reflection, and the first has no normalisation.
"""

from fractions import Fraction
from typing import cast

from torch import Tensor, nn

from napari_cyclegan3d.engine.networks.layers import (
    CONV,
    TRANSPOSED,
    Residual,
    norm_layers,
)
from napari_cyclegan3d.engine.sections.networks import GeneratorConfig, Norm


def _reflected(
    dims: int, inputs: int, outputs: int, kernel: int, stride: int = 1
) -> nn.Module:
    return CONV[dims](
        inputs,
        outputs,
        kernel_size=kernel,
        stride=stride,
        padding=kernel // 2,
        padding_mode="reflect",
    )


def _residual_block(dims: int, width: int, norm: Norm) -> Residual:
    return Residual(
        _reflected(dims, width, width, 3),
        *norm_layers(dims, width, norm),
        nn.ReLU(inplace=True),
        _reflected(dims, width, width, 3),
        *norm_layers(dims, width, norm),
    )


class ResNet(nn.Module):
    """Same size in and out; sides must be multiples of 4 voxels, at least 8."""

    stride, scale = 4, Fraction(1)

    def __init__(
        self, dims: int, inputs: int, channels: int, config: GeneratorConfig
    ) -> None:
        super().__init__()
        f, norm = config.filters, config.norm
        layers = [_reflected(dims, inputs, f, 7), nn.ReLU(inplace=True)]
        for width in (2 * f, 4 * f):
            layers += [
                _reflected(dims, width // 2, width, 3, stride=2),
                *norm_layers(dims, width, norm),
                nn.ReLU(inplace=True),
            ]
        layers += [_residual_block(dims, 4 * f, norm) for _ in range(config.blocks)]
        for width in (2 * f, f):
            layers += [
                TRANSPOSED[dims](
                    2 * width,
                    width,
                    kernel_size=3,
                    stride=2,
                    padding=1,
                    output_padding=1,
                ),
                *norm_layers(dims, width, norm),
                nn.ReLU(inplace=True),
            ]
        layers.append(_reflected(dims, f, channels, 7))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, z, y, x) → (n, channels, z, y, x)."""
        return cast(Tensor, self.layers(x))
