"""What the benchmarks enhance: networks in model files, as users have them, and images.

The networks are taught for a few steps to denoise such images: untrained weights
exaggerate what rounding and tile borders do.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from napari_cyclegan3d.engine.checkpoint import (
    Model,
    ModelHeader,
    Provenance,
    save_model,
)
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.networks import (
    Generator,
    build_discriminator,
    initialise,
    measure_halo,
)
from napari_cyclegan3d.engine.settings import parse

Settings = dict[str, Any]
LESSONS, RATE, TAUGHT_SIDE = 30, 1e-3, 96
STRUCTURE, NOISE = 3.0, 0.5
FAITHFUL = {"filters": 32, "norm": "none", "output": "linear", "noise": False}
AS_IT_IS = Intensity(offset=0.0, gain=1.0)


@dataclass(frozen=True)
class Workload:
    """A network and the image that it is measured on.

    Attributes:
        generator: Settings of the network.
        size: Side of the image in voxels, by default; MONAI's windows have a third.
        small: The same for --quick.
        patch: Side of what the network is taught on.
        bytes: Memory of one pass over the whole image in fp32, for each of its voxels;
            as measured, and a little more.
        scale: Output size over input size.
        dims: 3, or 2 for slices.
    """

    generator: Settings
    size: int
    small: int
    patch: int
    bytes: int
    scale: int = 1
    dims: int = 3
    discriminator: Settings = field(default_factory=lambda: {"filters": 2})

    def config(self) -> TrainConfig:
        """Settings of a training of this network."""
        side = max(self.patch, 32)
        patch = [side if self.dims == 3 else 1, side, side]
        return parse(
            TrainConfig,
            {
                "scale": self.scale,
                "dims": self.dims,
                "patch": patch,
                "generator": FAITHFUL | self.generator,
                "discriminator": self.discriminator,
            },
        )

    def shape(self, size: int) -> tuple[int, int, int]:
        """Voxels of the image: a cube, or a third as many slices."""
        return (size if self.dims == 3 else size // 3, size, size)

    def operations(self) -> float:
        """Multiplications and additions for one voxel of the input."""
        side = 64
        config = self.config()
        with torch.device("meta"):
            network = _network(config)
            image = torch.zeros(1, 1, *(side,) * self.dims)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(image)
        return float(counter.get_total_flops()) / side**self.dims


WORKLOADS = {
    # the 1x network of 3DCycleGaN, and its sisters
    "unet1x": Workload({}, 192, 96, 32, 1300),
    "unet2x": Workload({}, 144, 72, 24, 2800, scale=2),
    "unet4x": Workload({}, 72, 36, 12, 22000, scale=4),
    "2d": Workload({}, 288, 96, 64, 1500, dims=2),
    # its instance norms frozen
    "resnet": Workload({"kind": "resnet", "norm": "affine"}, 96, 48, 24, 1500),
}


def _network(config: TrainConfig) -> Generator:
    scale = Fraction(config.scale)
    return Generator(scale, config.generator, noise=False, dims=config.dims)


def write_model(workload: Workload, path: Path, lessons: int = LESSONS) -> None:
    """Teach the network to denoise, and save it as a training does."""
    config = workload.config()
    random = torch.Generator().manual_seed(0)
    network = _network(config)
    initialise(network, random)
    _teach(network, workload, random, lessons)
    network.eval().requires_grad_(False)
    spacing, unit = (1.0, 1.0, 1.0), "pixel"
    made = Provenance(
        version="0",
        steps=lessons,
        volumes_a=("synthetic",),
        volumes_b=("synthetic",),
        spacing_a=spacing,
        spacing_b=spacing,
        unit_a=unit,
        unit_b=unit,
    )
    header = ModelHeader(
        format=1,
        scale=config.scale,
        receptive_field={"a_to_b": measure_halo(network)},
        intensity_a=AS_IT_IS,
        intensity_b=AS_IT_IS,
        provenance=made,
        config=config,
    )
    back = Generator(
        1 / Fraction(config.scale), config.generator, noise=False, dims=config.dims
    )
    judges = [
        build_discriminator(config.discriminator, config.dims, patch)
        for patch in (config.patch, config.patch_b)
    ]
    save_model(Model(header, network, back, judges[0], judges[1]), path)


def _teach(
    network: Generator, workload: Workload, random: torch.Generator, lessons: int
) -> None:
    clean, noisy = (torch.from_numpy(one) for one in images((TAUGHT_SIDE,) * 3, seed=1))
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    side, dims = workload.patch, workload.dims
    for _ in range(lessons):
        start = torch.randint(TAUGHT_SIDE - side, (3,), generator=random).tolist()
        place = tuple(slice(one, one + side) for one in start[3 - dims :])
        place = (start[0], *place) if dims == 2 else place
        target = functional.interpolate(
            clean[place][None, None], scale_factor=float(workload.scale)
        )
        loss = functional.l1_loss(network(noisy[place][None, None]), target)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()


def images(
    shape: tuple[int, int, int], seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Smooth structure with edges; and the same with noise, of mean 0 and deviation 1.

    Args:
        shape: Voxels (z, y, x).
        seed: Seed of the random numbers.
    """
    random = np.random.default_rng(seed)
    smooth = gaussian_filter(random.standard_normal(shape, np.float32), STRUCTURE)
    clean = np.tanh(4 * smooth / smooth.std())
    noisy = clean + NOISE * random.standard_normal(shape, np.float32)
    mean, deviation = noisy.mean(), noisy.std()
    return (clean - mean) / deviation, (noisy - mean) / deviation
