"""The Prepare dock with real steps; where only layers count, without a window."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from npe2 import PluginManager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFileDialog, QPushButton, QScrollArea

from napari_cyclegan3d import io
from napari_cyclegan3d import prepare as steps
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.layers import to_layer_data, to_volume
from napari_cyclegan3d.gui.prepare.dock import PrepareDock
from napari_cyclegan3d.prepare.records import read_records, records_path
from napari_cyclegan3d.prepare.steps import STEPS

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")

PATIENCE = 60_000
PLUGIN = "napari-cyclegan3d"
Opened = tuple[ViewerModel, PrepareDock]
Viewers = Callable[..., Any]
Docked = Callable[[], PrepareDock]


def add(viewer: Any, volume: Volume) -> Image:
    data, attributes, _ = to_layer_data(volume)
    return viewer.add_image(data, **attributes)


@pytest.fixture
def viewer() -> ViewerModel:
    """What a window shows, without the window, which takes seconds to open."""
    PluginManager.instance().discover()
    return ViewerModel()


@pytest.fixture
def docked(viewer: ViewerModel, qtbot: QtBot) -> Iterator[Docked]:
    """Makes a Prepare dock that is told of the viewer's layers, as napari does."""
    docks: list[PrepareDock] = []

    def dock_for() -> PrepareDock:
        dock = PrepareDock(viewer)
        qtbot.addWidget(dock)
        for signal in (viewer.layers.events.inserted, viewer.layers.events.removed):
            signal.connect(dock.reset_choices)
        dock.reset_choices()
        docks.append(dock)
        return dock

    yield dock_for
    for dock in docks:
        dock.cancel()
        wait(qtbot, dock)
        dock.views.clear()


@pytest.fixture
def opened(viewer: ViewerModel, docked: Docked, upright: Volume) -> Opened:
    """A viewer with one layer, and its Prepare dock."""
    add(viewer, upright)
    return viewer, docked()


def set_step(dock: PrepareDock, name: str, **values: Any) -> None:
    dock.steps.choose(name)
    dock.steps.set_settings(name, values)


def click(qtbot: QtBot, button: QPushButton) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def wait(qtbot: QtBot, dock: PrepareDock) -> None:
    qtbot.waitUntil(lambda: not dock.is_busy, timeout=PATIENCE)
    assert not dock.cancel_button.isEnabled()


def prepare(qtbot: QtBot, dock: PrepareDock) -> None:
    click(qtbot, dock.prepare_button)
    wait(qtbot, dock)


def corners(layer: Image) -> np.ndarray:
    """World positions of two opposite outer corners of a layer."""
    ends = (-0.5,) * 3, [size - 0.5 for size in layer.data.shape[-3:]]
    leading = (0,) * (layer.ndim - 3)
    return np.array([layer.data_to_world((*leading, *end))[-3:] for end in ends])


@pytest.mark.parametrize(
    ("step", "values", "same_place"),
    [
        ("resample", {"spacing": (2.0, 2.0, 3.0)}, True),
        ("degrade", {"binning": 2, "noise": 0.1}, True),
        ("pad", {"multiple": 32}, False),
        ("crop", {"threshold": 160.0, "margin": 0}, False),
    ],
)
@pytest.mark.parametrize("place", ["upright", "oblique"])
def test_a_result_has_the_steps_voxels_and_lies_where_they_belong(
    step: str,
    values: dict[str, Any],
    same_place: bool,
    place: str,
    viewer: ViewerModel,
    docked: Docked,
    qtbot: QtBot,
    request: pytest.FixtureRequest,
) -> None:
    volume: Volume = request.getfixturevalue(place)
    source = add(viewer, volume)
    source.translate += np.array((5, 0, -3))
    dock = docked()
    set_step(dock, step, **values)
    before = source.data.copy()
    moved = to_volume(source)
    prepare(qtbot, dock)
    result = viewer.layers[1]
    assert result.name == f"{volume.name} {step}"
    expected = steps.run(moved, step, **values)
    assert np.array_equal(result.data, expected.read())
    again = to_volume(result)
    assert np.allclose(again.affine, expected.affine)
    assert again.unit == volume.unit
    # the same world position is at the same place of the canvas
    step_back = np.linalg.inv(moved.affine) @ again.affine
    for voxel in ((0, 0, 0), (3, 2, 1)):
        seen = result.data_to_world(voxel)
        assert np.allclose(
            seen, source.data_to_world((step_back @ (*voxel, 1))[:3]), atol=1e-6
        )
    if place == "upright":
        assert same_place == np.allclose(corners(result), corners(source))
    assert np.array_equal(source.data, before)
    assert [record.step for record in again.metadata["prepared"]] == [step]
    assert (result.units, result.axis_labels) == (source.units, source.axis_labels)


def test_a_layer_that_is_turned_in_the_viewer_keeps_its_turn(
    viewer: ViewerModel, docked: Docked, qtbot: QtBot
) -> None:
    source = viewer.add_image(
        np.random.default_rng(0).normal(size=(8, 10, 12)).astype(np.float32),
        scale=(2, 1, 1),
        rotate=(0, 0, 30),
        name="turned",
    )
    dock = docked()
    set_step(dock, "degrade", binning=2)
    prepare(qtbot, dock)
    result = viewer.layers[1]
    assert np.allclose(corners(result), corners(source))
    assert np.allclose(result.rotate, source.rotate)


def test_steps_follow_each_other_and_their_history_is_shown_and_written(
    opened: Opened, qtbot: QtBot, tmp_path: Path
) -> None:
    viewer, dock = opened
    assert dock.history_fold.isHidden()
    set_step(dock, "resample", spacing=(2.0, 2.0, 2.0))
    prepare(qtbot, dock)
    click(qtbot, dock.offer.accept_button)
    assert dock.volume.layer == viewer.layers[1]
    set_step(dock, "degrade", noise=0.5)
    prepare(qtbot, dock)
    click(qtbot, dock.offer.accept_button)
    shown = dock.history.text().splitlines()
    assert shown[0].startswith("1. Resample to a spacing (spacing 2 × 2 × 2")
    assert shown[1] == "2. Degrade (noise 0.5)"
    assert not dock.history_fold.isHidden()
    path = tmp_path / "out.nii.gz"
    dock.save(path)
    wait(qtbot, dock)
    assert dock.status.text() == f"Wrote {path}"
    written = io.read(path)
    assert np.allclose(written.read(), viewer.layers[2].data)
    assert np.allclose(written.affine, to_volume(viewer.layers[2]).affine, atol=1e-4)
    records = json.loads(
        path.with_name("out.nii.gz.prepared.json").read_text(encoding="utf-8")
    )
    assert [one["step"] for one in records["records"]] == ["resample", "degrade"]
    dock.open([path])
    wait(qtbot, dock)
    assert dock.volume.layer == viewer.layers[3]
    set_step(dock, "undo", back=0)
    prepare(qtbot, dock)
    back, source = viewer.layers[4], viewer.layers[0]
    assert back.data.shape == source.data.shape
    assert np.allclose(to_volume(back).affine, to_volume(source).affine, atol=1e-4)


def test_a_mask_is_a_labels_layer_and_is_applied_to_its_partner(
    viewer: ViewerModel, docked: Docked, qtbot: QtBot
) -> None:
    z, y, x = np.mgrid[:16, :20, :24]
    ball = ((z - 8) ** 2 + (y - 10) ** 2 + (x - 12) ** 2 < 36) * 100.0
    volume = Volume(ball.astype(np.float32) + 5, unit="millimeter", name="ball")
    source = add(viewer, volume)
    dock = docked()
    set_step(dock, "brain-mask", method="otsu", opening=0.0)
    prepare(qtbot, dock)
    mask = viewer.layers[1]
    assert isinstance(mask, Labels)
    assert np.array_equal(mask.data > 0, ball > 50)
    assert np.allclose(corners(mask), corners(source))
    set_step(dock, "mask", outside=-1.0)
    assert not dock.steps.partner.isHidden()
    click(qtbot, dock.prepare_button)
    assert "needs a second volume, the mask" in dock.status.text()
    dock.steps.partner.choose(mask)
    prepare(qtbot, dock)
    assert np.array_equal(viewer.layers[2].data, np.where(ball > 50, 105, -1))
    dock.steps.choose("match")
    assert dock.steps.partner.layer is None  # a mask is no reference
    dock.steps.choose("crop")
    assert dock.steps.partner.layer == mask


def test_a_volume_is_not_its_own_partner(opened: Opened, qtbot: QtBot) -> None:
    viewer, dock = opened
    dock.steps.choose("match")
    dock.steps.partner.choose(viewer.layers[0])
    click(qtbot, dock.prepare_button)
    assert dock.status.text() == (
        "fast scan: is chosen as the volume and as the reference; choose another "
        "reference"
    )
    assert len(viewer.layers) == 1


def test_a_volume_goes_to_the_grid_of_another_one_and_lies_over_it(
    opened: Opened, upright: Volume, oblique: Volume, qtbot: QtBot
) -> None:
    viewer, dock = opened
    turned = oblique.affine.copy()
    turned[:3, 3] = upright.origin
    oblique = replace(oblique, affine=turned, unit=upright.unit)
    grid = add(viewer, oblique)
    dock.steps.choose("to-grid")
    dock.steps.partner.choose(grid)
    prepare(qtbot, dock)
    result = viewer.layers[2]
    assert np.allclose(corners(result), corners(grid))
    assert np.allclose(to_volume(result).affine, oblique.affine)


def test_a_preview_is_a_part_of_the_result_in_its_place(
    viewer: ViewerModel, docked: Docked, qtbot: QtBot
) -> None:
    noise = np.random.default_rng(1).normal(10, 2, (20, 130, 140)).astype(np.float32)
    source = add(viewer, Volume(noise, np.diag([2.0, 1, 1, 1]), name="large"))
    dock = docked()
    set_step(dock, "degrade", blur=1.0)
    dock.preview((20.0, 60.0, 120.0))
    wait(qtbot, dock)
    preview = viewer.layers[1]
    assert preview.name == "large preview"
    assert preview.data.shape == (20, 96, 96)
    start = source.world_to_data(preview.data_to_world((0, 0, 0)))
    z, y, x = (round(one) for one in start)
    assert (z, y, x) == (0, 12, 44)
    whole = steps.run(to_volume(source), "degrade", blur=1.0).read()
    part = whole[z : z + 20, y : y + 96, x : x + 96]
    assert np.allclose(preview.data, part)
    set_step(dock, "degrade", blur=2.0)
    dock.preview((20.0, 60.0, 120.0))
    wait(qtbot, dock)
    assert [layer.name for layer in viewer.layers] == ["large", "large preview"]
    assert not np.array_equal(viewer.layers[1].data, part)
    prepare(qtbot, dock)
    assert [layer.name for layer in viewer.layers] == ["large", "large degrade"]


def test_before_and_after_are_compared_with_the_views(
    opened: Opened, qtbot: QtBot
) -> None:
    viewer, dock = opened
    assert dock.views_fold.isHidden()
    set_step(dock, "degrade", noise=0.5)
    prepare(qtbot, dock)
    assert dock.views_fold.isExpanded()
    names = [layer.name for layer in viewer.layers]
    seen = [layer.visible for layer in viewer.layers]
    click(qtbot, dock.views.buttons["side by side"])
    assert {"before volume", "after volume"} <= {one.name for one in viewer.layers}
    offered = [one.name for one in dock.volume.offered()]
    assert offered == names
    click(qtbot, dock.views.buttons["side by side"])
    assert [layer.name for layer in viewer.layers] == names
    assert [layer.visible for layer in viewer.layers] == seen
    click(qtbot, dock.views.buttons["curtain"])
    viewer.layers.remove(viewer.layers[names[0]])
    qtbot.waitUntil(lambda: dock.views.pair is None)
    assert [layer.name for layer in viewer.layers] == names[1:]


def test_voxels_that_do_not_divide_the_field_of_view_are_compared_all_the_same(
    opened: Opened, qtbot: QtBot
) -> None:
    _, dock = opened
    set_step(dock, "resample", spacing=(3.0, 3.7, 4.0))
    prepare(qtbot, dock)
    assert dock.views.buttons["curtain"].isEnabled()


def test_where_the_field_of_view_has_changed_no_view_is_offered(
    opened: Opened, qtbot: QtBot
) -> None:
    _, dock = opened
    set_step(dock, "pad", multiple=32)
    prepare(qtbot, dock)
    assert "changed the field of view" in dock.views.status.text()
    assert not dock.views.buttons["curtain"].isEnabled()


def test_a_series_is_prepared_frame_by_frame(
    viewer: ViewerModel, docked: Docked, qtbot: QtBot, tmp_path: Path
) -> None:
    frames = np.random.default_rng(0).normal(size=(3, 8, 10, 12)).astype(np.float32)
    source = viewer.add_image(frames, scale=(5, 2, 1, 1), name="beat")
    dock = docked()
    set_step(dock, "degrade", binning=2)
    prepare(qtbot, dock)
    result = viewer.layers[1]
    assert result.data.shape == (3, 4, 5, 6)
    assert np.allclose(result.scale, (5, 4, 2, 2))
    assert np.allclose(corners(result), corners(source))
    binned = frames.reshape(3, 4, 2, 5, 2, 6, 2).mean(axis=(2, 4, 6))
    assert np.allclose(result.data, binned, atol=1e-5)
    viewer.dims.set_point(0, 10)
    click(qtbot, dock.preview_button)
    wait(qtbot, dock)
    preview = viewer.layers[2]
    assert np.allclose(preview.data, binned[2:], atol=1e-5)
    assert np.allclose(preview.data_to_world((0, 0, 0, 0))[0], 10)
    dock.choose(result)
    dock.save(tmp_path / "beat.nii.gz")
    wait(qtbot, dock)
    assert dock.status.text() == f"Wrote {tmp_path / 'beat.nii.gz'}"


def test_frames_that_become_different_are_refused(
    viewer: ViewerModel, docked: Docked, qtbot: QtBot
) -> None:
    frames = np.zeros((2, 12, 12, 12), np.float32)
    frames[0, 3:6, 3:6, 3:6] = frames[1, 3:9, 3:9, 3:9] = 9
    viewer.add_image(frames, name="grows")
    dock = docked()
    set_step(dock, "crop", margin=0, threshold=1.0)
    click(qtbot, dock.prepare_button)
    wait(qtbot, dock)
    assert "prepare the frames one by one" in dock.status.text()
    assert len(viewer.layers) == 1


def test_what_is_cancelled_changes_nothing(
    opened: Opened, qtbot: QtBot, tmp_path: Path
) -> None:
    viewer, dock = opened
    noise = np.random.default_rng(3).normal(5, 2, (96, 96, 96)).astype(np.float32)
    dock.choose(add(viewer, Volume(noise, name="large")))
    set_step(dock, "n4", shrink=1, iterations=1000, tolerance=1e-9)
    click(qtbot, dock.prepare_button)
    assert not dock.prepare_button.isEnabled()
    click(qtbot, dock.cancel_button)
    wait(qtbot, dock)
    assert dock.status.text() == "Cancelled; nothing was changed."
    assert len(viewer.layers) == 2
    assert dock.prepare_button.isEnabled()
    dock.save(tmp_path / "out.tif")
    dock.cancel()
    wait(qtbot, dock)
    left = sorted(one.name for one in tmp_path.glob("*out*"))
    late = dock.status.text() == f"Wrote {tmp_path / 'out.tif'}"
    assert late or dock.status.text() == "Cancelled; nothing was changed."
    assert left == (["out.tif", "out.tif.prepared.json"] if late else [])


def test_a_step_that_refuses_says_so_in_one_sentence(
    viewer: ViewerModel, docked: Docked, qtbot: QtBot, tmp_path: Path
) -> None:
    viewer.add_image(np.full((8, 8, 8), 7, np.uint8), name="flat")
    viewer.add_image(np.zeros((9, 9, 3), np.uint8), rgb=True, name="photo")
    dock = docked()
    dock.choose(viewer.layers["flat"])
    set_step(dock, "crop")
    with qtbot.capture_exceptions() as uncaught:
        click(qtbot, dock.prepare_button)
        wait(qtbot, dock)
    assert not uncaught
    assert dock.status.text().startswith("flat")
    assert len(viewer.layers) == 2
    dock.choose(viewer.layers["photo"])
    assert "colour image" in dock.status.text()
    dock.choose(viewer.layers["flat"])
    (tmp_path / "kept.tif").write_bytes(b"kept")
    dock.save(tmp_path / "nowhere" / "out.tif")
    wait(qtbot, dock)
    assert "nowhere" in dock.status.text()
    assert (tmp_path / "kept.tif").read_bytes() == b"kept"


def test_files_become_layers_and_what_they_leave_open_is_asked(
    opened: Opened, slow: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    viewer, dock = opened
    dock.drop([slow])
    wait(qtbot, dock)
    assert dock.volume.layer == viewer.layers["slow"]
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file["data"] = np.ones((3, 4, 5), np.uint8)
    dock.steps.choose("match")
    dock.steps.partner.wanted.emit(tmp_path / "one.h5")
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=PATIENCE)
    wait(qtbot, dock)
    assert dock.steps.partner.layer == viewer.layers["one"]
    assert dock.volume.layer == viewer.layers["slow"]
    dock.open([tmp_path / "missing.tif"])
    wait(qtbot, dock)
    assert "no such file" in dock.status.text()
    dock.drop([viewer.layers[0]])
    assert dock.volume.layer == viewer.layers[0]


def test_the_file_that_is_saved_gets_a_suffix_and_keeps_the_one_that_was_typed(
    opened: Opened, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, dock = opened
    for typed, chosen, name in (
        ("a", "NIfTI (*.nii *.nii.gz)", "a.nii"),
        ("b.mrc", "TIFF (*.tif *.tiff)", "b.mrc"),
        ("c", "", "c.tif"),
    ):
        answer = (str(tmp_path / typed), chosen)
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, a=answer: a)
        click(qtbot, dock.save_button)
        wait(qtbot, dock)
        assert (tmp_path / name).is_file()


def test_step_and_settings_are_remembered(opened: Opened, docked: Docked) -> None:
    _, dock = opened
    set_step(dock, "pad", multiple=8, filled="edge")
    set_step(dock, "degrade", rings=1.5)
    again = docked()
    assert again.steps.step.name == "degrade"
    assert again.steps.settings().rings == 1.5
    again.steps.choose("pad")
    settings = again.steps.settings()
    assert (settings.multiple, settings.filled) == (8, "edge")


def test_every_step_has_its_form_and_its_partner(opened: Opened) -> None:
    _, dock = opened
    titles = [dock.steps.choice.itemText(n) for n in range(dock.steps.choice.count())]
    assert titles == [step.title for step in STEPS.values()]
    for name, step in STEPS.items():
        dock.steps.choose(name)
        assert dock.steps.settings() == step.settings()
        assert dock.steps.help.text() == step.help
        assert dock.steps.partner.isHidden() == (step.partner == "none")
        seen = [one for one, form in dock.steps.forms.items() if not form.isHidden()]
        assert seen == [name]


def test_in_a_window_the_dock_fits_a_small_screen_and_ends_what_runs_when_closed(
    make_napari_viewer: Viewers, upright: Volume, qtbot: QtBot
) -> None:
    viewer = make_napari_viewer(show=True)
    long_name = "a name that is much longer than any dock is wide, " * 3
    source = add(viewer, replace(upright, name=long_name))
    holder, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Prepare")
    set_step(dock, "degrade", noise=0.5)
    prepare(qtbot, dock)
    click(qtbot, dock.offer.accept_button)
    area = dock.tabs.widget(0)
    assert isinstance(area, QScrollArea)
    for name in STEPS:
        dock.steps.choose(name)
        qtbot.wait(10)
        assert dock.minimumSizeHint().width() <= 420
        assert area.widget().width() <= area.viewport().width(), name
    assert dock.minimumSizeHint().height() <= 700
    assert f"{source.name} degrade" in dock.volume.findChild(QComboBox).toolTip()
    noise = np.random.default_rng(0).normal(size=(64, 64, 64))
    dock.choose(viewer.add_image(noise, name="noise"))
    set_step(dock, "n4", shrink=1, iterations=1000, tolerance=1e-9)
    click(qtbot, dock.prepare_button)
    with qtbot.waitSignal(dock.destroyed, timeout=PATIENCE):
        viewer.window.remove_dock_widget(holder)
    assert len(viewer.layers) == 3


def test_the_history_comes_with_a_file_and_goes_with_what_napari_saves(
    opened: Opened, qtbot: QtBot, tmp_path: Path
) -> None:
    viewer, dock = opened
    set_step(dock, "degrade", noise=0.5)
    prepare(qtbot, dock)
    path = tmp_path / "noisy.tif"
    assert viewer.layers[1].save(str(path), plugin=PLUGIN) == [str(path)]
    assert [one.step for one in read_records(records_path(path))] == ["degrade"]
    (layer,) = viewer.open(path, plugin=PLUGIN)
    dock.choose(layer)
    assert dock.history.text() == "1. Degrade (noise 0.5)"
    records_path(path).write_text("no records", encoding="utf-8")
    (again,) = viewer.open(path, plugin=PLUGIN)
    dock.choose(again)
    click(qtbot, dock.prepare_button)
    wait(qtbot, dock)
    assert "is no list of preparation steps" in dock.status.text()
    assert viewer.layers[0].save(str(tmp_path / "plain.tif"), plugin=PLUGIN)
    assert not records_path(tmp_path / "plain.tif").exists()
