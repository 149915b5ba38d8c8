"""The entries in napari's Layers menu, pressed as napari presses them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.layers import result_layer_data, to_layer_data

Viewers = Callable[..., Any]
PLUGIN = "napari-cyclegan3d"


@pytest.fixture
def viewer(make_napari_viewer: Viewers, upright: Volume) -> Any:
    viewer = make_napari_viewer()
    data, attributes, _ = to_layer_data(upright)
    viewer.add_image(data, **attributes)
    viewer.add_image(np.zeros((4, 4, 4)), name="another")
    return viewer


def press(viewer: Any, menu: str, command: str) -> None:
    """Trigger the entry of a menu, if it is there and enabled."""
    from napari._app_model import get_app_model

    app = get_app_model()
    assert command in {
        item.command.id for item in app.menus.get_menu(menu) if hasattr(item, "command")
    }
    app.commands.execute_command(command).result()


def side_by_side(viewer: Any) -> bool:
    """Whether the grid is on, which napari 0.9 has moved."""
    return bool(getattr(viewer, "canvas", viewer).grid.enabled)


def add_result(viewer: Any, source: Image) -> Image:
    volume = Volume(np.ones(source.data.shape, np.float32))
    data, attributes, _ = result_layer_data(source, volume, 1)
    return viewer.add_image(data, **attributes)


def test_enhance_puts_the_selected_layers_into_the_queue(viewer: Any) -> None:
    chosen = viewer.layers[0]
    viewer.layers.selection = {chosen}
    press(viewer, "napari/layers/filter", f"{PLUGIN}.enhance_layer")
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Enhance")
    assert [source.item for source in dock.queue.sources()] == [chosen]


def test_prepare_chooses_the_selected_layer_also_a_mask(viewer: Any) -> None:
    mask = viewer.add_labels(np.ones((4, 4, 4), int), name="mask")
    for chosen in (viewer.layers["another"], mask):
        viewer.layers.selection = {chosen}
        press(viewer, "napari/layers/filter", f"{PLUGIN}.prepare_layer")
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Prepare")
        assert dock.volume.layer == chosen


def test_inspect_chooses_the_selected_result_and_its_source(viewer: Any) -> None:
    source, another = viewer.layers
    result = add_result(viewer, source)
    for chosen in ({result}, {source, result}):
        viewer.layers.selection = chosen
        press(viewer, "napari/layers/visualize", f"{PLUGIN}.inspect_layer")
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Inspect")
        assert dock.choice.layer("enhanced") == result
        assert dock.choice.layer("raw") == source
        dock.choice.layers["enhanced"].value = another


def test_a_result_and_its_source_are_shown_beside_each_other_and_back(
    viewer: Any,
) -> None:
    source, another = viewer.layers
    result = add_result(viewer, source)
    another.visible = False
    before = [layer.visible for layer in viewer.layers]
    viewer.layers.selection = {result}
    press(viewer, "napari/layers/visualize", f"{PLUGIN}.compare")
    assert side_by_side(viewer)
    assert [layer for layer in viewer.layers if layer.visible] == [source, result]
    press(viewer, "napari/layers/visualize", f"{PLUGIN}.compare")
    assert not side_by_side(viewer)
    assert [layer.visible for layer in viewer.layers] == before


def test_a_layer_without_a_source_is_compared_with_nothing(viewer: Any) -> None:
    viewer.layers.selection = {viewer.layers["another"]}
    press(viewer, "napari/layers/visualize", f"{PLUGIN}.compare")
    assert not side_by_side(viewer)
    assert all(layer.visible for layer in viewer.layers)
