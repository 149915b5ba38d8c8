from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d.engine.augment import (
    Augmentation,
    Margins,
    augmented,
    bent,
    contrasted,
    draw_augmentation,
    margins,
    noisy,
)
from napari_cyclegan3d.engine.sections.patches import AugmentConfig

OFF = AugmentConfig(flips=False, rotations=False)
PLANES = ((0, 1), (0, 2), (1, 2))
SLOPE = np.array([0.7, -1.3, 2.1])


def random_patch(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(2, 3, shape).astype(np.float32)


def draw(seed: int = 0, **changes: Any) -> Augmentation:
    config = OFF.model_copy(update=changes)
    return draw_augmentation(config, PLANES, PLANES, np.random.default_rng(seed))


def ramp_block(
    shape: tuple[int, int, int], around: Margins, voxel: float = 1.0
) -> NDArray[np.float32]:
    """A linear function of the world: a patch centred on 0, and what is around it."""
    axes = [
        (np.arange(-before, side + after) - (side - 1) / 2) * voxel
        for side, (before, after) in zip(shape, around, strict=True)
    ]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    return (grid @ SLOPE).astype(np.float32)


def test_with_everything_off_a_patch_is_untouched_to_the_bit() -> None:
    patch = random_patch(4, 5, 6)
    change = draw()
    assert change == Augmentation()
    assert margins(change, (4, 5, 6)) == ((0, 0), (0, 0), (0, 0))
    result = augmented(patch, change, (4, 5, 6))
    assert result.tobytes() == patch.tobytes()


@pytest.mark.parametrize(
    ("option", "value", "drawn"),
    [
        ("flips", True, {"flips"}),
        ("rotations", True, {"turns", "turn_plane"}),
        ("angle", 20.0, {"angle", "angle_plane"}),
        ("zoom", 0.4, {"zoom", "shift"}),
        ("contrast", 0.3, {"contrast"}),
        ("gamma", 0.3, {"gamma"}),
    ],
)
def test_each_option_draws_its_own_numbers_and_no_others(
    option: str, value: Any, drawn: set[str]
) -> None:
    changes = [draw(seed, **{option: value}) for seed in range(40)]
    changed = {
        one.name
        for one in fields(Augmentation)
        if any(
            getattr(c, one.name) != getattr(Augmentation(), one.name) for c in changes
        )
    }
    assert changed == drawn


def test_drawn_numbers_fill_their_ranges_and_stay_inside() -> None:
    options = {"angle": 20.0, "zoom": 0.4, "contrast": 0.3, "gamma": 0.2}
    changes = [draw(seed, **options) for seed in range(400)]
    for name, low, high in [
        ("angle", -20, 20),
        ("zoom", 0, 0.4),
        ("contrast", 0.7, 1.3),
        ("gamma", 0.8, 1.2),
    ]:
        values = np.array([getattr(change, name) for change in changes])
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high


@pytest.mark.parametrize("angle_plane", PLANES)
@pytest.mark.parametrize("angle", [17.0, -40.0, 0.0])
@pytest.mark.parametrize("zoom", [0.0, 0.35])
def test_a_turned_and_zoomed_ramp_is_the_ramp_seen_from_another_side(
    angle: float, zoom: float, angle_plane: tuple[int, int]
) -> None:
    shape = (6, 9, 12)
    change = Augmentation(angle=angle, angle_plane=angle_plane, zoom=zoom)
    result = augmented(ramp_block(shape, margins(change, shape)), change, shape)
    first, second = angle_plane
    expected = SLOPE.copy()
    sine, cosine = np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))
    expected[first] = cosine * SLOPE[first] + sine * SLOPE[second]
    expected[second] = cosine * SLOPE[second] - sine * SLOPE[first]
    assert result.shape == shape
    for axis in range(3):
        np.testing.assert_allclose(
            np.diff(result, axis=axis), expected[axis] * (1 - zoom), atol=2e-5
        )
    assert result.mean() == pytest.approx(0, abs=1e-4)


def test_the_zoomed_part_lies_in_the_patch_wherever_it_is_shifted() -> None:
    shape, zoom = (8, 8, 8), 0.5
    for shift in [(-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), (0.2, -0.6, 1.0)]:
        change = Augmentation(zoom=zoom, shift=shift)
        result = augmented(ramp_block(shape, margins(change, shape)), change, shape)
        # the middle of the part that is kept, half as large as the patch
        assert result.mean() == pytest.approx(SLOPE @ shift * 2, abs=1e-4)


@pytest.mark.parametrize("scale", [2, 4])
def test_both_members_of_a_pair_show_the_same_place_after_any_change(
    scale: int,
) -> None:
    small = (6, 6, 6)
    large = (6 * scale,) * 3
    options = {"flips": True, "rotations": True, "angle": 30.0, "zoom": 0.4}
    for seed in range(20):
        change = draw(seed, **options)
        a = augmented(ramp_block(small, margins(change, small)), change, small)
        block = ramp_block(large, margins(change, large), voxel=1 / scale)
        b = augmented(block, change, large)
        blocks = b.reshape(6, scale, 6, scale, 6, scale).mean((1, 3, 5))
        np.testing.assert_allclose(blocks, a, atol=1e-4)


def test_a_slice_of_one_voxel_is_zoomed_and_turned_in_its_plane_only() -> None:
    shape = (1, 8, 6)
    change = Augmentation(angle=25, zoom=0.4, shift=(1, 1, 1))
    around = margins(change, shape)
    assert around[0] == (0, 0)
    assert augmented(ramp_block(shape, around), change, shape).shape == shape


def test_margins_hold_all_that_a_turn_reads_and_little_more() -> None:
    shape = (4, 16, 16)
    around = margins(Augmentation(angle=45), shape)
    # half the diagonal of 15 voxels less half the side
    assert around == ((0, 0), (4, 4), (4, 4))


def test_contrast_stretches_about_the_mean() -> None:
    patch = random_patch(4, 4, 4)
    result = contrasted(patch, 1.25)
    assert result.mean() == pytest.approx(patch.mean(), abs=1e-5)
    assert result.std() == pytest.approx(1.25 * patch.std(), rel=1e-5)
    assert result.dtype == np.float32


@pytest.mark.parametrize("gamma", [0.6, 1.5])
def test_gamma_keeps_the_order_and_the_range_of_grey_values(gamma: float) -> None:
    patch = random_patch(5, 5, 5)
    result = bent(patch, gamma)
    order = np.argsort(patch, axis=None)
    assert (np.diff(result.ravel()[order]) >= 0).all()
    assert result.min() == patch.min()
    assert result.max() == pytest.approx(patch.max(), rel=1e-6)
    assert (result.mean() > patch.mean()) == (gamma < 1)
    assert result.dtype == np.float32


def test_gamma_leaves_an_empty_patch_as_it_is() -> None:
    patch = np.full((3, 3, 3), 2, np.float32)
    np.testing.assert_array_equal(bent(patch, 0.5), patch)


def test_flips_mirror_and_turns_are_those_of_the_drawn_plane() -> None:
    patch = random_patch(4, 4, 4)
    flipped = augmented(patch, Augmentation(flips=(0, 2)), (4, 4, 4))
    np.testing.assert_array_equal(flipped, patch[::-1, :, ::-1])
    change = replace(Augmentation(), turns=1, turn_plane=(0, 2))
    turned = augmented(patch, change, (4, 4, 4))
    np.testing.assert_array_equal(turned, patch.transpose(2, 1, 0)[::-1])


def test_noise_has_the_deviation_asked_for_and_none_leaves_the_patch() -> None:
    patch = random_patch(20, 20, 20)
    rng = np.random.default_rng(0)
    noise = noisy(patch, 0.3, rng) - patch
    assert noise.std() == pytest.approx(0.3, rel=0.05)
    assert noise.mean() == pytest.approx(0, abs=0.02)
    state = rng.bit_generator.state
    assert noisy(patch, 0, rng) is patch
    assert rng.bit_generator.state == state
