"""The points of curves: kept as measured in bounded memory, thinned to be drawn."""

import csv
import math
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.files import atomic_path

Values = NDArray[np.float64]
MOST_POINTS = 2**18
# smoothing forgets what is so many times its own length ago
MEMORY = 5


class Series:
    """Values over ascending steps.

    Of very long trainings every second point is kept, or every fourth and so on.

    Args:
        most: Points that are kept.
    """

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = most
        self._stride, self._skipped = 1, 0
        self._steps, self._values = array("d"), array("d")

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: int, value: float) -> None:
        """Append a point; what is not finite is left out."""
        if not math.isfinite(value):
            return
        self._skipped += 1
        if self._skipped < self._stride:
            return
        self._skipped = 0
        self._steps.append(step)
        self._values.append(value)
        self._thin()

    def put_before(self, steps: Values, values: Values) -> None:
        """Add points of an earlier session before the first that there is."""
        first = self._steps[0] if self._steps else math.inf
        chosen = np.isfinite(values) & (steps < first)
        self._steps = array("d", steps[chosen].tobytes()) + self._steps
        self._values = array("d", values[chosen].tobytes()) + self._values
        self._thin()

    def rewind(self, step: int) -> None:
        """Forget what came after a step."""
        kept = bisect_right(self._steps, step)
        del self._steps[kept:], self._values[kept:]

    def points(self) -> tuple[Values, Values]:
        """Steps and values, as measured."""
        return np.array(self._steps), np.array(self._values)

    def drawn(
        self, span: tuple[float, float], most: int, smoothing: float
    ) -> tuple[Values, Values]:
        """A line of at most `most` points and two more, in time that has a bound.

        Args:
            span: Steps that can be seen; beside them, as much as a line needs.
            most: A point is the mean of as many steps as make no more points.
            smoothing: Weight of what was before, 0 to 1.
        """
        if not self._steps:
            return np.empty(0), np.empty(0)
        # a view into a list forbids it to grow; these go with the function
        steps, values = np.frombuffer(self._steps), np.frombuffer(self._values)
        first = max(int(np.searchsorted(steps, span[0])) - 1, 0)
        last = min(int(np.searchsorted(steps, span[1], "right")) + 1, len(steps))
        size = max(1, math.ceil((last - first) / most))
        lead = min(math.ceil(MEMORY / (size * (1 - smoothing))), most)
        start = max(first - lead * size, 0)
        x, y = _means(steps[start:last], size), _means(values[start:last], size)
        skipped = (first - start) // size
        return x[skipped:], _smoothed(y, smoothing**size)[skipped:]

    def _thin(self) -> None:
        while len(self._steps) > self._most:
            self._steps, self._values = self._steps[::2], self._values[::2]
            self._stride *= 2


def write_table(columns: Mapping[str, tuple[Values, Values]], path: Path) -> None:
    """Write curves as a CSV file: step, and a column for each.

    Args:
        columns: Steps and values by name.
        path: The file.

    Raises:
        InputError: The file could not be written.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow(["step", *columns])
        table.writerows(_rows(list(columns.values())))


def _rows(columns: list[tuple[Values, Values]]) -> Iterator[list[str]]:
    """A row for each step at which one of the columns has a value."""
    if not columns:
        return
    steps = np.unique(np.concatenate([x for x, _ in columns]))
    grid = np.full((len(columns), len(steps)), np.nan)
    for row, (x, y) in zip(grid, columns, strict=True):
        row[np.searchsorted(steps, x)] = y
    for step, values in zip(steps, grid.T, strict=True):
        texts = ["" if math.isnan(value) else repr(float(value)) for value in values]
        yield [str(int(step)), *texts]


def _means(values: Values, size: int) -> Values:
    """Means of so many values each; the last one of what is left."""
    if size == 1:
        return values.copy()
    whole = len(values) // size * size
    means = values[:whole].reshape(-1, size).mean(axis=1)
    rest = values[whole:]
    return np.append(means, rest.mean()) if rest.size else means


def _smoothed(values: Values, weight: float) -> Values:
    """Each value as the running mean that gives what was before so much weight."""
    if not weight:
        return values
    smooth = values.tolist()
    for i in range(1, len(smooth)):
        smooth[i] = weight * smooth[i - 1] + (1 - weight) * smooth[i]
    return np.array(smooth)
