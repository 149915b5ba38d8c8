from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from napari_cyclegan3d import cli, io
from napari_cyclegan3d.engine.checkpoint import (
    Model,
    ModelHeader,
    Provenance,
    save_model,
)
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.cyclegan import build_generators
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.networks import (
    CONVOLUTIONS,
    build_discriminator,
    measure_halo,
)
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.srgan import build_generator
from napari_cyclegan3d.engine.volume import Volume

ModelMaker = Callable[..., Model]
TINY = {
    "patch": "20,20,20",
    "steps": 3,
    "device": "cpu",
    "precision": "fp32",
    "preview-every": 2,
    "checkpoint-every": 2,
    "generator.filters": 2,
    "discriminator.filters": 4,
    "discriminator.layers": 1,
    "sampling.pool": 2,
    "validation.every": 2,
    "validation.patches": 1,
}


def randomise(network: nn.Module, seed: int) -> None:
    """Weights with which results have about the size of the input."""
    random = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, CONVOLUTIONS):
            nn.init.kaiming_normal_(module.weight, generator=random)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1, generator=random)


@pytest.fixture(scope="session")
def model_of() -> ModelMaker:
    """A function that makes an untrained model from settings of a training.

    Grey values of A are about 1000 ± 200, those of B about 30 ± 5.
    """

    def make(name: str = "fibres", **settings: Any) -> Model:
        small = {"filters": 2, "blocks": 1, "encoder": (4, 4), "decoder": (4,)}
        generator = small | settings.pop("generator", {})
        judge = {"filters": 4, "layers": 1}
        config = parse(
            TrainConfig, settings | {"generator": generator, "discriminator": judge}
        )
        pair = (
            (build_generator(config), None)
            if config.method == "srgan"
            else build_generators(config)
        )
        nets = {
            key: net
            for key, net in zip(("a_to_b", "b_to_a"), pair, strict=True)
            if net is not None
        }
        for seed, net in enumerate(nets.values()):
            randomise(net.eval().requires_grad_(False), seed)
        scale = Fraction(config.scale)
        judges = [
            build_discriminator(config.discriminator, config.dims, config.patch_b)
            for _ in "ab"
        ]
        header = ModelHeader(
            format=1,
            scale=config.scale,
            receptive_field={key: measure_halo(net) for key, net in nets.items()},
            intensity_a=Intensity(offset=1000, gain=200),
            intensity_b=Intensity(offset=30, gain=5),
            provenance=Provenance(
                version="0.1.0",
                steps=100,
                volumes_a=("fast.tif",),
                volumes_b=("slow.tif",),
                spacing_a=(0.65, 0.65, 0.65),
                spacing_b=(float(0.65 / scale),) * 3,
                unit_a="micrometer",
                unit_b="micrometer",
            ),
            config=config,
        )
        judge_a = judges[0] if config.method == "cyclegan" else None
        return Model(header, pair[0], pair[1], judge_a, judges[1], name)

    return make


@pytest.fixture
def saved(model_of: ModelMaker, tmp_path: Path) -> Callable[..., Path]:
    """A function that makes such a model and saves it; gives the file."""

    def save(name: str = "fibres", **settings: Any) -> Path:
        path = tmp_path / f"{name}.safetensors"
        save_model(model_of(name, **settings), path)
        return path

    return save


@pytest.fixture
def scan() -> Volume:
    """A scan of A in grey values, with structure."""
    rng = np.random.default_rng(5)
    grey = rng.normal(900, 150, (24, 40, 44)).astype(np.float32)
    grey[:, 10:20] += 400
    return Volume(grey, np.diag([0.65, 0.65, 0.65, 1]), "micrometer", name="scan")


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """A function that runs the command; gives its exit code and what it said."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = cli.main(["export", *map(str, arguments)])
        except SystemExit as error:
            code = int(str(error.code))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of three steps, validated on volumes of its own."""
    folder = tmp_path_factory.mktemp("training")
    rng = np.random.default_rng(7)
    for name in ("a1", "a2", "b1", "b2"):
        mean, deviation = (1000, 200) if name[0] == "a" else (30, 5)
        grey = rng.normal(mean, deviation, (22, 24, 26)).astype(np.float32)
        io.write(Volume(grey, unit="micrometer"), folder / f"{name}.tif")
    options = [f"--{key}={value}" for key, value in TINY.items()]
    for domain in "ab":
        options += [f"--{domain}", str(folder / f"{domain}1.tif")]
        options += [f"--validate-{domain}", str(folder / f"{domain}2.tif")]
    assert cli.main(["train", "--run", str(folder / "run"), *options]) == 0
    return folder / "run"
