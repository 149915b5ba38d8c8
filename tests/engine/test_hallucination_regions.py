import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label

from napari_cyclegan3d.engine.hallucination.regions import (
    Regions,
    regions,
    smallest_region,
)
from napari_cyclegan3d.engine.hallucination.store import Block, blocks, new_map

SHAPE = (20, 33, 27)


def rough(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> NDArray[np.float32]:
    """Noise that is smooth enough for regions of all sizes."""
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = gaussian_filter(noise, 1.2)
    return (1.7 * smooth / smooth.std()).astype(np.float32)


def found(
    heights: NDArray[np.floating], places: Sequence[Block] | None = None, **keys: float
) -> Regions:
    whole = list(blocks(heights.shape, max(heights.shape), 0))
    signed = {"residual": -heights}
    return regions(heights, signed, places or whole, **keys)


def untiled(
    heights: NDArray[np.floating], high: float, low: float, smallest: int
) -> NDArray[np.int32]:
    """The same in one go: the definition of regions, without the cut of giants."""
    labels, count = label(heights >= low, np.ones((3, 3, 3)))
    out = np.zeros_like(labels)
    number = 0
    for one in range(1, count + 1):
        inside = labels == one
        if heights[inside].max() >= high and inside.sum() >= smallest:
            number += 1
            out[inside] = number
    return out


@pytest.mark.parametrize("side", [4, 7, 13, 40])
def test_regions_do_not_depend_on_the_blocks(side: int) -> None:
    heights = rough(1)

    tiled = found(heights, list(blocks(SHAPE, side, 3)), smallest=4)

    expected = untiled(heights, 4, 2, 4)
    assert expected.max() >= 20
    np.testing.assert_array_equal(tiled.labels, expected)


def test_the_order_of_the_blocks_does_not_matter() -> None:
    heights = rough(1)
    places = list(blocks(SHAPE, 9, 0))
    np.random.default_rng(0).shuffle(places)  # type: ignore[arg-type]

    np.testing.assert_array_equal(
        found(heights, places).labels, untiled(heights, 4, 2, 1)
    )


@pytest.mark.parametrize("seed", range(4))
def test_regions_that_touch_at_a_corner_of_eight_blocks_are_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    heights = np.zeros((8, 8, 8), np.float32)
    corner = random.integers(0, 2, 3)
    heights[tuple(3 + corner)] = 5
    heights[tuple(4 - corner)] = 3

    parts = found(heights, list(blocks((8, 8, 8), 4, 0)))

    assert parts.tally.count == 1
    assert parts.tally.voxels.tolist() == [2]


def test_a_region_that_is_never_high_or_too_small_is_dropped() -> None:
    heights = np.zeros((12, 12, 12), np.float32)
    heights[1:4, 1:4, 1:4] = 3.9
    heights[6, 6, 6] = 5
    heights[9:12, 9:12, 9:11] = 2
    heights[10, 10, 10] = 4

    one = found(heights, smallest=2)

    assert one.tally.voxels.tolist() == [18]
    assert (one.labels > 0).sum() == 18


def test_voxels_without_a_value_belong_to_no_region() -> None:
    heights = np.full((6, 6, 6), np.nan, np.float32)
    heights[2, 2, 2:4] = 5

    assert found(heights).tally.voxels.tolist() == [2]


def test_sums_over_regions_are_those_of_the_whole_volume() -> None:
    heights = rough(2)

    parts = found(heights, list(blocks(SHAPE, 6, 0)), smallest=3)

    tally = parts.tally
    assert tally.count > 10
    np.testing.assert_array_equal(heights[tuple(parts.peak.T)], tally.largest["height"])
    for number in range(1, tally.count + 1):
        inside, row = parts.labels == number, number - 1
        places = np.argwhere(inside)
        assert tally.voxels[row] == inside.sum()
        assert tally.low[row].tolist() == places.min(0).tolist()
        assert tally.high[row].tolist() == (places.max(0) + 1).tolist()
        np.testing.assert_allclose(tally.centroid()[row], places.mean(0))
        assert tally.largest["height"][row] == heights[inside].max()
        assert tally.smallest["residual"][row] == -heights[inside].max()
        assert tally.mean("height")[row] == pytest.approx(heights[inside].mean())


def test_a_rod_is_long_and_a_cube_is_not() -> None:
    heights = np.zeros((16, 16, 16), np.float32)
    heights[2, 2, 2:14] = 5
    heights[6:10, 6:10, 6:10] = 5

    rod, cube = found(heights, list(blocks((16, 16, 16), 5, 0))).tally.elongation(
        np.eye(3)
    )

    assert rod == pytest.approx(12, rel=0.01)
    assert cube == pytest.approx(1, rel=0.01)


def test_a_giant_is_cut_where_it_is_thin() -> None:
    heights = np.zeros((10, 40, 40), np.float32)
    for z, y, x in ((2, 2, 2), (2, 2, 30), (2, 30, 2)):
        heights[z : z + 2, y : y + 2, x : x + 2] = 5
    heights[5:9, 5:36, 5:15] = heights[5:9, 5:36, 20:36] = 5
    heights[6, 20, 15:20] = 2.5

    parts = found(heights, list(blocks((10, 40, 40), 11, 0)))

    assert parts.tally.voxels.tolist() == [8, 8, 8, 4 * 31 * 10, 4 * 31 * 16]


def test_a_map_without_regions_has_none() -> None:
    parts = found(np.zeros((6, 6, 6), np.float32))

    assert parts.tally.count == 0
    assert not parts.labels.any()


def test_memory_follows_the_block_and_not_the_volume() -> None:
    peaks = []
    for depth in (32, 128):
        heights = new_map((depth, 64, 64))
        heights[::8, 5:50, 5] = 5
        places = list(blocks((depth, 64, 64), 32, 0))
        tracemalloc.start()
        regions(heights, {"same": heights}, places)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < 1.2 * peaks[0]


def test_the_smallest_region_is_what_a_point_is_blurred_to() -> None:
    assert smallest_region((0, 0, 0)) == 1
    assert smallest_region((1.2, 1.2, 1.2)) == 12
