"""Runs that are saved, continued, restarted, handed on and remembered."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QSettings, Qt, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox, QPushButton, QSpinBox

from napari_cyclegan3d import io
from napari_cyclegan3d.engine import memory
from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.closing import CLOSE_BUTTON
from napari_cyclegan3d.gui.contributions import read
from napari_cyclegan3d.gui.remembered import recall
from napari_cyclegan3d.gui.train import controller
from napari_cyclegan3d.gui.train.dock import State, TrainDock
from napari_cyclegan3d.gui.train.remembering import (
    free_run,
    next_run,
    unfinished_run,
)
from napari_cyclegan3d.io.origins import read_sources
from napari_cyclegan3d.io.series import write_series

PATIENCE = 60_000
LONG = 10**6
Tiny = Callable[..., TrainConfig]


@pytest.fixture
def dock(train_dock_alone: TrainDock, slow: Path) -> TrainDock:
    """A dock without a viewer, with the same file for A and for B."""
    train_dock_alone.data.set_sources({"a": [slow], "b": [slow]})
    return train_dock_alone


@pytest.fixture
def another(qtbot: QtBot) -> Callable[[], TrainDock]:
    """A function: the dock at the next start of napari."""

    def make() -> TrainDock:
        dock = TrainDock(None)
        qtbot.addWidget(dock)
        return dock

    return make


def click(qtbot: QtBot, button: QPushButton) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def wait_for_steps(qtbot: QtBot, dock: TrainDock, steps: int) -> None:
    qtbot.waitUntil(lambda: dock.progress.value() >= steps, timeout=PATIENCE)


def wait_until_idle(qtbot: QtBot, dock: TrainDock) -> None:
    qtbot.waitUntil(lambda: dock.state is State.IDLE, timeout=PATIENCE)


def train_for_steps(qtbot: QtBot, dock: TrainDock, steps: int) -> Path:
    """A run that was stopped."""
    click(qtbot, dock.start_button)
    wait_for_steps(qtbot, dock, steps)
    click(qtbot, dock.stop_button)
    wait_until_idle(qtbot, dock)
    return dock.run_path


def last_saved(run: Path) -> int:
    states = RunFolder(run).states()
    return int(states[-1].stem.removeprefix("state_")) if states else 0


def clipboard() -> str:
    board = QApplication.clipboard()
    assert board is not None
    return board.text()


def test_save_now_saves_and_the_training_goes_on(
    dock: TrainDock, tiny: Tiny, qtbot: QtBot
) -> None:
    dock.settings.form.set_value(tiny(steps=LONG))
    click(qtbot, dock.start_button)
    wait_for_steps(qtbot, dock, 2)
    assert not RunFolder(dock.run_path).states()
    click(qtbot, dock.save_button)
    qtbot.waitUntil(lambda: last_saved(dock.run_path) > 0, timeout=PATIENCE)
    saved = last_saved(dock.run_path)
    wait_for_steps(qtbot, dock, saved + 5)
    assert dock.state is State.RUNNING
    assert load_model(dock.run_path / "model.safetensors")
    dock.stop()
    wait_until_idle(qtbot, dock)


def test_a_training_saves_itself_every_few_minutes(
    dock: TrainDock, tiny: Tiny, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 60_000 <= controller.AUTOSAVE_MS <= 600_000
    dock.controller._autosave.setInterval(200)
    dock.settings.form.set_value(tiny(steps=LONG))
    click(qtbot, dock.start_button)
    qtbot.waitUntil(lambda: last_saved(dock.run_path) > 0, timeout=PATIENCE)
    first = last_saved(dock.run_path)
    qtbot.waitUntil(lambda: last_saved(dock.run_path) > first, timeout=PATIENCE)
    dock.stop()
    wait_until_idle(qtbot, dock)


def test_a_run_that_was_stopped_is_offered_at_the_next_start_and_goes_to_its_end(
    dock: TrainDock, tiny: Tiny, qtbot: QtBot, another: Callable[[], TrainDock]
) -> None:
    dock.settings.form.set_value(tiny(steps=300))
    run = train_for_steps(qtbot, dock, 2)
    stopped = last_saved(run)
    later = another()
    later.settings.choose("Defaults")
    later.data.set_sources({})
    assert later.offer.line.text() == f"run-001 stopped at step {stopped} of 300."
    assert later.run_path != run
    config = RunFolder(run).config().model_copy(update={"steps": stopped + 3})
    RunFolder(run).open(config, stopped)  # so that the test need not wait
    click(qtbot, later.offer.accept_button)
    assert later.is_busy
    wait_until_idle(qtbot, later)
    assert later.status.text() == f"Saved in {run}"
    assert last_saved(run) == stopped + 3
    assert later.offer.isHidden()
    assert another().offer.isHidden()


def test_a_run_that_is_declined_is_not_offered_again(
    dock: TrainDock, tiny: Tiny, qtbot: QtBot, another: Callable[[], TrainDock]
) -> None:
    dock.settings.form.set_value(tiny(steps=LONG))
    train_for_steps(qtbot, dock, 1)
    click(qtbot, another().offer.decline_button)
    assert another().offer.isHidden()


def test_a_run_that_goes_on_is_not_offered_elsewhere(
    dock: TrainDock, tiny: Tiny, qtbot: QtBot, another: Callable[[], TrainDock]
) -> None:
    dock.settings.form.set_value(tiny(steps=LONG, checkpoint_every=1))
    click(qtbot, dock.start_button)
    wait_for_steps(qtbot, dock, 3)
    assert another().offer.isHidden()
    dock.stop()
    wait_until_idle(qtbot, dock)


KILLED = """
import sys
import time
from pathlib import Path
from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QApplication
ini, user = QSettings.Format.IniFormat, QSettings.Scope.UserScope
QSettings.setPath(ini, user, sys.argv[1])
app = QApplication([])
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.gui.train.dock import TrainDock
dock = TrainDock(None)
dock.data.set_sources({"a": [sys.argv[2]], "b": [sys.argv[2]]})
dock.settings.form.set_value(TrainConfig.model_validate_json(sys.argv[3]))
dock.data.run_folder.value = Path(sys.argv[4])
dock.start(resume=False)
app.exec()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is of POSIX")
def test_a_run_whose_process_was_killed_is_offered(
    tiny: Tiny,
    slow: Path,
    tmp_path: Path,
    qtbot: QtBot,
    another: Callable[[], TrainDock],
) -> None:
    run = tmp_path / "killed"
    config = tiny(steps=LONG, checkpoint_every=2, preview_every=0)
    arguments = tmp_path / "settings", slow, config.model_dump_json(), run
    process = subprocess.Popen([sys.executable, "-c", KILLED, *map(str, arguments)])
    try:
        qtbot.waitUntil(lambda: last_saved(run) >= 4, timeout=PATIENCE)
        assert another().offer.isHidden(), "it is still trained"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    found = unfinished_run()
    assert found is not None
    assert (found.path, found.step) == (run, last_saved(run))
    later = another()
    assert "killed stopped at step" in later.offer.line.text()
    click(qtbot, later.offer.accept_button)
    wait_for_steps(qtbot, later, found.step + 2)
    later.stop()
    wait_until_idle(qtbot, later)


def test_an_earlier_run_brings_its_settings_volumes_and_curves(
    dock: TrainDock,
    tiny: Tiny,
    slow: Path,
    qtbot: QtBot,
    another: Callable[[], TrainDock],
) -> None:
    dock.data.set_sources({"a": [f"{slow}[0:14,:,:]"], "b": [slow]})
    dock.settings.form.set_value(tiny(steps=4, seed=7))
    click(qtbot, dock.start_button)
    wait_until_idle(qtbot, dock)
    later = another()
    later.settings.choose("Defaults")
    later.data.set_sources({})
    assert later.continue_run(dock.run_path)
    assert later.settings.form.value() == dock.settings.form.value()
    texts = {
        key: [s.text() for s in some] for key, some in later.data.sources().items()
    }
    assert texts["a"] == [f"{slow}[0:14,0:17,0:16]"]
    assert texts["b"] == [str(slow)]
    assert later.status.text() == "This run is at step 4: press Resume."
    losses = later.progress_page.curves.losses

    def curves() -> bool:
        losses.redraw()
        return bool(losses.plot.listDataItems())

    qtbot.waitUntil(curves, timeout=PATIENCE)
    steps = later.settings.form.findChild(QSpinBox, "steps")
    steps.setValue(6)
    click(qtbot, later.resume_button)
    wait_until_idle(qtbot, later)
    assert last_saved(dock.run_path) == 6


def test_start_leaves_a_finished_run_alone_and_takes_the_next_folder(
    dock: TrainDock, tiny: Tiny, qtbot: QtBot
) -> None:
    dock.settings.form.set_value(tiny(steps=2))
    for name in ("run-001", "run-002"):
        click(qtbot, dock.start_button)
        wait_until_idle(qtbot, dock)
        assert dock.run_path.name == name
        assert dock.status.text() == f"Saved in {dock.run_path}"
        assert last_saved(dock.run_path) == 2


def test_a_run_whose_folder_was_removed_meanwhile_is_told_in_a_sentence(
    dock: TrainDock, tiny: Tiny, qtbot: QtBot
) -> None:
    dock.settings.form.set_value(tiny(steps=LONG, preview_every=0))
    click(qtbot, dock.start_button)
    wait_for_steps(qtbot, dock, 2)
    shutil.rmtree(dock.run_path)
    click(qtbot, dock.stop_button)
    wait_until_idle(qtbot, dock)
    assert "does not exist; create it" in dock.status.text()


def test_the_next_run_has_the_next_number(tmp_path: Path) -> None:
    for name in ("best", "run-009", "scan 7"):
        assert next_run(tmp_path / name) == tmp_path / name, "nothing is in it"
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        assert next_run(tmp_path / name) == tmp_path / name, "still nothing"
        (tmp_path / name / "model.safetensors").touch()
    (tmp_path / "scan 8").mkdir()
    found = [next_run(tmp_path / name).name for name in ("best", "run-009", "scan 7")]
    assert found == ["best-2", "run-010", "scan 9"]


def test_what_is_remembered_of_a_layer_is_read_before_the_dock_is_hidden(
    dock: TrainDock, slow: Path, qtbot: QtBot
) -> None:
    ((data, about, _),) = read(str(slow))
    dock.data.set_sources({"a": [Image(data, **about)], "b": []})
    qtbot.waitUntil(lambda: None not in dock.data.domain_a.facts(), timeout=PATIENCE)
    slow.unlink()
    assert dock.data.texts()["a"] == [str(slow)]
    dock.show()
    dock.hide()
    assert recall("train/sources")["a"] == [str(slow)]


class Slow:
    """Voxels that take a while, or more memory than there is."""

    def __init__(self, voxels: Any, seconds: float = 0, reads: int = LONG) -> None:
        self.voxels, self.seconds, self.reads = voxels, seconds, reads
        self.shape, self.dtype, self.ndim = voxels.shape, voxels.dtype, voxels.ndim

    def __getitem__(self, key: Any) -> Any:
        self.reads -= 1
        if self.reads < 0:
            raise MemoryError("std::bad_alloc")
        time.sleep(self.seconds)
        return self.voxels[key]


def test_a_training_can_be_stopped_while_its_volumes_are_read(
    dock: TrainDock, tiny: Tiny, qtbot: QtBot
) -> None:
    noise = np.random.default_rng(2).normal(5, 2, (400, 1024, 128)).astype(np.float32)
    layer = Image(Slow(noise, 0.2), name="slow", multiscale=False)
    dock.data.set_sources({"a": [layer], "b": [layer]})
    dock.settings.form.set_value(tiny(steps=LONG))
    click(qtbot, dock.start_button)
    assert dock.progress.maximum() == 0, "it says that it is at work"
    qtbot.wait(300)
    click(qtbot, dock.stop_button)
    qtbot.waitUntil(lambda: dock.state is State.IDLE, timeout=1500)
    assert dock.status.text().startswith("Stopped before the first step")
    assert dock.progress.maximum() > 0
    assert not dock.run_path.exists()


def test_what_is_no_run_is_not_continued(dock: TrainDock, tmp_path: Path) -> None:
    before = dock.run_path
    assert not dock.continue_run(tmp_path)
    assert "holds no saved state" in dock.status.text()
    assert dock.run_path == before


def test_layers_without_a_file_are_asked_for_when_their_run_is_continued(
    dock: TrainDock,
    tiny: Tiny,
    slow: Path,
    qtbot: QtBot,
    another: Callable[[], TrainDock],
) -> None:
    noise = np.random.default_rng(2).normal(5, 2, (15, 15, 15))
    dock.data.set_sources({"a": [Image(noise, name="noise")], "b": [slow]})
    dock.settings.form.set_value(tiny(steps=2))
    click(qtbot, dock.start_button)
    wait_until_idle(qtbot, dock)
    later = another()
    assert later.continue_run(dock.run_path)
    assert "1 of its volumes were layers" in later.status.text()
    assert "add volumes to domain A" in later.status.text()


def test_a_run_on_a_series_layer_knows_each_frame_of_its_file_and_goes_on(
    dock: TrainDock,
    tiny: Tiny,
    slow: Path,
    tmp_path: Path,
    qtbot: QtBot,
    another: Callable[[], TrainDock],
) -> None:
    random = np.random.default_rng(2)
    frames = [Volume(random.normal(size=(15, 15, 15))) for _ in range(2)]
    film = tmp_path / "film.nii"
    write_series(frames, film)
    ((data, about, _),) = read(str(film))
    unsaved = Image(random.normal(size=(3, 15, 15, 15)), name="unsaved")
    dock.data.set_sources({"a": [Image(data, **about), unsaved], "b": [slow]})
    dock.settings.form.set_value(tiny(steps=2))
    click(qtbot, dock.start_button)
    wait_until_idle(qtbot, dock)
    named = [f"{film}::{number}" for number in range(2)]
    assert read_sources(dock.run_path)["a"] == [*named, None, None, None]
    later = another()
    assert later.continue_run(dock.run_path)
    assert "3 of its volumes were layers" in later.status.text()
    later.data.domain_a.add(unsaved)
    later.settings.form.findChild(QSpinBox, "steps").setValue(3)
    click(qtbot, later.resume_button)
    wait_until_idle(qtbot, later)
    assert last_saved(dock.run_path) == 3


def test_a_training_too_large_for_the_memory_is_offered_again_with_what_fits(
    dock: TrainDock, tiny: Tiny, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, cpu = tiny(steps=2, batch=64), torch.device("cpu")
    needed = [memory.training_memory(tiny(batch=n), cpu) for n in (1, 64)]
    monkeypatch.setattr(memory, "free_memory", lambda _: sum(needed) // 2)
    dock.settings.form.set_value(large)
    click(qtbot, dock.start_button)
    wait_until_idle(qtbot, dock)
    assert "GB free" in dock.status.text()
    assert not dock.status.details_button.isHidden()
    assert dock.offer.accept_button.text().startswith("Restart with batch ")
    click(qtbot, dock.offer.accept_button)
    wait_until_idle(qtbot, dock)
    assert dock.status.text() == f"Saved in {dock.run_path}"
    used = RunFolder(dock.run_path).config()
    assert 1 <= used.batch < 64
    assert used == large.model_copy(update={"batch": used.batch})


def test_memory_that_runs_out_beside_the_steps_is_explained_as_well(
    dock: TrainDock, tiny: Tiny, slow: Path, qtbot: QtBot
) -> None:
    layer = Image(Slow(io.read(slow).read(), reads=2), name="slow", multiscale=False)
    dock.data.set_sources({"a": [slow], "b": [layer]})
    dock.settings.form.set_value(tiny(steps=LONG, batch=2))
    click(qtbot, dock.start_button)
    wait_until_idle(qtbot, dock)
    assert "too little memory for batch 2" in dock.status.text()
    dock.data.set_sources({"a": [slow], "b": [slow]})
    click(qtbot, dock.offer.accept_button)
    wait_for_steps(qtbot, dock, 1)
    assert dock.settings.value().batch == 1
    dock.stop()
    wait_until_idle(qtbot, dock)


def test_a_training_that_runs_out_of_memory_is_restarted_with_what_it_has_learned(
    dock: TrainDock, tiny: Tiny, qtbot: QtBot
) -> None:
    dock.settings.form.set_value(tiny(steps=LONG))
    first = train_for_steps(qtbot, dock, 2)
    slow_down = {"lr_generator": 1e-10, "lr_discriminator": 1e-10}
    dock.settings.apply({"steps": 1, "optim": slow_down})
    dock.data.run_folder.value = free_run(first.parent)
    assert dock.run_path.name == "run-002"
    dock.start(resume=False, start_from=first / "model.safetensors")
    wait_until_idle(qtbot, dock)
    before, after = (
        load_model(run / "model.safetensors").networks for run in (first, dock.run_path)
    )
    for name, network in before.items():
        for ours, theirs in zip(
            network.parameters(), after[name].parameters(), strict=True
        ):
            assert torch.allclose(ours, theirs, atol=1e-4)


def test_the_model_of_a_run_is_handed_to_the_enhance_dock(
    make_napari_viewer_proxy: Callable[..., Any], model_1x: Path, qtbot: QtBot
) -> None:
    viewer = make_napari_viewer_proxy()
    _, dock = viewer.window.add_plugin_dock_widget("napari-cyclegan3d", "Train")
    assert not dock.use_button.isEnabled()
    dock.data.run_folder.value = model_1x.parent
    dock.use_model()
    _, enhance = viewer.window.add_plugin_dock_widget("napari-cyclegan3d", "Enhance")
    qtbot.waitUntil(lambda: enhance.model.model is not None, timeout=PATIENCE)
    assert enhance.model.path == model_1x


@pytest.mark.parametrize("answer", ["Save and close", "Keep training"])
def test_the_x_of_the_dock_asks_before_a_training_is_saved_and_ended(
    answer: str,
    make_napari_viewer_proxy: Callable[..., Any],
    tiny: Tiny,
    slow: Path,
    qtbot: QtBot,
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    holder, dock = viewer.window.add_plugin_dock_widget("napari-cyclegan3d", "Train")
    dock.data.set_sources({"a": [slow], "b": [slow]})
    dock.settings.form.set_value(tiny(steps=LONG, preview_every=0))
    click(qtbot, dock.start_button)
    wait_for_steps(qtbot, dock, 2)
    run, asked = dock.run_path, []

    def reply() -> None:
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            asked.append(box.text())
            (button,) = (one for one in box.buttons() if one.text() == answer)
            button.click()

    timer = QTimer()
    timer.timeout.connect(reply)
    timer.start(50)
    close = holder.titleBarWidget().findChild(QPushButton, CLOSE_BUTTON)
    qtbot.mouseClick(close, Qt.MouseButton.LeftButton)
    timer.stop()
    assert len(asked) == 1
    assert asked[0].startswith("run-001 is training.")
    if answer == "Save and close":
        assert last_saved(run) >= 2
    else:
        assert dock.is_busy
        viewer.close()
        assert last_saved(run) >= 2


def test_sources_settings_folder_and_layout_are_there_again_at_the_next_start(
    dock: TrainDock,
    tiny: Tiny,
    slow: Path,
    tmp_path: Path,
    another: Callable[[], TrainDock],
) -> None:
    config = tiny(steps=12, loss={"label_fake": (-0.25, 0.0)})
    dock.settings.form.set_value(config)
    dock.data.set_sources({"a": [f"{slow}[0:14,:,:]"], "b": [slow]})
    dock.data.run_folder.value = tmp_path / "mine" / "best"
    dock.settings.form.unfold(["more", "augment"])
    dock.tabs.setCurrentIndex(1)
    dock.show()
    dock.hide()
    slow_text = str(slow)
    later = another()
    assert later.settings.value() == config
    texts = {
        key: [s.text() for s in some] for key, some in later.data.sources().items()
    }
    assert (texts["a"], texts["b"]) == ([f"{slow}[0:14,:,:]"], [slow_text])
    assert later.run_path == tmp_path / "mine" / "run-001"
    assert later.settings.form.unfolded() == ["more", "augment"]
    assert later.tabs.currentIndex() == 1


def test_what_is_no_longer_there_or_damaged_is_forgotten(
    dock: TrainDock, slow: Path, another: Callable[[], TrainDock]
) -> None:
    dock.show()
    dock.hide()
    slow.unlink()
    ini, user = QSettings.Format.IniFormat, QSettings.Scope.UserScope
    kept = QSettings(ini, user, "napari-cyclegan3d", "docks")
    kept.setValue("train/settings", json.dumps({"of": "another version"}))
    kept.setValue("train/tab", "{")
    kept.sync()
    later = another()
    assert later.settings.value() == TrainConfig()
    assert later.data.missing("cyclegan") == "both domains"


def test_the_copied_command_trains_the_same(
    dock: TrainDock, tiny: Tiny, slow: Path, qtbot: QtBot
) -> None:
    dock.settings.form.set_value(tiny(steps=1))
    click(qtbot, dock.settings.command_button)
    assert dock.status.text() == "Copied the command."
    program, *words = shlex.split(clipboard())
    assert program == "napari-cyclegan3d"
    subprocess.run([sys.executable, "-m", "napari_cyclegan3d", *words], check=True)
    assert RunFolder(dock.run_path).config() == dock.settings.value()
    click(qtbot, dock.settings.command_button)
    assert clipboard().endswith("--resume")
    click(qtbot, dock.settings.yaml_button)
    assert clipboard().startswith("patch:")


def test_a_layer_without_a_file_gets_a_name_in_the_command(
    dock: TrainDock, qtbot: QtBot
) -> None:
    dock.data.set_sources(
        {"a": [Image(np.eye(9)[None] + np.zeros((9, 1, 1)), name="eye")]}
    )
    click(qtbot, dock.settings.command_button)
    assert dock.status.text().endswith("save as files: eye.tif")
    assert "--a eye.tif" in clipboard()
