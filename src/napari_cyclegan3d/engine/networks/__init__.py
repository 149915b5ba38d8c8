"""Generators and discriminators, in 2D and 3D from the same code.

Tensors are (batch, channel, z, y, x), or (batch, channel, y, x) in 2D.
"""

from napari_cyclegan3d.engine.networks.discriminators import (
    Critic,
    PatchDiscriminator,
    build_discriminator,
)
from napari_cyclegan3d.engine.networks.frozen import freeze_norms, with_norm
from napari_cyclegan3d.engine.networks.generator import Generator
from napari_cyclegan3d.engine.networks.halo import measure_halo
from napari_cyclegan3d.engine.networks.initial import initialise
from napari_cyclegan3d.engine.networks.layers import CONVOLUTIONS

__all__ = [
    "CONVOLUTIONS",
    "Critic",
    "Generator",
    "PatchDiscriminator",
    "build_discriminator",
    "freeze_norms",
    "initialise",
    "measure_halo",
    "with_norm",
]
