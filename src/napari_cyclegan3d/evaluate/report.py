"""What an evaluation leaves on disk: tables, charts, pictures."""

import csv
import math
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.evaluate import CaseDone, Kind, Row
from napari_cyclegan3d.evaluate.cases import FSC_LIMITS, Scores
from napari_cyclegan3d.io.pictures import Panel, panel, write_grid
from napari_cyclegan3d.io.plots import Bar, draw_bars, draw_correlations

QUANTITIES = tuple(field.name for field in fields(Scores))
CHARTED = {"psnr": "PSNR (dB)", "ssim": "SSIM", "nrmse": "NRMSE"}
# part of the data range that is white in a picture of differences
DIFFERENCE_WHITE = 0.5
PICTURES, CURVES = "pictures", "fsc"


@dataclass(frozen=True)
class Summary:
    """Mean and deviation of all scores of one model, or of a baseline.

    Attributes:
        model: Name of the model or of the baseline.
        kind: What was scored.
        cases: Number of volumes.
        mean: By the names of `Scores`.
        deviation: Over the cases (population).
    """

    model: str
    kind: Kind
    cases: int
    mean: dict[str, float]
    deviation: dict[str, float]


def summarised(rows: Iterable[Row]) -> list[Summary]:
    """One line per model and kind, in the order in which they appear."""
    groups: dict[tuple[str, Kind], list[Scores]] = {}
    for row in rows:
        groups.setdefault((row.model, row.kind), []).append(row.scores)
    return [
        Summary(
            model,
            kind,
            len(scores),
            {name: _mean([getattr(s, name) for s in scores]) for name in QUANTITIES},
            {name: _spread([getattr(s, name) for s in scores]) for name in QUANTITIES},
        )
        for (model, kind), scores in groups.items()
    ]


def best_model(summaries: Iterable[Summary]) -> Summary | None:
    """The model whose translations have the highest mean SSIM; None if none has any."""
    translations = [
        one
        for one in summaries
        if one.kind == "translation" and math.isfinite(one.mean["ssim"])
    ]
    return max(translations, key=lambda one: one.mean["ssim"], default=None)


class Report:
    """Writes an evaluation into a folder of its own as it goes on.

    pictures/N_CASE.png: middle slices; fsc/N_CASE.png and .svg: Fourier shell
    correlations; and at the end cases.csv, summary.csv, scores.png and scores.svg.

    Args:
        folder: Must hold no file, or not be there.
        overwrite: Remove what an earlier evaluation has left there.

    Raises:
        InputError: The folder holds something.
    """

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        self.folder, self._cases = folder, 0
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file; give a folder to write to")
        # an evaluation that was refused at once leaves empty folders
        if any(not path.is_dir() for path in folder.rglob("*")):
            if not overwrite:
                raise InputError(
                    f"{folder}: is not empty; choose another folder, or replace an "
                    "earlier evaluation with --overwrite"
                )
            _remove_earlier(folder)
        for name in (PICTURES, CURVES):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def add(self, done: CaseDone) -> None:
        """Write the picture and the curves of a case.

        Raises:
            InputError: A file could not be written.
        """
        self._cases += 1  # names that differ may look the same on a file system
        name = f"{self._cases}_{file_name(done.name)}"
        title = f"{done.name}: correlation with the truth"
        write_grid(_comparison(done), self.folder / PICTURES / f"{name}.png")
        stem = self.folder / CURVES / name
        draw_correlations(done.curves, FSC_LIMITS, done.unit, title, stem)

    def finish(self, rows: Sequence[Row]) -> list[Summary]:
        """Write tables and the chart; gives the summary back.

        Raises:
            InputError: A file could not be written.
        """
        summaries = summarised(rows)
        _write_table(map(_case_line, rows), self.folder / "cases.csv")
        _write_table(map(_summary_line, summaries), self.folder / "summary.csv")
        shown = [one for one in summaries if one.kind != "cycle"]
        panels = {
            title: [
                Bar(s.model, s.mean[name], s.deviation[name], s.kind == "baseline")
                for s in shown
            ]
            for name, title in CHARTED.items()
        }
        matched = any(row.grey_matched for row in rows)
        title = f"mean ± deviation over {shown[0].cases} volume(s)" + (
            ", grey values matched to the truth" if matched else ""
        )
        draw_bars(panels, title, self.folder / "scores")
        return summaries


def file_name(case: str) -> str:
    """A name that every file system takes, and that stays in its folder."""
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in case)
    return kept.lstrip("._")[-100:] or "case"


def _remove_earlier(folder: Path) -> None:
    """Only what an evaluation writes; a folder with anything else is no report."""
    ours = {PICTURES, CURVES, "cases.csv", "summary.csv", "scores.png", "scores.svg"}
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in ours)
    if foreign:
        raise InputError(
            f"{folder}: holds {foreign[0]}, which no evaluation has written; choose "
            "another folder"
        )
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _comparison(done: CaseDone) -> list[list[Panel]]:
    """Rows of image, truth and their difference: the baseline's, then the models'."""
    low, high = done.limits
    white = DIFFERENCE_WHITE * (high - low)
    truth = done.slices["truth"]

    def row(name: str, image: NDArray[np.float32]) -> list[Panel]:
        difference = panel(np.abs(image - truth), 0, white)
        return [
            (name, panel(image, low, high)),
            ("truth", panel(truth, low, high)),
            (f"{1 / DIFFERENCE_WHITE:g} times |difference|", difference),
        ]

    return [row(name, image) for name, image in done.slices.items() if name != "truth"]


def _case_line(row: Row) -> dict[str, object]:
    line = asdict(row)
    return {
        "case": line.pop("case"),
        "model": line.pop("model"),
        "kind": line.pop("kind"),
        **line.pop("scores"),
        **line,
    }


def _summary_line(summary: Summary) -> dict[str, object]:
    line: dict[str, object] = {
        "model": summary.model,
        "kind": summary.kind,
        "cases": summary.cases,
    }
    for name in QUANTITIES:
        line[f"{name}_mean"] = summary.mean[name]
        line[f"{name}_deviation"] = summary.deviation[name]
    return line


def _write_table(lines: Iterable[dict[str, object]], path: Path) -> None:
    table = list(lines)
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _spread(values: Sequence[float]) -> float:
    """Population deviation; without a value where a score is infinite."""
    mean = _mean(values)
    if not math.isfinite(mean):
        return math.nan
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
