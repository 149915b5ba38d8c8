"""Layers and volumes: the same voxels in the same place of the world."""

import itertools
from fractions import Fraction
from typing import Any

import dask.array
import numpy as np
import pytest
from napari.layers import Image

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui import layers
from napari_cyclegan3d.gui.layers import result_layer_data, to_layer_data, to_volume

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")

DATA = np.arange(6 * 7 * 8, dtype=np.float32).reshape(6, 7, 8)
TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
ELSEWHERE = np.array(
    [[1.1, 0.2, 0, 5], [-0.1, 0.9, 0.3, -6], [0, 0.1, 1.2, 7], [0, 0, 0, 1]]
)
PLACES: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "scale": {"scale": (2, 1, 0.5)},
    "scale and translate": {"scale": (2, 1, 0.5), "translate": (-3, 40, 0.25)},
    "rotate": {"scale": (2, 1, 0.5), "translate": (1, 2, 3), "rotate": TURN},
    "shear": {"scale": (2, 1, 0.5), "shear": (0.3, -0.2, 0.1)},
    "affine": {"affine": ELSEWHERE},
    "all at once": {
        "scale": (3, 0.7, 1),
        "translate": (9, -8, 7),
        "rotate": TURN,
        "shear": (0.1, 0.2, 0.3),
        "affine": ELSEWHERE,
        "units": ("mm", "mm", "mm"),
        "axis_labels": ("k", "j", "i"),
    },
}


def layer_of(volume: Volume) -> Image:
    data, attributes, kind = to_layer_data(volume)
    assert kind == "image"
    return Image(data, **attributes)


def outer_corners(layer: Image) -> np.ndarray:
    """World positions of the eight outer corners of a layer's box of voxels."""
    shape = (layer.data[0] if layer.multiscale else layer.data).shape
    ends = [(-0.5, size - 0.5) for size in shape]
    return np.array([layer.data_to_world(one) for one in itertools.product(*ends)])


@pytest.mark.parametrize("kind", ["upright", "oblique"])
def test_a_volume_comes_back_from_its_layer_with_voxels_affine_and_unit(
    kind: str, request: pytest.FixtureRequest
) -> None:
    volume: Volume = request.getfixturevalue(kind)
    back = to_volume(layer_of(volume))
    assert np.array_equal(back.read(), volume.read())
    assert back.dtype == volume.dtype
    assert np.allclose(back.affine, volume.affine)
    assert (back.unit, back.axis_labels) == (volume.unit, volume.axis_labels)
    assert back.name == volume.name


def test_a_layer_is_shown_upright_with_the_spacing_and_units_of_its_volume(
    oblique: Volume,
) -> None:
    layer = layer_of(oblique)
    assert np.allclose(layer.scale, oblique.spacing)
    assert np.allclose(layer.rotate, np.eye(3))
    assert np.allclose(layer.data_to_world((0, 0, 0)), oblique.origin)
    assert {str(unit) for unit in layer.units} == {"millimeter"}


@pytest.mark.parametrize("shape", [(40, 40, 3), (3, 40, 40), (40, 40, 4), (1, 40, 3)])
def test_a_thin_volume_is_no_colour_image(shape: tuple[int, int, int]) -> None:
    volume = Volume(np.zeros(shape, np.uint8))
    layer = layer_of(volume)
    assert not layer.rgb
    assert to_volume(layer).shape == shape
    data, attributes, _ = result_layer_data(layer, volume, Fraction(1))
    assert not Image(data, **attributes).rgb


@pytest.mark.parametrize(
    "change",
    [
        {"translate": (1, 2, 3)},
        {"scale": (5, 4, 3)},
        {"rotate": TURN},
        {"shear": (0.5, 0, 0)},
        {"affine": ELSEWHERE},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_layer_that_the_user_moved_takes_its_true_orientation_along(
    change: dict[str, Any], oblique: Volume
) -> None:
    layer = layer_of(oblique)
    before = world_of(layer)
    for name, value in change.items():
        setattr(layer, name, value)
    volume = to_volume(layer)
    assert not np.allclose(volume.affine, oblique.affine)
    moved = world_of(layer) @ np.linalg.inv(before)
    assert np.allclose(volume.affine, moved @ oblique.affine)


def world_of(layer: Image) -> Any:
    """The 4×4 matrix from voxel index to world, as the layer itself applies it."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    origin, *ends = (np.array(layer.data_to_world(corner)) for corner in corners)
    matrix = np.eye(4)
    matrix[:3] = np.stack([*(end - origin for end in ends), origin], axis=1)
    return matrix


@pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))
def test_a_layer_of_any_origin_becomes_a_volume_in_its_place(
    place: dict[str, Any],
) -> None:
    layer = Image(DATA, **place)
    volume = to_volume(layer)
    for index in ((0, 0, 0), (1, 2, 3)):
        world = (volume.affine @ [*index, 1])[:3]
        assert np.allclose(world, layer.data_to_world(index))
    assert volume.unit == ("millimeter" if "units" in place else "pixel")


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Image(np.zeros((40, 41, 3), np.uint8), rgb=True, name="photo"), "colour"),
        (Image(np.zeros((5, 40, 41, 4)), rgb=True, name="film"), "colour"),
        (Image(np.zeros((8, 9)), name="slice"), "has 2 axes"),
        (Image(np.zeros((2, 8, 9, 7)), name="series"), "has 4 axes"),
        (
            Image([np.zeros((16, 16)), np.zeros((8, 8))], multiscale=True, name="flat"),
            "has 2 axes",
        ),
    ],
    ids=lambda one: one.name if isinstance(one, Image) else "",
)
def test_what_is_no_single_3d_image_is_refused_in_a_sentence(
    layer: Image, reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as refused:
        to_volume(layer)
    assert str(refused.value).startswith(f"{layer.name}: ")


@pytest.mark.parametrize(
    "scale", [Fraction(1), Fraction(2), Fraction(4), Fraction(1, 2)]
)
@pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))
def test_a_result_covers_exactly_its_source(
    place: dict[str, Any], scale: Fraction
) -> None:
    source = Image(DATA[:, :6], **place)
    shape = tuple(int(side * scale) for side in source.data.shape)
    enlarged = to_volume(source).resampled(np.ones(shape, np.float32), scale)
    data, attributes, kind = result_layer_data(source, enlarged, scale)
    result = Image(data, **attributes)
    assert (kind, result.data.shape) == ("image", shape)
    assert np.allclose(outer_corners(result), outer_corners(source))
    assert result.units == source.units
    assert result.axis_labels == source.axis_labels
    # what would be written to a file lies there, too
    assert np.allclose(to_volume(result).affine, enlarged.affine)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_result_of_an_oblique_volume_is_shown_over_its_source_and_keeps_its_affine(
    scale: int, oblique: Volume
) -> None:
    source = layer_of(oblique)
    shape = tuple(side * scale for side in oblique.shape)
    enlarged = oblique.resampled(np.ones(shape, np.float32), scale)
    data, attributes, _ = result_layer_data(source, enlarged, Fraction(scale))
    result = Image(data, **attributes)
    assert np.allclose(outer_corners(result), outer_corners(source))
    assert np.allclose(to_volume(result).affine, enlarged.affine)
    assert to_volume(result).unit == "millimeter"


def test_a_dask_layer_is_read_piece_by_piece() -> None:
    read: list[int] = []

    def plane(block_info: Any = None) -> np.ndarray:
        z = block_info[None]["array-location"][0][0]
        read.append(z)
        return DATA[z : z + 1]

    chunks = ((1,) * 6, (7,), (8,))
    lazy = dask.array.map_blocks(plane, chunks=chunks, dtype=np.float32, meta=DATA[:0])
    volume = to_volume(Image(lazy, contrast_limits=(0, 1)))
    read.clear()
    region = (slice(4, 5), slice(1, 3), slice(None))
    assert np.array_equal(volume.read(region), DATA[4:5, 1:3])
    assert set(read) == {4}
    assert np.array_equal(volume.read(), DATA)


def test_the_finest_level_of_a_multiscale_layer_is_used() -> None:
    layer = Image([DATA, DATA[::2, ::2, ::2]], multiscale=True, scale=(2, 1, 1))
    volume = to_volume(layer)
    assert np.array_equal(volume.read(), DATA)
    assert np.allclose(volume.spacing, (2, 1, 1))
    shape = (12, 14, 16)
    enlarged = volume.resampled(np.ones(shape, np.float32), 2)
    data, attributes, _ = result_layer_data(layer, enlarged, Fraction(2))
    result = Image(data, **attributes)
    assert np.allclose(outer_corners(result), outer_corners(layer))


def test_a_large_volume_is_shown_without_being_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Source:
        """Knows slices only, as sources of voxels may."""

        shape, dtype = DATA.shape, DATA.dtype

        def __init__(self) -> None:
            self.read: set[int] = set()

        def __getitem__(self, region: tuple[slice, slice, slice]) -> np.ndarray:
            planes = range(*region[0].indices(len(DATA)))
            self.read.update(planes)
            return DATA[region]

    monkeypatch.setattr(layers, "EAGER_BYTES", 1000)
    source = Source()
    data, attributes, _ = to_layer_data(Volume(source))
    assert not source.read
    layer = Image(data, **attributes)
    assert len(source.read) < len(DATA)  # napari looks at some, for their contrast
    source.read.clear()
    assert np.array_equal(np.asarray(layer.data[4, 1:3]), DATA[4, 1:3])
    assert source.read == {4}
    assert np.array_equal(to_volume(layer).read(), DATA)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_frame_of_a_series_is_a_volume_where_it_lies_in_space(scale: int) -> None:
    data = np.stack([DATA, DATA + 1, DATA + 2])
    place = {"scale": (9, 2, 1, 0.5), "translate": (4, 1, 2, 3)}
    layer = Image(data, **place, units=("s", "mm", "mm", "mm"))
    volume = to_volume(layer, 2)
    assert np.array_equal(volume.read(), DATA + 2)
    assert np.array_equal(volume.read((slice(1, 3),) * 3), DATA[1:3, 1:3, 1:3] + 2)
    assert volume.spacing == (2, 1, 0.5)
    assert volume.origin == (1, 2, 3)
    assert volume.unit == "millimeter"
    sides = tuple(side * scale for side in DATA.shape)
    made = volume.resampled(np.ones(sides, np.float32), scale)
    frames = np.ones((2, *sides), np.float32)
    _, attributes, _ = result_layer_data(
        layer, made, Fraction(scale), (1, 0, 0, 0), frames
    )
    corners = outer_corners(Image(frames, **attributes))
    part = Image(data[1:], **place | {"translate": (13, 1, 2, 3)})
    assert np.allclose(corners, outer_corners(part))


def test_a_frame_that_a_series_has_not_is_refused() -> None:
    layer = Image(np.zeros((3, 4, 4, 4)), name="series")
    with pytest.raises(InputError, match="frames 0 to 2, and no frame 3"):
        to_volume(layer, 3)


def test_a_part_of_a_result_lies_over_its_part_of_the_source() -> None:
    layer = Image(DATA, **PLACES["all at once"])
    volume = to_volume(layer).crop((slice(2, 5), slice(1, 7), slice(3, 8)))
    made = volume.resampled(np.ones((6, 12, 10), np.float32), 2)
    data, attributes, _ = result_layer_data(layer, made, Fraction(2), (2, 1, 3))
    shown = Image(data, **attributes)
    ends = np.array([(1.5, 0.5, 2.5), (4.5, 6.5, 7.5)])
    expected = [layer.data_to_world(one) for one in ends]
    corners = outer_corners(shown)
    assert np.allclose([corners[0], corners[-1]], expected)
