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


def cycle(cyclic: Tensor, real: Tensor, blur: float = 0.0) -> Tensor:
    """Mean absolute difference, after a Gaussian blur of `blur` voxels if positive."""
    difference = cyclic - real
    if blur > 0:
        difference = gaussian_blur(difference, blur)
    return difference.abs().mean()


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian over all spatial axes of (batch, 1, …); borders reflect."""
    radius = max(1, round(3 * sigma))
    radius = min(radius, min(image.shape[2:]) - 1)
    steps = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
    kernel = kernel / kernel.sum()
    dims = image.ndim - 2
    convolve = {2: functional.conv2d, 3: functional.conv3d}[dims]
    image = functional.pad(image, (radius, radius) * dims, mode="reflect")
    for axis in range(dims):
        shape = [1] * (dims + 2)
        shape[2 + axis] = -1
        image = convolve(image, kernel.view(shape))
    return image
