"""Boxes and places in a viewer."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_cyclegan3d.engine.volume import Region
from napari_cyclegan3d.gui.domains.roi import PlacePicker, RegionBox, voxels_between

PART = (slice(2, 10), slice(5, 20), slice(None))


@pytest.fixture
def viewer() -> Any:
    return ViewerModel()  # a viewer without its window


@pytest.fixture
def layer(viewer: Any) -> Any:
    voxels = np.random.default_rng(0).normal(size=(20, 40, 50))
    return viewer.add_image(
        voxels,
        name="scan",
        scale=(2, 1, 1.5),
        translate=(5, -6, 7),
        units=("micrometer",) * 3,
        axis_labels=("z", "y", "x"),
    )


class Drawn:
    """A box and all that it has told."""

    def __init__(self, viewer: Any, layer: Any, region: Region | None) -> None:
        self.regions: list[Region | None] = []
        self.ends = 0
        self.box = RegionBox(viewer, layer, region, self.regions.append, self.count)

    def count(self) -> None:
        self.ends += 1

    @property
    def corners(self) -> Any:
        return np.asarray(self.box.outline.data[0])


@pytest.fixture
def drawn(viewer: Any, layer: Any) -> Iterator[Drawn]:
    drawn = Drawn(viewer, layer, PART)
    yield drawn
    drawn.box.end()


def event(viewer: Any, layer: Any, place: tuple[int, int, int]) -> SimpleNamespace:
    return SimpleNamespace(
        type="mouse_press",
        position=layer.data_to_world(place),
        modifiers=(),
        button=1,
        view_direction=np.array([0.0, 0.0, 1.0]) if viewer.dims.ndisplay == 3 else None,
        dims_displayed=list(viewer.dims.displayed),
        dims_point=list(viewer.dims.point),
    )


def drag(
    viewer: Any, layer: Any, start: tuple[int, int, int], end: tuple[int, int, int]
) -> None:
    """What napari does when the user drags on a layer."""
    press = event(viewer, layer, start)
    for callback in layer.mouse_drag_callbacks:
        moves = callback(layer, press)
        next(moves)
        press.type, press.position = "mouse_move", layer.data_to_world(end)
        next(moves)
        press.type = "mouse_release"
        assert list(moves) == []


def click(viewer: Any, layer: Any, place: tuple[int, int, int]) -> None:
    for callback in list(viewer.mouse_drag_callbacks):
        callback(viewer, event(viewer, layer, place))


def test_the_outline_lies_along_the_edges_of_the_voxels(
    drawn: Drawn, viewer: Any, layer: Any
) -> None:
    corners = drawn.corners
    assert set(corners[:, 1]) == {4.5, 19.5}
    assert set(corners[:, 2]) == {0, 49}
    world = drawn.box.outline.data_to_world(corners[0])
    assert np.allclose(world, layer.data_to_world(corners[0]))
    assert list(drawn.box.outline.units) == list(layer.units)


def test_a_box_that_is_dragged_gives_its_region(drawn: Drawn, viewer: Any) -> None:
    viewer.dims.set_current_step(0, 4)
    drag(viewer, drawn.box.outline, (4, 12, 25), (4, 19, 25))
    assert drawn.regions == [(slice(2, 10), slice(12, 27), slice(None))]
    assert set(drawn.corners[:, 1]) == {11.5, 26.5}


def test_a_box_dragged_out_of_the_volume_ends_at_its_border(
    drawn: Drawn, viewer: Any
) -> None:
    viewer.dims.set_current_step(0, 4)
    drag(viewer, drawn.box.outline, (4, 12, 25), (4, 42, 25))
    assert drawn.regions == [(slice(2, 10), slice(35, 40), slice(None))]


def test_in_another_plane_the_other_side_of_the_box_is_changed(
    drawn: Drawn, viewer: Any
) -> None:
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_current_step(1, 8)
    assert set(drawn.corners[:, 0]) == {1.5, 9.5}
    drag(viewer, drawn.box.outline, (5, 8, 25), (8, 8, 25))
    assert drawn.regions == [(slice(5, 13), slice(5, 20), slice(None))]


def test_the_outline_follows_the_slice_and_is_faint_beside_the_box(
    drawn: Drawn, viewer: Any
) -> None:
    for z, inside in ((1, False), (2, True), (9, True), (10, False)):
        viewer.dims.set_current_step(0, z)
        assert set(drawn.corners[:, 0]) == {z}
        assert (drawn.box.outline.opacity == 1) == inside


def test_a_layer_with_time_beside_it_changes_nothing(drawn: Drawn, viewer: Any) -> None:
    viewer.add_image(np.zeros((3, 20, 40, 50)), name="film")
    viewer.dims.set_current_step(0, 2)
    viewer.dims.set_current_step(1, 4)
    viewer.layers.selection = {drawn.box.outline}
    assert set(drawn.corners[:, 1]) == {4.5, 19.5}


def test_in_3d_the_whole_box_is_shown_and_in_2d_it_can_be_dragged_again(
    drawn: Drawn, viewer: Any
) -> None:
    viewer.dims.ndisplay = 3
    corners = np.concatenate(drawn.box.outline.data)
    assert len(drawn.box.outline.data) == 6
    assert set(corners[:, 0]) == {1.5, 9.5}
    viewer.dims.ndisplay = 2
    viewer.dims.set_current_step(0, 4)
    drag(viewer, drawn.box.outline, (4, 12, 25), (4, 19, 25))
    assert len(drawn.regions) == 1


def test_the_user_s_view_and_choice_of_layers_stay_what_they_were(
    viewer: Any, layer: Any
) -> None:
    viewer.add_image(np.zeros((20, 40, 50)), name="other")
    viewer.layers.selection = {layer}
    camera = viewer.dims.model_dump()
    drawn = Drawn(viewer, layer, PART)
    assert viewer.dims.model_dump() == camera
    drawn.box.end()
    assert viewer.dims.model_dump() == camera
    assert set(viewer.layers.selection) == {layer}
    assert [one.name for one in viewer.layers] == ["scan", "other"]
    assert drawn.ends == 1


@pytest.mark.parametrize("what", ["rectangle", "outline", "layer"])
def test_a_box_ends_once_when_the_user_deletes_it_or_its_layer(
    what: str, drawn: Drawn, viewer: Any, layer: Any
) -> None:
    if what == "rectangle":
        drawn.box.outline.selected_data = {0}
        drawn.box.outline.remove_selected()
    else:
        viewer.layers.remove(drawn.box.outline if what == "outline" else layer)
    assert drawn.ends == 1
    assert drawn.box.outline not in viewer.layers
    viewer.dims.set_current_step(0, 3)
    assert drawn.regions == []


def test_a_second_rectangle_takes_the_place_of_the_first(
    drawn: Drawn, viewer: Any
) -> None:
    viewer.dims.set_current_step(0, 4)
    corners = [[4, 1.5, 2.5], [4, 1.5, 8.5], [4, 6.5, 8.5], [4, 6.5, 2.5]]
    drawn.box.outline.add_rectangles(np.array(corners))
    assert drawn.regions == [(slice(2, 10), slice(2, 7), slice(3, 9))]
    assert len(drawn.box.outline.data) == 1


def test_a_box_of_everything_is_no_region(drawn: Drawn, viewer: Any) -> None:
    drawn.box.set_region(None)
    viewer.dims.set_current_step(0, 4)
    drag(viewer, drawn.box.outline, (4, 12, 25), (4, 12, 25))
    assert drawn.regions == [None]


@pytest.mark.parametrize(
    ("ends", "voxels"),
    [
        ((0, 9), (0, 10)),
        ((-7, 30), (0, 10)),
        ((0.5, 8.5), (1, 9)),
        ((0.4, 8.4), (1, 9)),
        ((3.5, 4.5), (4, 5)),
        ((4.1, 4.2), (5, 6)),
        ((-9, -4), (0, 1)),
        ((12, 15), (9, 10)),
    ],
)
def test_a_line_covers_whole_voxels_and_at_least_one(
    ends: tuple[float, float], voxels: tuple[int, int]
) -> None:
    assert voxels_between(np.array(ends), 10) == voxels
    assert voxels_between(np.array(ends[::-1]), 10) == voxels


def test_a_click_gives_the_voxel_once(viewer: Any, layer: Any) -> None:
    got: list[Any] = []
    picker = PlacePicker(viewer, layer, got.append)
    click(viewer, layer, (99, 3, 4))
    assert got == []
    click(viewer, layer, (4, 15, 20))
    click(viewer, layer, (5, 15, 20))
    assert got == [(4, 15, 20)]
    picker.end()


def test_in_3d_a_click_gives_the_middle_of_what_lies_below(
    viewer: Any, layer: Any
) -> None:
    viewer.dims.ndisplay = 3
    got: list[Any] = []
    picker = PlacePicker(viewer, layer, got.append)
    click(viewer, layer, (4, 15, -9))
    picker.end()
    ((z, y, x),) = got
    assert (z, y) == (4, 15)
    assert abs(x - 25) <= 1


def test_who_waits_no_longer_gets_no_click(viewer: Any, layer: Any) -> None:
    got: list[Any] = []
    before = list(viewer.mouse_drag_callbacks)
    PlacePicker(viewer, layer, got.append).end()
    click(viewer, layer, (4, 15, 20))
    assert got == []
    assert list(viewer.mouse_drag_callbacks) == before
