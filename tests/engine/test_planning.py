import itertools
import math

import pytest

from napari_cyclegan3d.engine.planning import least_work
from napari_cyclegan3d.engine.tiling import Reach, cores, round_up, whole_side
from napari_cyclegan3d.engine.volume import Shape

REACH = (Reach(4, (12, 16)),) * 3


def voxels_read(shape: Shape, core: Shape) -> int:
    return math.prod(
        sum(
            tile.read[1] - tile.read[0]
            for tile in cores((0, round_up(size, 4)), side, size, reach)
        )
        for size, side, reach in zip(shape, core, REACH, strict=True)
    )


def largest_read(shape: Shape, core: Shape) -> Shape:
    z, y, x = (
        max(
            tile.read[1] - tile.read[0]
            for tile in cores((0, round_up(size, 4)), side, size, reach)
        )
        for size, side, reach in zip(shape, core, REACH, strict=True)
    )
    return z, y, x


def test_with_room_for_it_the_whole_volume_is_one_tile() -> None:
    assert least_work((30, 40, 50), REACH, (4, 4, 4), lambda _: True) == (32, 40, 52)


@pytest.mark.parametrize("limit", [40**3, 55**3, 80**3])
def test_no_other_core_that_fits_reads_less(limit: int) -> None:
    shape = (60, 72, 48)
    core = least_work(shape, REACH, (4, 4, 4), lambda read: math.prod(read) <= limit)
    assert core is not None
    assert math.prod(largest_read(shape, core)) <= limit
    sides = range(4, 73, 4)
    least = min(
        voxels_read(shape, other)
        for other in itertools.product(sides, repeat=3)
        if math.prod(largest_read(shape, other)) <= limit
    )
    assert voxels_read(shape, core) == least


def test_cores_are_whole_units() -> None:
    core = least_work((90, 90, 90), REACH, (8, 20, 36), lambda read: max(read) < 80)
    assert core is not None
    assert [side % unit for side, unit in zip(core, (8, 20, 36), strict=True)] == [
        0
    ] * 3


def test_where_not_even_the_smallest_fits_there_is_none() -> None:
    assert least_work((90, 90, 90), REACH, (4, 4, 4), lambda _: False) is None


def test_the_plan_of_a_large_volume_is_found_among_few_choices() -> None:
    asked = []

    def fits(read: Shape) -> bool:
        asked.append(read)
        return math.prod(read) < 2**24

    core = least_work((2048, 2048, 2048), REACH, (4, 4, 4), fits)
    assert core is not None
    assert len(asked) < 25**3
    assert math.prod(core) > 0.3 * 2**24
    assert all(
        side <= whole_side(2048, one) for side, one in zip(core, REACH, strict=True)
    )
