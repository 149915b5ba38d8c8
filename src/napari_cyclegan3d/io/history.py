"""A picture of how a training went: losses, discriminators, contrast and scores."""

import csv
import math
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_cyclegan3d.engine.files import atomic_path

POINTS, FEW_POINTS = 400, 20
COLUMNS = 3
Curves = Mapping[str, NDArray[np.float64]]


def write_history(run: Path) -> Path:
    """Draw metrics.csv and validation.csv of a run as `run`/history.png.

    A point is the mean of as many steps as make 400 points of the whole training.

    Args:
        run: Folder of the run; its metrics.csv has one row at least.

    Returns:
        The PNG file.

    Raises:
        InputError: The file could not be written.
    """
    panels = _panels(read_curves(run / "metrics.csv"))
    scores = read_curves(run / "validation.csv")
    if "score" in scores:
        panels["validation (higher is better)"] = {
            "step": scores["step"],
            "score": scores["score"],
        }
    rows = math.ceil(len(panels) / COLUMNS)
    figure = Figure(figsize=(4.5 * COLUMNS, 3.2 * rows), layout="constrained")
    for i, (title, curves) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, COLUMNS, i + 1)
        # a line through one point shows nothing
        marker = "." if len(curves["step"]) < FEW_POINTS else ""
        for name in curves:
            if name != "step":
                label = name.replace("_", " ")
                axes.plot(curves["step"], curves[name], label=label, marker=marker)
        axes.set(title=title, xlabel="step")
        axes.legend(fontsize="small")
    path = run / "history.png"
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
    return path


def read_curves(table: Path, points: int = POINTS) -> dict[str, NDArray[np.float64]]:
    """The columns of a CSV file of numbers, as at most so many running means.

    Memory does not grow with the file. A missing or empty file has no curves.
    """
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8") as file:
        rows = sum(1 for _ in file) - 1
    size = max(1, math.ceil(rows / points))
    with table.open(newline="", encoding="utf-8") as file:
        # a last row that is not yet written to its end is none
        reader = csv.reader(line for line in file if line.endswith("\n"))
        names = next(reader, [])
        means = []
        while chunk := list(islice(reader, size)):
            means.append(np.asarray(chunk, dtype=np.float64).mean(axis=0))
    if not means:
        return {}
    return dict(zip(names, np.transpose(means), strict=True))


def _panels(curves: Curves) -> dict[str, Curves]:
    """What is drawn together, by its title; panels without curves are left out."""
    groups: dict[str, dict[str, NDArray[np.float64]]] = {
        "discriminators against generators": _those(
            curves, ("judge_a", "judge_b", "adversarial_a", "adversarial_b")
        ),
        "differences": _those(
            curves,
            ("cycle_a", "cycle_b", "identity_a", "identity_b", "paired"),
        ),
    }
    for side in ("a", "b"):
        real, fake = f"real_{side}_seen_real", f"fake_{side}_seen_real"
        if real in curves:
            groups[f"discriminator of {side.upper()}: share of patches"] = {
                "real seen real": curves[real],
                "fake seen real": curves[fake],
                "judged rightly": (curves[real] + 1 - curves[fake]) / 2,
            }
    groups["correlation of fakes with their source"] = _those(
        curves, ("contrast_a", "contrast_b")
    )
    step = {"step": curves["step"]}
    return {title: step | group for title, group in groups.items() if group}


def _those(curves: Curves, names: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
    return {name: curves[name] for name in names if name in curves}
