import functools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.metrics import normalized_root_mse, structural_similarity

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.metrics import (
    fsc,
    fsc_resolution,
    match_grey,
    nrmse,
    psnr,
    sliced_wasserstein,
    ssim,
)

Image = NDArray[np.float64]
Mask = NDArray[np.bool_]
Masked = Callable[[Image, Image, Mask | None], float | Image]

MASKED: list[Masked] = [
    lambda image, truth, mask: psnr(image, truth, 200.0, mask),
    lambda image, truth, mask: ssim(image, truth, 200.0, mask),
    nrmse,
    match_grey,
]


@pytest.fixture
def truth() -> Image:
    rng = np.random.default_rng(0)
    return rng.uniform(20, 180, (15, 17, 19))


@pytest.fixture
def noisy(truth: Image) -> Image:
    return truth + np.random.default_rng(1).normal(0, 25, truth.shape)


@pytest.fixture
def mask(truth: Image) -> Mask:
    inside = np.zeros(truth.shape, np.bool_)
    inside[2:9, 3:11, 4:13] = True
    return inside


# pairs


def test_psnr_of_a_known_error_is_its_formula(truth: Image) -> None:
    # an error of 1/100 of the range everywhere: 40 dB
    assert psnr(truth + 2.0, truth, data_range=200.0) == pytest.approx(40)


def test_psnr_of_the_truth_itself_is_infinite(truth: Image) -> None:
    assert psnr(truth, truth, data_range=200.0) == np.inf


def test_whole_numbers_do_not_wrap_around() -> None:
    image, truth = np.zeros((2, 2, 2), np.uint8), np.full((2, 2, 2), 255, np.uint8)
    assert psnr(image, truth, data_range=255) == pytest.approx(0)
    truth[0] = 5
    assert nrmse(255 - truth, truth) == pytest.approx(
        np.sqrt((245**2 + 255**2) / 2) / 250
    )


def test_ssim_of_the_truth_itself_is_one(truth: Image) -> None:
    assert ssim(truth, truth, data_range=200.0) == pytest.approx(1)


@pytest.mark.parametrize("part", [np.s_[:], np.s_[0]], ids=["volume", "slice"])
@pytest.mark.parametrize("data_range", [1.0, 200.0])
def test_ssim_is_that_of_scikit_image(
    truth: Image, noisy: Image, data_range: float, part: slice | int
) -> None:
    noisy, truth = noisy[part], truth[part]
    expected = structural_similarity(
        noisy,
        truth,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=data_range,
    )
    assert 0.1 < expected < 0.99
    assert ssim(noisy, truth, data_range) == pytest.approx(expected, abs=1e-10)


def test_ssim_refuses_images_smaller_than_its_window() -> None:
    with pytest.raises(InputError, match=r"\(11, 10, 11\).*at least 11"):
        ssim(np.zeros((11, 10, 11)), np.zeros((11, 10, 11)), data_range=1.0)


def test_nrmse_is_that_of_scikit_image_for_the_range_of_the_truth(
    truth: Image, noisy: Image
) -> None:
    expected = normalized_root_mse(truth, noisy, normalization="min-max")
    assert nrmse(noisy, truth) == pytest.approx(expected)


def test_nrmse_against_a_truth_of_one_value_is_refused(noisy: Image) -> None:
    with pytest.raises(InputError, match="truth of 7 everywhere"):
        nrmse(noisy, np.full(noisy.shape, 7.0))


@pytest.mark.parametrize("gain", [0.01, 3.0, -2.0])
def test_matched_grey_values_lose_gain_and_offset(truth: Image, gain: float) -> None:
    np.testing.assert_allclose(match_grey(gain * truth - 70, truth), truth)


def test_matched_grey_values_are_the_least_squares_fit(
    truth: Image, noisy: Image
) -> None:
    design = np.stack([noisy.ravel(), np.ones(noisy.size)], 1)
    gain, offset = np.linalg.lstsq(design, truth.ravel(), rcond=None)[0]
    np.testing.assert_allclose(match_grey(noisy, truth), gain * noisy + offset)


def test_an_image_of_one_value_is_matched_to_the_mean_of_the_truth(
    truth: Image,
) -> None:
    matched = match_grey(np.full(truth.shape, 9.0), truth)
    np.testing.assert_allclose(matched, truth.mean())


# masks


def test_with_a_mask_of_a_box_pixel_errors_are_those_of_the_cropped_box(
    truth: Image, noisy: Image, mask: Mask
) -> None:
    box = np.s_[2:9, 3:11, 4:13]
    assert psnr(noisy, truth, 200, mask) == pytest.approx(
        psnr(noisy[box], truth[box], 200)
    )
    assert nrmse(noisy, truth, mask) == pytest.approx(nrmse(noisy[box], truth[box]))
    matched = match_grey(noisy, truth, mask)
    np.testing.assert_allclose(matched[box], match_grey(noisy[box], truth[box]))
    # outside the mask the same gain and offset hold
    gain, offset = np.polyfit(noisy.ravel(), matched.ravel(), 1)
    np.testing.assert_allclose(matched, gain * noisy + offset)


def test_ssim_in_a_mask_is_the_mean_of_the_full_map_there(
    truth: Image, noisy: Image, mask: Mask
) -> None:
    _, full = structural_similarity(
        noisy,
        truth,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=200.0,
        full=True,
    )
    inside = np.zeros_like(mask)
    inside[5:-5, 5:-5, 5:-5] = mask[5:-5, 5:-5, 5:-5]
    assert ssim(noisy, truth, 200.0, mask) == pytest.approx(full[inside].mean())
    assert abs(ssim(noisy, truth, 200.0, mask) - ssim(noisy, truth, 200.0)) > 1e-4


@pytest.mark.parametrize("metric", MASKED)
def test_a_mask_that_is_true_everywhere_changes_nothing(
    metric: Masked, truth: Image, noisy: Image
) -> None:
    everywhere = np.ones(truth.shape, np.bool_)
    np.testing.assert_allclose(
        metric(noisy, truth, everywhere), metric(noisy, truth, None)
    )


@pytest.mark.parametrize("metric", MASKED)
def test_masks_that_select_nothing_or_do_not_fit_are_refused(
    metric: Masked, truth: Image, noisy: Image, mask: Mask
) -> None:
    with pytest.raises(InputError, match="true nowhere"):
        metric(noisy, truth, np.zeros_like(mask))
    with pytest.raises(InputError, match=r"\(14, 17, 19\).*\(15, 17, 19\)"):
        metric(noisy, truth, mask[1:])
    with pytest.raises(InputError, match=r"uint8.*boolean"):
        metric(noisy, truth, mask.astype(np.uint8))


def test_a_mask_in_the_rim_alone_has_no_ssim(truth: Image, noisy: Image) -> None:
    rim = np.zeros(truth.shape, np.bool_)
    rim[:5] = True
    with pytest.raises(InputError, match="within 5 voxels of the border"):
        ssim(noisy, truth, 200.0, rim)


@pytest.mark.parametrize("metric", [*MASKED, lambda image, truth, _: fsc(image, truth)])
def test_images_on_different_grids_are_refused(metric: Masked, truth: Image) -> None:
    with pytest.raises(InputError, match=r"\(15, 17, 1\) and \(15, 17, 19\)"):
        metric(truth[..., :1], truth, None)


# Fourier shell correlation


@pytest.mark.parametrize("shape", [(16, 16, 16), (15, 15, 15), (9, 16, 23), (20, 17)])
def test_shells_are_those_of_the_whole_spectrum(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(3, 1, shape)
    image = truth + rng.normal(0, 1, shape)
    windows = [np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in shape]
    window = functools.reduce(np.multiply, np.ix_(*windows))
    one, other = (np.fft.fftn((v - v.mean()) * window) for v in (image, truth))
    grids = np.ix_(*(np.fft.fftfreq(n) for n in shape))
    shell = np.rint(np.sqrt(sum(g**2 for g in grids)) * min(shape))
    expected = []
    for k in range(1, min(shape) // 2 + 1):
        x, y = one[shell == k], other[shell == k]
        norms = np.linalg.norm(x) * np.linalg.norm(y)
        expected.append((x * y.conj()).sum().real / norms)
    frequency, correlation = fsc(image, truth)
    np.testing.assert_allclose(correlation, expected, atol=1e-12)
    np.testing.assert_allclose(
        frequency, np.arange(1, min(shape) // 2 + 1) / min(shape)
    )


def test_equal_images_correlate_fully_whatever_their_grey_values(truth: Image) -> None:
    np.testing.assert_allclose(fsc(truth, truth)[1], 1)
    np.testing.assert_allclose(fsc(3 * truth + 70, truth)[1], 1)
    np.testing.assert_allclose(fsc(-truth, truth)[1], -1)


def test_independent_noise_does_not_correlate() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 32, 32, 32))
    assert np.abs(fsc(one, other)[1][3:]).max() < 0.15


def test_an_image_of_one_value_correlates_with_nothing(truth: Image) -> None:
    np.testing.assert_array_equal(fsc(np.full(truth.shape, 3.0), truth)[1], 0)


def test_what_a_blur_leaves_correlates_where_noise_has_not_drowned_it() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(32, 32, 32))
    noise = rng.normal(0, 0.2, truth.shape)
    frequency, correlation = fsc(
        gaussian_filter(truth, 1.0, mode="wrap") + noise, truth
    )
    # the blur multiplies frequency f by exp(-2 π² f²), the noise adds 0.2 everywhere
    passed = np.exp(-2 * np.pi**2 * frequency**2)
    expected = passed / np.sqrt(passed**2 + 0.04)
    np.testing.assert_allclose(correlation[2:], expected[2:], atol=0.08)


def test_voxel_sizes_make_shells_in_units_of_length() -> None:
    rng = np.random.default_rng(0)
    z, y, _ = np.indices((16, 32, 32)) * np.reshape((2.0, 1.0, 1.0), (3, 1, 1, 1))
    wave = np.sin(2 * np.pi * 0.125 * (z + y) / np.sqrt(2))
    image, truth = wave + rng.normal(0, 3, (2, 16, 32, 32))
    frequency, correlation = fsc(image, truth, (2.0, 1.0, 1.0))
    # an extent of 32 each way, and the Nyquist frequency of z
    np.testing.assert_allclose(frequency, np.arange(1, 9) / 32)
    assert frequency[correlation.argmax()] == 0.125
    assert correlation.max() > 0.6
    scaled = fsc(image, truth, (2e-3, 1e-3, 1e-3))
    np.testing.assert_allclose(scaled[0], frequency * 1000)
    np.testing.assert_allclose(scaled[1], correlation)


def test_a_spectrum_of_too_few_voxels_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(3, 9, 9\).*at least 4"):
        fsc(np.zeros((3, 9, 9)), np.zeros((3, 9, 9)))


def test_resolution_is_where_the_correlation_first_crosses_the_threshold() -> None:
    frequency = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    correlation = np.array([1.0, 0.8, 0.4, 0.9, 0.1])
    assert fsc_resolution(frequency, correlation, 0.5) == pytest.approx(1 / 0.275)
    assert fsc_resolution(frequency, correlation, 0.143) == pytest.approx(
        1 / (0.4 + 0.1 * 0.757 / 0.8)
    )
    assert fsc_resolution(frequency, correlation, 0.05) == 2
    assert fsc_resolution(frequency, correlation - 0.9, 0.5) == np.inf


# sets of patches


@pytest.fixture
def patches() -> Image:
    """Bright blobs on a dark ground: dark and bright differ in amount."""
    noise = np.random.default_rng(0).normal(size=(8, 16, 16, 16))
    smooth = gaussian_filter(noise, (0, 1.5, 1.5, 1.5))
    return np.maximum(smooth / smooth.std() - 0.5, 0)


def test_equal_sets_in_any_order_are_at_no_distance(patches: Image) -> None:
    assert sliced_wasserstein(patches, patches.copy()) == 0
    assert sliced_wasserstein(patches[::-1], patches) == pytest.approx(0, abs=1e-12)


def test_two_halves_of_one_kind_are_closer_than_any_change(patches: Image) -> None:
    one, other = patches[:4], patches[4:]
    chance = sliced_wasserstein(one, other)
    assert 0 < chance < 0.2
    rng = np.random.default_rng(1)
    for changed in (
        one + rng.normal(0, 0.1, one.shape),
        gaussian_filter(one, (0, 1, 1, 1)),
        one.max() - one,
        one + 0.5,
        2 * one,
    ):
        assert sliced_wasserstein(changed, other) > 1.3 * chance


def test_distance_grows_with_noise(patches: Image) -> None:
    noise = np.random.default_rng(1).normal(size=patches.shape)
    found = [sliced_wasserstein(patches + s * noise, patches) for s in (0.05, 0.1, 0.3)]
    assert 0.01 < found[0] < found[1] < found[2]


def test_distance_grows_with_blur(patches: Image) -> None:
    found = [
        sliced_wasserstein(gaussian_filter(patches, (0, s, s, s)), patches)
        for s in (0.5, 1.0, 2.0)
    ]
    assert 0.01 < found[0] < found[1] < found[2]


def test_distance_grows_as_contrast_is_inverted(patches: Image) -> None:
    centred = patches - patches.mean()
    found = [sliced_wasserstein(gain * centred, centred) for gain in (1, 0.5, 0, -1)]
    assert found[0] == 0
    assert found[3] > 0.2
    assert found[1] < found[2]


def test_distance_does_not_depend_on_the_unit_of_grey_values(patches: Image) -> None:
    noise = np.random.default_rng(1).normal(size=patches.shape)
    changed = patches + 0.1 * noise
    assert sliced_wasserstein(1000 * changed, 1000 * patches) == pytest.approx(
        sliced_wasserstein(changed, patches)
    )


def test_the_seed_decides_the_distance(patches: Image) -> None:
    one, other = patches[:4], patches[4:]
    assert sliced_wasserstein(one, other, 1) == sliced_wasserstein(one, other, 1)
    assert sliced_wasserstein(one, other, 1) != sliced_wasserstein(one, other, 2)


def test_slices_and_sets_of_other_sizes_are_compared_too(patches: Image) -> None:
    flat = patches.reshape(-1, 16, 16)
    assert sliced_wasserstein(flat[:10, :12], flat[100:]) < sliced_wasserstein(
        flat[:10, :12] + 1, flat[100:]
    )


def test_sets_that_cannot_be_compared_are_refused(patches: Image) -> None:
    with pytest.raises(InputError, match=r"\(8, 2, 16, 16\).*at least 3"):
        sliced_wasserstein(patches[:, :2], patches)
    with pytest.raises(InputError, match="as many axes"):
        sliced_wasserstein(patches[0], patches)
    with pytest.raises(InputError, match="patches of 4 everywhere"):
        sliced_wasserstein(patches, np.full(patches.shape, 4.0))
