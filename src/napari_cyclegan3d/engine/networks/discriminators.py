"""Discriminators: of overlapping patches, or of the whole.

All give logits: a loss or a map of probabilities applies the sigmoid.
"""

import math
from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from napari_cyclegan3d.engine.networks.layers import CONV, norm_layers
from napari_cyclegan3d.engine.sections.networks import DiscriminatorConfig

DENSE_WIDTH = 1024


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches: one number (a logit) for each.

    The PatchGAN of pix2pix (Isola et al. 2017, arXiv:1611.07004).
    """

    def __init__(
        self, config: DiscriminatorConfig, dims: int = 3, channels: int = 1
    ) -> None:
        super().__init__()
        conv, f = CONV[dims], config.filters
        strides = config.strides or (*(2,) * config.layers, 1, 1)
        layers: list[nn.Module] = [
            conv(channels, f, kernel_size=4, stride=strides[0], padding=1),
            nn.LeakyReLU(config.slope, inplace=True),
        ]
        widths = [f * min(2**i, 8) for i in range(config.layers + 1)]
        for i in range(1, config.layers + 1):
            layers += [
                conv(
                    widths[i - 1],
                    widths[i],
                    kernel_size=4,
                    stride=strides[i],
                    padding=1,
                    bias=config.bias or config.norm == "none",  # most norms bring one
                ),
                *norm_layers(dims, widths[i], config.norm),
                nn.LeakyReLU(config.slope, inplace=True),
            ]
        layers.append(conv(widths[-1], 1, kernel_size=4, stride=strides[-1], padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, z, y, x) → (n, 1, z', y', x') logits, one per patch."""
        return cast(Tensor, self.layers(x))


class Critic(nn.Module):
    """Judges the whole: one number (a logit) for each image.

    The discriminator of SRGAN (Ledig et al. 2017, arXiv:1609.04802), with the widths of
    3D-GAN-superresolution.

    Args:
        config: Width and depth.
        sides: Voxels of the image per axis, where the head is dense; else ignored.
        dims: 3 for volumes, 2 for slices.
        channels: Channels of the image.
    """

    def __init__(
        self,
        config: DiscriminatorConfig,
        sides: Sequence[int],
        dims: int = 3,
        channels: int = 1,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = channels
        for depth in range(config.layers):
            for stride in (1, 2):
                before, width = width, config.filters << depth
                layers += [
                    CONV[dims](before, width, kernel_size=3, stride=stride, padding=1),
                    *(norm_layers(dims, width, config.norm) if layers else ()),
                    nn.LeakyReLU(config.slope, inplace=True),
                ]
        self.layers = nn.Sequential(*layers)
        self.pooled = config.head == "pool"
        halvings = 1 << config.layers
        places = 1 if self.pooled else math.prod(-(-n // halvings) for n in sides)
        self.head = nn.Sequential(
            nn.Linear(width * places, DENSE_WIDTH),
            nn.LeakyReLU(config.slope, inplace=True),
            nn.Linear(DENSE_WIDTH, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, z, y, x) → (n, 1) logits."""
        features = cast(Tensor, self.layers(x)).flatten(2)
        flat = features.mean(2) if self.pooled else features.flatten(1)
        return cast(Tensor, self.head(flat))


def build_discriminator(
    config: DiscriminatorConfig,
    dims: int = 3,
    patch: Sequence[int] | None = None,
    channels: int = 1,
) -> nn.Module:
    """The discriminator of the settings.

    Args:
        config: Kind, width and depth.
        dims: 3 for volumes, 2 for slices.
        patch: Voxels of what it will judge (z, y, x); a dense head needs it.
        channels: Channels of the image.

    Raises:
        ValueError: A dense head without a patch.
    """
    if config.kind == "patch":
        return PatchDiscriminator(config, dims, channels)
    if config.head == "dense" and patch is None:
        raise ValueError("discriminator.head dense: give the patch that it will judge")
    return Critic(config, tuple(patch or ())[-dims:], dims, channels)
