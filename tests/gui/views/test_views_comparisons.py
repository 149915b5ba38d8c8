"""Side by side, curtain, lens and blink."""

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cyclegan3d.gui.canvas import camera_of, canvas_of, text_of
from napari_cyclegan3d.gui.views.grid import grid_of
from napari_cyclegan3d.gui.views.temporary import is_private

COMPARISONS = ("side by side", "curtain", "lens", "blink")
MIDDLE = (33.0, 12.0, 61.0)  # of the volume, in the world


def visible(scene: Any) -> set[str]:
    return {layer.name for layer in scene.viewer.layers if layer.visible}


def private(scene: Any) -> list[Any]:
    return [layer for layer in scene.viewer.layers if is_private(layer)]


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_a_comparison_leaves_everything_as_it_was(
    scenes: Any, unchanged: Any, ndisplay: int
) -> None:
    scene = scenes(2, truth=True)
    scene.viewer.dims.ndisplay = ndisplay
    check = unchanged(scene)
    for name in COMPARISONS:
        scene.press(name)
        scene.point_at(MIDDLE)
        scene.bar.share.setValue(300)
        scene.qtbot.wait(50)
        scene.press(name)
        scene.bar.share.setValue(500)
        check()


def test_one_comparison_takes_the_place_of_the_other(
    scene: Any, unchanged: Any
) -> None:
    check = unchanged(scene)
    for name in COMPARISONS:
        scene.press(name)
        pressed = [one for one in COMPARISONS if scene.bar.buttons[one].isChecked()]
        assert pressed == [name]
    scene.bar.clear()
    scene.bar.show(scene.shown)
    check()


def test_side_by_side_every_volume_has_a_cell_with_all_that_lies_over_it(
    scenes: Any,
) -> None:
    scene = scenes(2, truth=True)
    scene.press("residual", "outlines", "cross", "side by side")
    grid = canvas_of(scene.viewer).grid
    layers = list(scene.viewer.layers)
    of = layers if hasattr(scene.viewer, "canvas") else len(layers)  # napari 0.8
    cells: dict[Any, list[str]] = {}
    for index, layer in enumerate(layers):
        if layer.visible:
            cells.setdefault(grid.position(index, of), []).append(layer.name)
    over = ("residual", "suspects", "cross")
    assert cells == {
        (0, column): [name, *(f"{one} over the {name}" for one in over)]
        for column, name in enumerate(("raw volume", "enhanced volume", "true volume"))
    }
    copies = {one.name: one for one in private(scene)}
    assert copies["enhanced volume"].data is scene.shown.enhanced.data


def test_side_by_side_the_cells_follow_the_layers_and_the_layers_the_cells(
    scene: Any,
) -> None:
    scene.press("side by side")
    copy = next(one for one in private(scene) if one.name == "enhanced volume")
    scene.shown.enhanced.colormap = "magma"
    copy.contrast_limits = (10, 20)
    assert copy.colormap.name == "magma"
    assert scene.shown.enhanced.contrast_limits == [10, 20]


def test_a_new_layer_does_not_move_the_cells(scene: Any, qtbot: Any) -> None:
    scene.press("side by side")
    scene.viewer.add_image(np.zeros((4, 4, 4)), name="new")
    top = [
        "suspects over the enhanced volume",
        "raw volume",
        "suspects over the raw volume",
    ]
    qtbot.waitUntil(lambda: [one.name for one in scene.viewer.layers][-3:] == top)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_curtain_covers_its_share_of_the_plane_and_stays_in_the_volume(
    scenes: Any, scale: int
) -> None:
    scene = scenes(scale)
    whole = grid_of(scene.shown.enhanced).edges
    ranges = scene.viewer.dims.range
    scene.press("curtain")
    for share in (500, 750, 250, 0):
        scene.bar.share.setValue(share)
        scene.qtbot.wait(50)
        (copy,) = private(scene)
        low, high = grid_of(copy).edges
        expected = whole[0].copy()
        expected[2] += share / 1000 * (whole[1] - whole[0])[2]
        assert np.allclose(low, expected)
        assert np.allclose(high, whole[1])
        assert copy.data.base is not None
        assert scene.viewer.dims.range == ranges
    scene.bar.share.setValue(1000)
    scene.qtbot.wait(50)
    assert not copy.visible


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_curtain_keeps_its_place_on_the_canvas_when_the_camera_moves(
    scenes: Any, scale: int
) -> None:
    scene = scenes(scale)
    low, high = grid_of(scene.shown.enhanced).edges[:, 2]
    camera = camera_of(scene.viewer)
    scene.press("curtain")
    for center, zoom in ((0.2, 40), (0.8, 40), (0.8, 80)):
        world = low + center * (high - low)
        camera.zoom = zoom
        camera.center = (0, camera.center[1], world)
        scene.qtbot.wait(50)
        (copy,) = private(scene)
        voxel = (high - low) / scene.shown.enhanced.data.shape[2]
        assert grid_of(copy).edges[0, 2] == pytest.approx(world, abs=voxel)
    camera.center = (0, camera.center[1], high + 10 * (high - low))  # sees no volume
    scene.qtbot.wait(50)
    assert grid_of(copy).edges[0, 2] == pytest.approx((low + high) / 2, abs=voxel)


def test_the_curtain_turns_with_the_plane(scene: Any) -> None:
    scene.press("curtain")
    scene.viewer.dims.order = (2, 0, 1)
    (copy,) = private(scene)
    assert copy.data.shape == (24, 16, 32)


def test_raw_is_seen_left_of_the_curtain_and_enhanced_right_of_it(scenes: Any) -> None:
    scene = scenes(2, show=True)
    scene.shown.suspects.visible = False
    for ndisplay in (2, 3):
        scene.viewer.dims.ndisplay = ndisplay
        scene.press("curtain")
        scene.shown.enhanced.contrast_limits = (0, 100)  # raw: 10 to 210
        picture = scene.viewer.screenshot(flash=False).astype(int)

        height, width, _ = picture.shape
        row = picture[height // 2, :, 0]
        assert row[width // 2 - 20] < 60 < 200 < row[width // 2 + 20]
        scene.press("curtain")


def test_in_3d_the_planes_of_the_user_come_back(scene: Any) -> None:
    raw = scene.shown.raw
    raw.experimental_clipping_planes = [{"position": (1, 2, 3), "normal": (1, 0, 0)}]
    scene.viewer.dims.ndisplay = 3
    scene.press("curtain")
    planes = raw.experimental_clipping_planes
    assert [one.normal for one in planes] == [(1, 0, 0), (0, 0, -1)]
    opposite = scene.shown.enhanced.experimental_clipping_planes
    assert [one.normal for one in opposite] == [(0, 0, 1)]
    middle = tuple(grid_of(raw).edges.mean(axis=0))
    assert planes[1].position == opposite[0].position == middle
    scene.press("curtain")
    assert [one.position for one in raw.experimental_clipping_planes] == [(1, 2, 3)]
    assert len(scene.shown.enhanced.experimental_clipping_planes) == 0


def test_the_lens_shows_the_raw_voxels_around_the_cursor(scenes: Any) -> None:
    scene = scenes(2)
    raw = scene.shown.raw
    scene.press("lens")
    assert private(scene) == []
    scene.viewer.dims.point = (30, 0, 0)
    ranges = scene.viewer.dims.range
    for place in (MIDDLE, (30.0, -20.0, 92.0)):
        scene.point_at(place)
        (copy,) = private(scene)
        low, high = grid_of(copy).edges
        assert np.shares_memory(copy.data, raw.data)
        assert (low <= place).all()
        assert (place <= high).all()
        assert np.allclose(grid_of(raw).to_voxels(low) % 1, 0.5)
        assert scene.viewer.dims.range == ranges
    assert copy.data.shape[0] == 24
    assert copy.data.shape[1] < 32
    scene.point_at((30.0, -90.0, 61.0))
    assert not copy.visible


def test_the_raw_contrast_follows_the_enhanced_one_by_the_gain(scene: Any) -> None:
    raw, enhanced = scene.shown.raw, scene.shown.enhanced
    scene.press("blink")
    assert raw.contrast_limits == [10, 210]
    enhanced.contrast_limits = (20, 50)
    assert raw.contrast_limits == [50, 110]
    scene.press("blink")
    assert raw.contrast_limits == [0, 255]


def test_a_contrast_that_the_user_sets_meanwhile_stays(scene: Any) -> None:
    scene.press("lens")
    scene.shown.raw.contrast_limits = (1, 2)
    scene.press("lens")
    assert scene.shown.raw.contrast_limits == [1, 2]


def test_blinking_shows_one_of_both_and_says_which(scene: Any) -> None:
    text = text_of(scene.viewer)
    scene.press("blink")
    seen = []
    for _ in range(3):
        now = visible(scene) & {"raw scan", "better scan"}
        assert (
            text.text
            == {
                "raw scan": "raw (2 Hz)",
                "better scan": "enhanced (2 Hz)",
            }[next(iter(now))]
        )
        seen.append(now)
        scene.qtbot.waitUntil(
            lambda: visible(scene) & {"raw scan", "better scan"} != seen[-1]
        )
    assert all(len(one) == 1 for one in seen)


def test_blinking_can_be_paused_and_never_is_faster_than_3_hz(scene: Any) -> None:
    scene.bar.rate.setValue(50)
    assert scene.bar.rate.value() < 3
    scene.press("blink")
    scene.bar.pause.click()
    now = visible(scene)
    scene.qtbot.wait(500)
    assert visible(scene) == now
    assert "paused" in text_of(scene.viewer).text


@pytest.mark.parametrize("name", [None, "curtain", "blink"])
def test_while_a_key_is_held_only_the_raw_volume_is_seen(
    scene: Any, name: str | None, unchanged: Any
) -> None:
    check = unchanged(scene)
    if name:
        scene.press(name)
        scene.bar.pause.click()
    before = visible(scene)
    ((_, hold),) = [item for item in scene.viewer.keymap.items() if str(item[0]) == "H"]
    held = hold(scene.viewer)
    next(held)
    assert visible(scene) == {"raw scan"}
    next(held, None)
    assert visible(scene) == before
    if name:
        scene.press(name)
    check()


def test_letters_start_the_views(scenes: Any) -> None:
    scene = scenes(show=True)
    window = scene.bar.window()
    assert window is not None
    window.activateWindow()
    handle: Any = window.windowHandle()
    scene.qtbot.waitUntil(window.isActiveWindow, timeout=3000)
    keys = Qt.Key.Key_S, Qt.Key.Key_L, Qt.Key.Key_B, Qt.Key.Key_X
    names = "curtain", "lens", "blink", "cross"
    for key, name in zip(keys, names, strict=True):
        scene.viewer.layers.selection.active = scene.shown.suspects
        scene.qtbot.keyClick(handle, key)
        scene.qtbot.waitUntil(scene.bar.buttons[name].isChecked, timeout=2000)
