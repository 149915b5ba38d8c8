"""Previews as layers."""

from typing import Any

import numpy as np
import pytest

from napari_cyclegan3d.gui.canvas import camera_of
from napari_cyclegan3d.gui.progress.layers import add_layers

NAMES = ("real_a", "fake_b", "cyclic_a", "real_b", "fake_a", "cyclic_b")


def images(scale: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sides = {name: 8 * (scale if name in NAMES[1:5:2] else 1) for name in NAMES}
    sides["fake_b"] = sides["real_b"] = sides["cyclic_b"] = 8 * scale
    return {name: rng.random((side,) * 3, np.float32) for name, side in sides.items()}


def edges(layer: Any) -> list[float]:
    """First and last voxel's outer edges in the world."""
    shape = np.array(layer.data.shape)
    ends = layer.data_to_world(np.full(3, -0.5)), layer.data_to_world(shape - 0.5)
    return np.ravel(ends).tolist()


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_images_of_both_sizes_lie_over_each_other(
    scale: int, make_napari_viewer_proxy: Any
) -> None:
    viewer = make_napari_viewer_proxy()
    layers = add_layers(viewer, images(scale), "run-001 step 5", (0.0, 1.0), {})
    assert [layer.name for layer in layers] == [
        f"run-001 step 5 {n}" for n in images(1)
    ]
    for layer in layers:
        assert edges(layer) == pytest.approx(edges(layers[0]))
        assert len(set(layer.scale)) == 1
    assert {tuple(layer.contrast_limits) for layer in layers} == {(0, 1)}


def test_the_user_s_view_stays_and_the_layers_lie_in_the_middle_of_it(
    make_napari_viewer_proxy: Any,
) -> None:
    viewer = make_napari_viewer_proxy()
    mine = np.random.default_rng(1).random((20, 30, 40))
    labels = ("down", "back", "right")
    viewer.add_image(mine, scale=(3, 2, 2.5), units="um", axis_labels=labels)
    viewer.dims.set_current_step(0, 5)
    viewer.dims.order = (1, 0, 2)
    camera_of(viewer).zoom = 3.21

    def view() -> list[Any]:
        camera, dims = camera_of(viewer), viewer.dims
        words = dims.order, dims.ndisplay, dims.point, tuple(dims.axis_labels)
        return [camera.center, camera.zoom, camera.angles, *words]

    before = view()
    layers = add_layers(viewer, images(2), "x", (0.0, 1.0), {})
    assert view() == before
    for layer in layers:
        place = np.reshape(edges(layer), (2, 3))
        assert np.allclose(place.mean(axis=0), viewer.dims.point, atol=2)
        assert {str(unit) for unit in layer.units} == {"micrometer"}
    assert layers[1].scale.tolist() == [2, 2, 2]


def test_differences_are_layers_of_their_own(make_napari_viewer_proxy: Any) -> None:
    made = images(1)
    layers = add_layers(
        make_napari_viewer_proxy(),
        made,
        "x",
        (-1.0, 3.0),
        {"difference_a": ("real_a", "cyclic_a")},
    )
    assert len(layers) == 7
    assert layers[-1].name == "x |real_a − cyclic_a|"
    np.testing.assert_array_equal(
        layers[-1].data, np.abs(made["real_a"] - made["cyclic_a"])
    )
    assert list(layers[-1].contrast_limits) == [0, 2]


def test_flat_layers_and_slices_do_not_stand_in_the_way(
    make_napari_viewer_proxy: Any,
) -> None:
    viewer = make_napari_viewer_proxy()
    viewer.add_image(np.zeros((30, 30)))
    slices = {name: image[:1] for name, image in images(2).items()}
    layers = add_layers(viewer, slices, "x", (0.0, 1.0), {})
    for layer in layers:
        assert edges(layer)[1:3] == pytest.approx(edges(layers[0])[1:3])
