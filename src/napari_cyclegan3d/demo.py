"""The main job on the bundled sample: train, enhance, compare with the truth, show."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d import io, samples
from napari_cyclegan3d.console import DONE, STOPPED, show_enhancement, show_training
from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.devices import tune_allocator
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.inference import enhance
from napari_cyclegan3d.engine.metrics import match_grey, psnr, ssim
from napari_cyclegan3d.engine.sections.losses import LossConfig
from napari_cyclegan3d.engine.training import Domains, StepDone, train
from napari_cyclegan3d.io.pictures import panel, write_grid

Voxels = NDArray[np.floating] | NDArray[np.integer]

# weights that are ahead in the first thousand steps (docs/recipe.md)
SHORT = LossConfig(cycle_b=10, identity_b=1)
PROBE_STEPS = 12
FEWEST_STEPS, MOST_STEPS = 300, 1200
SIGMAS = np.arange(0.5, 2.51, 0.25)
PANEL_SIDE = 384


def run(out: Path, minutes: float, *, window: bool) -> int:
    """Do the whole job and write everything to a folder.

    Writes run/ (the training), enhanced.tif, before_after.png and summary.json.

    Args:
        out: Folder; results of an earlier demo in it are replaced.
        minutes: How long to train, about.
        window: Open napari on the result if there is a display.

    Returns:
        0, or 1 if it was stopped.

    Raises:
        InputError: The folder cannot be written.
    """
    started = time.perf_counter()
    tune_allocator()
    print("1. Reading the sample: a fibre composite, scanned fast (A) and slowly (B)")
    folder = _sample_folder(out)
    fast, slow, truth = (
        io.read(folder / f"{name}.tif")
        for name in ("fibre_fast", "fibre_slow", "fibre_fast_truth")
    )
    domains = Domains([fast], [slow])
    config = _config(domains, minutes)
    print(f"2. Training {config.steps} steps from scratch, without pairs or truth")
    run_folder = out / "run"
    _remove_earlier(run_folder)
    if show_training(train(config, domains, run_folder), run_folder) != DONE:
        return STOPPED
    print("3. Enhancing the fast scan by tiles")
    done = show_enhancement(enhance(fast, load_model(run_folder / "model.safetensors")))
    if done is None:
        return STOPPED
    result = done.volume
    io.write(result, out / "enhanced.tif")
    print("4. Comparing with the truth")
    summary = _compare(fast.read(), result.read(), truth.read(), out)
    summary |= {
        "steps": config.steps,
        "seconds": round(time.perf_counter() - started, 1),
    }
    _write_summary(summary, out)
    if window:
        _open_napari([folder / "fibre_fast.tif", out / "enhanced.tif"])
    return DONE


def _sample_folder(out: Path) -> Path:
    """The checkout's sample files, or the same ones computed anew."""
    bundled = Path(__file__).parents[2] / "sample_data"
    if all((bundled / name).is_file() for name in samples.SAMPLES):
        return bundled
    folder = out / "sample_data"
    samples.write_samples(folder)
    return folder


def _config(domains: Domains, minutes: float) -> TrainConfig:
    """As many steps as this machine does in the given time."""
    probe = TrainConfig(steps=PROBE_STEPS, preview_every=0)
    with tempfile.TemporaryDirectory() as folder:
        seconds = [
            event.seconds
            for event in train(probe, domains, Path(folder) / "probe")
            if isinstance(event, StepDone)
        ]
    # the first steps are slower: memory is taken, kernels are chosen
    typical = statistics.median(seconds[PROBE_STEPS // 2 :])
    steps = round(60 * minutes / typical)
    steps = min(max(steps, FEWEST_STEPS), MOST_STEPS)
    return TrainConfig(steps=steps, loss=SHORT)


def _remove_earlier(run_folder: Path) -> None:
    if (run_folder / "config.yaml").is_file():
        shutil.rmtree(run_folder)


def _compare(
    raw: Voxels, enhanced: Voxels, truth: Voxels, out: Path
) -> dict[str, float]:
    """PSNR and SSIM of the scan, its best Gaussian blur and the result.

    Each is first given the gain and offset that bring it closest to the truth; the
    Gaussian's width is the best one for each figure, chosen with the truth in hand.
    """
    data_range = float(truth.max()) - float(truth.min())

    def score(image: Voxels) -> tuple[float, float]:
        matched = match_grey(image, truth)
        return psnr(matched, truth, data_range), ssim(matched, truth, data_range)

    blurred = [gaussian_filter(raw.astype(np.float32), sigma) for sigma in SIGMAS]
    blurred_scores = [score(image) for image in blurred]
    scores = {
        "input": score(raw),
        "gaussian_best": (
            max(p for p, _ in blurred_scores),
            max(s for _, s in blurred_scores),
        ),
        "enhanced": score(enhanced),
    }
    best = blurred[int(np.argmax([p for p, _ in blurred_scores]))]
    _draw({"fast scan": raw, "best Gaussian": best, "enhanced": enhanced}, truth, out)
    return {
        f"{figure}_{name}": round(values[index], 4)
        for index, figure in enumerate(("psnr", "ssim"))
        for name, values in scores.items()
    }


def _draw(images: dict[str, Voxels], truth: Voxels, out: Path) -> None:
    """One slice of each, in the truth's grey values, beside the truth."""
    low, high = np.percentile(truth, (0.5, 99.5))
    row = [
        (name, panel(match_grey(image, truth), low, high, PANEL_SIDE))
        for name, image in images.items()
    ]
    row.append(("truth", panel(truth, low, high, PANEL_SIDE)))
    write_grid([row[:2], row[2:]], out / "before_after.png")


def _write_summary(summary: dict[str, float], out: Path) -> None:
    with atomic_path(out / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    for figure, unit in (("psnr", " dB"), ("ssim", "")):
        print(
            f"   {figure.upper()}: fast scan {summary[f'{figure}_input']:.3f}{unit}, "
            f"best Gaussian {summary[f'{figure}_gaussian_best']:.3f}{unit}, "
            f"enhanced {summary[f'{figure}_enhanced']:.3f}{unit}"
        )
    print(
        f"Written to {out}: summary.json, before_after.png, enhanced.tif, "
        f"run/previews ({summary['seconds']:.0f} s in all)"
    )


def _open_napari(files: list[Path]) -> None:
    has_display = (
        sys.platform in ("darwin", "win32")
        or "DISPLAY" in os.environ
        or "WAYLAND_DISPLAY" in os.environ
    )
    if not has_display or find_spec("napari") is None:
        print("No display, or no napari: open enhanced.tif in napari yourself")
        return
    print("Opening napari on the scan and the result")
    command = [sys.executable, "-m", "napari", "--plugin", "napari-cyclegan3d"]
    subprocess.Popen([*command, *map(str, files)], start_new_session=True)
