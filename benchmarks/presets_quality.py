"""What presets reach within minutes on a CPU, on volumes that they have not seen.

Networks and patches are narrower than those of the presets, and learning rates fall,
so that minutes are enough; losses, augmentation and the rest are those of the presets.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from napari_cyclegan3d.engine.checkpoint import Model, load_model
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.presets import load_preset
from napari_cyclegan3d.engine.settings import merged, parse
from napari_cyclegan3d.engine.training import TrainEvent, train
from napari_cyclegan3d.evaluate import Case, EvaluateConfig, Scored, evaluate
from napari_cyclegan3d.evaluate.cases import Reference, interpolated
from presets_data import Material, material

Image = NDArray[np.floating]
SLICES: dict[str, Any] = {
    "patch": [1, 96, 96],
    "steps": 450,
    "generator": {"filters": 16},
    "discriminator": {"filters": 16},
    "optim": {
        "lr_generator": 5e-4,
        "lr_discriminator": 5e-4,
        "schedule": "cosine",
        "ema": 0.995,
    },
    "intensity": {"method": "percentile"},
}
# steps and rates for minutes on one thread; a name is a preset and what is special
FIBRES: dict[str, Any] = {
    "patch": [20, 20, 20],
    "batch": 1,
    # 1200 steps of a falling rate were worse on the choosing part
    "steps": 400,
    "generator": {"filters": 8},
    "discriminator": {"filters": 16, "layers": 2},
    # a deviation of 0.02 at the start suits layers four times as wide
    "optim": {
        "lr_generator": 4e-4,
        "lr_discriminator": 1e-4,
        "ema": 0.98,
        "init": "kaiming",
    },
}
CHANGES: dict[str, dict[str, Any]] = {
    "mri-sr-srgan": {
        "scale": 2,
        "patch": [16, 16, 16],
        "steps": 500,
        # two patches of this size are too few to take the statistics of a batch from
        "generator": {"norm": "none"},
        "optim": {
            "lr_generator": 5e-4,
            "schedule": "cosine",
            "ema": 0.995,
            "init": "kaiming",
        },
    },
    "fibre-ct-2x": FIBRES,
    "fibre-ct-2x with identity": {**FIBRES, "loss": {"identity_b": 25}},
    "mri-t1t2-resnet": SLICES,
    "mri-t1t2-resnet with pairs": {
        **SLICES,
        "sampling": {"pairs": True},
        "loss": {"paired": 10},
    },
}


def quality(data: Path, out: Path, name: str, seed: int) -> Iterator[dict[str, Any]]:
    """Train a preset within its budget and score it, beside what needs no training.

    Args:
        data: Folder of the volumes.
        out: The training is written here and removed at the end.
        name: One of CHANGES.
        seed: Seed of the training.

    Yields:
        One line for each part and method, with PSNR (dB) and SSIM.
    """
    changes = CHANGES[name]
    every = int(changes["steps"]) + 1
    quiet = {"seed": seed, "preview_every": 0, "checkpoint_every": every}
    settings = merged(load_preset(name.split()[0]).settings, changes)
    config = parse(TrainConfig, merged(settings, quiet))
    stuff = material(data, name, config)
    model, seconds = trained(config, stuff, out / "quality")
    base = {"table": "quality", "name": name, "seed": seed, "changes": changes}
    base |= {"steps": config.steps, "seconds": round(seconds)}
    # T1 and T2, and scans of other noise, share no scale of grey values
    matching = EvaluateConfig(match_grey=config.method != "srgan")
    for case in stuff.cases:
        for event in evaluate([case], [model], matching):
            if isinstance(event, Scored) and event.row.kind != "cycle":
                scores = event.row.scores
                method = event.row.model if event.row.kind == "baseline" else name
                yield _line(base, case.name, method, scores.psnr, scores.ssim)
        for method, psnr, ssim in _untrained(case, stuff, config):
            yield _line(base, case.name, method, psnr, ssim)


def trained(
    config: TrainConfig,
    stuff: Material,
    run: Path,
    observe: Callable[[TrainEvent], object] = lambda event: None,
) -> tuple[Model, float]:
    """A trained model, and how many seconds that took; the run is removed.

    Args:
        config: Settings.
        stuff: Volumes.
        run: A folder that is written anew.
        observe: Is called with each event.
    """
    shutil.rmtree(run, ignore_errors=True)
    started = time.perf_counter()
    for event in train(config, stuff.domains, run):
        observe(event)
    seconds = time.perf_counter() - started
    model = load_model(run / "model.safetensors")
    shutil.rmtree(run)
    return model, seconds


def _line(
    base: dict[str, Any], part: str, method: str, psnr: float, ssim: float
) -> dict[str, Any]:
    scores = {"psnr": round(psnr, 2), "ssim": round(ssim, 4)}
    return {**base, "part": part, "method": method, **scores}


def _untrained(
    case: Case, stuff: Material, config: TrainConfig
) -> Iterator[tuple[str, float, float]]:
    """Stronger methods without a network than the baseline of an evaluation."""
    reference = Reference(case, Fraction(config.scale), config.degrade, 1)
    image = reference.input.read().astype(np.float32)
    if config.method == "srgan":
        cubic = zoom(image, config.scale, order=3, mode="nearest", grid_mode=True)
        candidates = {"cubic spline": [cubic]}
    elif config.scale > 1:
        candidates = {
            "Gaussian filter, best σ, then trilinear": [
                interpolated(gaussian_filter(image, sigma), Fraction(config.scale))
                for sigma in np.arange(0.4, 1.7, 0.1)
            ]
        }
    else:
        candidates = {
            "histogram matching, rising or falling": _histogram_matched(image, stuff),
            "mean T2 at each rank of T1, from pairs": [_looked_up(image, stuff)],
        }
    for method, images in candidates.items():
        images = [np.float32(one) for one in images]
        if config.method != "srgan":
            images = [reference.matched(one) for one in images]
        scores = [reference.compare(one)[0] for one in images]
        best = max(scores, key=lambda one: one.psnr)
        yield method, best.psnr, best.ssim


def _histogram_matched(image: Image, stuff: Material) -> list[Image]:
    """Grey values with the ranks of T1, or the reverse ranks, and the values of T2."""
    t2 = stuff.domains.b[0].read()
    shares = np.linspace(0, 1, 1001)
    greys, ranks = np.quantile(t2[t2 != 0], shares), _ranks(image)
    values = [np.interp(one, shares, greys) for one in (ranks, 1 - ranks)]
    return [np.where(image != 0, one, 0) for one in values]


def _looked_up(image: Image, stuff: Material) -> Image:
    """At each rank of a T1 grey value in its brain, the mean T2 of the pairs."""
    t1, t2 = (volumes[0].read() for volumes in (stuff.domains.a, stuff.domains.b))
    bins = 100
    known = (_ranks(t1)[t1 != 0] * bins).astype(int)
    sums = np.bincount(known, t2[t1 != 0], bins + 1)
    table = sums / np.maximum(np.bincount(known, minlength=bins + 1), 1)
    here = (_ranks(image) * bins).astype(int)
    return np.where(image != 0, table[here], 0)


def _ranks(image: Image) -> Image:
    """Share of the brain's voxels that are darker than each voxel, 0 to 1."""
    brain = np.sort(image[image != 0])
    return np.searchsorted(brain, image) / brain.size
