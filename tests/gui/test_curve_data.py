"""Points of curves, in memory and in files."""

import csv
from pathlib import Path

import numpy as np
import pytest

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.progress.curve_data import Series, write_table

ALL = (-np.inf, np.inf)


def series(values: np.ndarray, most: int = 2**18) -> Series:
    made = Series(most)
    for step, value in enumerate(values, 1):
        made.add(step, float(value))
    return made


def test_few_points_are_drawn_as_they_were_measured() -> None:
    x, y = series(np.arange(50) ** 2).drawn(ALL, 100, 0)
    assert x.tolist() == list(range(1, 51))
    assert y.tolist() == [k**2 for k in range(50)]


def test_a_million_points_are_drawn_as_the_means_of_a_few() -> None:
    made, n = Series(2**20), 10**6
    made.put_before(np.arange(n, dtype=float), np.arange(n, dtype=float))
    x, y = made.drawn(ALL, 500, 0)
    assert 400 <= len(x) <= 501
    np.testing.assert_allclose(x, y)
    assert y.mean() == pytest.approx((n - 1) / 2, rel=1e-3)


def test_the_closer_one_looks_the_more_is_drawn_of_what_is_seen() -> None:
    made = series(np.sin(np.arange(10_000)))
    x, y = made.drawn((4000, 4100), 500, 0)
    assert x.tolist() == list(range(3999, 4102))
    np.testing.assert_array_equal(y, np.sin(x - 1))


@pytest.mark.parametrize("smoothing", [0.5, 0.9, 0.99])
def test_a_smoothed_curve_is_the_same_however_close_one_looks(smoothing: float) -> None:
    made = series(np.random.default_rng(0).normal(5, 1, 2000))
    x, y = made.drawn(ALL, 2000, smoothing)
    near_x, near_y = made.drawn((1500, 1600), 2000, smoothing)
    there = np.isin(x, near_x)
    assert there.sum() == len(near_x)
    np.testing.assert_allclose(near_y, y[there], atol=0.03)


def test_memory_has_a_bound_and_the_whole_training_stays_in_it() -> None:
    made = series(np.arange(10_000, dtype=float), most=64)
    steps, values = made.points()
    assert 32 <= len(made) <= 64
    assert steps[0] == 1
    assert steps[-1] > 9_700
    assert np.diff(steps).max() <= 2 * np.diff(steps).min()
    np.testing.assert_array_equal(values, steps - 1)


def test_earlier_sessions_go_before_this_one_and_nothing_is_there_twice() -> None:
    made = Series()
    made.add(4, 40.0)
    made.put_before(np.arange(1.0, 7), np.array([1, np.nan, 3, 4, 5, 6]))
    steps, values = made.points()
    assert steps.tolist() == [1, 3, 4]
    assert values.tolist() == [1, 3, 40]


def test_a_table_has_each_value_as_measured_at_its_step(tmp_path: Path) -> None:
    scores = Series()
    scores.add(2, 0.1)
    write_table(
        {"cycle_a": series(np.array([1 / 3, 2, 5e-9])).points(), "b": scores.points()},
        tmp_path / "curves.csv",
    )
    with (tmp_path / "curves.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["step", "cycle_a", "b"]
    assert [row[0] for row in rows[1:]] == ["1", "2", "3"]
    assert [float(row[1]) for row in rows[1:]] == [1 / 3, 2, 5e-9]
    assert [row[2] for row in rows[1:]] == ["", "0.1", ""]


def test_a_table_that_cannot_be_written_is_refused_in_a_sentence(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="none"):
        write_table({}, tmp_path / "none" / "curves.csv")
