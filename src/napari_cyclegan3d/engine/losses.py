"""The terms of the objective: pure functions of tensors.

Symbols as in Zhu et al. 2017, arXiv:1703.10593: G translates A to B, F back; D_B judges
images of B, D_A images of A. Least squares as in Mao et al. 2017, arXiv:1611.04076.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

AdversarialKind = Literal["lsgan", "bce"]


def adversarial(logits: Tensor, kind: AdversarialKind, *, real: bool) -> Tensor:
    """How far a discriminator's logits are from calling the image real (or fake)."""
    target = torch.full_like(logits, float(real))
    if kind == "lsgan":
        return functional.mse_loss(logits, target)
    return functional.binary_cross_entropy_with_logits(logits, target)


def cycle(cyclic: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference of an image and what came back of it."""
    return (cyclic - real).abs().mean()
