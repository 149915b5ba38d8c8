from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.sections.patches import DegradeConfig
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.evaluate.cases import Case, Reference

Texture = NDArray[np.float32]
ONE = Fraction(1)
OBLIQUE = np.array(
    [[2.0, 0.3, 0, -30], [-0.4, 1.2, 0.2, 12], [0.1, -0.2, 1.4, 7.5], [0, 0, 0, 1]]
)


def reference(case: Case, scale: Fraction = ONE) -> Reference:
    return Reference(case, scale, DegradeConfig(), 0)


def ball(
    shape: tuple[int, int, int], at: tuple[float, float, float], radius: float = 6
) -> np.ndarray:
    place = np.stack(np.indices(shape), -1)
    return np.linalg.norm(place - at, axis=-1) < radius


def test_a_mask_cut_from_another_place_covers_the_same_part_of_the_world(
    texture: Texture,
) -> None:
    """A crop shifts the grid of the mask, not what it covers."""
    truth = Volume(texture, OBLIQUE, "millimeter")
    inside = ball(texture.shape, (11, 12, 14))
    whole = Volume(inside.astype(np.uint8), OBLIQUE, "millimeter", name="mask")
    cut = whole.crop((slice(3, 20), slice(4, 22), slice(5, 25)))
    for mask in (whole, cut):
        found = reference(Case("1", truth, truth, mask)).mask
        np.testing.assert_array_equal(found, inside)


def test_a_mask_in_another_unit_covers_the_same_part_of_the_world(
    texture: Texture,
) -> None:
    truth = Volume(texture, OBLIQUE, "millimeter")
    inside = ball(texture.shape, (11, 12, 14))
    micrometers = np.diag([1000, 1000, 1000, 1]) @ OBLIQUE
    mask = Volume(inside.astype(np.uint8), micrometers, "micrometer")
    found = reference(Case("1", truth, truth, mask)).mask
    np.testing.assert_array_equal(found, inside)


@pytest.mark.parametrize("geometry", [True, False])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_mask_of_the_input_covers_whole_voxels_of_the_truth(
    texture: Texture, scale: int, geometry: bool
) -> None:
    """Up to the border, which lies beyond the last centres of the mask's voxels."""
    affine, unit = (OBLIQUE, "millimeter") if geometry else (np.eye(4), "pixel")
    coarse = Volume(texture, affine, unit)
    fine = texture.repeat(scale, 0).repeat(scale, 1).repeat(scale, 2)
    truth = coarse.resampled(fine, scale) if geometry else Volume(fine)
    inside = np.zeros(texture.shape, bool)
    inside[0:4, 5:9, 22:28] = True
    mask = Volume(inside.astype(np.uint8), affine, unit)
    found = reference(Case("1", truth, coarse, mask), Fraction(scale)).mask
    expected = inside.repeat(scale, 0).repeat(scale, 1).repeat(scale, 2)
    np.testing.assert_array_equal(found, expected)


def test_without_voxel_sizes_a_mask_of_an_unknown_place_is_refused(
    texture: Texture,
) -> None:
    mask = Volume(np.ones((20, 26, 28), np.uint8), name="cut mask")
    with pytest.raises(InputError, match=r"cut mask: shape \(20, 26, 28\).*place"):
        reference(Case("1", Volume(texture), Volume(texture), mask))


def test_scores_do_not_depend_on_what_lies_outside_the_mask(texture: Texture) -> None:
    inside = ball(texture.shape, (11, 12, 14))
    mask = Volume(inside.astype(np.uint8))
    scan = texture + np.random.default_rng(2).normal(0, 9, texture.shape)
    scan = scan.astype(np.float32)
    far = ~ball(texture.shape, (11, 12, 14))
    # windows of SSIM reach beyond the mask: what is changed lies further away
    far[5:18, 0:, 0:], far[:, 1:24, 3:26] = False, False
    changed_truth, changed_scan = texture.copy(), scan.copy()
    changed_truth[far], changed_scan[far] = 1e4, -1e4
    assert far.sum() > 500
    one = reference(Case("1", Volume(texture), Volume(scan), mask))
    other = reference(Case("1", Volume(changed_truth), Volume(scan), mask))
    assert other.data_range == one.data_range
    first, _ = one.compare(scan)
    second, _ = other.compare(changed_scan)
    assert second == first


def test_the_edge_of_a_mask_correlates_at_no_frequency(texture: Texture) -> None:
    """Two images that share nothing but a mask resolve nothing together."""
    rng = np.random.default_rng(3)
    truth, other = rng.normal(500, 1, (2, 32, 32, 32)).astype(np.float32)
    mask = Volume(ball((32, 32, 32), (15, 15, 15), 14).astype(np.uint8))
    one = reference(Case("1", Volume(truth), Volume(truth), mask))
    _, (_, correlation) = one.compare(other - 300)
    # the first shell has a few coefficients only, which may agree by chance
    assert np.abs(correlation[1:]).max() < 0.2
    assert abs(correlation.mean()) < 0.15
    _, (_, same) = one.compare(truth)
    assert same.min() > 0.999


def test_what_a_mask_cuts_through_does_not_correlate_beyond_its_own_frequencies() -> (
    None
):
    """Of a common slope and noise of their own, two images share the slope alone."""
    rng = np.random.default_rng(5)
    truth, other = rng.normal(0, 1, (2, 32, 32, 32)) + 5 * np.arange(32)
    corner = np.indices((32, 32, 32)).sum(0) < 46
    volume = Volume(truth.astype(np.float32))
    one = reference(Case("1", volume, volume, Volume(corner.astype(np.uint8))))
    _, (frequency, correlation) = one.compare(other.astype(np.float32))
    assert correlation[0] > 0.99
    assert np.abs(correlation[frequency > 0.3]).max() < 0.5  # 0.9 without fading


def test_spectra_and_matched_grey_values_depend_on_the_mask_alone(
    texture: Texture,
) -> None:
    inside = ball(texture.shape, (11, 12, 14))
    volume = Volume(texture)
    mask = Volume(inside.astype(np.uint8))
    one = reference(Case("1", volume, volume, mask))
    scan = texture + np.random.default_rng(6).normal(0, 9, texture.shape)
    scan = scan.astype(np.float32)
    changed = np.where(inside, scan, -scan)
    _, (_, expected) = one.compare(scan)
    _, (_, found) = one.compare(changed)
    np.testing.assert_allclose(found, expected)
    matched = one.matched(changed)
    np.testing.assert_allclose(matched[inside], one.matched(scan)[inside], rtol=1e-6)


def test_a_blurred_image_resolves_less(texture: Texture) -> None:
    spacing = np.diag([0.5, 0.5, 0.5, 1])
    rng = np.random.default_rng(4)
    one = reference(Case("1", Volume(texture, spacing, "micrometer"), Volume(texture)))
    resolutions = []
    for sigma in (0, 1, 2):
        image = gaussian_filter(texture, sigma) + rng.normal(0, 1, texture.shape)
        scores, _ = one.compare(image.astype(np.float32))
        resolutions.append(scores.resolution_500)
        assert scores.resolution_143 <= scores.resolution_500
    assert resolutions == sorted(resolutions)
    assert resolutions[0] >= 1.0  # Nyquist of voxels of half a micrometre
    assert resolutions[2] > 2 * resolutions[0]


def test_a_truth_of_another_shape_is_refused_with_both_shapes(
    texture: Texture,
) -> None:
    small = Volume(texture[:20], name="small")
    with pytest.raises(InputError, match=r"\(24, 26, 28\) does not fit small .*\(20, "):
        reference(Case("1", Volume(texture), small))
    with pytest.raises(InputError, match=r"at scale 2 the truth has shape \(48, "):
        reference(Case("1", Volume(texture), Volume(texture)), Fraction(2))


@pytest.mark.parametrize("shift", [0.5, 40.0])
def test_a_truth_that_lies_elsewhere_is_refused(texture: Texture, shift: float) -> None:
    moved = OBLIQUE.copy()
    moved[:3, 3] += shift * OBLIQUE[:3, 1]
    truth = Volume(texture, moved, "millimeter", name="truth")
    scan = Volume(texture, OBLIQUE, "millimeter", name="scan")
    with pytest.raises(InputError, match=rf"truth: lies up to {shift:.3g} of its vox"):
        reference(Case("1", truth, scan))


def test_a_truth_that_lies_as_its_header_can_say_is_taken(texture: Texture) -> None:
    rounded = OBLIQUE.astype(np.float32).astype(np.float64) + 1e-4
    rounded[3] = (0, 0, 0, 1)
    truth = Volume(texture, rounded, "millimeter")
    reference(Case("1", truth, Volume(texture, OBLIQUE, "millimeter")))


def test_lengths_and_pixels_are_not_compared(texture: Texture) -> None:
    truth = Volume(texture, OBLIQUE, "millimeter")
    scan = Volume(texture, np.diag([2.0, 2, 2, 1]), "pixel")
    with pytest.raises(InputError, match="cannot be compared"):
        reference(Case("1", truth, scan))


def test_a_mask_that_covers_nothing_is_refused(texture: Texture) -> None:
    empty = Volume(np.zeros(texture.shape, np.uint8))
    with pytest.raises(InputError, match=r"sub-01: no voxel.*another mask"):
        reference(Case("sub-01", Volume(texture), Volume(texture), empty))


def test_a_truth_that_shows_nothing_is_refused(texture: Texture) -> None:
    flat = Volume(np.full(texture.shape, 3.0), name="flat")
    with pytest.raises(InputError, match=r"flat: .*same value \(3\)"):
        reference(Case("1", flat, Volume(texture)))


def test_a_truth_too_small_for_the_window_of_ssim_is_refused(texture: Texture) -> None:
    thin = Volume(texture[:10], name="thin")
    with pytest.raises(InputError, match=r"thin: shape \(10, 26, 28\).*11 voxels"):
        reference(Case("1", thin, thin))


def test_a_single_slice_is_compared_as_an_image(texture: Texture) -> None:
    plane = Volume(texture[:1])
    one = reference(Case("1", plane, plane))
    scores, (frequency, _) = one.compare(texture[:1] + 20)
    expected = 20 * np.log10(one.data_range / 20)
    assert scores.psnr == pytest.approx(expected, abs=1e-3)
    assert 0.5 < scores.ssim < 1
    assert frequency[-1] == pytest.approx(0.5)
