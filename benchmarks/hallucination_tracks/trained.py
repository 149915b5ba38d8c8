"""Track N with a network: a CycleGAN whose domains hold different shares of structures.

After Cohen et al. 2018 (arXiv:1805.08841): where domain B is more crowded than domain
A, the network learns to add structures, as otherwise its results would not look like B;
where B is sparser, it learns to remove them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from hallucination_tracks.natural import BLUR, THICK
from hallucination_tracks.volumes import Array, noise, render, scene
from napari_cyclegan3d.engine.checkpoint import Model, load_model, save_model
from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.hallucination.passes import (
    Translate,
    networks_of,
    run_through,
)
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.training import Domains, train
from napari_cyclegan3d.engine.volume import Volume

STEPS = 900
VOLUMES = 6  # of each domain
SIGMA, CORRELATED = 0.3, 0.5  # noise of domain A
SHARP, CLEAN = 0.5, 0.03  # blur and noise of domain B
FIRST = 20_000  # seeds of the volumes that are trained on
KICKSTART = 150  # steps that keep the contrast from being inverted


@dataclass(frozen=True)
class Bias:
    """Structures of a volume of domain B; those of A have 22 fibres and 14 balls.

    Attributes:
        fibres, balls: How many.
        intensity: How grey values are normalised: in units of its deviation, the few
            structures of a sparse domain would be too bright to be learnt in few steps.
    """

    fibres: int
    balls: int
    intensity: str


BIASES = {"crowded": Bias(50, 32, "zscore"), "sparse": Bias(12, 8, "minmax")}


def scans(seed: int) -> tuple[Array, Array, Array]:
    """Truth, raw scan of domain A and a second scan of it."""
    random = np.random.default_rng([seed, 4])
    truth = render(scene(random, thick=THICK))
    clean = gaussian_filter(truth, BLUR)
    first, second = (clean + noise(random, SIGMA, CORRELATED) for _ in range(2))
    return truth, first, second


def domain_b(seed: int, bias: Bias) -> Array:
    """A volume of domain B, of other structures than those of domain A."""
    random = np.random.default_rng([seed, 5])
    truth = render(scene(random, bias.fibres, bias.balls, THICK))
    return gaussian_filter(truth, SHARP) + noise(random, CLEAN, 0.0)


def trained(bias: Bias, steps: int = STEPS) -> Model:
    """A CycleGAN of the default networks, from seed 0 on one thread.

    Its adversarial term weighs more and its cycle less than by default, so that few
    steps make of it what many make of the default: a network that wants its results to
    look like domain B.
    """
    torch.set_num_threads(1)
    seeds = range(FIRST, FIRST + VOLUMES)
    domains = Domains(
        [Volume(scans(seed)[1]) for seed in seeds],
        [Volume(domain_b(seed, bias)) for seed in seeds],
    )
    settings = {
        "steps": steps,
        "device": "cpu",
        "preview_every": 0,
        "checkpoint_every": steps,
        "intensity": {"method": bias.intensity},
        "loss": {"adversarial_b": 4.0, "cycle_b": 10.0},
        "optim": {"kickstart": min(KICKSTART, steps // 2)},
    }
    with TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        run_through(train(parse(TrainConfig, settings), domains, run))
        return load_model(run / "model.safetensors")


def train_and_save(name: str, path: Path, steps: int = STEPS) -> float:
    """Train one of `BIASES` into a file.

    Returns:
        Seconds that it took.
    """
    start = time.perf_counter()
    save_model(trained(BIASES[name], steps), path)
    return time.perf_counter() - start


def ways(model: Model) -> tuple[Translate, Translate]:
    """From A to B, and back."""
    networks = networks_of(model, EnhanceConfig(device="cpu", precision="fp32"))
    if networks.back is None:
        raise ValueError("a CycleGAN has a way back")
    return networks.forth, networks.back


def generator(model: Model) -> Callable[[Array], Array]:
    """The model's way from A to B, of whole arrays."""
    forth = ways(model)[0]
    return lambda raw: run_through(forth(Volume(raw))).read().astype(np.float32)
