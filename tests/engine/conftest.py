from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from napari_cyclegan3d.engine.checkpoint import Model, ModelHeader, Provenance
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.networks import (
    CONVOLUTIONS,
    Generator,
    build_discriminator,
    measure_halo,
)
from napari_cyclegan3d.engine.sections.networks import (
    DiscriminatorConfig,
    GeneratorConfig,
)
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.training import Domains
from napari_cyclegan3d.engine.volume import Region, Volume

ModelMaker = Callable[..., Model]
ConfigMaker = Callable[..., TrainConfig]


def randomise(network: nn.Module, seed: int) -> None:
    """Weights and biases with which every voxel of the halo matters."""
    random = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, CONVOLUTIONS):
            nn.init.kaiming_normal_(module.weight, generator=random)
            module.weight.data *= 3  # the deep layers, which see far, outweigh
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1, generator=random)


@pytest.fixture
def random_model() -> ModelMaker:
    """A function that makes an untrained model with random weights."""

    def make(
        scale: int = 1,
        seed: int = 0,
        judge: DiscriminatorConfig | None = None,
        **generator: Any,
    ) -> Model:
        config = TrainConfig(
            scale=scale,
            generator=GeneratorConfig(**({"filters": 2} | generator)),
            discriminator=judge or DiscriminatorConfig(filters=4, layers=1),
        )
        a_to_b = Generator(Fraction(scale), config.generator, noise=False)
        b_to_a = Generator(
            Fraction(1, scale), config.generator, noise=config.generator.noise
        )
        judges = [build_discriminator(config.discriminator) for _ in "ab"]
        for number, network in enumerate((a_to_b, b_to_a, *judges)):
            randomise(network, 10 * seed + number)
            network.eval().requires_grad_(False)
        header = ModelHeader(
            format=1,
            scale=scale,
            receptive_field={
                "a_to_b": measure_halo(a_to_b),
                "b_to_a": measure_halo(b_to_a),
            },
            intensity_a=Intensity(offset=100.0, gain=20.0),
            intensity_b=Intensity(offset=-3.0, gain=0.5),
            provenance=Provenance(
                version="0",
                steps=0,
                volumes_a=("fast",),
                volumes_b=("slow",),
                spacing_a=(2.0, 2.0, 2.0),
                spacing_b=(1.0, 1.0, 1.0),
                unit_a="µm",
                unit_b="µm",
            ),
            config=config,
        )
        return Model(header, a_to_b, b_to_a, judges[0], judges[1])

    return make


def _blobs(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Bright balls of radius 3 on a dark ground, as float32."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.indices(shape), -1)
    centres = rng.uniform(0, shape, (12, 3))
    distance = np.linalg.norm(grid[..., None, :] - centres, axis=-1).min(-1)
    return np.clip(4 - distance, 0, 1).astype(np.float32)


@pytest.fixture(scope="session")
def blobs() -> Domains:
    """A: bright balls in noise. B: dark balls, without noise."""
    noise = np.random.default_rng(3).normal(0, 0.03, (24, 26, 22)).astype(np.float32)
    bright = Volume(100 + 50 * (_blobs((24, 26, 22), 1) + noise), name="fast scan")
    dark = Volume(5 - 2 * _blobs((22, 24, 26), 2), name="slow scan")
    return Domains([bright], [dark])


@pytest.fixture
def tiny() -> ConfigMaker:
    """A function that makes settings of a training that takes milliseconds a step."""

    def make(**changes: Any) -> TrainConfig:
        values: dict[str, Any] = {
            "patch": (12, 12, 12),
            "steps": 6,
            "device": "cpu",
            "precision": "fp32",
            "preview_every": 0,
            "generator": {"filters": 2},
            "discriminator": {"filters": 4, "layers": 1},
            "sampling": {"pool": 2},
        }
        return parse(TrainConfig, values | changes)

    return make


@pytest.fixture
def enlarged(blobs: Domains) -> Domains:
    """The same domains, with B at twice the size."""
    b = blobs.b[0]
    array = b.read().repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return replace(blobs, b=[b.resampled(array, 2)])


class Unreadable:
    """An array whose voxels can be read so many times, and then no more."""

    def __init__(self, array: np.ndarray, reads: int) -> None:
        self.array, self.reads = array, reads
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, region: Region) -> np.ndarray:
        self.reads -= 1
        if self.reads < 0:
            raise InputError("slow scan: the disk was taken away")
        return self.array[region]


@pytest.fixture
def unreadable() -> type[Unreadable]:
    """Makes an array of which only so many regions can be read."""
    return Unreadable
