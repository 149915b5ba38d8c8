from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from napari_cyclegan3d.engine.checkpoint import Model, ModelHeader, Provenance
from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.networks import Generator, build_discriminator
from napari_cyclegan3d.engine.sections.networks import GeneratorConfig
from napari_cyclegan3d.evaluate import EvaluateConfig

ModelMaker = Callable[..., Model]
SMALL = EvaluateConfig(
    enhance=EnhanceConfig(tile=(16, 16, 16), device="cpu", precision="fp32")
)


class Known(Generator):
    """gain · image + offset, enlarged by repetition or reduced by the mean."""

    gain, offset = 1.0, 0.0

    def forward(self, image: Tensor) -> Tensor:
        image = image[:, :1]
        if self.scale < 1:
            image = nn.functional.avg_pool3d(image, Fraction(self.scale).denominator)
        else:
            for axis in (2, 3, 4):
                image = image.repeat_interleave(int(self.scale), axis)
        return self.gain * image + self.offset


def known(scale: Fraction, gain: float, offset: float) -> Known:
    network = Known(scale, GeneratorConfig(filters=2), noise=False)
    network.gain, network.offset = gain, offset
    return network


def make_model(
    name: str = "known",
    scale: int = 1,
    gain: float = 1.0,
    offset: float = 0.0,
    back_gain: float | None = 1.0,
    **settings: Any,
) -> Model:
    """A model of known generators; without `back_gain`, it has none from B to A."""
    config = TrainConfig(
        scale=scale, generator=GeneratorConfig(filters=2, noise=False), **settings
    )
    header = ModelHeader(
        format=1,
        scale=scale,
        receptive_field={},
        intensity_a=Intensity(offset=0, gain=1),
        intensity_b=Intensity(offset=0, gain=1),
        provenance=Provenance(
            version="0",
            steps=0,
            volumes_a=("a",),
            volumes_b=("b",),
            spacing_a=(1, 1, 1),
            spacing_b=(1, 1, 1),
            unit_a="pixel",
            unit_b="pixel",
        ),
        config=config,
    )
    judge = build_discriminator(config.discriminator)
    a_to_b = known(Fraction(scale), gain, offset)
    model = Model(header, a_to_b, None, None, judge, name=name)
    if back_gain is None:
        return model
    return replace(model, b_to_a=known(Fraction(1, scale), back_gain, 0.0))


@pytest.fixture
def model() -> ModelMaker:
    """A function that makes a model of known generators."""
    return make_model


@pytest.fixture
def config() -> EvaluateConfig:
    """Small tiles on the CPU."""
    return SMALL


@pytest.fixture(scope="session")
def texture() -> NDArray[np.float32]:
    """A random texture of grey values about 100 (24, 26, 28)."""
    noise = np.random.default_rng(0).normal(size=(24, 26, 28))
    return (100 + 100 * gaussian_filter(noise, 1.0)).astype(np.float32)
