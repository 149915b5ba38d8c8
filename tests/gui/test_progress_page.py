"""Events of a training, on the Progress page."""

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_cyclegan3d.engine.training import (
    Balanced,
    PreviewReady,
    StepDone,
    Validated,
    Warned,
)
from napari_cyclegan3d.gui.progress_page import ProgressPage


@pytest.fixture
def page(qtbot: QtBot) -> ProgressPage:
    page = ProgressPage()
    qtbot.addWidget(page)
    page.show()
    return page


def test_what_is_noticed_is_noted_in_the_order_in_which_it_comes(
    page: ProgressPage,
) -> None:
    assert not page.log.isVisible()
    page.show_event(Warned("voxels differ"))
    page.show_event(Validated(50, {"score": 0.51234567, "psnr": 20.5}, best=True))
    page.show_event(Balanced(40, "inverted contrast: back to step 40"))
    page.show_event(Validated(100, {"score": 0.25}, best=False))
    assert page.log.toPlainText().splitlines() == [
        "voxels differ",
        "Step 50: score 0.5123 (psnr 20.5), one of the best",
        "Step 40: inverted contrast: back to step 40",
        "Step 100: score 0.25",
    ]
    assert page.log.isVisible()
    assert page.log.isReadOnly()


def test_scores_have_a_curve_and_a_step_back_shortens_all_curves(
    page: ProgressPage,
) -> None:
    for step in (1, 2, 3):
        page.show_event(StepDone(step, 9, {"cycle_a": 1.0}, 0.1))
        page.show_event(Validated(step, {"score": float(step)}, best=False))
    page.show_event(Balanced(2, "back to step 2"))
    for curves in (page.curves.losses, page.curves.scores):
        curves.redraw()
        (line,) = curves.plot.listDataItems()
        assert list(line.getData()[0]) == [1, 2]


def test_nothing_of_the_last_run_is_left_on_a_cleared_page(page: ProgressPage) -> None:
    image = np.zeros((4, 4), np.float32)
    names = ("real_a", "fake_b", "real_b")
    page.show_event(PreviewReady(1, dict.fromkeys(names, image)))
    page.show_event(StepDone(1, 9, {"paired": 1.0}, 0.1))
    page.show_event(Warned("voxels differ"))
    assert page.preview.images
    page.clear()
    assert not page.preview.images
    assert not page.curves.losses.plot.listDataItems()
    assert page.log.toPlainText() == ""
    assert not page.log.isVisible()
