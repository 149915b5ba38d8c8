"""Weights at the start of a training."""

from typing import Literal

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.networks.layers import (
    CONVOLUTIONS,
    NearestTransposed,
    Residual,
)

Start = Literal["kaiming", "normal", "xavier", "orthogonal"]
WEIGHTED = (*CONVOLUTIONS, nn.Linear)
SMALL = 0.02
RESIDUAL_SHARE = 0.1
SLOPE = 0.2


def initialise(
    network: nn.Module, random: torch.Generator, kind: Start = "kaiming"
) -> None:
    """Draw all weights anew; biases become 0. Norms keep their scale of 1.

    The last weights start near zero, so that a discriminator starts undecided and a
    generator in the middle of the range; the last ones of residual layers start small,
    so that many of them do not add up to large numbers (Zhang et al. 2019,
    arXiv:1901.09321).

    Args:
        network: Changed in place.
        random: Where the numbers come from.
        kind: kaiming (He et al. 2015, arXiv:1502.01852); normal: deviation 0.02, as in
            CycleGAN; xavier (Glorot and Bengio 2010); orthogonal (Saxe et al. 2014,
            arXiv:1312.6120).
    """
    weighted = [m for m in network.modules() if isinstance(m, WEIGHTED)]
    for layer in weighted:
        _draw(layer.weight, random, kind)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    for module in network.modules():
        if isinstance(module, NearestTransposed):
            module.start(lambda weight: _draw(weight, random, kind))
        elif isinstance(module, Residual) and kind != "normal":
            _shrink(module)
    nn.init.normal_(weighted[-1].weight, std=SMALL, generator=random)


def _shrink(residual: Residual) -> None:
    last = [m for m in residual.layers if isinstance(m, CONVOLUTIONS)][-1]
    last.weight.data *= RESIDUAL_SHARE


def _draw(weight: Tensor, random: torch.Generator, kind: Start) -> None:
    gain = nn.init.calculate_gain("leaky_relu", SLOPE)
    if kind == "kaiming":
        nn.init.kaiming_normal_(weight, a=SLOPE, mode="fan_in", generator=random)
    elif kind == "normal":
        nn.init.normal_(weight, std=SMALL, generator=random)
    elif kind == "xavier":
        nn.init.xavier_normal_(weight, gain, generator=random)
    else:
        nn.init.orthogonal_(weight, gain, generator=random)
