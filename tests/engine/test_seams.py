import numpy as np
import pytest

from napari_cyclegan3d.engine.seams import seam_ratio

NOISE = np.random.default_rng(0).normal(size=(32, 40, 48)).astype(np.float32)


def test_where_no_tile_shows_the_ratio_is_one() -> None:
    assert seam_ratio(NOISE, [{16}, {20}, {24}]) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_step_at_a_border_raises_the_ratio_and_elsewhere_does_not(axis: int) -> None:
    volume = np.moveaxis(NOISE.copy(), axis, 0)
    volume[16:] += 3
    volume = np.moveaxis(volume, 0, axis)
    cuts: list[set[int]] = [set(), set(), set()]
    cuts[axis] = {16}
    ratio = seam_ratio(volume, cuts)
    assert ratio is not None
    assert ratio > 2
    cuts[axis] = {8}
    assert seam_ratio(volume, cuts) == pytest.approx(1, abs=0.1)


def test_the_lattice_of_a_network_is_no_seam() -> None:
    volume = NOISE.copy()
    volume[::4] += 3
    cuts: list[set[int]] = [{16}, set(), set()]
    assert seam_ratio(volume, cuts, period=4) == pytest.approx(1, abs=0.05)
    volume[16:] += 3
    assert (seam_ratio(volume, cuts, period=4) or 0) > 1.2


def test_voxels_without_a_value_are_left_out() -> None:
    volume = NOISE.copy()
    volume[14:18, :20] = np.nan
    ratio = seam_ratio(volume, [{16}, set(), set()])
    assert ratio == pytest.approx(1, abs=0.1)


def test_without_borders_or_without_contrast_there_is_no_ratio() -> None:
    assert seam_ratio(NOISE, [set(), set(), set()]) is None
    assert seam_ratio(NOISE, [{2}, set(), set()]) is None  # too near the volume's end
    assert seam_ratio(np.ones((16, 16, 16)), [{8}, set(), set()]) is None
