"""What a run on disk has to show: its tables, and the steps of its previews."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.progress.curve_data import Values
from napari_cyclegan3d.io.previews import saved_previews

# a longer table is read as means of so many pieces
MOST_ROWS = 2**14
Table = Mapping[str, Values]


@dataclass(frozen=True, eq=False)
class Past:
    """The curves of a run by name, each table with its steps; and its previews."""

    run: Path
    terms: Table
    scores: Table
    previews: list[int]

    @property
    def last_step(self) -> int:
        """The newest step that there is anything of."""
        rows = self.terms.get("step", np.zeros(1))
        return max(int(np.ceil(rows[-1])), *self.previews, 0)

    def terms_until(self, step: int) -> tuple[Values, Table]:
        """Steps and terms of the objective up to a step."""
        return _until(self.terms, step)

    def scores_until(self, step: int) -> tuple[Values, Table]:
        """Steps and scores of the validations up to a step."""
        steps, scores = _until(self.scores, step)
        return steps, {name: scores[name] for name in scores if name == "score"}


def read_past(run: Path) -> Iterator[Past]:
    """What a run has to show, as the only event; what is not there is left out.

    Raises:
        InputError: A table is damaged.
    """
    terms, scores = _read(run / "metrics.csv"), _read(run / "validation.csv")
    yield Past(run, terms, scores, [step for step, _ in saved_previews(run)])


def _read(path: Path) -> Table:
    # it draws too: its packages are large
    from napari_cyclegan3d.io.history import read_curves

    try:
        return read_curves(path, MOST_ROWS)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); remove it") from error


def _until(table: Table, last: int) -> tuple[Values, Table]:
    steps = table.get("step", np.empty(0))
    kept = steps <= last
    return steps[kept], {k: v[kept] for k, v in table.items() if k != "step"}
