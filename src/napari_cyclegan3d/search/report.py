"""What a search leaves behind: a table, the best settings, and figures."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.settings import to_yaml
from napari_cyclegan3d.search.space import Distribution, with_settings
from napari_cyclegan3d.search.study import Result

COLUMNS = 3
KINDS = (("complete", False, "o"), ("pruned", True, "x"))


def write_tables(
    out: Path, base: TrainConfig, results: Sequence[Result], best: Result | None
) -> None:
    """Write trials.csv, and best.yaml once there is a best trial.

    Raises:
        InputError: A file could not be written.
    """
    text = io.StringIO()
    names = list(results[0].settings)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "score", "pruned", *names, "reason"])
    for one in results:
        score = "" if one.value is None else f"{one.value:.6g}"
        values = [one.settings[name] for name in names]
        writer.writerow([one.number, score, one.pruned, *values, one.reason])
    with atomic_path(out / "trials.csv") as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")
    if best is not None:
        remark = f"# trial {best.number} of a search, score {best.value:.6g}\n"
        settings = to_yaml(with_settings(base, best.settings))
        with atomic_path(out / "best.yaml") as temporary:
            temporary.write_text(remark + settings, encoding="utf-8")


def draw_history(path: Path, results: Sequence[Result]) -> None:
    """Scores of the trials that have one, in their order, and the best one so far."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="trial", ylabel="score")
    for label, pruned, marker in KINDS:
        numbers = [one.number for one in results if one.pruned == pruned]
        axes.scatter(numbers, _scores(results, pruned), marker=marker, label=label)
    scores = np.array([one.value for one in results], dtype=float)
    best = np.maximum.accumulate(scores)
    axes.step([one.number for one in results], best, where="post", label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    _save(figure, path)


def draw_slices(
    path: Path, results: Sequence[Result], space: Mapping[str, Distribution]
) -> None:
    """Scores of the trials that have one over each of the settings that are varied."""
    rows = -(-len(space) // COLUMNS)
    figure = Figure(figsize=(4 * COLUMNS, 3 * rows), layout="constrained")
    for index, (name, distribution) in enumerate(space.items(), start=1):
        axes = figure.add_subplot(rows, COLUMNS, index, xlabel=name, ylabel="score")
        words = isinstance(distribution, CategoricalDistribution)
        for _, pruned, marker in KINDS:
            values = [one.settings[name] for one in results if one.pruned == pruned]
            shown = [str(value) for value in values] if words else values
            axes.scatter(shown, _scores(results, pruned), marker=marker)
        if getattr(distribution, "log", False):
            axes.set_xscale("log")
            # within a decade each of its ticks has a label
            axes.tick_params("x", which="both", rotation=45)
    _save(figure, path)


def draw_importances(path: Path, importances: Mapping[str, float]) -> None:
    """How much each setting had to do with the differences between scores."""
    figure = Figure(figsize=(7, 1 + 0.4 * len(importances)), layout="constrained")
    axes = figure.add_subplot(xlabel="importance (PED-ANOVA)")
    names = list(importances)[::-1]
    axes.barh(names, [importances[name] for name in names])
    _save(figure, path)


def _scores(results: Sequence[Result], pruned: bool) -> NDArray[np.float64]:
    """Scores of the trials that were pruned, or of those that were not."""
    scores = [one.value for one in results if one.pruned == pruned]
    return np.array(scores, dtype=float)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
