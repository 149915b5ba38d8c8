"""The terms of the objective: pure functions of tensors, in 2D and 3D alike.

Images are (batch, channel, z, y, x) or (batch, channel, y, x), normalised: most values
lie between -1 and 1. Symbols as in Zhu et al. 2017, arXiv:1703.10593: G translates A to
B, F back; D_B judges images of B, D_A images of A.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from napari_cyclegan3d.engine import parallel
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.sections.losses import TERM, LossConfig

AdversarialKind = Literal["lsgan", "bce"]

SSIM_RANGE = 2.0
SSIM_SIGMA, SSIM_RADIUS = 1.5, 5
# power per Fourier coefficient of noise of deviation 1e-4: below, a shell is empty
SHELL_POWER = 1e-8


def adversarial(logits: Tensor, targets: Tensor, kind: AdversarialKind) -> Tensor:
    """How far a discriminator's logits are from their targets, on average.

    lsgan: Mao et al. 2017, arXiv:1611.04076. bce: Goodfellow et al. 2014,
    arXiv:1406.2661, with the sigmoid inside the loss; the numbers are those of a
    network that ends in a sigmoid.

    Args:
        logits: Any shape.
        targets: Same shape; 1 is real, 0 fake.
        kind: Least squares, or cross-entropy.
    """
    if kind == "lsgan":
        return functional.mse_loss(logits, targets)
    return functional.binary_cross_entropy_with_logits(logits, targets)


def label_targets(
    logits: Tensor, config: LossConfig, *, real: bool, random: torch.Generator
) -> Tensor:
    """Targets for a discriminator, soft and flipped as the settings want it.

    Soft and flipped labels as in Salimans et al. 2016, arXiv:1606.03498: each sample
    gets one label, drawn anew at each call, for the samples of all processes in each of
    them. Without softness and flips no random number is drawn.

    Args:
        logits: (n, …), on any device.
        config: label_real, label_fake and label_flip are used.
        real: Whether the samples are real.
        random: Generator on the CPU.

    Returns:
        Shape, type and device of `logits`.
    """
    samples = len(logits) * parallel.world()

    def drawn(limits: tuple[float, float]) -> Tensor:
        low, high = limits
        if low == high:
            return torch.full((samples,), low)
        return low + (high - low) * torch.rand(samples, generator=random)

    own, other = config.label_real, config.label_fake
    if not real:
        own, other = other, own
    labels = drawn(own)
    if config.label_flip > 0:
        flipped = torch.rand(samples, generator=random) < config.label_flip
        labels = torch.where(flipped, drawn(other), labels)
    labels = parallel.own_share(labels)
    return labels.to(logits).view(-1, *(1,) * (logits.ndim - 1)).expand_as(logits)


def seen_as_real(logits: Tensor, kind: AdversarialKind) -> Tensor:
    """The share of a discriminator's decisions, 0 to 1, that say real."""
    return (logits > (0.5 if kind == "lsgan" else 0.0)).float().mean()


def loss_weights(config: LossConfig, names: Sequence[str]) -> dict[str, float]:
    """The weight of each term of a training.

    Args:
        config: The weights; if `total` is above 0, they are rescaled to sum to it, as
            3DCycleGaN does.
        names: The terms that the training has, such as adversarial_a, cycle_b, paired;
            judge_a and judge_b both weigh config.judge.

    Returns:
        Weights by name, in the order of `names`.
    """
    weights = {
        name: float(getattr(config, "judge" if name.startswith("judge_") else name))
        for name in names
    }
    present = sum(weights.values())
    if config.total == 0 or present == 0:
        return weights
    return {name: weight * config.total / present for name, weight in weights.items()}


@dataclass(frozen=True)
class ImageTerm:
    """One comparison of two images.

    Args:
        kind: A key of `KINDS`.
        channels: The channels compared; None is all.
        weight: Factor of the comparison.
    """

    kind: str
    channels: tuple[int, ...] | None = None
    weight: float = 1.0


def parse_term(text: str) -> ImageTerm:
    """Read a term such as ssim, l1*0.5 or mse[0+2]*10.

    Raises:
        InputError: The text is no term.
    """
    if not re.fullmatch(TERM, text):
        raise InputError(f"{text}: no loss; use {', '.join(KINDS)}, as in l1,ssim*0.5")
    compared, _, weight = text.partition("*")
    kind, _, channels = compared.partition("[")
    if not channels:
        return ImageTerm(kind, None, float(weight or 1))
    numbers = tuple(int(number) for number in channels.rstrip("]").split("+"))
    return ImageTerm(kind, numbers, float(weight or 1))


def image_loss(terms: Sequence[str], image: Tensor, target: Tensor) -> Tensor:
    """The weighted sum of comparisons of two images.

    Args:
        terms: Such as l1 or ssim*0.5; see `parse_term`.
        image: (n, c, z, y, x) or (n, c, y, x), each side at least 2 voxels.
        target: Same shape.

    Returns:
        One number, computed in fp32; 0 for equal images, but for tv.

    Raises:
        InputError: A term is unreadable or asks for a channel that is not there.
    """
    image, target = image.float(), target.float()
    total = image.new_zeros(())
    for text in terms:
        term = parse_term(text)
        total = total + term.weight * KINDS[term.kind](
            _chosen(image, term, text), _chosen(target, term, text)
        )
    return total


def _chosen(image: Tensor, term: ImageTerm, text: str) -> Tensor:
    if term.channels is None:
        return image
    there = image.shape[1]
    for channel in term.channels:
        if channel >= there:
            raise InputError(
                f"{text}: the images have no channel {channel}; use channels up to "
                f"{there - 1}, or all of them: {term.kind}"
            )
    return image[:, list(term.channels)]


def _absolute(image: Tensor, target: Tensor) -> Tensor:
    return (image - target).abs().mean()


def _square(image: Tensor, target: Tensor) -> Tensor:
    return (image - target).square().mean()


def _gradient(image: Tensor, target: Tensor) -> Tensor:
    """Gradient difference loss (Mathieu et al. 2016, arXiv:1511.05440), squared.

    The mean over the axes of (|∂image| − |∂target|)², with differences of neighbours.
    """
    return _axes_mean(
        lambda axis: (
            (image.diff(dim=axis).abs() - target.diff(dim=axis).abs()).square().mean()
        ),
        image,
    )


def _total_variation(image: Tensor, target: Tensor) -> Tensor:
    """Mean over the axes of |∂image| (Rudin et al. 1992); the target plays no part."""
    del target
    return _axes_mean(lambda axis: image.diff(dim=axis).abs().mean(), image)


def _axes_mean(value: Callable[[int], Tensor], image: Tensor) -> Tensor:
    return torch.stack([value(axis) for axis in range(2, image.ndim)]).mean()


def _dissimilarity(image: Tensor, target: Tensor) -> Tensor:
    """1 − SSIM (Wang et al. 2004, doi 10.1109/TIP.2003.819861), for a range of 2.

    Gaussian weights of sigma 1.5 voxels over 11 voxels, fewer along a side that is
    shorter, and only where they fit into the image.
    """
    moments = torch.stack(
        [image, target, image * image, target * target, image * target]
    )
    mean_x, mean_y, square_x, square_y, product = _gaussian(moments.flatten(0, 1)).view(
        5, -1
    )
    c1, c2 = (0.01 * SSIM_RANGE) ** 2, (0.03 * SSIM_RANGE) ** 2
    covariance = product - mean_x * mean_y
    variances = (square_x - mean_x * mean_x) + (square_y - mean_y * mean_y)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    similarity: Tensor = luminance * (2 * covariance + c2) / (variances + c2)
    return 1 - similarity.mean()


def _gaussian(image: Tensor) -> Tensor:
    """Weighted mean over the window at each place where the window fits.

    A sum of shifted images and no convolution, which GPUs round to 10 bits (TF32): the
    variances would drown.
    """
    for axis in range(2, image.ndim):
        side = image.shape[axis]
        radius = min(SSIM_RADIUS, (side - 1) // 2)
        weights = [
            math.exp(-0.5 * (shift / SSIM_SIGMA) ** 2)
            for shift in range(-radius, radius + 1)
        ]
        whole = image
        image = torch.zeros_like(whole.narrow(axis, 0, side - 2 * radius))
        for start, weight in enumerate(weights):
            image = image + weight / sum(weights) * whole.narrow(
                axis, start, side - 2 * radius
            )
    return image


def _shell_decorrelation(image: Tensor, target: Tensor) -> Tensor:
    """1 − mean Fourier shell correlation (Harauz & van Heel 1986, Optik 73:146).

    Shells (in 2D rings) one coefficient of the shortest side wide, from the first to
    the Nyquist frequency, each counting the same; the mean is taken off and the rim
    faded out by a Hann window. Shells that are empty in both images correlate fully.
    """
    sides, axes = image.shape[2:], tuple(range(2, image.ndim))
    shells = min(sides) // 2
    window, radius = image.new_ones(()), image.new_zeros(())
    for side in sides:
        places = torch.arange(side, device=image.device, dtype=image.dtype)
        window = window[..., None] * torch.sin(math.pi * (places + 0.5) / side) ** 2
        frequency = torch.fft.fftfreq(side, device=image.device, dtype=image.dtype)
        radius = radius[..., None] + frequency**2
    shell = (radius.sqrt() * min(sides)).round().long().clamp(max=shells + 1).flatten()
    count = torch.bincount(shell, minlength=shells + 2)[1:-1]

    def spectrum(values: Tensor) -> Tensor:
        faded = (values - values.mean(axes, keepdim=True)) * window
        return torch.view_as_real(torch.fft.fftn(faded, dim=axes, norm="ortho"))

    def shell_means(product: Tensor) -> Tensor:
        flat = product.sum(-1).flatten(2)
        sums = flat.new_zeros(*flat.shape[:2], shells + 2).index_add(-1, shell, flat)
        return sums[..., 1:-1] / count + SHELL_POWER

    one, other = spectrum(image), spectrum(target)
    power, other_power = shell_means(one * one), shell_means(other * other)
    correlation = shell_means(one * other) * power.rsqrt() * other_power.rsqrt()
    return 1 - correlation.mean()


KINDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": _absolute,
    "mse": _square,
    "gradient": _gradient,
    "tv": _total_variation,
    "ssim": _dissimilarity,
    "fsc": _shell_decorrelation,
}


def resized(image: Tensor, scale: Fraction) -> Tensor:
    """An image at another size, with its outer edges where they were.

    Args:
        image: (n, c, z, y, x) or (n, c, y, x).
        scale: A whole number enlarges, by linear interpolation; one over a whole number
            reduces, to the means of blocks; 1 returns the image itself.

    Raises:
        ValueError: The sides do not divide into blocks.
    """
    if scale == 1:
        return image
    sides = [side * scale for side in image.shape[2:]]
    if any(side.denominator != 1 for side in sides):
        raise ValueError(f"sides {tuple(image.shape[2:])} times {scale} are not whole")
    size = [int(side) for side in sides]
    if scale < 1:
        return functional.interpolate(image, size, mode="area")
    mode = "trilinear" if image.ndim == 5 else "bilinear"
    return functional.interpolate(image, size, mode=mode, align_corners=False)


@torch.no_grad()
def contrast(image: Tensor, reference: Tensor) -> Tensor:
    """Pearson's correlation of two images over all samples and voxels.

    Args:
        image: Any shape.
        reference: Same shape.

    Returns:
        -1 (the contrast is inverted) to 1; 0 if one of them has one value throughout.
    """
    x, y = image.float(), reference.float()
    varied = (x.max() > x.min()) & (y.max() > y.min())
    x, y = x - x.mean(), y - y.mean()
    scale = (x.norm() * y.norm()).clamp_min(torch.finfo(torch.float32).tiny)
    correlation = ((x * y).sum() / scale).clamp(-1, 1)
    return torch.where(varied, correlation, 0.0)
