"""Charts of an evaluation, as PNG and SVG.

Drawn on matplotlib's own canvas, without pyplot, so that no window and no state of the
process is touched.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_cyclegan3d.engine.files import atomic_path

SUFFIXES = (".png", ".svg")
BASELINE_COLOUR, MODEL_COLOUR = "#999999", "#1b6ca8"
LONGEST_NAME = 32
# one more curve than this, and colours could no longer be told apart
MOST_CURVES = 10

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Bar:
    """Mean and deviation of one quantity for one model or baseline."""

    name: str
    mean: float
    deviation: float
    baseline: bool


def draw_bars(panels: Mapping[str, Sequence[Bar]], title: str, stem: Path) -> None:
    """Draw one bar chart for each quantity, with the deviation as a whisker.

    The mean stands above each bar; what is not finite has no bar.

    Args:
        panels: Bars by the quantity's name.
        title: Stands above all of them.
        stem: Path without suffix; `stem`.png and `stem`.svg are written.

    Raises:
        InputError: A file could not be written.
    """
    longest = max(len(bars) for bars in panels.values())
    width = len(panels) * max(3.0, 0.5 * longest + 1)
    figure = Figure(figsize=(width, 4.2), layout="constrained")
    figure.suptitle(title, fontsize=10)
    for number, (quantity, bars) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(1, len(panels), number)
        axes.set_title(quantity, fontsize=10)
        _draw_panel(axes, bars)
    _write(figure, stem)


def _draw_panel(axes: Axes, bars: Sequence[Bar]) -> None:
    shown = [bar.mean if math.isfinite(bar.mean) else 0.0 for bar in bars]
    whiskers = [bar.deviation if math.isfinite(bar.deviation) else 0.0 for bar in bars]
    colours = [BASELINE_COLOUR if bar.baseline else MODEL_COLOUR for bar in bars]
    drawn = axes.bar(range(len(bars)), shown, yerr=whiskers, color=colours, capsize=3)
    # bars start at 0, where differences between good models are too small to be seen
    axes.bar_label(drawn, [f"{bar.mean:.4g}" for bar in bars], fontsize=7, padding=2)
    axes.margins(y=0.1)
    names = [_short(bar.name) for bar in bars]
    axes.set_xticks(range(len(bars)), names, rotation=90, fontsize=8)
    axes.tick_params(axis="y", labelsize=8)


def draw_correlations(
    curves: Mapping[str, Curve],
    limits: Sequence[float],
    unit: str,
    title: str,
    stem: Path,
) -> None:
    """Draw Fourier shell correlations over frequency.

    Args:
        curves: Frequencies (cycles per `unit`) and correlations, by name; the first
            ten are drawn.
        limits: Correlations that are marked, by which resolutions are read off.
        unit: Of length.
        title: Stands above the chart.
        stem: Path without suffix; `stem`.png and `stem`.svg are written.

    Raises:
        InputError: A file could not be written.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    for name, (frequency, correlation) in list(curves.items())[:MOST_CURVES]:
        axes.plot(frequency, correlation, label=_short(name), linewidth=1.2)
    for limit in limits:
        axes.axhline(limit, color="0.5", linewidth=0.8, linestyle=":")
    axes.set_xlabel(f"spatial frequency (cycles per {unit})")
    axes.set_ylabel("Fourier shell correlation")
    axes.set_ylim(-0.1, 1.05)
    axes.legend(fontsize=8)
    _write(figure, stem)


def _short(name: str) -> str:
    """The end of a long name, by which checkpoints of one run differ."""
    return name if len(name) <= LONGEST_NAME else "…" + name[1 - LONGEST_NAME :]


def _write(figure: Figure, stem: Path) -> None:
    for suffix in SUFFIXES:
        path = stem.with_name(stem.name + suffix)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=suffix[1:], dpi=150)
