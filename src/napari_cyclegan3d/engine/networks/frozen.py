"""Instance norm turned into fixed numbers, so that a tile's result is the whole's.

Instance norm takes its statistics from the image it is given: a tile gets other ones
than the whole, and the whole others than the patches of the training. With the mean
statistics of many patches in their place, each norm is a scale and shift per channel.
"""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.networks.generator import Generator
from napari_cyclegan3d.engine.networks.layers import (
    ChannelAffine,
    InstanceNorm,
    norm_layers,
)
from napari_cyclegan3d.engine.sections.networks import Norm

# mean and variance of each channel of one batch of images, each (n, channels)
Moments = tuple[Tensor, Tensor]


def with_norm(network: Generator, norm: Norm) -> Generator:
    """A copy with instance norms in place of scales and shifts, or the reverse.

    The new layers are at their start; all other weights are those of `network`.

    Args:
        network: A generator with norm instance, instance_affine or affine.
        norm: Another of these.
    """
    result = copy.deepcopy(network)
    for name, layer in list(result.named_modules()):
        if isinstance(layer, InstanceNorm | ChannelAffine):
            (other,) = norm_layers(result.dims, layer.channels, norm)
            _replace(result, name, other.train(layer.training))
    result.config = network.config.model_copy(update={"norm": norm})
    result.tile_dependent = norm in ("instance", "instance_affine")
    first = next(network.parameters())
    return result.to(first.device).requires_grad_(first.requires_grad)


@torch.no_grad()
def freeze_norms(network: Generator, images: Iterable[Tensor]) -> Generator:
    """A copy whose instance norms hold the mean statistics of images.

    Each becomes the scale and shift of its channels that come closest (least squares)
    to what it made of all voxels of the images. Of a single image that is the same.

    Args:
        network: A generator with instance norm; it stays as it is.
        images: Normalised intensities, each (n, inputs, z, y, x) or
            (n, inputs, y, x), on the network's device, of the size of the patches
            that it was trained on.

    Returns:
        A generator with norm affine, whose output no longer depends on the tile.

    Raises:
        ValueError: The network has no instance norm, or there are no images.
    """
    if not network.tile_dependent:
        raise ValueError(f"generator.norm {network.config.norm}: nothing to freeze")
    measured = _measured(network, images)
    result = with_norm(network, "affine")
    for name, moments in measured.items():
        before, after = network.get_submodule(name), result.get_submodule(name)
        assert isinstance(before, InstanceNorm)
        assert isinstance(after, ChannelAffine)
        scale, shift = _closest(before.eps, *moments)
        if before.weight is not None and before.bias is not None:
            gain = before.weight.cpu().double()
            scale, shift = scale * gain, shift * gain + before.bias.cpu().double()
        after.weight.copy_(scale)
        after.bias.copy_(shift)
    return result


def _measured(network: Generator, images: Iterable[Tensor]) -> dict[str, Moments]:
    """Mean and variance of each channel of each image before each instance norm."""
    found: dict[str, list[Moments]] = {}

    def watch(name: str, layer: InstanceNorm) -> torch.utils.hooks.RemovableHandle:
        def note(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            voxels = args[0].float().flatten(2)
            variance, mean = torch.var_mean(voxels, dim=2, correction=0)
            # not every device computes in double precision
            both = mean.cpu().double(), variance.cpu().double()
            found.setdefault(name, []).append(both)

        return layer.register_forward_pre_hook(note)

    watched = [
        watch(name, layer)
        for name, layer in network.named_modules()
        if isinstance(layer, InstanceNorm)
    ]
    try:
        for image in images:
            network(image)
    finally:
        for handle in watched:
            handle.remove()
    if not found:
        raise ValueError("no images to measure statistics on; give at least one")
    return {
        name: (torch.cat([m for m, _ in parts]), torch.cat([v for _, v in parts]))
        for name, parts in found.items()
    }


def _closest(eps: float, means: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift nearest to the normalised channels, (channels) each.

    The regression of all normalised voxels on all voxels: their covariance over the
    variance, where an image's normalised voxels have mean 0.
    """
    covariance = (variances * (variances + eps).rsqrt()).mean(0)
    variance = variances.mean(0) + means.var(0, correction=0)
    scale = covariance / variance.clamp_min(torch.finfo(variance.dtype).tiny)
    return scale, -means.mean(0) * scale


def _replace(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, layer)
