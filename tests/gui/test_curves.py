"""Curves as they are drawn."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QApplication

from napari_cyclegan3d.gui.progress.curves import Curves
from napari_cyclegan3d.gui.progress.training_curves import TrainingCurves, accuracies


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


def seen(curves: TrainingCurves, qtbot: QtBot) -> None:
    with qtbot.waitExposed(curves):
        curves.show()
    for step in range(1, 101):
        curves.add_terms(step, {"cycle_a": 1.0 + step % 2, "judge_a": 9.0})
    curves.losses.redraw()
    QApplication.processEvents()


def test_what_is_added_is_drawn_while_it_is_seen_and_not_before(
    curves: TrainingCurves, qtbot: QtBot
) -> None:
    curves.add_terms(1, {"cycle_a": 1.0})
    qtbot.wait(600)
    assert not curves.losses.plot.listDataItems()
    curves.show()
    qtbot.waitUntil(lambda: len(curves.losses.plot.listDataItems()) == 1)


def test_a_curve_is_hidden_and_shown_by_its_name(
    curves: TrainingCurves, qtbot: QtBot
) -> None:
    seen(curves, qtbot)

    def lines() -> dict[str, bool]:
        return {o.name(): o.isVisible() for o in curves.losses.plot.listDataItems()}

    curves.losses.names.linkActivated.emit("judge_a")
    assert lines() == {"cycle_a": True, "judge_a": False}
    assert "line-through" in curves.losses.names.text()
    QApplication.processEvents()
    assert curves.losses.plot.viewRange()[1][1] < 3
    curves.losses.names.linkActivated.emit("judge_a")
    assert lines() == {"cycle_a": True, "judge_a": True}
    assert "line-through" not in curves.losses.names.text()


def test_what_the_user_looks_at_stays_until_a_key_or_double_click_shows_all(
    curves: TrainingCurves, qtbot: QtBot
) -> None:
    seen(curves, qtbot)
    plot = curves.losses.plot
    for show_all in (
        lambda: qtbot.keyClick(plot, Qt.Key.Key_A),
        lambda: (
            qtbot.mouseDClick(plot.viewport(), Qt.MouseButton.LeftButton),
            qtbot.mouseRelease(plot.viewport(), Qt.MouseButton.LeftButton),
        ),
    ):
        plot.setXRange(20, 30, padding=0)
        curves.add_terms(500, {"cycle_a": 1.0})
        curves.losses.redraw()
        QApplication.processEvents()
        assert plot.viewRange()[0] == [20, 30]
        plot.setFocus()
        show_all()
        curves.losses.redraw()
        QApplication.processEvents()
        assert plot.viewRange()[0][1] > 490


def test_the_keyboard_zooms_and_moves(curves: TrainingCurves, qtbot: QtBot) -> None:
    seen(curves, qtbot)
    plot = curves.losses.plot
    plot.setXRange(20, 40, padding=0)
    plot.setFocus()
    qtbot.keyClick(plot, Qt.Key.Key_Plus)
    assert plot.viewRange()[0] == pytest.approx([22, 38])
    qtbot.keyClick(plot, Qt.Key.Key_Right)
    assert plot.viewRange()[0] == pytest.approx([23.6, 39.6])
    qtbot.keyClick(plot, Qt.Key.Key_Minus)
    assert plot.viewRange()[0] == pytest.approx([21.6, 41.6])


def test_orders_of_magnitude_leave_out_what_is_not_above_zero(
    curves: TrainingCurves,
) -> None:
    curves.logarithmic.setChecked(True)
    curves.smoothing.setValue(0)
    for step, value in enumerate((100.0, 0.0, -1.0, 1.0), 1):
        curves.add_terms(step, {"cycle_a": value})
    curves.losses.redraw()
    (line,) = curves.losses.plot.listDataItems()
    values = line.getData()[1]
    assert values[[0, 3]].tolist() == [2, 0]
    assert not np.isfinite(values[[1, 2]]).any()


def test_smoothing_and_orders_of_magnitude_are_remembered(
    curves: TrainingCurves, qtbot: QtBot
) -> None:
    curves.smoothing.setValue(0)
    curves.logarithmic.setChecked(True)
    again = TrainingCurves()
    qtbot.addWidget(again)
    assert again.smoothing.value() == 0
    assert again.logarithmic.isChecked()
    for step, value in ((1, 4.0), (2, 16.0)):
        again.add_terms(step, {"cycle_a": value})
    again.logarithmic.setChecked(False)
    assert drawn(again.losses) == {"cycle_a": [(1, 4), (2, 16)]}


def test_a_picture_has_the_size_of_print_and_is_not_empty(
    curves: TrainingCurves, qtbot: QtBot, tmp_path: Path
) -> None:
    seen(curves, qtbot)
    curves.write_picture(tmp_path / "curves.png")
    picture = QImage(str(tmp_path / "curves.png"))
    assert picture.width() == 3 * curves.losses.width()
    colours = {
        picture.pixelColor(x, y).name()
        for x in range(0, picture.width(), 4)
        for y in range(0, picture.height(), 4)
    }
    assert "#4c9be8" in colours


def test_values_are_exported_as_measured_not_as_smoothed(
    qtbot: QtBot, at_once: Any, tmp_path: Path
) -> None:
    curves = TrainingCurves(executor=at_once)
    qtbot.addWidget(curves)
    for step, value in ((1, 4.0), (2, 16.0)):
        curves.add_terms(step, {"cycle_a": value})
    curves.write_values(tmp_path / "curves.csv")
    with (tmp_path / "curves.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["step", "cycle_a"],
            ["1", "4.0"],
            ["2", "16.0"],
        ]


def test_a_file_that_cannot_be_written_is_told(
    qtbot: QtBot, at_once: Any, tmp_path: Path
) -> None:
    curves = TrainingCurves(executor=at_once)
    qtbot.addWidget(curves)
    for write in (curves.write_values, curves.write_picture):
        notification_manager.records.clear()
        write(tmp_path / "none" / "curves")
        (told,) = notification_manager.records
        assert str(tmp_path / "none" / "curves") in told.message


def test_earlier_sessions_are_sorted_like_this_one(curves: TrainingCurves) -> None:
    steps = np.arange(1.0, 4)
    half = np.full(3, 0.5)
    terms = {"cycle_a": steps, "real_a_seen_real": half, "fake_a_seen_real": half}
    curves.put_before(steps, {**terms, "contrast_a": half})
    assert drawn(curves.losses).keys() == {"cycle_a"}
    assert drawn(curves.shares) == {
        "accuracy_a": [(1, 0.5), (2, 0.5), (3, 0.5)],
        "contrast_a": [(1, 0.5), (2, 0.5), (3, 0.5)],
    }
