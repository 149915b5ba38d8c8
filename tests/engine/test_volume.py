import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region, Volume, format_region

OBLIQUE = np.array(
    [
        [0.9, -0.4, 0.3, 12.0],
        [0.5, 1.7, -0.2, -7.5],
        [-0.1, 0.6, 3.1, 0.25],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


class Recorded:
    """An array that remembers what was read from it."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.reads: list[Any] = []

    def __getitem__(self, region: Region) -> NDArray[Any]:
        self.reads.append(region)
        return self.array[region]


def numbered(shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """Every voxel holds its own number."""
    return np.arange(np.prod(shape)).reshape(shape)


def world(volume: Volume, index: tuple[float, ...]) -> NDArray[np.float64]:
    return (volume.affine @ [*index, 1.0])[:3]


def outer_corners(volume: Volume) -> NDArray[np.float64]:
    sides = [(-0.5, size - 0.5) for size in volume.shape]
    return np.array([world(volume, corner) for corner in itertools.product(*sides)])


@pytest.mark.parametrize("scale", [1, 2, 4, Fraction(1, 2), Fraction(1, 4)])
def test_a_resampled_volume_keeps_its_outer_edges_in_the_world(
    scale: Fraction | int,
) -> None:
    source = Volume(np.zeros((8, 12, 20)), OBLIQUE)
    shape = [int(size * scale) for size in source.shape]
    result = source.resampled(np.zeros(shape), scale)
    np.testing.assert_allclose(
        outer_corners(result), outer_corners(source), rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(
        result.spacing, np.array(source.spacing) / float(scale), rtol=1e-12
    )


def test_a_resampled_volume_keeps_unit_labels_name_and_metadata() -> None:
    source = Volume(
        np.zeros((2, 2, 2)), OBLIQUE, "mm", ("s", "c", "r"), "knee", {"code": 7}
    )
    result = source.resampled(np.zeros((4, 4, 4)), 2)
    assert result.unit == "mm"
    assert result.axis_labels == ("s", "c", "r")
    assert result.name == "knee"
    assert result.metadata == {"code": 7}


def test_spacing_and_origin_are_read_off_the_affine() -> None:
    affine = np.array(
        [[0, 3.0, 0, 1.0], [2.0, 0, 0, 2.0], [0, 0, -5.0, 3.0], [0, 0, 0, 1]]
    )
    volume = Volume(np.zeros((2, 2, 2)), affine)
    assert volume.spacing == (2.0, 3.0, 5.0)
    assert volume.origin == (1.0, 2.0, 3.0)


REGIONS: list[Region] = [
    (slice(1, 4), slice(2, 3), slice(3, 8)),
    (slice(None), slice(-2, None), slice(None, 100)),
    (slice(0, 1), slice(None), slice(-3, -1)),
]


@pytest.mark.parametrize("region", REGIONS)
def test_a_crop_shows_the_same_voxels_at_the_same_world_positions(
    region: Region,
) -> None:
    source = Volume(numbered((5, 6, 9)), OBLIQUE)
    crop = source.crop(region)
    voxels = crop.read()
    np.testing.assert_array_equal(voxels, source.read()[region])
    for index in np.ndindex(crop.shape):
        there = np.unravel_index(voxels[index], source.shape)
        np.testing.assert_allclose(
            world(crop, index), world(source, there), rtol=0, atol=1e-12
        )


def test_a_crop_of_a_crop_is_the_crop_of_both_regions() -> None:
    source = Volume(numbered((6, 7, 8)), OBLIQUE)
    twice = source.crop((slice(1, 6), slice(2, 7), slice(1, 7))).crop(
        (slice(1, 3), slice(None), slice(2, 4))
    )
    once = source.crop((slice(2, 4), slice(2, 7), slice(3, 5)))
    np.testing.assert_array_equal(twice.read(), once.read())
    np.testing.assert_allclose(twice.affine, once.affine)


def test_making_a_volume_and_cropping_it_reads_nothing() -> None:
    source = Recorded(numbered((5, 6, 9)))
    crop = Volume(source).crop((slice(1, 4), slice(2, 5), slice(3, 8)))
    assert crop.shape == (3, 3, 5)
    assert crop.dtype == np.int64
    assert source.reads == []


def test_a_read_of_a_crop_asks_the_source_for_that_region_only() -> None:
    source = Recorded(numbered((5, 6, 9)))
    crop = Volume(source).crop((slice(1, 4), slice(2, 5), slice(3, 8)))
    crop.read((slice(1, 2), slice(None), slice(-2, None)))
    assert source.reads == [(slice(2, 3, 1), slice(2, 5, 1), slice(6, 8, 1))]


def test_a_region_without_voxels_is_refused_with_the_region_and_the_shape() -> None:
    volume = Volume(np.zeros((5, 6, 9)), name="knee")
    with pytest.raises(InputError, match=r"knee: region 0:2, 6:, : .*\(5, 6, 9\)"):
        volume.crop((slice(0, 2), slice(6, None), slice(None)))


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4, 1), (0, 4, 4)])
def test_an_array_that_is_no_filled_3d_volume_is_refused(
    shape: tuple[int, ...],
) -> None:
    with pytest.raises(InputError, match="knee: shape"):
        Volume(np.zeros(shape), name="knee")


@pytest.mark.parametrize(
    "affine",
    [
        np.eye(3),
        np.diag([1.0, 0.0, 1.0, 1.0]),
        np.diag([1.0, np.nan, 1.0, 1.0]),
        np.diag([1.0, np.inf, 1.0, 1.0]),
    ],
    ids=["3x3", "singular", "nan", "inf"],
)
def test_an_affine_without_an_inverse_is_refused(affine: NDArray[np.float64]) -> None:
    with pytest.raises(InputError, match="knee: the affine"):
        Volume(np.zeros((2, 2, 2)), affine, name="knee")


def test_micrometres_written_in_metres_are_a_valid_affine() -> None:
    volume = Volume(np.zeros((2, 2, 2)), np.diag([1e-9, 1e-9, 1e-9, 1.0]), unit="m")
    assert volume.spacing == (1e-9, 1e-9, 1e-9)


def test_a_volume_does_not_change_with_the_matrix_it_was_made_from() -> None:
    affine = np.eye(4)
    volume = Volume(np.zeros((2, 2, 2)), affine)
    affine[0, 3] = 99
    assert volume.origin == (0.0, 0.0, 0.0)


def test_what_is_no_text_in_a_name_becomes_a_question_mark() -> None:
    names = ["caf\udce9", "café µm 図"]  # the first: a file name from an old system
    volumes = [Volume(np.zeros((2, 2, 2)), name=name) for name in names]
    assert [volume.name for volume in volumes] == ["caf?", "café µm 図"]


def test_a_region_is_shown_as_it_is_typed() -> None:
    region = (slice(0, 64), slice(10, None), slice(None))
    assert format_region(region) == "0:64, 10:, :"
