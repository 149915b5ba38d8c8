"""Events of a training, on the Progress page."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.sections.steps import RecordConfig
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.training import (
    Balanced,
    CheckpointSaved,
    Domains,
    PreviewReady,
    Started,
    StepDone,
    Validated,
    Warned,
    train,
)
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.progress.page import ProgressPage
from napari_cyclegan3d.io.journal import Journal

NAMES = ("real_a", "fake_b", "real_b")


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


def preview(step: int, side: int = 4) -> PreviewReady:
    image = np.full((side,) * 3, step, np.float32)
    return PreviewReady(step, dict.fromkeys(NAMES, image))


def shown(page: ProgressPage) -> float:
    return float(page.preview.images["real_a"].mean())


SETTINGS = {
    "patch": (12, 12, 12),
    "steps": 6,
    "device": "cpu",
    "precision": "fp32",
    "preview_every": 2,
    "generator": {"filters": 2},
    "discriminator": {"filters": 4, "layers": 1},
    "validation": {"every": 3},
}


@pytest.fixture(scope="module")
def run(
    upright: Volume, oblique: Volume, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run of 6 steps with validations, and previews every second step."""
    run = tmp_path_factory.mktemp("runs") / "run-007"
    domains = Domains([upright], [oblique], [upright], [oblique])
    events = train(parse(TrainConfig, SETTINGS), domains, run)
    journal = Journal(run, RecordConfig())
    for event in events:
        journal.handle(event)
    journal.close()
    return run


@pytest.fixture
def reader(qtbot: QtBot, at_once: Any) -> ProgressPage:
    """A page that reads files before it returns."""
    page = ProgressPage(None, at_once)
    qtbot.addWidget(page)
    return page


def steps_of(curves: Any, name: str) -> list[float]:
    return curves.series[name].points()[0].tolist()


def test_previews_of_a_fast_training_are_shown_at_a_calm_pace_and_the_last_stays(
    page: ProgressPage, qtbot: QtBot
) -> None:
    calls: list[float] = []
    page.history.chosen.connect(lambda step, _: calls.append(step))
    for step in range(1, 101):
        page.show_event(preview(step))
    qtbot.waitUntil(lambda: shown(page) == 100)
    assert calls == [1, 100]
    assert page.history.slider.maximum() == 99


def test_who_looks_at_an_old_preview_keeps_it_while_the_training_goes_on(
    page: ProgressPage, qtbot: QtBot
) -> None:
    page.show_event(preview(1))
    page.show_event(preview(2))
    qtbot.wait(500)
    page.history.slider.setValue(0)
    page.show_event(preview(3))
    qtbot.wait(500)
    assert shown(page) == 1
    page.history.live_button.click()
    assert shown(page) == 3
    page.show_event(preview(4))
    qtbot.waitUntil(lambda: shown(page) == 4)


def test_a_run_on_disk_shows_its_curves_scores_and_all_its_previews(
    reader: ProgressPage, run: Path
) -> None:
    reader.open_run(run)
    assert steps_of(reader.curves.losses, "cycle_a") == [1, 2, 3, 4, 5, 6]
    assert steps_of(reader.curves.shares, "accuracy_b") == [1, 2, 3, 4, 5, 6]
    assert steps_of(reader.curves.scores, "score") == [3, 6]
    newest = reader.preview.images
    assert newest.keys() >= {"real_a", "cyclic_b"}
    assert reader.history.label.text() == "step 6"
    reader.history.slider.setValue(0)
    assert reader.history.label.text() == "step 2"
    assert not np.array_equal(reader.preview.images["fake_b"], newest["fake_b"])
    np.testing.assert_array_equal(reader.preview.images["real_a"], newest["real_a"])


@pytest.fixture
def late() -> list[Any]:
    """What was read, with the function that takes it."""
    return []


@pytest.fixture
def waiting(qtbot: QtBot, late: list[Any]) -> ProgressPage:
    """A page that is given nothing of what it reads."""

    def read(events: Any, on_event: Any, *_: Any) -> None:
        late.append((list(events), on_event))

    page = ProgressPage(None, read)
    qtbot.addWidget(page)
    return page


def test_a_run_that_goes_on_is_read_while_it_does(
    waiting: ProgressPage, late: list[Any], run: Path
) -> None:
    page = waiting
    page.open_run(run)
    page.show_event(Started(4, 8, "cpu"))
    page.show_event(StepDone(5, 8, {"cycle_a": 1.0}, 0.1))
    (((past,), take),) = late
    take(past)
    assert steps_of(page.curves.losses, "cycle_a") == [1, 2, 3, 4, 5]
    assert steps_of(page.curves.scores, "score") == [3]
    assert page.history.slider.maximum() == 1


def test_what_is_read_of_a_run_that_is_shown_no_more_is_dropped(
    waiting: ProgressPage, late: list[Any], run: Path
) -> None:
    waiting.open_run(run)
    waiting.clear()
    (((past,), take),) = late
    take(past)
    assert not waiting.curves.losses.series


def test_a_folder_that_is_no_run_shows_nothing_and_a_damaged_table_is_told(
    reader: ProgressPage, tmp_path: Path
) -> None:
    reader.open_run(tmp_path / "nothing")
    assert not reader.curves.losses.series
    assert not reader.preview.images
    (tmp_path / "metrics.csv").write_text(
        "step,cycle_a\n1,no number\n", encoding="utf-8"
    )
    notification_manager.records.clear()
    reader.open_run(tmp_path)
    (told,) = notification_manager.records
    assert "metrics.csv" in told.message


def test_what_is_shown_is_opened_as_layers_named_after_run_and_step(
    make_napari_viewer_proxy: Any, qtbot: QtBot, at_once: Any, run: Path
) -> None:
    viewer = make_napari_viewer_proxy()
    page = ProgressPage(viewer, at_once)
    qtbot.addWidget(page)
    assert not page.history.layers_button.isEnabled()
    page.open_run(run)
    page.history.slider.setValue(1)
    page.history.layers_button.click()
    names = [layer.name for layer in viewer.layers]
    assert len(names) == 6
    assert names[1] == "run-007 step 4 fake_b"
    fake = viewer.layers["run-007 step 4 fake_b"].data
    np.testing.assert_array_equal(fake, page.preview.images["fake_b"])


def test_the_run_is_known_from_its_first_saved_state_on(
    page: ProgressPage, tmp_path: Path
) -> None:
    page.show_event(CheckpointSaved(5, tmp_path / "run-003" / "model.safetensors"))
    assert page.history.run == tmp_path / "run-003"
