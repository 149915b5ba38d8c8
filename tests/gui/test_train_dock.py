"""The Train dock in a real viewer, with real trainings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyqtgraph as pg
import pytest
from napari.layers import Image
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt, QThreadPool, QTimer
from qtpy.QtWidgets import QApplication, QPushButton

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.layers import to_layer_data
from napari_cyclegan3d.gui.train.dock import State, TrainDock

PATIENCE = 60_000
LONG = 10**6
Opened = tuple[Any, TrainDock]


@pytest.fixture
def opened(
    make_napari_viewer_proxy: Callable[..., Any], upright: Volume, slow: Path
) -> Opened:
    """A viewer and its Train dock, with a layer for A and a file for B chosen."""
    viewer = make_napari_viewer_proxy()
    data, attributes, _ = to_layer_data(upright)
    layer = viewer.add_image(data, **attributes)
    _, dock = viewer.window.add_plugin_dock_widget("napari-cyclegan3d", "Train")
    dock.data.domain_a.set_value([layer])
    dock.data.domain_b.set_value([slow])
    return viewer, dock


def click(qtbot: QtBot, button: QPushButton) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def steps_in(run: Path) -> list[int]:
    lines = (run / "metrics.csv").read_text(encoding="utf-8").splitlines()[1:]
    return [int(line.split(",")[0]) for line in lines]


def last_saved(run: Path) -> int:
    return int(RunFolder(run).states()[-1].stem.removeprefix("state_"))


def wait_for_steps(qtbot: QtBot, dock: TrainDock, steps: int) -> None:
    qtbot.waitUntil(lambda: dock.progress.value() >= steps, timeout=PATIENCE)


def wait_until_idle(qtbot: QtBot, dock: TrainDock) -> None:
    qtbot.waitUntil(lambda: dock.state is State.IDLE, timeout=PATIENCE)


def test_a_training_runs_to_its_end_with_curves_and_both_cycles_to_be_seen(
    opened: Opened, tiny: Callable[..., Any], qtbot: QtBot, tmp_path: Path
) -> None:
    _, dock = opened
    config = tiny(steps=5)
    dock.settings.form.set_value(config)
    click(qtbot, dock.start_button)
    assert dock.state is State.RUNNING
    assert not dock.settings.form.isEnabled()
    wait_until_idle(qtbot, dock)

    run = tmp_path / "runs" / "run-001"
    assert dock.status.text() == f"Saved in {run}"
    assert dock.progress.value() == dock.progress.maximum() == 5
    assert steps_in(run) == [1, 2, 3, 4, 5]
    assert RunFolder(run).config() == config
    origin = load_model(run / "model.safetensors").header.provenance
    assert (origin.volumes_a, origin.volumes_b) == (("fast scan",), ("slow.tif",))
    assert np.allclose(origin.spacing_a, (2, 1, 1.5))
    pictures = sorted(path.name for path in (run / "previews").glob("*.png"))
    assert pictures == [f"step_0000000{step}.png" for step in (2, 4, 5)]

    shown = dock.progress_page.preview.canvas.scene().items()
    images = [one.image for one in shown if isinstance(one, pg.ImageItem)]
    assert [image.shape for image in images] == [(12, 12)] * 6
    assert all(np.ptp(image) > 0 for image in images)
    dock.progress_page.curves.losses.redraw()
    curves = dock.progress_page.curves.losses.plot.listDataItems()
    assert {"cycle_a", "cycle_b", "judge_a"} <= {curve.name() for curve in curves}
    for curve in curves:
        steps, values = curve.getData()
        assert list(steps) == [1, 2, 3, 4, 5]
        assert np.isfinite(values).all()
    for button, enabled in (
        (dock.start_button, True),
        (dock.pause_button, False),
        (dock.resume_button, True),
        (dock.stop_button, False),
        (dock.save_button, False),
        (dock.continue_button, True),
        (dock.use_button, True),
    ):
        assert button.isEnabled() == enabled


def test_an_enlargement_is_trained_from_domain_b_alone(
    train_dock_alone: TrainDock, tiny_enlargement: Any, upright: Volume, qtbot: QtBot
) -> None:
    dock = train_dock_alone
    data, attributes, _ = to_layer_data(upright)
    dock.data.domain_a.set_value([])
    dock.data.domain_b.set_value([Image(data, **attributes)])
    dock.settings.form.set_value(tiny_enlargement)
    click(qtbot, dock.start_button)
    wait_until_idle(qtbot, dock)
    assert dock.status.text() == f"Saved in {dock.run_path}"
    assert set(dock.progress_page.preview.images) == {"real_a", "fake_b", "real_b"}
    losses = dock.progress_page.curves.losses
    losses.redraw()
    names = {curve.name() for curve in losses.plot.listDataItems()}
    assert names == {"judge_b", "adversarial_b", "paired"}


def test_scores_of_other_volumes_are_shown_and_what_is_trained_on_is_left_out(
    train_dock_alone: TrainDock,
    tiny: Callable[..., Any],
    slow: Path,
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    dock = train_dock_alone
    rng = np.random.default_rng(8)
    for name in ("other_a", "other_b"):
        noise = rng.normal(9, 3, (13, 14, 15)).astype(np.float32)
        io.write(Volume(noise, unit="micrometer"), tmp_path / f"{name}.tif")
    dock.data.validate_a.set_value([tmp_path / "other_a.tif"])
    dock.data.validate_b.set_value([slow, tmp_path / "other_b.tif"])
    every = {"every": 2, "patches": 1}
    dock.settings.form.set_value(tiny(steps=6, validation=every))
    click(qtbot, dock.start_button)
    wait_until_idle(qtbot, dock)
    left_out, *scores = [
        line
        for line in dock.progress_page.log.toPlainText().splitlines()
        if "slow.tif" in line or "score " in line
    ]
    assert "is trained on" in left_out
    assert left_out in {one.message for one in notification_manager.records}
    assert [line.split(":")[0] for line in scores] == ["Step 2", "Step 4", "Step 6"]
    plot = dock.progress_page.curves.scores
    plot.redraw()
    (curve,) = plot.plot.listDataItems()
    assert list(curve.getData()[0]) == [2, 4, 6]


def test_a_picture_that_cannot_be_written_is_told_and_the_training_goes_on(
    train_dock_alone: TrainDock, tiny: Callable[..., Any], qtbot: QtBot
) -> None:
    dock = train_dock_alone
    in_the_way = dock.run_path / "previews" / "step_00000002.png" / "file"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.touch()
    dock.settings.form.set_value(tiny(steps=4))
    click(qtbot, dock.start_button)
    wait_until_idle(qtbot, dock)
    assert dock.status.text() == f"Saved in {dock.run_path}"
    assert "step_00000002.png" in dock.progress_page.log.toPlainText()
    assert (dock.run_path / "previews" / "step_00000004.png").is_file()


def test_another_run_that_is_resumed_has_its_own_curves(
    train_dock_alone: TrainDock,
    tiny: Callable[..., Any],
    qtbot: QtBot,
    tmp_path: Path,
) -> None:
    dock = train_dock_alone
    for name, steps in (("one", 2), ("two", 5)):
        dock.data.run_folder.value = tmp_path / name
        dock.settings.form.set_value(tiny(steps=steps, preview_every=0))
        click(qtbot, dock.start_button)
        wait_until_idle(qtbot, dock)
    dock.data.run_folder.value = tmp_path / "one"
    dock.settings.form.set_value(tiny(steps=3, preview_every=0))
    click(qtbot, dock.resume_button)
    wait_until_idle(qtbot, dock)
    losses = dock.progress_page.curves.losses

    def past_and_present() -> bool:
        losses.redraw()
        shown = losses.plot.listDataItems()
        return bool(shown) and len(shown[0].getData()[0]) == 3

    qtbot.waitUntil(past_and_present, timeout=PATIENCE)
    losses.redraw()
    for curve in losses.plot.listDataItems():
        assert list(curve.getData()[0]) == [1, 2, 3]


def test_pause_stops_the_steps_resume_goes_on_stop_saves_and_resume_goes_to_the_end(
    opened: Opened, tiny: Callable[..., Any], qtbot: QtBot
) -> None:
    _, dock = opened
    config = tiny(steps=LONG, preview_every=0, optim={"schedule": "constant"})
    dock.settings.form.set_value(config)
    click(qtbot, dock.start_button)
    wait_for_steps(qtbot, dock, 3)

    click(qtbot, dock.pause_button)
    qtbot.wait(500)  # a step takes less
    lines = (dock.run_path / "metrics.csv").stat().st_size
    step = dock.progress.value()
    qtbot.wait(500)
    assert dock.progress.value() == step
    assert (dock.run_path / "metrics.csv").stat().st_size == lines
    assert dock.state is State.PAUSED
    assert dock.status.text() == "Paused"

    click(qtbot, dock.resume_button)
    wait_for_steps(qtbot, dock, step + 3)
    assert dock.state is State.RUNNING
    click(qtbot, dock.stop_button)
    wait_until_idle(qtbot, dock)
    steps = steps_in(dock.run_path)
    stopped = steps[-1]
    assert steps == list(range(1, stopped + 1))
    assert last_saved(dock.run_path) == stopped

    changed = config.model_copy(update={"steps": stopped + 3})
    dock.settings.form.set_value(changed)
    click(qtbot, dock.resume_button)
    wait_until_idle(qtbot, dock)
    assert dock.status.text() == f"Saved in {dock.run_path}"
    assert steps_in(dock.run_path) == list(range(1, stopped + 4))
    model = load_model(dock.run_path / "model.safetensors")
    assert model.header.provenance.steps == stopped + 3


def test_a_paused_training_can_be_stopped(
    train_dock_alone: TrainDock, tiny: Callable[..., Any], qtbot: QtBot
) -> None:
    dock = train_dock_alone
    dock.settings.form.set_value(tiny(steps=LONG))
    click(qtbot, dock.start_button)
    wait_for_steps(qtbot, dock, 1)
    click(qtbot, dock.pause_button)
    click(qtbot, dock.stop_button)
    wait_until_idle(qtbot, dock)
    assert last_saved(dock.run_path) == steps_in(dock.run_path)[-1]


def test_a_training_that_is_stopped_at_once_can_be_started_again(
    train_dock_alone: TrainDock, tiny: Callable[..., Any], qtbot: QtBot
) -> None:
    dock = train_dock_alone
    dock.settings.form.set_value(tiny(steps=2))
    click(qtbot, dock.start_button)
    click(qtbot, dock.stop_button)
    wait_until_idle(qtbot, dock)
    states = RunFolder(dock.run_path).states()
    assert states or "Saved" not in dock.status.text()
    click(qtbot, dock.resume_button if states else dock.start_button)
    wait_until_idle(qtbot, dock)
    assert last_saved(dock.run_path) == 2


def test_the_window_stays_alive_while_training_goes_on(
    opened: Opened, tiny: Callable[..., Any], qtbot: QtBot
) -> None:
    viewer, dock = opened
    ticks: list[tuple[State, int]] = []
    timer = QTimer()
    timer.setInterval(5)
    timer.timeout.connect(lambda: ticks.append((dock.state, dock.progress.value())))
    dock.settings.form.set_value(tiny(steps=LONG, preview_every=5))
    click(qtbot, dock.start_button)
    timer.start()
    wait_for_steps(qtbot, dock, 20)
    viewer.dims.set_point(0, 5)
    viewer.add_image(np.ones((4, 4, 4)), name="added meanwhile")
    wait_for_steps(qtbot, dock, dock.progress.value() + 30)
    timer.stop()
    during = [step for state, step in ticks if state is State.RUNNING]
    assert len(during) > 20
    # it ticked all the while, not once at the end
    assert len(set(during)) > 5
    click(qtbot, dock.stop_button)
    wait_until_idle(qtbot, dock)


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_closing_the_viewer_ends_the_training_and_saves_it(
    paused: bool, opened: Opened, tiny: Callable[..., Any], qtbot: QtBot
) -> None:
    viewer, dock = opened
    dock.settings.form.set_value(tiny(steps=LONG, preview_every=0))
    click(qtbot, dock.start_button)
    wait_for_steps(qtbot, dock, 2)
    run = dock.run_path
    if paused:
        click(qtbot, dock.pause_button)
    with qtbot.capture_exceptions() as uncaught:
        viewer.close()
        assert QThreadPool.globalInstance().waitForDone(PATIENCE)
        QApplication.processEvents()
    assert not uncaught
    assert last_saved(run) == steps_in(run)[-1] >= 2
    assert load_model(run / "model.safetensors")


def test_closing_the_dock_ends_the_training_and_saves_it(
    opened: Opened, tiny: Callable[..., Any], qtbot: QtBot
) -> None:
    viewer, dock = opened
    dock.settings.form.set_value(tiny(steps=LONG, preview_every=0))
    click(qtbot, dock.start_button)
    wait_for_steps(qtbot, dock, 2)
    run = dock.run_path
    with qtbot.capture_exceptions() as uncaught:
        viewer.window.remove_dock_widget(dock)
        assert QThreadPool.globalInstance().waitForDone(PATIENCE)
        QApplication.processEvents()
    assert not uncaught
    assert last_saved(run) == steps_in(run)[-1] >= 2


def test_every_new_dock_proposes_a_folder_that_does_not_exist_yet(
    qtbot: QtBot, tmp_path: Path
) -> None:
    (tmp_path / "runs" / "run-001").mkdir(parents=True)
    dock = TrainDock(None)
    qtbot.addWidget(dock)
    assert dock.run_path == tmp_path / "runs" / "run-002"


def test_a_run_that_was_stopped_shows_its_settings_and_can_be_resumed(
    train_dock_alone: TrainDock,
    tiny: Callable[..., Any],
    qtbot: QtBot,
    tmp_path: Path,
) -> None:
    dock = train_dock_alone
    dock.settings.form.set_value(tiny(steps=LONG))
    dock.data.run_folder.value = tmp_path / "run"
    click(qtbot, dock.start_button)
    wait_for_steps(qtbot, dock, 1)
    click(qtbot, dock.stop_button)
    wait_until_idle(qtbot, dock)
    later = TrainDock(None)
    qtbot.addWidget(later)
    later.settings.choose("Defaults")
    later.data.run_folder.value = tmp_path / "run"
    assert later.settings.form.value() == dock.settings.form.value()
    assert later.settings.preset.placeholderText() == "As in run"
    assert f"step {last_saved(tmp_path / 'run')}" in later.status.text()
    assert later.resume_button.isEnabled()


def test_no_message_widens_the_dock(train_dock_alone: TrainDock) -> None:
    dock = train_dock_alone
    narrow = dock.minimumSizeHint().width()
    dock.status.say("9" * 200)
    assert dock.minimumSizeHint().width() == narrow
