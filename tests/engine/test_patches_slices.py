import itertools
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.patches import (
    NormalisedVolume,
    PatchSampler,
    slices_first,
)
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.volume import Region, Shape, Volume

OBLIQUE = np.array(
    [[0.9, -0.4, 0.3, 12], [0.5, 1.7, -0.2, -7], [-0.1, 0.6, 3.1, 0.2], [0, 0, 0, 1]]
)


def settings(**changes: Any) -> TrainConfig:
    values = {
        "dims": 2,
        "patch": (1, 8, 8),
        "precision": "fp32",
        "discriminator": {"kind": "critic", "layers": 1},
        "sampling": {"min_content": 0},
        "augment": {"flips": False, "rotations": False},
    }
    return parse(TrainConfig, values | changes)


def numbered(*shape: int, name: str = "scan") -> Volume:
    """Every voxel holds its own number."""
    return Volume(np.arange(np.prod(shape)).reshape(shape), name=name)


def draw(
    a: Volume, config: TrainConfig, b: Volume | None = None, count: int = 20
) -> NDArray[np.float32]:
    domains = (
        [NormalisedVolume(one, Intensity(offset=0.0, gain=1.0))] for one in (a, b or a)
    )
    return PatchSampler(*domains, config, seed=0).draw(count).real_a.numpy()


@pytest.mark.parametrize(("axis", "order"), [("z", "zyx"), ("y", "yzx"), ("x", "xzy")])
def test_slices_first_shows_each_voxel_at_its_place_in_the_world(
    axis: Any, order: str
) -> None:
    volume = Volume(numbered(3, 4, 5).read(), OBLIQUE)
    seen = slices_first(volume, axis)
    assert "".join(seen.axis_labels) == order
    assert seen.shape == tuple(volume.shape["zyx".index(one)] for one in order)
    for index in itertools.product(*map(range, volume.shape)):
        theirs = tuple(index["zyx".index(one)] for one in order)
        assert seen.read()[theirs] == volume.read()[index]
        np.testing.assert_allclose(
            seen.affine @ [*theirs, 1], volume.affine @ [*index, 1]
        )


class Recorded:
    """An array that remembers how much was read from it."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.sizes: list[int] = []

    def __getitem__(self, region: Region) -> NDArray[Any]:
        part = self.array[region]
        self.sizes.append(part.size)
        return part


def test_slices_first_reads_no_more_than_it_is_asked_for() -> None:
    array = Recorded(numbered(6, 7, 8).read())
    seen = slices_first(Volume(array), "y")
    region = (slice(1, 3), slice(2, 5), slice(0, 4))
    np.testing.assert_array_equal(
        seen.read(region), array.array[2:5, 1:3, 0:4].swapaxes(0, 1)
    )
    assert array.sizes == [24]


@pytest.mark.parametrize(("axis", "order"), [("z", 0), ("y", 1), ("x", 2)])
def test_a_2d_patch_is_a_part_of_a_slice_across_the_axis(axis: str, order: int) -> None:
    volume = numbered(10, 11, 12)
    stack = np.moveaxis(volume.read(), order, 0)
    drawn = draw(volume, settings(slice_axis=axis, patch=(1, 4, 8)))
    assert drawn.shape == (20, 1, 4, 8)
    slices = set()
    for patch in drawn[:, 0]:
        s, y, x = (int(n[0]) for n in np.nonzero(stack == patch[0, 0]))
        np.testing.assert_array_equal(patch, stack[s, y : y + 4, x : x + 8])
        slices.add(s)
    assert len(slices) > 5


def test_a_2d_patch_is_never_turned_out_of_its_slice() -> None:
    volume = numbered(6, 10, 10)
    augment = {"flips": True, "rotations": True}
    turned = 0
    for patch in draw(volume, settings(augment=augment), count=60)[:, 0]:
        s, y, x = np.unravel_index(int(patch.min()), volume.shape)
        untouched = volume.read()[s, y : y + 8, x : x + 8]
        np.testing.assert_array_equal(np.unique(patch), untouched.ravel())
        turned += abs(patch[0, 1] - patch[0, 0]) == 10
    assert 15 < turned < 45


def test_angle_and_zoom_stay_in_the_slice() -> None:
    levels = np.broadcast_to(np.arange(5.0)[:, None, None], (5, 20, 20))
    config = settings(augment={"angle": 30, "zoom": 0.4})
    drawn = draw(Volume(levels), config)
    np.testing.assert_allclose(drawn.std((1, 2, 3)), 0, atol=1e-6)
    assert set(np.round(drawn[:, 0, 0, 0], 3)) == {0, 1, 2, 3, 4}


def test_volumes_of_one_slice_are_taken_in_2d() -> None:
    assert draw(numbered(1, 9, 10), settings()).shape == (20, 1, 8, 8)


def test_pairs_of_slices_show_the_same_place() -> None:
    a, b = numbered(5, 20, 11, name="x_T1"), numbered(5, 20, 11, name="x_T2")
    config = settings(
        slice_axis="x",
        patch=(1, 4, 8),
        sampling={"min_content": 0, "pairs": True},
        augment={"angle": 20, "zoom": 0.2},
    )
    domains = (
        [NormalisedVolume(one, Intensity(offset=0.0, gain=1.0))] for one in (a, b)
    )
    batch = PatchSampler(*domains, config, seed=0).draw(5)
    assert batch.paired
    assert batch.real_a.shape == (5, 1, 4, 8)
    assert (batch.real_a == batch.real_b).all()


@pytest.mark.parametrize(
    ("changes", "shape", "nearest"),
    [
        ({}, (9, 6, 30), (1, 4, 8)),
        ({"slice_axis": "y"}, (9, 6, 7), (1, 8, 4)),
        ({"dims": 3, "patch": (8, 16, 8)}, (9, 15, 30), (8, 12, 8)),
        ({"dims": 3, "patch": (8, 8, 8), "scale": 2}, (40, 40, 14), (8, 8, 4)),
    ],
)
def test_a_refused_patch_is_answered_with_the_nearest_that_fits(
    changes: dict[str, Any], shape: Shape, nearest: Shape
) -> None:
    config = settings(**changes)
    a, b = numbered(40, 40, 40), numbered(*shape, name="small")
    with pytest.raises(
        InputError, match=rf"^small: .*choose patch {re.escape(str(nearest))}"
    ):
        draw(a, config, b)
    draw(a, settings(**(changes | {"patch": nearest})), b)


def test_where_no_patch_fits_the_smallest_one_is_named() -> None:
    with pytest.raises(InputError, match=r"^small: .* 4 voxels a side: give larger"):
        draw(numbered(9, 3, 30, name="small"), settings())
