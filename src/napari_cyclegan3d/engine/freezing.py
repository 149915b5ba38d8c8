"""The last part of a training with instance norm: its statistics are frozen.

Whether and when is decided by the settings, see `TrainConfig.freeze_at`.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from napari_cyclegan3d.engine.cyclegan import with_noise
from napari_cyclegan3d.engine.gan import Gan
from napari_cyclegan3d.engine.networks import Generator, freeze_norms
from napari_cyclegan3d.engine.patches import PatchSampler

# patches that the statistics are measured on
PATCHES = 64


def freeze(gan: Gan, sampler: PatchSampler) -> str:
    """Freeze the generators in training and their running means, each on its own.

    The patches are the first of the training, and the noise has its own random numbers,
    so that nothing that is drawn later changes.

    Args:
        gan: A training whose generators have instance norm.
        sampler: Draws patches by their numbers.

    Returns:
        A sentence about what was done.
    """
    gan.replace_generators(
        _frozen(gan, gan.generators, sampler), _frozen(gan, gan.means, sampler)
    )
    return (
        f"generators converted to frozen statistics of {PATCHES} patches at step "
        f"{gan.steps_done}; results no longer depend on the tile"
    )


def _frozen(
    gan: Gan, networks: Mapping[str, Generator], sampler: PatchSampler
) -> dict[str, Generator]:
    return {
        name: freeze_norms(network, _inputs(gan, network, name, sampler))
        for name, network in networks.items()
    }


def _inputs(
    gan: Gan, network: Generator, name: str, sampler: PatchSampler
) -> Iterator[Tensor]:
    """What the generator of this name is given in training; drawn one by one."""
    random = torch.Generator().manual_seed(gan.config.seed)
    for number in range(PATCHES):
        batch = sampler.numbered([number])
        image = batch.real_a if name == "a_to_b" else batch.real_b
        yield with_noise(image.to(gan.device), network, random)
