import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_cyclegan3d.engine.hallucination.plants import (
    Ground,
    drawn,
    plant,
    structure_contrast,
)

Block = NDArray[np.float32]


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(4)


def lines(size: int = 48) -> Block:
    """Three bright lines on a dark ground."""
    block = np.zeros((size,) * 3, np.float32)
    for place in (12, 24, 36):
        block[place - 1 : place + 2, place - 1 : place + 2, :] = 10
    return block


def test_a_ball_and_a_fibre_have_the_volume_they_should() -> None:
    ball = drawn("ball", 9.0, 0, (1, 1, 1), (0, 0, 1))
    assert ball.sum() == pytest.approx(np.pi / 6 * 9**3, rel=0.03)
    fibre = drawn("fibre", 4.0, 20.0, (1, 1, 1), (1, 2, 3))
    assert fibre.sum() == pytest.approx(np.pi * 4 * 20 + np.pi / 6 * 4**3, rel=0.05)
    assert all(side % 2 for side in fibre.shape)
    middle = tuple(side // 2 for side in fibre.shape)
    assert fibre[middle] == 1
    assert fibre[0].max() == 0


def test_figures_are_as_large_in_the_world_whatever_the_voxels() -> None:
    fine = drawn("ball", 12.0, 0, (1, 1, 1), (0, 0, 1)).sum()
    flat = drawn("ball", 12.0, 0, (3, 1, 0.5), (0, 0, 1)).sum()
    assert flat * 1.5 == pytest.approx(fine, rel=0.03)


def test_the_contrast_of_dark_structures_is_negative() -> None:
    assert structure_contrast(lines(), 2.0) == 10
    assert structure_contrast(-lines(), 2.0) == -10
    assert structure_contrast(np.zeros((8, 8, 8), np.float32), 2.0) == 0


def test_plants_change_a_copy_both_ways_and_away_from_its_border(
    random: np.random.Generator,
) -> None:
    block = lines()
    before = block.copy()
    planted = plant(block, block, 2.0, 1, random)
    change = planted - before
    np.testing.assert_array_equal(block, before)
    structures = ndimage.binary_dilation(before > 0)
    assert change[~structures].max() > 0.4 * 10 * 0.9
    assert change[~structures].min() == 0
    assert change[structures].min() < -0.4 * 10 * 0.9
    # nothing is taken away below the background, nor added over a structure
    assert planted.min() >= 0
    assert not change[:1].any()
    assert not change[..., -1:].any()


def test_nothing_is_planted_where_there_is_no_structure_or_no_room(
    random: np.random.Generator,
) -> None:
    empty = np.zeros((32, 32, 32), np.float32)
    np.testing.assert_array_equal(plant(empty, empty, 1.0, 1, random), empty)
    full = np.ones((32, 32, 32), np.float32)
    assert Ground.of(full > 0, 4).place(2.0, random) is None


def test_a_place_that_was_taken_is_not_given_again(random: np.random.Generator) -> None:
    ground = Ground.of(np.zeros((40, 40, 40), bool), 8)
    places: list[NDArray[np.int_]] = []
    while (place := ground.place(2.0, random)) is not None and len(places) < 8:
        places.append(np.array(place))
        ground.take(place, 6.0)
    assert len(places) == 8
    for number, one in enumerate(places):
        assert (one >= 8).all()
        assert (one < 32).all()
        for other in places[:number]:
            assert np.linalg.norm(one - other) > 6
