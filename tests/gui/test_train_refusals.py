"""What cannot be trained on, in the Train dock."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.gui.train.dock import State, TrainDock

PATIENCE = 60_000


def click(qtbot: QtBot, button: QPushButton) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def wait_until_idle(qtbot: QtBot, dock: TrainDock) -> None:
    qtbot.waitUntil(lambda: dock.state is State.IDLE, timeout=PATIENCE)


def no_volumes(dock: TrainDock) -> str:
    dock.data.domain_a.set_value([])
    return "domain A is empty"


def missing_file(dock: TrainDock) -> str:
    dock.data.domain_b.set_value([Path("nowhere.tif")])
    return "nowhere.tif: no such file"


def contradiction(dock: TrainDock) -> str:
    settings = dock.settings.form.value().model_copy(update={"patch": (13, 12, 12)})
    dock.settings.form.set_value(settings)
    return "nearest is (12, 12, 12)"


def large_patch(dock: TrainDock) -> str:
    settings = dock.settings.form.value().model_copy(update={"patch": (12, 12, 24)})
    dock.settings.form.set_value(settings)
    return "patch (12, 12, 24) is larger than the volume"


def missing_device(dock: TrainDock) -> str:
    settings = dock.settings.form.value().model_copy(update={"device": "cuda:99"})
    dock.settings.form.set_value(settings)
    return "device cuda:99"


def constant_layer(dock: TrainDock) -> str:
    layer = Image(np.full((15, 15, 15), 7), name="flat")
    dock.data.domain_a.set_value([layer])
    return "every voxel is 7"


def unwritable_folder(dock: TrainDock) -> str:
    file = dock.run_path.parents[1] / "slow.tif"
    dock.data.run_folder.value = file / "run"
    return "cannot be made"


@pytest.mark.parametrize(
    "spoil",
    [
        no_volumes,
        missing_file,
        contradiction,
        large_patch,
        missing_device,
        constant_layer,
        unwritable_folder,
    ],
    ids=lambda spoil: spoil.__name__,
)
def test_what_cannot_be_trained_on_is_refused_in_a_sentence_and_nothing_is_written(
    spoil: Callable[[TrainDock], str],
    train_dock_alone: TrainDock,
    tiny: Callable[..., Any],
    qtbot: QtBot,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dock = train_dock_alone
    dock.settings.form.set_value(tiny())
    reason = spoil(dock)
    with qtbot.capture_exceptions() as uncaught:
        click(qtbot, dock.start_button)
        qtbot.waitUntil(lambda: reason in dock.status.text(), timeout=PATIENCE)
    assert not uncaught
    assert dock.state is State.IDLE
    assert dock.start_button.isEnabled()
    assert not dock.stop_button.isEnabled()
    assert dock.settings.form.isEnabled()
    assert "\n" not in dock.status.text()
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_an_existing_run_is_left_as_it_was(
    train_dock_alone: TrainDock, tiny: Callable[..., Any], qtbot: QtBot
) -> None:
    dock = train_dock_alone
    dock.settings.form.set_value(tiny(steps=1))
    click(qtbot, dock.start_button)
    wait_until_idle(qtbot, dock)
    run = dock.run_path
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    click(qtbot, dock.start_button)
    wait_until_idle(qtbot, dock)
    assert dock.run_path != run
    after = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    assert after == before


def test_a_run_is_resumed_only_with_its_own_settings(
    train_dock_alone: TrainDock, tiny: Callable[..., Any], qtbot: QtBot
) -> None:
    dock = train_dock_alone
    dock.settings.form.set_value(tiny(steps=1))
    click(qtbot, dock.start_button)
    wait_until_idle(qtbot, dock)
    before = (dock.run_path / "metrics.csv").read_bytes()
    dock.settings.form.set_value(tiny(steps=2, seed=5))
    click(qtbot, dock.resume_button)
    reason = "was trained with seed = 0, not 5"
    qtbot.waitUntil(lambda: reason in dock.status.text(), timeout=PATIENCE)
    wait_until_idle(qtbot, dock)
    assert (dock.run_path / "metrics.csv").read_bytes() == before


def test_what_is_wrong_is_told_as_soon_as_it_is_typed_and_until_it_is_right(
    train_dock_alone: TrainDock, tiny: Callable[..., Any], qtbot: QtBot
) -> None:
    dock = train_dock_alone
    dock.settings.form.set_value(tiny())
    contradiction(dock)
    assert "nearest is (12, 12, 12)" in dock.status.text()
    click(qtbot, dock.start_button)
    assert "nearest is (12, 12, 12)" in dock.status.text()
    dock.settings.form.set_value(tiny())
    assert dock.status.text() == "Press Start."


def test_what_is_missing_is_told_until_it_is_added(
    train_dock_alone: TrainDock,
    tiny_enlargement: TrainConfig,
    qtbot: QtBot,
    slow: Path,
) -> None:
    dock = train_dock_alone
    data = dock.data
    data.domain_a.set_value([])
    assert dock.status.text() == "Add volumes to domain A, then press Start."
    click(qtbot, dock.start_button)
    qtbot.waitUntil(lambda: "domain A is empty" in dock.status.text())
    wait_until_idle(qtbot, dock)
    data.domain_b.set_value([])
    assert dock.status.text() == "Add volumes to both domains, then press Start."
    data.domain_a.add(slow)
    assert dock.status.text() == "Add volumes to domain B, then press Start."
    data.domain_b.add(slow)
    assert dock.status.text() == "Press Start."
    data.domain_a.set_value([])
    dock.settings.form.set_value(tiny_enlargement)
    assert dock.status.text() == "Press Start."


def test_a_refused_folder_is_told_until_another_is_chosen(
    train_dock_alone: TrainDock,
    tiny: Callable[..., Any],
    qtbot: QtBot,
    tmp_path: Path,
) -> None:
    dock = train_dock_alone
    dock.settings.form.set_value(tiny(steps=2))
    click(qtbot, dock.start_button)
    wait_until_idle(qtbot, dock)
    run = dock.run_path
    (tmp_path / "file").touch()
    dock.data.run_folder.value = tmp_path / "file" / "run"
    click(qtbot, dock.start_button)
    wait_until_idle(qtbot, dock)
    assert "cannot be made" in dock.status.text()
    assert dock.progress_page.preview.images, "a refusal keeps what was to be seen"
    dock.data.run_folder.value = run
    dock.settings.form.set_value(tiny(steps=3))
    assert dock.status.text() == "This run is at step 2: press Resume."
    dock.data.run_folder.value = tmp_path / "other"
    assert dock.status.text() == "Press Start."
