"""Does Inspect find what a network invents, and say so when nobody can know?

Three tracks, on volumes of 64³ voxels whose truth is known; nothing of it is told to
the detector, which fits operator and noise itself:

- planted: structures inserted in, or deleted from, an otherwise good result; how
  clearly an ideal observer would see them is stated (d′);
- natural: a restorer that really invents structures from noise; objects are judged
  without ground truth, by an independent split of the raw volume or by a second scan;
- null_space: a texture that the raw volume cannot show.

    python benchmarks/hallucination.py --json hallucination.json
    python benchmarks/hallucination.py --track planted --volumes 4

Each figure comes with its 95 % interval over volumes (bootstrap). Rates of false alarms
and of wrong support use thresholds that were fixed on other volumes.
"""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from hallucination_tracks.figures import (
    Figures,
    natural_figures,
    null_space_figures,
    planted_figures,
)
from hallucination_tracks.natural import REGIMES
from hallucination_tracks.trial import (
    on_natural,
    on_null_space,
    on_planted,
)
from measure import write_json

SETTINGS = {  # name: noise, contrast, nuisance
    "6.5": (0.3, 1.0, 1.0),
    "3.2": (0.6, 1.0, 1.0),
    "6.5_nuisance": (0.3, 1.0, 2.0),
}
TRACKS = ("planted", "natural", "null_space")
# volumes before this one were looked at while the detector was made
FIRST = 1000


def main(arguments: list[str] | None = None) -> Figures:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--volumes", type=int, default=12)
    parser.add_argument("--track", choices=[*TRACKS, "all"], default="all")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args(arguments)
    tracks = TRACKS if options.track == "all" else (options.track,)
    figures: Figures = {}
    start = time.perf_counter()
    seeds = range(FIRST, FIRST + options.volumes)
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        if "planted" in tracks:
            for name, setting in SETTINGS.items():
                trials = list(pool.map(on_planted, seeds, *map(repeat, setting)))
                figures |= planted_figures(name, trials)
        if "natural" in tracks:
            for name in REGIMES:
                figures |= natural_figures(
                    name, list(pool.map(on_natural, seeds, repeat(name)))
                )
        if "null_space" in tracks:
            figures |= null_space_figures(list(pool.map(on_null_space, seeds)))
    for name, figure in figures.items():
        print(
            f"{name:46} {figure['value']:7.3f}   "
            f"{figure['low']:7.3f} … {figure['high']:.3f}"
        )
    seconds = round(time.perf_counter() - start, 1)
    about = {"volumes": options.volumes, "seconds": seconds}
    write_json(options.json, "cpu", about | figures)
    return figures


if __name__ == "__main__":
    main(sys.argv[1:])
