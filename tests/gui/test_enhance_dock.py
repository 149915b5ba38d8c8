"""The Enhance dock in a real viewer, with real models."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import QApplication, QComboBox, QPushButton

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.inference import EnhanceDone, enhance
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.enhance.dock import EnhanceDock
from napari_cyclegan3d.gui.layers import to_layer_data, to_volume

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")

PATIENCE = 60_000
PLUGIN = "napari-cyclegan3d"
CPU = EnhanceConfig(device="cpu", precision="fp32")
Opened = tuple[Any, EnhanceDock]


@pytest.fixture
def opened(make_napari_viewer_proxy: Callable[..., Any], upright: Volume) -> Opened:
    """A viewer with one layer, and its Enhance dock."""
    viewer = make_napari_viewer_proxy()
    data, attributes, _ = to_layer_data(upright)
    viewer.add_image(data, **attributes)
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Enhance")
    dock.form.set_value(CPU)
    return viewer, dock


@pytest.fixture
def lone(qtbot: QtBot, upright: Volume) -> EnhanceDock:
    """The same dock without a viewer, which starts faster."""
    dock = EnhanceDock(None)
    qtbot.addWidget(dock)
    dock.form.set_value(CPU)
    data, attributes, _ = to_layer_data(upright)
    dock.source.layer_choice.choices = [Image(data, **attributes)]
    return dock


def click(qtbot: QtBot, button: QPushButton) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def select(qtbot: QtBot, dock: EnhanceDock, model: Path) -> None:
    dock.select_model(model)
    qtbot.waitUntil(lambda: not dock.model.is_reading, timeout=PATIENCE)


def wait_until_idle(qtbot: QtBot, dock: EnhanceDock) -> None:
    qtbot.waitUntil(lambda: not dock.is_busy, timeout=PATIENCE)
    assert dock.enhance_button.isEnabled()
    assert not dock.cancel_button.isEnabled()


def choose_hours_of_work(
    viewer: Any, dock: EnhanceDock, model: Path, qtbot: QtBot
) -> None:
    large = np.random.default_rng(3).normal(size=(160, 160, 160)).astype(np.float32)
    viewer.add_image(large, name="large")
    dock.source.layer_choice.value = viewer.layers["large"]
    select(qtbot, dock, model)
    dock.form.set_value(CPU.model_copy(update={"tile": (4, 4, 4)}))


def engine_result(layer: Image, model: Path, config: EnhanceConfig) -> Volume:
    *_, last = enhance(to_volume(layer), load_model(model), config)
    assert isinstance(last, EnhanceDone)
    return last.volume


def box(layer: Image) -> np.ndarray:
    """World positions of two opposite outer corners of a layer."""
    ends = (-0.5,) * 3, [size - 0.5 for size in layer.data.shape]
    return np.array([layer.data_to_world(end) for end in ends])


@pytest.mark.parametrize("scale", [1, 2])
def test_the_result_is_the_engines_and_lies_exactly_over_the_source(
    scale: int, opened: Opened, qtbot: QtBot, request: pytest.FixtureRequest
) -> None:
    viewer, dock = opened
    source = viewer.layers[0]
    before = source.data.copy()
    model: Path = request.getfixturevalue(f"model_{scale}x")
    config = CPU.model_copy(update={"tile": (8, 12, 16)})
    dock.form.set_value(config)
    select(qtbot, dock, model)
    with qtbot.capture_exceptions() as uncaught:
        click(qtbot, dock.enhance_button)
        assert not dock.form.isEnabled()
        wait_until_idle(qtbot, dock)
    assert not uncaught
    assert [layer.name for layer in viewer.layers] == [
        "fast scan",
        "fast scan enhanced",
    ]
    result = viewer.layers[1]
    expected = engine_result(source, model, config)
    assert np.array_equal(result.data, expected.read())
    assert result.data.shape == tuple(scale * side for side in before.shape)
    assert np.allclose(box(result), box(source))
    assert np.allclose(result.scale, source.scale / scale)
    assert (result.units, result.axis_labels) == (source.units, source.axis_labels)
    assert np.array_equal(source.data, before)
    assert dock.progress.value() == dock.progress.maximum() > 1
    assert dock.status.text() == "Added layer 'fast scan enhanced'"


def test_the_other_direction_reduces_by_the_scale(
    opened: Opened, model_2x: Path, qtbot: QtBot
) -> None:
    viewer, dock = opened
    dock.form.set_value(CPU.model_copy(update={"direction": "b_to_a"}))
    select(qtbot, dock, model_2x)
    click(qtbot, dock.enhance_button)
    wait_until_idle(qtbot, dock)
    source, result = viewer.layers
    assert result.data.shape == (8, 9, 10)
    assert np.allclose(box(result), box(source))


def test_a_model_that_only_enlarges_has_no_way_back_and_that_is_told(
    opened: Opened, model_srgan: Path, qtbot: QtBot
) -> None:
    viewer, dock = opened
    select(qtbot, dock, model_srgan)
    assert "A: made from B (2 µm)" in shown_text(dock)
    dock.form.set_value(CPU.model_copy(update={"direction": "b_to_a"}))
    click(qtbot, dock.enhance_button)
    wait_until_idle(qtbot, dock)
    assert "has no generator from B to A" in dock.status.text()
    assert len(viewer.layers) == 1
    dock.form.set_value(CPU)
    click(qtbot, dock.enhance_button)
    wait_until_idle(qtbot, dock)
    assert viewer.layers[1].data.shape == (32, 36, 40)
    assert np.allclose(box(viewer.layers[1]), box(viewer.layers[0]))


@pytest.mark.parametrize("slices", ["trained", "y", "all"])
def test_a_model_of_slices_runs_across_the_axis_that_is_chosen(
    slices: str, opened: Opened, model_2d: Path, qtbot: QtBot
) -> None:
    viewer, dock = opened
    select(qtbot, dock, model_2d)
    assert "2D" in shown_text(dock)
    config = CPU.model_copy(update={"slices": slices})
    dock.form.set_value(config)
    click(qtbot, dock.enhance_button)
    wait_until_idle(qtbot, dock)
    source, result = viewer.layers
    expected = engine_result(source, model_2d, config)
    assert np.array_equal(result.data, expected.read())


def test_a_turned_and_moved_layer_is_covered_by_its_result(
    opened: Opened, model_2x: Path, qtbot: QtBot
) -> None:
    viewer, dock = opened
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
    source = viewer.layers[0]
    source.rotate, source.translate, source.shear = turn, (5, -7, 3), (0.1, 0, 0.2)
    select(qtbot, dock, model_2x)
    click(qtbot, dock.enhance_button)
    wait_until_idle(qtbot, dock)
    assert np.allclose(box(viewer.layers[1]), box(source))


def test_the_result_of_an_oblique_scan_is_saved_where_the_scan_lies(
    opened: Opened, oblique: Volume, model_2x: Path, qtbot: QtBot, tmp_path: Path
) -> None:
    viewer, dock = opened
    io.write(oblique, tmp_path / "head.nii")
    (source,) = viewer.open(tmp_path / "head.nii", plugin=PLUGIN)
    dock.source.layer_choice.value = source
    select(qtbot, dock, model_2x)
    click(qtbot, dock.enhance_button)
    wait_until_idle(qtbot, dock)
    result = viewer.layers["head enhanced"]
    result.save(str(tmp_path / "out.nii"), plugin=PLUGIN)
    saved = io.read(tmp_path / "out.nii")
    expected = oblique.resampled(np.zeros(result.data.shape), 2)
    assert np.allclose(saved.affine, expected.affine, atol=1e-4)
    assert np.array_equal(saved.read(), result.data)


def test_cancel_adds_no_layer_and_leaves_the_viewer_as_it_was(
    opened: Opened, model_1x: Path, qtbot: QtBot
) -> None:
    viewer, dock = opened
    choose_hours_of_work(viewer, dock, model_1x, qtbot)
    before = list(viewer.layers), viewer.layers.selection.active, viewer.dims.point
    click(qtbot, dock.enhance_button)
    qtbot.waitUntil(lambda: dock.progress.value() >= 2, timeout=PATIENCE)
    click(qtbot, dock.cancel_button)
    wait_until_idle(qtbot, dock)
    assert dock.status.text() == "Cancelled; nothing was changed."
    after = list(viewer.layers), viewer.layers.selection.active, viewer.dims.point
    assert after == before
    # and the next one works
    dock.source.layer_choice.value = viewer.layers["fast scan"]
    dock.form.set_value(CPU)
    click(qtbot, dock.enhance_button)
    wait_until_idle(qtbot, dock)
    assert len(viewer.layers) == 3


def growing(qtbot: QtBot, viewer: Any) -> Any:
    """The layer of the result, once some of it is computed."""
    qtbot.waitUntil(lambda: "large enhanced" in viewer.layers, timeout=PATIENCE)
    return viewer.layers["large enhanced"]


def test_a_result_can_be_watched_and_the_contrast_one_sets_stays(
    opened: Opened, model_1x: Path, qtbot: QtBot
) -> None:
    viewer, dock = opened
    choose_hours_of_work(viewer, dock, model_1x, qtbot)
    before = list(viewer.layers.selection), viewer.dims.point
    click(qtbot, dock.enhance_button)
    layer = growing(qtbot, viewer)
    assert np.isnan(layer.data).any()
    known = int(np.isfinite(layer.data).sum())
    assert known > 0
    low, high = np.nanpercentile(layer.data, (2, 98))
    assert layer.contrast_limits[0] <= low < high <= layer.contrast_limits[1]
    layer.contrast_limits = (-5, 5)
    qtbot.waitUntil(
        lambda: int(np.isfinite(layer.data).sum()) > 2 * known, timeout=PATIENCE
    )
    qtbot.wait(600)  # it has been drawn again by now
    assert tuple(layer.contrast_limits) == (-5, 5)
    assert (list(viewer.layers.selection), viewer.dims.point) == before
    qtbot.keyClick(dock, Qt.Key.Key_Escape)
    wait_until_idle(qtbot, dock)
    assert "large enhanced" not in viewer.layers


def test_who_takes_a_growing_layer_away_ends_the_work(
    opened: Opened, model_1x: Path, qtbot: QtBot
) -> None:
    viewer, dock = opened
    choose_hours_of_work(viewer, dock, model_1x, qtbot)
    click(qtbot, dock.enhance_button)
    viewer.layers.remove(growing(qtbot, viewer))
    wait_until_idle(qtbot, dock)
    assert dock.status.text() == "Cancelled; nothing was changed."
    assert [layer.name for layer in viewer.layers] == ["fast scan", "large"]


def test_cancel_after_the_last_tile_adds_no_layer_either(
    opened: Opened, model_1x: Path, qtbot: QtBot
) -> None:
    viewer, dock = opened
    select(qtbot, dock, model_1x)
    click(qtbot, dock.enhance_button)
    # the result waits for the window
    assert QThreadPool.globalInstance().waitForDone(PATIENCE)
    dock.cancel()
    wait_until_idle(qtbot, dock)
    assert len(viewer.layers) == 1


def test_a_source_that_is_removed_meanwhile_does_no_harm(
    opened: Opened, model_1x: Path, qtbot: QtBot
) -> None:
    viewer, dock = opened
    select(qtbot, dock, model_1x)
    dock.form.set_value(CPU.model_copy(update={"tile": (4, 4, 4)}))
    with qtbot.capture_exceptions() as uncaught:
        click(qtbot, dock.enhance_button)
        viewer.layers.clear()
        wait_until_idle(qtbot, dock)
    assert not uncaught
    assert [layer.name for layer in viewer.layers] == ["fast scan enhanced"]


def text_file(folder: Path) -> tuple[Path, str]:
    path = folder / "notes.safetensors"
    path.write_text("no weights " * 50, encoding="utf-8")
    return path, "not a safetensors file"


def empty_file(folder: Path) -> tuple[Path, str]:
    path = folder / "empty.safetensors"
    path.touch()
    return path, "not a safetensors file"


def missing_file(folder: Path) -> tuple[Path, str]:
    return folder / "missing.safetensors", "no such model file"


@pytest.mark.parametrize(
    "make", [text_file, empty_file, missing_file], ids=lambda make: make.__name__
)
def test_a_bad_model_file_is_refused_in_a_sentence_and_not_used(
    make: Callable[[Path], tuple[Path, str]],
    lone: EnhanceDock,
    model_1x: Path,
    qtbot: QtBot,
    tmp_path: Path,
) -> None:
    path, reason = make(tmp_path)
    select(qtbot, lone, model_1x)
    with qtbot.capture_exceptions() as uncaught:
        select(qtbot, lone, path)
        assert reason in lone.status.text()
        assert "\n" not in lone.status.text()
        # the model before it is not used in its place
        click(qtbot, lone.enhance_button)
    assert not uncaught
    assert lone.status.text() == "Choose a model file first."
    assert not lone.is_busy


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (np.zeros((9, 9)), "has 2 axes"),
        (np.zeros((2, 3, 9, 9, 9)), "has 5 axes"),
        (np.zeros((40, 40, 3), np.uint8), "a colour image"),
        (np.zeros((1, 9, 9)), "single slice"),
        (np.full((9, 9, 9), 7), "every voxel is 7"),
    ],
    ids=["2D", "5D", "colours", "one slice", "constant"],
)
def test_a_layer_that_cannot_be_enhanced_is_refused_in_a_sentence(
    data: np.ndarray, reason: str, lone: EnhanceDock, model_1x: Path, qtbot: QtBot
) -> None:
    lone.source.layer_choice.choices = [Image(data, name="odd")]
    select(qtbot, lone, model_1x)
    with qtbot.capture_exceptions() as uncaught:
        click(qtbot, lone.enhance_button)
        qtbot.waitUntil(lambda: reason in lone.status.text(), timeout=PATIENCE)
        wait_until_idle(qtbot, lone)
    assert not uncaught
    assert reason in lone.status.text()
    assert "\n" not in lone.status.text()


def test_without_a_layer_there_is_a_sentence(
    lone: EnhanceDock, model_1x: Path, qtbot: QtBot
) -> None:
    lone.source.layer_choice.choices = []
    select(qtbot, lone, model_1x)
    click(qtbot, lone.enhance_button)
    assert lone.status.text() == "Open a volume and choose its layer first."


def shown_text(dock: EnhanceDock) -> str:
    document = QTextDocument()
    document.setHtml(dock.model.card.text.text())
    return document.toPlainText()


def test_the_card_tells_what_a_model_was_trained_on_letter_by_letter(
    opened: Opened, model_2x: Path, qtbot: QtBot
) -> None:
    _, dock = opened
    select(qtbot, dock, model_2x)
    text = shown_text(dock)
    assert "A: a<b>.tif (2 × 1 × 1.5 µm)" in text
    assert "B: a<b>.tif (1 × 0.5 × 0.75 µm)" in text
    assert "4 steps, scale 2x" in text


def test_the_card_warns_of_voxels_of_another_size_than_those_trained_on(
    opened: Opened, upright: Volume, model_1x: Path, qtbot: QtBot
) -> None:
    viewer, dock = opened
    select(qtbot, dock, model_1x)
    assert "has not seen" not in shown_text(dock)
    coarse = replace(upright, affine=upright.affine @ np.diag([2, 2, 2, 1]))
    data, attributes, _ = to_layer_data(coarse)
    viewer.add_image(data, **{**attributes, "name": "<coarse>"})
    dock.source.layer_choice.value = viewer.layers["<coarse>"]
    assert "<coarse> has voxels of 4 × 2 × 3 µm" in shown_text(dock)


@pytest.mark.parametrize("what", ["viewer", "dock"])
def test_closing_the_viewer_or_the_dock_ends_the_work(
    what: str, opened: Opened, model_1x: Path, qtbot: QtBot
) -> None:
    viewer, dock = opened
    choose_hours_of_work(viewer, dock, model_1x, qtbot)
    click(qtbot, dock.enhance_button)
    qtbot.waitUntil(lambda: dock.progress.value() >= 2, timeout=PATIENCE)
    with qtbot.capture_exceptions() as uncaught:
        if what == "viewer":
            viewer.close()
        else:
            viewer.window.remove_dock_widget(dock)
        assert QThreadPool.globalInstance().waitForDone(PATIENCE)
        QApplication.processEvents()
    assert not uncaught
    assert what == "viewer" or len(viewer.layers) == 2


def test_what_is_wrong_is_told_as_soon_as_it_is_typed_and_until_it_is_right(
    lone: EnhanceDock,
) -> None:
    device = lone.form.findChild(QComboBox, "device")
    device.setCurrentText("cuda:banana")
    assert "cuda:banana" in lone.status.text()
    device.setCurrentText("cpu")
    assert lone.status.text() == ""


def test_a_result_is_told_by_its_name_in_the_list_of_layers(
    opened: Opened, model_1x: Path, qtbot: QtBot
) -> None:
    viewer, dock = opened
    select(qtbot, dock, model_1x)
    for _ in range(2):
        click(qtbot, dock.enhance_button)
        wait_until_idle(qtbot, dock)
        assert dock.status.text() == f"Added layer {viewer.layers[-1].name!r}"
