"""Residual, outlines, cross, readout, profile line and the two other planes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_cyclegan3d.gui.canvas import camera_of, text_of
from napari_cyclegan3d.gui.views.profile import ProfileLine
from napari_cyclegan3d.gui.views.readout import words_at
from napari_cyclegan3d.gui.views.shown import Shown

EXTRAS = ("residual", "outlines", "cross", "profile", "orthogonal")
SUSPECT = (16.0, -12.0, 78.0)  # centre of finding 1 in the world


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_nothing_stays_behind_and_nothing_is_changed(
    scenes: Any, unchanged: Any, ndisplay: int
) -> None:
    scene = scenes(2)
    scene.viewer.dims.ndisplay = ndisplay
    check = unchanged(scene)
    for name in EXTRAS:
        scene.press(name)
        scene.point_at(SUSPECT)
        scene.press(name)
        check()


def test_all_at_once_end_together(scene: Any, unchanged: Any) -> None:
    check = unchanged(scene)
    scene.press(*EXTRAS, "side by side", "curtain")
    scene.point_at(SUSPECT)
    scene.bar.clear()
    scene.bar.show(scene.shown)
    check()
    assert not any(button.isChecked() for button in scene.bar.buttons.values())


def test_the_residual_shows_what_is_missing_in_blue_and_invented_in_orange(
    scene: Any,
) -> None:
    scene.press("residual")
    layer = scene.shown.residual
    low, high = layer.contrast_limits
    assert low == -high
    values = np.array([low, 0, high])
    (invented, nothing, missing) = layer.colormap.map((values - low) / (high - low))
    assert invented[0] > 0.9 > 0.2 > invented[2]
    assert missing[2] > 0.9 > 0.3 > missing[0]
    assert (invented[3], nothing[3], missing[3]) == (1, 0, 1)
    words = text_of(scene.viewer).text
    assert "orange: invented" in words
    assert "blue: missing" in words


def test_words_of_two_views_are_shown_together_and_those_of_the_user_come_back(
    scene: Any,
) -> None:
    text = text_of(scene.viewer)
    text.text, text.visible = "mine", False
    scene.press("residual", "blink")
    assert text.visible
    assert text.text.count("\n") == 1
    scene.press("residual")
    assert text.text.startswith(("raw", "enhanced"))
    scene.press("blink")
    assert (text.text, text.visible) == ("mine", False)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_readout_tells_the_voxels_below_the_cursor(scenes: Any, scale: int) -> None:
    scene = scenes(scale)
    scene.press("cross")
    scene.point_at(SUSPECT)
    at = tuple(scale * one for one in (3, 4, 24))
    expected = scene.shown.enhanced.data[at]
    residual = scene.shown.residual.data[3, 4, 24]
    words = scene.bar.readout.text()
    # the cursor stands on the edge of finer voxels
    if scale == 1:
        assert f"enhanced {expected:.4g}" in words
    assert words.startswith("raw 30 · enhanced ")
    assert f"residual {float(residual):.4g}".replace("-", "−") in words
    assert "suspicion 5.5" in words
    assert "no. 1 contradicted: confirmation 0.6 of power 6.0" in words
    scene.press("cross")
    assert scene.bar.readout.text() == ""


def test_beside_the_findings_the_readout_names_none(scene: Any) -> None:
    words = words_at(scene.shown, (56.0, 42.0, 92.0))
    assert "raw 30" in words
    assert "no." not in words


def test_of_lazy_voxels_only_what_is_drawn_is_told(scene: Any) -> None:
    import dask.array

    lazy = dask.array.from_array(np.full((24, 32, 32), 7.0))
    place = {
        name: getattr(scene.shown.raw, name)
        for name in ("scale", "translate", "units", "axis_labels")
    }
    layer = Image(lazy, name="lazy", contrast_limits=(0, 10), **place)
    scene.viewer.add_layer(layer)
    shown = replace(scene.shown, enhanced=layer)
    scene.viewer.dims.point = SUSPECT
    assert "enhanced 7 " in words_at(shown, SUSPECT)
    layer.visible = False
    assert "enhanced – " in words_at(shown, SUSPECT)


def test_the_cross_is_where_the_cursor_is_and_follows_the_slice(scene: Any) -> None:
    scene.viewer.dims.point = SUSPECT
    scene.press("cross")
    scene.point_at(SUSPECT)
    cross = scene.bar.views.extras["cross"]
    assert cross.place == SUSPECT
    for start, along in cross.layer.data:
        crossed = start + along * np.linspace(0, 1, 10_001)[:, None]
        assert np.abs(crossed - SUSPECT).max(axis=1).min() < 0.01
    scene.qtbot.wait(50)
    scene.viewer.dims.point = (20, *SUSPECT[1:])
    assert cross.place == (20, *SUSPECT[1:])


def test_the_line_s_profile_shows_the_volumes_in_grey_values_of_the_raw(
    scenes: Any,
) -> None:
    scene = scenes(2, truth=True)
    scene.press("profile")
    items = scene.bar.plot.plot.listDataItems()
    curves = {one.name(): one.getData()[1] for one in items if one.name()}
    assert list(curves) == ["raw", "enhanced", "truth", "expected"]
    assert np.allclose(curves["raw"], 30)
    assert np.allclose(curves["truth"], curves["enhanced"] + 2)
    assert abs(curves["expected"].mean() - 210) < 1  # 2 · 100 + 10
    assert curves["expected"].std() < curves["enhanced"].std() / 3
    assert "σ" in scene.bar.plot.names.text()


def test_a_dragged_line_is_read_again_and_follows_the_slice(scene: Any) -> None:
    scene.press("profile")
    line: ProfileLine = scene.bar.views.extras["profile"]
    assert line.layer.mode == "direct"
    distance = scene.bar.plot.plot.listDataItems()[0].getData()[0]
    voxels = np.array([[12.0, 4, 4], [12.0, 4, 24]])
    line.layer.data = [voxels]
    scene.qtbot.wait(150)
    shorter = scene.bar.plot.plot.listDataItems()[0].getData()[0]
    assert np.isclose(shorter[-1], 40)
    assert distance[-1] != 40
    scene.viewer.dims.set_current_step(0, 3)
    assert set(line.layer.data[0][:, 0]) == {3}
    line.layer.data = []
    assert len(line.layer.data) == 1


def canvases(scene: Any) -> Any:
    return scene.bar.views.extras["orthogonal"].models


def test_the_other_planes_show_the_same_place(scenes: Any) -> None:
    scene = scenes(2)
    scene.viewer.dims.point = SUSPECT
    scene.press("orthogonal", "cross")
    rows, columns = canvases(scene)
    assert rows.dims.displayed == (0, 2)
    assert columns.dims.displayed == (1, 0)
    for model in (rows, columns):
        assert np.allclose(model.dims.point, scene.viewer.dims.point)
        assert model.layers["better scan"].data is scene.shown.enhanced.data
    scene.point_at((16, -10, 60), "Shift")
    for model in (rows, columns):  # sliders stop at voxels, which are 1 µm apart
        assert np.allclose(model.dims.point, (16, -10, 60), atol=0.5)
    rows.dims.point = (16, 0, 60)
    assert np.allclose(scene.viewer.dims.point, (16, 0, 60), atol=0.5)
    lines = columns.layers["cross"].data
    assert lines[0, 0, 2] == columns.dims.point[2]


def test_the_viewer_keeps_its_zoom_and_middle_when_the_other_planes_come(
    scene: Any,
) -> None:
    main = camera_of(scene.viewer)
    main.center, main.zoom = (0, 3, 71), 15
    before = main.center, main.zoom
    scene.press("orthogonal")
    assert (main.center, main.zoom) == before
    rows, columns = map(camera_of, canvases(scene))
    assert rows.center[-1] == 71
    assert columns.center[-2] == 3
    assert (rows.zoom, columns.zoom) == (15, 15)


def test_zoom_and_middle_are_the_same_in_all_planes(scene: Any) -> None:
    scene.press("orthogonal")
    main, *others = map(camera_of, (scene.viewer, *canvases(scene)))
    main.zoom = 7.5
    main.center = (0, 5, 55)
    assert [one.zoom for one in others] == [7.5, 7.5]
    assert others[0].center[2] == 55
    assert others[1].center[1] == 5
    others[0].center = (0, 20, 66)
    assert main.center[1:] == (5, 66)
    assert others[1].center[2] == 20
    others[1].zoom = 3
    assert main.zoom == others[0].zoom == 3


def test_in_the_other_planes_layers_look_as_in_the_viewer(scene: Any) -> None:
    scene.press("orthogonal")
    scene.shown.enhanced.contrast_limits = (40, 70)
    scene.shown.suspects.visible = False
    for model in canvases(scene):
        assert model.layers["better scan"].contrast_limits == [40, 70]
        assert not model.layers["suspects"].visible
    scene.press("side by side")
    assert all(model.layers["better scan"].visible for model in canvases(scene))


def test_the_dock_of_the_planes_can_be_closed_by_the_user(
    scene: Any, unchanged: Any
) -> None:
    check = unchanged(scene)
    scene.press("orthogonal")
    holder: Any = scene.bar.views.extras["orthogonal"].parent()
    while not hasattr(holder, "destroyOnClose"):
        holder = holder.parent()
    holder.destroyOnClose()  # what napari's button does
    assert not scene.bar.buttons["orthogonal"].isChecked()
    check()


def test_a_window_closes_while_everything_runs(scenes: Any) -> None:
    scene = scenes(show=True)
    scene.press(*EXTRAS, "blink")
    scene.viewer.close()
    scene.qtbot.wait(300)


def test_without_one_of_the_volumes_there_are_no_views(scene: Any) -> None:
    scene.press("cross", "lens")
    scene.viewer.layers.remove(scene.shown.raw)
    scene.qtbot.waitUntil(lambda: scene.bar.views is None)
    assert "taken away" in scene.bar.status.text()
    assert not scene.bar.buttons["cross"].isEnabled()
    assert "cross" not in scene.viewer.layers


def test_a_view_whose_layer_the_user_deletes_ends(scene: Any) -> None:
    scene.press("cross", "curtain")
    scene.viewer.layers.remove("curtain")
    scene.qtbot.waitUntil(lambda: not scene.bar.buttons["curtain"].isChecked())
    assert scene.shown.enhanced.visible
    assert scene.bar.buttons["curtain"].isEnabled()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rotate": (10, 0, 0)}, "rotated"),
        ({"translate": (500, 0, 0)}, "does not lie over"),
        ({"data": np.zeros((4, 8, 8, 3)), "rgb": True}, "no single volume"),
        ({"data": np.zeros((2, 24, 32, 32))}, "no single volume"),
    ],
)
def test_layers_that_do_not_fit_are_refused_in_one_sentence(
    scene: Any, change: dict[str, Any], words: str
) -> None:
    scene.press("cross")
    data = change.pop("data", scene.shown.enhanced.data)
    scene.bar.show(Shown(scene.shown.raw, Image(data, **change)))
    assert words in scene.bar.status.text()
    assert not any(button.isEnabled() for button in scene.bar.buttons.values())


def test_without_findings_there_is_less_to_see(scene: Any) -> None:
    scene.bar.show(Shown(scene.shown.raw, scene.shown.enhanced))
    enabled = {name for name, one in scene.bar.buttons.items() if one.isEnabled()}
    assert set(scene.bar.buttons) - enabled == {"residual", "outlines"}
    scene.press("blink", "cross", "profile")
    assert scene.shown.raw.contrast_limits == [0, 255]
    assert len(scene.bar.plot.plot.listDataItems()) == 2
