"""The one generator class: any kind, at any scale, in 2D and 3D."""

from fractions import Fraction
from typing import cast

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.networks.pooled import (
    UNet11,
    UNetSim,
    UNetSimDown,
    UNetSimUp4,
)
from napari_cyclegan3d.engine.networks.resnet import ResNet
from napari_cyclegan3d.engine.networks.srresnet import SRResNet
from napari_cyclegan3d.engine.networks.strided import StridedUNet
from napari_cyclegan3d.engine.sections.networks import GeneratorConfig

Body = UNetSim | UNetSimUp4 | UNetSimDown | UNet11 | ResNet | StridedUNet | SRResNet
SAME_SIZE: dict[str, type[UNet11 | ResNet | StridedUNet]] = {
    "unet11": UNet11,
    "resnet": ResNet,
    "unet_strided": StridedUNet,
}


class Generator(nn.Module):
    """A network of the right kind and scale, and what a tiler must know of it.

    Args:
        scale: Output size over input size: 1, 2, 4, 1/2 or 1/4, as the kind allows.
        config: Kind and width.
        noise: Take one more channel, of random numbers.
        dims: 3 for volumes, 2 for slices.
        channels: Channels of the image.

    Attributes:
        config: Kind and width.
        dims: 3 for volumes, 2 for slices.
        inputs: Input channels: the image, and one of noise where it takes noise.
        scale: Output size over input size.
        stride: Sides of the input must be multiples of this many voxels.
        tile_dependent: Whether each voxel depends on all of its tile.

    Raises:
        ValueError: The kind does not exist at this scale.
    """

    def __init__(
        self,
        scale: Fraction,
        config: GeneratorConfig,
        *,
        noise: bool,
        dims: int = 3,
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.config, self.dims, self.inputs = config, dims, channels + noise
        self.body = _build(scale, config, dims, self.inputs, channels)
        self.scale, self.stride = self.body.scale, self.body.stride
        self.tile_dependent = config.norm in ("instance", "instance_affine")

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, z, y, x) → (n, channels, scale·z, scale·y, scale·x)."""
        out = cast(Tensor, self.body(x))
        return torch.tanh(out) if self.config.output == "tanh" else out


def _build(
    scale: Fraction, config: GeneratorConfig, dims: int, inputs: int, channels: int
) -> Body:
    if config.kind == "srresnet" and scale in (2, 4):
        return SRResNet(dims, inputs, channels, config, scale=scale)
    if config.kind in SAME_SIZE and scale == 1:
        return SAME_SIZE[config.kind](dims, inputs, channels, config)
    if config.kind != "unet":
        raise ValueError(f"generator.kind {config.kind} does not exist at {scale}x")
    if scale < 1:
        quarter = scale == Fraction(1, 4)
        return UNetSimDown(dims, inputs, channels, config, quarter=quarter)
    if scale == 4:
        return UNetSimUp4(dims, inputs, channels, config)
    return UNetSim(dims, inputs, channels, config, double=scale == 2)
