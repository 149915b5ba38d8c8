"""Glimpses in the viewer: the result itself, where the user looks."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from pytestqt.qtbot import QtBot

from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.inference import EnhanceDone, enhance
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.enhance.dock import EnhanceDock
from napari_cyclegan3d.gui.enhance.view import axis_across, middle_of_view, place_of
from napari_cyclegan3d.gui.layers import to_volume

CPU = EnhanceConfig(device="cpu", precision="fp32")
TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
PATIENCE = 60_000


@pytest.fixture
def dock(qtbot: QtBot, at_once: Any) -> EnhanceDock:
    dock = EnhanceDock(ViewerModel(), at_once)
    qtbot.addWidget(dock)
    dock.form.set_value(CPU)
    return dock


def add(dock: EnhanceDock, shape: tuple[int, ...], **attributes: Any) -> Image:
    grey = np.random.default_rng(0).normal(100, 20, shape).astype(np.float32)
    layer = dock.viewer.add_image(grey, name="scan", **attributes)
    dock.source.layer_choice.choices = [layer]
    return layer


def camera(dock: EnhanceDock) -> Any:
    return getattr(dock.viewer, "scene", dock.viewer).camera


def whole_result(volume: Volume, model: Path) -> np.ndarray:
    *_, last = enhance(volume, load_model(model), CPU)
    assert isinstance(last, EnhanceDone)
    return last.volume.read()


@pytest.mark.parametrize("what", ["box", "slab"])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_preview_is_part_of_the_result_and_lies_where_it_belongs(
    what: str, scale: int, dock: EnhanceDock, request: pytest.FixtureRequest
) -> None:
    model: Path = request.getfixturevalue(f"model_{scale}x")
    layer = add(dock, (24, 26, 28), scale=(2, 1, 1.5), translate=(5, 6, 7), rotate=TURN)
    dock.select_model(model)
    before = dock.viewer.dims.point, camera(dock).center, camera(dock).zoom
    dock.preview_box() if what == "box" else dock.preview_slab()
    assert (dock.viewer.dims.point, camera(dock).center, camera(dock).zoom) == before
    source, shown = dock.viewer.layers
    assert source is layer
    assert shown.name == "scan preview"
    # the place of its first voxel in the whole result
    corner = layer.world_to_data(shown.data_to_world((-0.5,) * 3))
    first = np.round((np.array(corner) + 0.5) * scale).astype(int)
    z, y, x = (
        slice(start, start + side)
        for start, side in zip(first, shown.data.shape, strict=True)
    )
    part = whole_result(to_volume(layer), model)[z, y, x]
    assert part.shape == shown.data.shape
    assert np.allclose(shown.data, part, atol=1e-4)
    assert np.allclose(shown.scale, layer.scale / scale)
    if what == "slab":
        assert shown.data.shape[0] <= 4 * scale


def test_the_newest_preview_takes_the_place_of_the_one_before(
    dock: EnhanceDock, model_1x: Path
) -> None:
    layer = add(dock, (24, 26, 28))
    dock.select_model(model_1x)
    dock.preview_box()
    dock.preview_slab()
    assert [one.name for one in dock.viewer.layers] == ["scan", "scan preview"]
    dock.viewer.layers.pop()
    dock.preview_box()
    assert dock.viewer.layers[0] is layer
    assert len(dock.viewer.layers) == 2


def test_the_next_preview_of_a_layer_keeps_the_colours_that_the_user_has_set(
    dock: EnhanceDock, model_1x: Path
) -> None:
    layer = add(dock, (40, 60, 60), scale=(2, 1, 1))
    dock.select_model(model_1x)
    dock.preview_box((0, 0, 0))
    shown = dock.viewer.layers[-1]
    shown.colormap, shown.contrast_limits, shown.opacity = "red", (90, 120), 0.5
    dock.viewer.dims.set_point(0, 78)
    before = dock.viewer.dims.point, camera(dock).center, camera(dock).zoom
    dock.preview_slab()
    assert (dock.viewer.dims.point, camera(dock).center, camera(dock).zoom) == before
    assert dock.viewer.layers[-1] is shown
    assert (shown.colormap.name, shown.opacity) == ("red", 0.5)
    assert tuple(shown.contrast_limits) == (90, 120)
    assert shown.extent.world[1][0] == layer.extent.world[1][0]
    whole = whole_result(to_volume(layer), model_1x)
    start = np.round(layer.world_to_data(shown.translate)).astype(int)
    z, y, x = (
        slice(first, first + side)
        for first, side in zip(start, shown.data.shape, strict=True)
    )
    assert np.allclose(shown.data, whole[z, y, x], atol=1e-4)


def test_the_whole_result_takes_the_place_of_the_preview_of_its_layer(
    dock: EnhanceDock, model_1x: Path
) -> None:
    add(dock, (24, 26, 28))
    dock.select_model(model_1x)
    dock.preview_box()
    dock.enhance()
    assert [one.name for one in dock.viewer.layers] == ["scan", "scan enhanced"]
    dock.preview_box()
    dock.viewer.layers[0].name = "other"
    dock.enhance()
    assert "scan preview" in dock.viewer.layers


def test_a_frame_of_a_series_is_previewed_in_its_frame(
    dock: EnhanceDock, model_1x: Path
) -> None:
    layer = add(dock, (5, 16, 16, 16), scale=(3, 1, 1, 1))
    dock.select_model(model_1x)
    dock.viewer.dims.set_point(0, 6)  # frame 2
    dock.preview_box()
    shown = dock.viewer.layers[-1]
    assert shown.data.shape == (1, 16, 16, 16)
    assert layer.world_to_data(shown.data_to_world((0,) * 4))[0] == 2
    expected = whole_result(to_volume(layer, 2), model_1x)
    assert np.allclose(shown.data[0], expected, atol=1e-4)


def test_where_the_user_looks_is_the_middle_of_the_canvas_on_the_shown_slice(
    dock: EnhanceDock,
) -> None:
    viewer = dock.viewer
    layer = add(dock, (20, 30, 40), scale=(2, 1, 1), translate=(100, 0, 0))
    viewer.dims.set_point(0, 110)
    camera(dock).center = (0, 12, 34)
    assert middle_of_view(viewer) == [110, 12, 34]
    assert place_of(layer, middle_of_view(viewer)) == ((5, 12, 34), None)
    assert axis_across(viewer, layer) == 0
    viewer.dims.order = (1, 2, 0)
    camera(dock).center = (0, 33, 104)
    viewer.dims.set_point(1, 7)
    assert middle_of_view(viewer) == [104, 7, 33]
    assert axis_across(viewer, layer) == 1
    viewer.dims.ndisplay = 3
    assert axis_across(viewer, layer) == 0


def test_a_place_outside_shows_the_nearest_part(
    dock: EnhanceDock, model_1x: Path
) -> None:
    layer = add(dock, (24, 26, 28))
    dock.select_model(model_1x)
    dock.preview_box((1000, -1000, 5))
    shown = dock.viewer.layers[-1]
    low, high = shown.extent.world
    assert (low >= layer.extent.world[0] - 1e-6).all()
    assert (high <= layer.extent.world[1] + 1e-6).all()


@pytest.mark.parametrize(
    ("moves", "button", "shown"),
    [([], 1, True), ([(1.0, 2.0, 3.0)], 1, True), ([(9, 9, 9)], 1, False), ([], 2, 0)],
    ids=["click", "trembling", "drag", "right button"],
)
def test_a_click_previews_there_while_that_is_switched_on(
    moves: list[Any], button: int, shown: bool, dock: EnhanceDock, model_1x: Path
) -> None:
    add(dock, (24, 26, 28))
    dock.select_model(model_1x)
    callbacks = dock.viewer.mouse_drag_callbacks
    before = list(callbacks)
    dock.click_button.click()
    (listen,) = [one for one in callbacks if one not in before]
    event = SimpleNamespace(type="mouse_press", position=(1.0, 2.0, 3.0), button=button)
    drag = listen(dock.viewer, event)
    next(drag)
    for position in moves:
        event.type, event.position = "mouse_move", position
        next(drag, None)
    event.type = "mouse_release"
    next(drag, None)
    assert (len(dock.viewer.layers) == 2) == shown
    dock.click_button.click()
    assert list(callbacks) == before


def test_without_a_model_or_a_layer_there_is_a_sentence(
    dock: EnhanceDock, model_1x: Path
) -> None:
    dock.preview_box()
    assert dock.status.text() == "Open a volume and choose its layer first."
    add(dock, (24, 26, 28))
    dock.preview_slab()
    assert dock.status.text() == "Choose a model file first."


def test_what_is_asked_for_while_the_model_is_read_is_done_after_that(
    qtbot: QtBot, model_1x: Path
) -> None:
    dock = EnhanceDock(ViewerModel())
    qtbot.addWidget(dock)
    dock.form.set_value(CPU)
    add(dock, (24, 26, 28))
    dock.select_model(model_1x)
    assert dock.model.model is None
    dock.preview_box()
    qtbot.waitUntil(lambda: len(dock.viewer.layers) == 2, timeout=PATIENCE)
    qtbot.waitUntil(lambda: not dock.is_busy, timeout=PATIENCE)
