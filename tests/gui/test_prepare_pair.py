"""Pairs in the Prepare dock, with real volumes, files and windows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from npe2 import PluginManager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox, QPushButton

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.pairing import matched
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.layers import to_layer_data, to_volume
from napari_cyclegan3d.gui.prepare.dock import PrepareDock
from napari_cyclegan3d.gui.train.dock import TrainDock
from napari_cyclegan3d.prepare.pairs import PairDone, PairSettings, paired
from napari_cyclegan3d.prepare.records import read_records, records_path

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")

PATIENCE = 60_000
PLUGIN = "napari-cyclegan3d"
Opened = tuple[ViewerModel, PrepareDock]


def ball(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """A bright ball in the middle of a dark ground."""
    axes = [np.linspace(-1, 1, size) for size in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    noise = np.random.default_rng(seed).random(shape)
    return ((z**2 + y**2 + x**2 < 0.4) * 800 + 20 * noise).astype("f4")


def scans() -> tuple[Volume, Volume]:
    """T1 on a turned grid, and T2 on a finer one that is shifted against it."""
    place = np.array(
        [[2, 0.3, 0, -30], [-0.4, 1.2, 0.2, 12], [0.1, -0.2, 1.4, 7], [0, 0, 0, 1]]
    )
    other = place @ np.diag([0.5, 0.8, 0.9, 1])
    other[:3, 3] += (1.3, -0.7, 0.4)
    return (
        Volume(ball((16, 20, 22), 1), place, "millimeter", name="head_T1"),
        Volume(ball((32, 25, 24), 2), other, "millimeter", name="head_T2"),
    )


def add(viewer: Any, volume: Volume) -> Image:
    data, attributes, _ = to_layer_data(volume)
    return viewer.add_image(data, **attributes)


@pytest.fixture
def viewer() -> ViewerModel:
    """What a window shows, without the window, which takes seconds to open."""
    PluginManager.instance().discover()
    return ViewerModel()


@pytest.fixture
def docked(viewer: ViewerModel, qtbot: QtBot) -> Iterator[Callable[[], PrepareDock]]:
    """Makes a Prepare dock that is told of the viewer's layers, as napari does."""
    docks: list[PrepareDock] = []

    def dock_for() -> PrepareDock:
        dock = PrepareDock(viewer)
        qtbot.addWidget(dock)
        for signal in (viewer.layers.events.inserted, viewer.layers.events.removed):
            signal.connect(dock.reset_choices)
        dock.tabs.setCurrentIndex(1)
        docks.append(dock)
        return dock

    yield dock_for
    for dock in docks:
        dock.cancel()
        wait(qtbot, dock)


@pytest.fixture
def opened(viewer: ViewerModel, docked: Callable[[], PrepareDock]) -> Opened:
    """A viewer with two scans of one head, and the page of pairs, without N4."""
    for volume in scans():
        add(viewer, volume)
    dock = docked()
    set_values(dock, n4=False)
    return viewer, dock


def set_values(dock: PrepareDock, **values: Any) -> None:
    dock.pair_page.form.set_value(PairSettings(**values))


def click(qtbot: QtBot, button: QPushButton) -> None:
    assert button.isEnabled()
    assert not button.isHidden()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def wait(qtbot: QtBot, dock: PrepareDock) -> None:
    qtbot.waitUntil(lambda: not dock.is_busy, timeout=PATIENCE)
    assert not dock.cancel_button.isEnabled()


def pair(qtbot: QtBot, dock: PrepareDock) -> None:
    click(qtbot, dock.pair_button)
    wait(qtbot, dock)


def chosen(dock: PrepareDock) -> list[str]:
    return [one.layer.name for one in dock.pair_page.choosers if one.layer]


def test_two_layers_become_two_on_one_grid_as_the_command_makes_them(
    opened: Opened, qtbot: QtBot
) -> None:
    viewer, dock = opened
    before = [layer.data.copy() for layer in viewer.layers]
    selected = set(viewer.layers.selection)
    assert chosen(dock) == ["head_T1", "head_T2"]
    pair(qtbot, dock)
    names = [layer.name for layer in viewer.layers]
    assert names == ["head_T1", "head_T2", "head_T1 pair", "head_T2 pair"]
    made = [to_volume(layer) for layer in viewer.layers[2:]]
    *_, done = paired(*scans(), PairSettings(n4=False))
    assert isinstance(done, PairDone)
    for one, expected in zip(made, (done.a, done.b), strict=True):
        assert np.array_equal(one.read(), expected.read())
        assert np.allclose(one.affine, expected.affine)
    assert matched(made[:1], made[1:]) == [(0, 0)]
    steps = [[one.step for one in volume.metadata["prepared"]] for volume in made]
    assert steps == [["crop"], ["to-grid", "crop"]]
    # both lie over A, voxel by voxel
    a, b = viewer.layers[2:]
    for voxel in ((0, 0, 0), (3, 2, 1)):
        assert np.allclose(a.data_to_world(voxel), b.data_to_world(voxel))
        whole = np.linalg.inv(scans()[0].affine) @ made[0].affine @ (*voxel, 1)
        assert np.allclose(
            a.data_to_world(voxel), viewer.layers[0].data_to_world(whole[:3])
        )
    assert all(
        np.array_equal(layer.data, data)
        for layer, data in zip(viewer.layers, before, strict=False)
    )
    assert set(viewer.layers.selection) == selected


def test_the_history_of_a_pair_is_shown_and_goes_into_its_file(
    opened: Opened, qtbot: QtBot, tmp_path: Path
) -> None:
    viewer, dock = opened
    pair(qtbot, dock)
    dock.choose(viewer.layers["head_T2 pair"])
    assert dock.tabs.currentIndex() == 0
    assert dock.history.text().startswith("1. ")
    path = tmp_path / "b.nii.gz"
    dock.save(path)
    wait(qtbot, dock)
    steps = [one.step for one in read_records(records_path(path))]
    assert steps == ["to-grid", "crop"]


def test_a_pair_is_saved_in_the_folders_of_the_command_and_replaced_if_one_agrees(
    opened: Opened, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, dock = opened
    assert not dock.save_pair_button.isEnabled()
    pair(qtbot, dock)
    folder = tmp_path / "pair"
    answer = lambda *_: str(folder)  # noqa: E731
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", answer)
    click(qtbot, dock.save_pair_button)
    wait(qtbot, dock)
    paths = [folder / "a" / "head_T1.nii.gz", folder / "b" / "head_T2.nii.gz"]
    assert dock.status.text() == f"Wrote {paths[0]} and {paths[1]}"
    a, b = (io.read(path) for path in paths)
    assert matched([a], [b]) == [(0, 0)]
    written = b.read()
    assert all(records_path(path).is_file() for path in paths)
    for path in paths:
        path.write_bytes(b"of somebody else")
    click(qtbot, dock.save_pair_button)
    assert not dock.is_busy
    assert "nothing was written" in dock.status.text()
    assert [path.read_bytes() for path in paths] == [b"of somebody else"] * 2
    click(qtbot, dock.offer.accept_button)
    wait(qtbot, dock)
    assert np.array_equal(io.read(paths[1]).read(), written)
    viewer.layers.remove(viewer.layers["head_T1 pair"])
    assert not dock.save_pair_button.isEnabled()


def test_a_folder_that_cannot_be_made_is_told_in_one_sentence(
    opened: Opened, qtbot: QtBot, tmp_path: Path
) -> None:
    _, dock = opened
    pair(qtbot, dock)
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    dock.save_pair(tmp_path / "file")
    wait(qtbot, dock)
    assert "cannot be made" in dock.status.text()
    assert (tmp_path / "file").read_text(encoding="utf-8") == "no folder"


def test_a_saving_that_is_cancelled_leaves_whole_files_and_no_empty_folders(
    opened: Opened, qtbot: QtBot, tmp_path: Path
) -> None:
    _, dock = opened
    pair(qtbot, dock)
    folder = tmp_path / "pair"
    dock.save_pair(folder)
    dock.cancel()
    wait(qtbot, dock)
    left = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    told = dock.status.text()
    if told == "Cancelled; nothing was changed.":
        assert not folder.exists()
    else:
        assert told.startswith(f"Wrote {folder / 'a' / 'head_T1.nii.gz'}")
        b = ["b", "b/head_T2.nii.gz", "b/head_T2.nii.gz.prepared.json"]
        assert [one for one in sorted(left) if one[0] == "b"] == (
            [] if "but not" in told else b
        )


def test_what_is_no_pair_is_refused_and_changes_nothing(
    opened: Opened, qtbot: QtBot
) -> None:
    viewer, dock = opened
    away = Volume(ball((8, 8, 8), 3), unit="millimeter", name="away")
    far = np.eye(4)
    far[:3, 3] = 1e4
    away = Volume(away.array, far, "millimeter", name="away")
    layer = add(viewer, away)
    a, b = dock.pair_page.choosers
    b.choose(layer)
    pair(qtbot, dock)
    assert "away: does not overlap" in dock.status.text()
    b.choose(a.layer)
    assert dock.status.text() == (
        "head_T1: is chosen as A and as B; choose another volume as B"
    )
    click(qtbot, dock.pair_button)
    assert not dock.is_busy
    b.choose(viewer.add_image(np.zeros((2, 4, 5, 6)), name="series"))
    assert "has 4 axes" in dock.status.text()
    assert len(viewer.layers) == 4
    assert dock.offer.isHidden()


def test_names_that_tell_no_pair_are_remarked(opened: Opened, qtbot: QtBot) -> None:
    viewer, dock = opened
    viewer.layers["head_T2"].name = "img 22"
    pair(qtbot, dock)
    assert dock.status.text().startswith(
        "Added layers 'head_T1 pair' and 'img 22 pair'; to train on them as a pair, "
        "rename them: "
    )


def test_escape_cancels_a_pair_and_nothing_is_changed(
    opened: Opened, qtbot: QtBot
) -> None:
    viewer, dock = opened
    noise = np.random.default_rng(3).normal(500, 20, (160,) * 3).astype("f4")
    for name in ("large_T1", "large_T2"):
        layer = add(viewer, Volume(noise, name=name))
        dock.pair_page.choosers[name == "large_T2"].choose(layer)
    set_values(dock, n4=True)
    click(qtbot, dock.pair_button)
    assert not dock.pair_button.isEnabled()
    qtbot.keyClick(dock, Qt.Key.Key_Escape)
    wait(qtbot, dock)
    assert dock.status.text() == "Cancelled; nothing was changed."
    assert len(viewer.layers) == 4
    assert dock.pair_button.isEnabled()


def test_files_and_layers_are_chosen_as_they_are_dropped(
    opened: Opened, qtbot: QtBot, tmp_path: Path
) -> None:
    viewer, dock = opened
    paths = [tmp_path / "one.nii.gz", tmp_path / "two.nii.gz"]
    for path, volume in zip(paths, scans(), strict=True):
        io.write(volume, path)
    dock.drop(paths)
    wait(qtbot, dock)
    assert chosen(dock) == ["one", "two"]
    dock.pair_page.choosers[1].wanted.emit(paths[0])
    wait(qtbot, dock)
    assert chosen(dock) == ["one", "one [1]"]
    dock.drop([viewer.layers["head_T2"], viewer.layers["head_T1"]])
    assert chosen(dock) == ["head_T2", "head_T1"]


def test_page_and_settings_are_remembered(
    opened: Opened, docked: Callable[[], PrepareDock], viewer: ViewerModel
) -> None:
    _, dock = opened
    set_values(dock, n4=False, crop="overlap", spacing=(1.0, 2.0, 1.5))
    again = PrepareDock(viewer)
    assert again.tabs.currentIndex() == 1
    expected = PairSettings(n4=False, crop="overlap", spacing=(1.0, 2.0, 1.5))
    assert again.pair_page.form.value() == expected
    again.deleteLater()


def test_in_a_window_a_pair_is_added_to_the_train_dock_and_trained_on_as_pairs(
    make_napari_viewer: Callable[..., Any],
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    viewer = make_napari_viewer(show=True)
    for volume in scans():
        add(viewer, volume)
    holder, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Prepare")
    dock.tabs.setCurrentIndex(1)
    set_values(dock, n4=False)
    camera = viewer.camera.center, viewer.camera.zoom
    pair(qtbot, dock)
    assert (viewer.camera.center, viewer.camera.zoom) == camera
    assert dock.minimumSizeHint().width() <= 420
    area = dock.tabs.currentWidget()
    assert area.widget().width() <= area.viewport().width()
    _, train = viewer.window.add_plugin_dock_widget(PLUGIN, "Train", tabify=True)
    train.data.set_sources({"b": []})
    click(qtbot, dock.offer.accept_button)
    sources = train.data.sources()
    assert [one.item for one in sources["a"]] == [viewer.layers["head_T1 pair"]]
    assert [one.item for one in sources["b"]] == [viewer.layers["head_T2 pair"]]
    config = train.settings.value()
    assert config.sampling.pairs
    assert config.loss.paired == 1
    domains, _ = train.data.domains()
    assert matched(domains.a, domains.b) == [(0, 0)]

    asked: list[str] = []

    def let_it_run(box: QMessageBox) -> int:
        asked.append(box.text())
        box.escapeButton().click()
        return 0

    monkeypatch.setattr(QMessageBox, "exec", let_it_run)
    noise = np.random.default_rng(3).normal(500, 20, (160,) * 3).astype("f4")
    for number in range(2):
        layer = add(viewer, Volume(noise, name=f"large_T{number + 1}"))
        dock.pair_page.choosers[number].choose(layer)
    set_values(dock, n4=True)
    click(qtbot, dock.pair_button)
    close = holder.titleBarWidget().findChild(QPushButton, "QTitleBarCloseButton")
    qtbot.mouseClick(close, Qt.MouseButton.LeftButton)
    assert asked == ["A preparation is running."]
    assert dock.is_busy
    with qtbot.waitSignal(dock.destroyed, timeout=PATIENCE):
        viewer.window.remove_dock_widget(holder)
    assert len(viewer.layers) == 6


def test_a_train_dock_that_trains_keeps_its_volumes(
    train_dock_alone: TrainDock, tiny: Any, tmp_path: Path, qtbot: QtBot
) -> None:
    dock = train_dock_alone
    before = dock.data.sources()
    dock.settings.form.set_value(tiny(steps=100_000, preview_every=0))
    dock.data.run_folder.value = tmp_path / "run"
    dock.start(resume=False)
    assert dock.is_busy
    assert not dock.choose({"a": [tmp_path / "other.tif"]}, pairs=True)
    assert "A training is running" in dock.status.text()
    assert dock.data.sources() == before
    assert not dock.settings.value().sampling.pairs
    dock.stop()
    qtbot.waitUntil(lambda: not dock.is_busy, timeout=PATIENCE)
    assert dock.choose({"a": [tmp_path / "other.tif"]}, pairs=False)
    assert [one.name for one in dock.data.sources()["a"]] == ["other.tif"]
    assert dock.data.sources()["b"] == before["b"]
    dock.end()
