"""Curves as they are drawn."""

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_cyclegan3d.gui.curves import Curves, TrainingCurves, accuracies


@pytest.fixture
def curves(qtbot: QtBot) -> TrainingCurves:
    curves = TrainingCurves()
    qtbot.addWidget(curves)
    return curves


def drawn(plot: Curves) -> dict[str, list[tuple[float, float]]]:
    plot.redraw()
    return {
        item.name(): list(zip(*map(list, item.getData()), strict=True))
        for item in plot.plot.listDataItems()
    }


def test_losses_are_smooth_end_at_the_last_step_and_can_be_cleared(
    curves: TrainingCurves,
) -> None:
    rng = np.random.default_rng(0)
    noisy = 1 + rng.normal(0, 0.3, 200)
    for step, value in enumerate(noisy, 1):
        curves.add_terms(step, {"cycle_a": float(value), "judge_a": 2.0})
    lines = drawn(curves.losses)
    assert lines.keys() == {"cycle_a", "judge_a"}
    steps, values = zip(*lines["cycle_a"], strict=True)
    assert list(steps) == list(range(1, 201))
    assert np.std(values[50:]) < 0.5 * np.std(noisy[50:])
    assert lines["judge_a"] == [(step, pytest.approx(2)) for step in range(1, 201)]
    curves.clear()
    assert drawn(curves.losses) == {}
    curves.add_terms(1, {"cycle_a": 5.0})
    assert drawn(curves.losses) == {"cycle_a": [(1, 5)]}


def test_each_term_is_in_the_plot_where_it_belongs(curves: TrainingCurves) -> None:
    shares = {"real_b_seen_real": 0.75, "fake_b_seen_real": 0.5}
    curves.add_terms(3, {"judge_b": 2.0, "paired": 4.0, **shares, "contrast_b": -0.5})
    curves.scores.add(3, {"score": 7.0})
    assert drawn(curves.losses) == {"judge_b": [(3, 2)], "paired": [(3, 4)]}
    assert drawn(curves.shares) == {
        "accuracy_b": [(3, 0.625)],
        "contrast_b": [(3, -0.5)],
    }
    assert drawn(curves.scores) == {"score": [(3, 7)]}


@pytest.mark.parametrize(
    ("real", "fake", "accuracy"), [(1, 0, 1), (0, 1, 0), (0.5, 0.5, 0.5), (1, 1, 0.5)]
)
def test_accuracy_is_the_share_of_patches_that_are_taken_for_what_they_are(
    real: float, fake: float, accuracy: float
) -> None:
    terms = {"real_a_seen_real": real, "fake_a_seen_real": fake, "judge_a": 9}
    assert accuracies(terms) == {"accuracy_a": accuracy}


def test_scores_are_not_smoothed(curves: TrainingCurves) -> None:
    for step, score in ((100, 5.0), (200, 9.0)):
        curves.scores.add(step, {"score": score})
    assert drawn(curves.scores) == {"score": [(100, 5), (200, 9)]}


def test_a_value_that_is_not_finite_leaves_a_gap(curves: TrainingCurves) -> None:
    for step, value in enumerate((1.0, float("nan"), float("inf"), 1.0), 1):
        curves.add_terms(step, {"cycle_a": value, "cycle_b": 1.0})
    lines = drawn(curves.losses)
    assert lines["cycle_a"] == [(1, 1), (4, 1)]
    assert len(lines["cycle_b"]) == 4


def test_what_came_after_a_step_to_go_back_to_is_forgotten(
    curves: TrainingCurves,
) -> None:
    for step in range(1, 9):
        curves.add_terms(step, {"cycle_a": 1.0, "contrast_a": 0.5})
    curves.scores.add(4, {"score": 1.0})
    curves.scores.add(8, {"score": 2.0})
    curves.rewind(5)
    curves.add_terms(6, {"cycle_a": 1.0})
    assert [step for step, _ in drawn(curves.losses)["cycle_a"]] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in drawn(curves.shares)["contrast_a"]] == [1, 2, 3, 4, 5]
    assert drawn(curves.scores)["score"] == [(4, 1)]


def test_every_curve_is_named_in_a_colour_of_its_own(curves: TrainingCurves) -> None:
    names = [
        f"{k}_{d}" for k in ("judge", "adversarial", "cycle", "identity") for d in "ab"
    ]
    terms = dict.fromkeys([*names, "paired"], 1.0)
    curves.add_terms(1, terms)
    curves.losses.redraw()
    shown = curves.losses.names.text()
    colours = {
        item.opts["pen"].color().name() for item in curves.losses.plot.listDataItems()
    }
    assert len(colours) == len(terms)
    assert all(colour in shown for colour in colours)
    assert all(name.replace("_", "&nbsp;") in shown for name in terms)
    curves.clear()
    assert curves.losses.names.text() == ""
