"""The Train dock in a real viewer, with real trainings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyqtgraph as pg
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt, QThreadPool, QTimer
from qtpy.QtWidgets import QApplication, QListWidget, QPushButton

from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.layers import to_layer_data
from napari_cyclegan3d.gui.train_dock import State, TrainDock

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
    dock.domain_a.set_value([layer])
    dock.domain_b.set_value([slow])
    return viewer, dock


def click(qtbot: QtBot, button: QPushButton) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def steps_in(run: Path) -> list[int]:
    lines = (run / "metrics.csv").read_text().splitlines()[1:]
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
    dock.form.set_value(config)
    click(qtbot, dock.start_button)
    assert dock.state is State.RUNNING
    assert not dock.form.isEnabled()
    wait_until_idle(qtbot, dock)

    run = tmp_path / "runs" / "run-001"
    assert dock.status.text() == f"Saved in {run}"
    assert dock.progress.value() == dock.progress.maximum() == 5
    assert steps_in(run) == [1, 2, 3, 4, 5]
    assert RunFolder(run).config() == config
    origin = load_model(run / "model.safetensors").header.provenance
    assert (origin.volumes_a, origin.volumes_b) == (("fast scan",), ("slow.tif",))
    assert np.allclose(origin.spacing_a, (2, 1, 1.5))
    pictures = sorted(path.name for path in (run / "previews").iterdir())
    assert pictures == [f"step_0000000{step}.png" for step in (2, 4, 5)]

    shown = dock.preview.canvas.scene().items()
    images = [one.image for one in shown if isinstance(one, pg.ImageItem)]
    assert [image.shape for image in images] == [(12, 12)] * 6
    assert all(np.ptp(image) > 0 for image in images)
    qtbot.waitUntil(lambda: bool(dock.curves.plot.listDataItems()), timeout=PATIENCE)
    dock.curves.redraw()
    curves = dock.curves.plot.listDataItems()
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
    ):
        assert button.isEnabled() == enabled


def test_volumes_are_added_once_by_button_and_can_be_removed(
    opened: Opened, qtbot: QtBot
) -> None:
    _, dock = opened
    buttons = {one.text(): one for one in dock.domain_b.findChildren(QPushButton)}
    for _ in range(2):
        click(qtbot, buttons["Add layer"])
    names = [volume.name for volume in dock.domain_b.value()]
    assert names == ["slow.tif", "fast scan"]
    rows = dock.domain_b.findChild(QListWidget)
    rows.setCurrentRow(0)
    click(qtbot, buttons["Remove"])
    assert [volume.name for volume in dock.domain_b.value()] == ["fast scan"]


def test_pause_stops_the_steps_resume_goes_on_stop_saves_and_resume_goes_to_the_end(
    opened: Opened, tiny: Callable[..., Any], qtbot: QtBot
) -> None:
    _, dock = opened
    config = tiny(steps=LONG, preview_every=0, optim={"schedule": "constant"})
    dock.form.set_value(config)
    click(qtbot, dock.start_button)
    wait_for_steps(qtbot, dock, 3)

    click(qtbot, dock.pause_button)
    worker = dock.worker
    assert worker is not None
    qtbot.waitUntil(lambda: worker.is_paused, timeout=PATIENCE)
    QApplication.processEvents()
    step = dock.progress.value()
    for _ in range(30):
        qtbot.wait(10)  # a step takes less
        assert dock.progress.value() == step
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
    dock.form.set_value(changed)
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
    dock.form.set_value(tiny(steps=LONG))
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
    dock.form.set_value(tiny(steps=2))
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
    dock.form.set_value(tiny(steps=LONG, preview_every=5))
    click(qtbot, dock.start_button)
    timer.start()
    wait_for_steps(qtbot, dock, 20)
    viewer.dims.set_point(0, 5)
    viewer.add_image(np.ones((4, 4, 4)), name="added meanwhile")
    wait_for_steps(qtbot, dock, dock.progress.value() + 5)
    timer.stop()
    during = [step for state, step in ticks if state is State.RUNNING]
    assert len(during) > 20
    # it ticked all the while, not once at the end
    assert len(set(during)) > 10
    click(qtbot, dock.stop_button)
    wait_until_idle(qtbot, dock)


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_closing_the_viewer_ends_the_training_and_saves_it(
    paused: bool, opened: Opened, tiny: Callable[..., Any], qtbot: QtBot
) -> None:
    viewer, dock = opened
    dock.form.set_value(tiny(steps=LONG, preview_every=0))
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
    dock.form.set_value(tiny(steps=LONG, preview_every=0))
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


def test_a_new_dock_shows_the_settings_of_a_stopped_run_and_offers_to_resume_it(
    train_dock_alone: TrainDock,
    tiny: Callable[..., Any],
    qtbot: QtBot,
    tmp_path: Path,
) -> None:
    dock = train_dock_alone
    dock.form.set_value(tiny(steps=LONG))
    dock.run_folder.value = tmp_path / "run"
    click(qtbot, dock.start_button)
    wait_for_steps(qtbot, dock, 1)
    click(qtbot, dock.stop_button)
    wait_until_idle(qtbot, dock)
    later = TrainDock(None)
    qtbot.addWidget(later)
    assert later.form.value() != dock.form.value()
    later.run_folder.value = tmp_path / "run"
    assert later.form.value() == dock.form.value()
    assert f"step {last_saved(tmp_path / 'run')}" in later.status.text()
    assert later.resume_button.isEnabled()
