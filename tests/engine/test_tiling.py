import itertools
from fractions import Fraction

import numpy as np
import pytest

from napari_cyclegan3d.engine.tiling import (
    Reach,
    Tile,
    TilePlan,
    cores,
    output_region,
    output_shape,
    plan_blend,
    read_reflected,
    round_up,
    whole_side,
)
from napari_cyclegan3d.engine.volume import Shape, Volume

SHAPES: list[Shape] = [(2, 3, 5), (16, 17, 31), (40, 8, 23)]
TILES: list[Shape] = [(1, 1, 1), (10, 20, 7), (99, 99, 99)]
HALO = (8, 12)

every_shape = pytest.mark.parametrize("shape", SHAPES)
every_tile = pytest.mark.parametrize("tile", TILES)
every_stride = pytest.mark.parametrize("stride", [2, 16])


def reach(stride: int) -> tuple[Reach, Reach, Reach]:
    return (Reach(stride, HALO),) * 3


def tiles_of(plan: TilePlan) -> list[Tile]:
    return [tile for _, row in plan.rows() for tile in row]


every_size = pytest.mark.parametrize("size", [2, 5, 16, 31, 77])


@every_size
@pytest.mark.parametrize("strides", [1, 2, 7, 99])
@every_stride
def test_cores_cover_a_span_once_in_order_in_whole_strides(
    size: int, strides: int, stride: int
) -> None:
    whole = round_up(size, stride)
    tiles = cores((0, whole), strides * stride, size, Reach(stride, HALO))
    edges = [tile.keep[0] for tile in tiles] + [tiles[-1].keep[1]]
    assert (edges[0], edges[-1]) == (0, whole)
    for tile, (start, stop) in zip(tiles, itertools.pairwise(edges), strict=True):
        assert tile.keep == (start, stop)
        assert start % stride == 0
        assert 0 < stop - start <= strides * stride


@every_size
@every_stride
def test_a_core_reads_its_halo_but_nothing_outside_the_volume(
    size: int, stride: int
) -> None:
    reach = Reach(stride, HALO)
    whole = whole_side(size, reach)
    for tile in cores((0, whole), 2 * stride, size, reach):
        assert tile.read[0] == max(0, tile.keep[0] - HALO[0])
        assert tile.read[1] == min(whole, tile.keep[1] + HALO[1])


def test_a_span_that_starts_inside_the_volume_has_a_halo_there() -> None:
    (tile,) = cores((16, 24), 99, 40, Reach(4, HALO))
    assert tile.read == (8, 36)


def test_a_network_sees_whole_strides_of_a_volume_and_two_at_least() -> None:
    assert [whole_side(n, Reach(4, HALO)) for n in (1, 4, 8, 9)] == [8, 8, 8, 12]
    assert whole_side(1, Reach(1, (0, 0))) == 1


@every_shape
@every_tile
@pytest.mark.parametrize("overlap", [0.1, 0.5, 0.75])
@pytest.mark.parametrize(
    ("stride", "scale"),
    [(4, Fraction(1)), (2, Fraction(4)), (16, Fraction(1, 4))],
)
def test_the_weights_of_overlapping_tiles_add_up_to_one_at_every_voxel(
    shape: Shape, tile: Shape, overlap: float, stride: int, scale: Fraction
) -> None:
    plan = plan_blend(shape, tile, overlap, reach(stride))
    size = output_shape(shape, scale)
    for axis, windows in enumerate(plan.windows(scale)):
        total = np.zeros(size[axis])
        for one, window in zip(plan.grid[axis], windows, strict=True):
            assert (window > 0).all()
            start = int(one.keep[0] * scale)
            assert len(window) == int(one.keep[1] * scale) - start
            for position, weight in enumerate(window, start):
                if 0 <= position < size[axis]:
                    total[position] += weight
        np.testing.assert_allclose(total, 1, rtol=0, atol=1e-6)


@every_shape
@every_tile
@every_stride
@pytest.mark.parametrize("overlap", [0.1, 0.5, 0.75])
def test_blended_tiles_are_whole_strides_and_overlap_as_asked_for_or_more(
    shape: Shape, tile: Shape, stride: int, overlap: float
) -> None:
    for tiles, asked in zip(
        plan_blend(shape, tile, overlap, reach(stride)).grid, tile, strict=True
    ):
        side = tiles[0].keep[1] - tiles[0].keep[0]
        assert side % stride == 0
        assert side <= max(round_up(asked, stride), 2 * stride)
        for one in tiles:
            assert one.read == one.keep
            assert one.keep[1] - one.keep[0] == side
            assert one.keep[0] % stride == 0
        for one, following in itertools.pairwise(tiles):
            shared = one.keep[1] - following.keep[0]
            assert stride <= shared < side
            assert shared >= min(int(overlap * side), side - stride)


@every_stride
@pytest.mark.parametrize("overlap", [0.1, 0.5, 0.75])
def test_blended_tiles_wider_than_the_volume_shrink_to_one_that_covers_it(
    stride: int, overlap: float
) -> None:
    plan = plan_blend((5, 40, 2), (10**6, 10**6, 10**6), overlap, reach(stride))
    assert len(plan) == 1
    for (one,), size in zip(plan.grid, (5, 40, 2), strict=True):
        assert one.keep[0] < 0
        assert one.keep[1] > size
        assert one.keep[1] - one.keep[0] < (size + 4 * stride) / (1 - overlap)


@every_shape
@every_tile
def test_blended_tiles_stick_out_so_that_the_border_is_away_from_their_rim(
    shape: Shape, tile: Shape
) -> None:
    plan = plan_blend(shape, tile, 0.5, reach(4))
    for tiles, size in zip(plan.grid, shape, strict=True):
        side = tiles[0].keep[1] - tiles[0].keep[0]
        assert tiles[0].keep[0] <= -side // 4
        assert tiles[-1].keep[1] >= size + side // 4


def test_tiles_come_layer_by_layer_with_their_place_in_the_grid() -> None:
    plan = plan_blend((16, 12, 8), (8, 8, 8), 0.5, reach(4))
    rows = list(plan.rows())
    counts = [len(axis) for axis in plan.grid]
    assert len(plan) == np.prod(counts)
    for k, (tile_z, row) in enumerate(rows):
        assert all(tile.axes[0] is tile_z for tile in row)
        places = itertools.product([k], range(counts[1]), range(counts[2]))
        assert [tile.index for tile in row] == list(places)


@pytest.mark.parametrize("shape", [(2, 3, 5), (9, 7, 11), (40, 2, 8)])
@pytest.mark.parametrize("before", [0, 3, 25])
@pytest.mark.parametrize("after", [0, 4, 60])
def test_beyond_the_border_the_volume_is_mirrored_like_numpy_does_it(
    shape: Shape, before: int, after: int
) -> None:
    grey = np.random.default_rng(0).normal(size=shape)
    read = read_reflected(Volume(grey), [(-before, size + after) for size in shape])
    np.testing.assert_array_equal(read, np.pad(grey, (before, after), mode="reflect"))


def test_a_tile_inside_the_volume_reads_its_own_voxels_only() -> None:
    grey = np.arange(1000).reshape(10, 10, 10)
    read = read_reflected(Volume(grey), [(2, 7)] * 3)
    np.testing.assert_array_equal(read, grey[2:7, 2:7, 2:7])


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (Fraction(1), (7, 8, 9)),
        (Fraction(4), (28, 32, 36)),
        (Fraction(1, 2), (3, 4, 4)),
        (Fraction(1, 4), (1, 2, 2)),
    ],
)
def test_what_is_left_over_when_reducing_is_dropped(
    scale: Fraction, expected: Shape
) -> None:
    assert output_shape((7, 8, 9), scale) == expected


@every_shape
@pytest.mark.parametrize(
    "scale", [Fraction(1), Fraction(2), Fraction(4), Fraction(1, 2), Fraction(1, 4)]
)
def test_the_kept_parts_of_all_tiles_fill_the_output_once(
    shape: Shape, scale: Fraction
) -> None:
    size = output_shape(shape, scale)
    covered = np.zeros(size, int)
    axes = [
        cores((0, round_up(n, 8)), side, n, Reach(8, HALO))
        for n, side in zip(shape, (16, 8, 32), strict=True)
    ]
    for z, y, x in itertools.product(*axes):
        covered[output_region(Tile((z, y, x)), size, scale)] += 1
    assert (covered == 1).all()


def test_slices_translated_one_by_one_read_no_neighbours_and_are_not_averaged() -> None:
    across, within = Reach(1, (0, 0)), Reach(4, HALO)
    plan = plan_blend((7, 20, 9), (3, 8, 8), 0.5, (across, within, within))
    for tiles in (plan.grid[0], cores((0, 7), 3, 7, across)):
        assert [tile.keep for tile in tiles] == [(0, 3), (3, 6), (6, 7)]
        assert all(tile.read == tile.keep for tile in tiles)
    for window in plan.windows(Fraction(1))[0]:
        np.testing.assert_array_equal(window, 1)
