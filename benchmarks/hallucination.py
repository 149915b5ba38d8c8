"""Does Inspect find what a network invents, and say so when nobody can know?

Four tracks, on volumes of 64³ voxels whose truth is known; nothing of it is told to
the detector, which fits operator and noise itself:

- planted: structures inserted in, or deleted from, an otherwise good result; how
  clearly an ideal observer would see them is stated (d′);
- natural: a restorer that really invents structures from noise; objects are judged
  without ground truth, by an independent split of the raw volume or by a second scan;
- null_space: a texture that the raw volume cannot show;
- stego: pairs of networks, some of which hide the scan in their result.

With --full the natural track also trains two CycleGANs on domains that do not match
(four minutes on two cores), and judges what they invent and delete.

    python benchmarks/hallucination.py --full --json hallucination.json
    python benchmarks/hallucination.py --track planted --volumes 4

Each figure comes with its 95 % interval over volumes (bootstrap). Rates of false alarms
and of wrong support use thresholds that were fixed on other volumes.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from hallucination_tracks.figures import (
    Figures,
    natural_figures,
    null_space_figures,
    planted_figures,
    stego_figures,
    trained_figures,
)
from hallucination_tracks.natural import REGIMES
from hallucination_tracks.objects import on_natural
from hallucination_tracks.stego import on_stego
from hallucination_tracks.trained import BIASES, train_and_save
from hallucination_tracks.trained_trial import on_trained
from hallucination_tracks.trial import on_null_space, on_planted
from measure import write_json

SETTINGS = {  # name: noise, contrast, nuisance
    "6.5": (0.3, 1.0, 1.0),
    "3.2": (0.6, 1.0, 1.0),
    "6.5_nuisance": (0.3, 1.0, 2.0),
}
TRACKS = ("planted", "natural", "null_space", "stego")
# volumes before this one were looked at while the detector was made
FIRST = 1000


def main(arguments: list[str] | None = None) -> Figures:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--volumes", type=int, default=12)
    parser.add_argument("--track", choices=[*TRACKS, "all"], default="all")
    parser.add_argument("--full", action="store_true", help="train CycleGANs, too")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        figures = measured(pool, options)
    for name, figure in figures.items():
        print(
            f"{name:52} {figure['value']:7.3f}   "
            f"{figure['low']:7.3f} … {figure['high']:.3f}"
        )
    seconds = round(time.perf_counter() - start, 1)
    about = {"volumes": options.volumes, "seconds": seconds}
    write_json(options.json, "cpu", about | figures)
    return figures


def measured(pool: Executor, options: argparse.Namespace) -> Figures:
    """The figures of all tracks that are asked for."""
    tracks = TRACKS if options.track == "all" else (options.track,)
    seeds = range(FIRST, FIRST + options.volumes)
    figures: Figures = {}
    if "planted" in tracks:
        for name, setting in SETTINGS.items():
            trials = list(pool.map(on_planted, seeds, *map(repeat, setting)))
            figures |= planted_figures(name, trials)
    if "natural" in tracks:
        for name in REGIMES:
            objects = list(pool.map(on_natural, seeds, repeat(name)))
            figures |= natural_figures(name, objects)
        if options.full:
            figures |= by_networks(pool, seeds)
    if "null_space" in tracks:
        figures |= null_space_figures(list(pool.map(on_null_space, seeds)))
    if "stego" in tracks:
        figures |= stego_figures(list(pool.map(on_stego, seeds)))
    return figures


def by_networks(pool: Executor, seeds: Sequence[int]) -> Figures:
    """The natural track with trained networks in place of the restorer."""
    figures: Figures = {}
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.safetensors" for name in BIASES]
        seconds = list(pool.map(train_and_save, BIASES, paths))
        for name, path, took in zip(BIASES, paths, seconds, strict=True):
            figures |= trained_figures(
                name, list(pool.map(on_trained, seeds, repeat(path)))
            )
            exact = {"value": took, "low": took, "high": took}
            figures[f"natural_cyclegan_{name}_training_seconds"] = exact
    return figures


if __name__ == "__main__":
    main(sys.argv[1:])
