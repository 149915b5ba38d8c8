import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from napari_cyclegan3d.engine.metrics import match_grey, psnr, ssim

Image = NDArray[np.float64]


@pytest.fixture
def truth() -> Image:
    rng = np.random.default_rng(0)
    return rng.uniform(20, 180, (15, 17, 19))


@pytest.fixture
def noisy(truth: Image) -> Image:
    return truth + np.random.default_rng(1).normal(0, 25, truth.shape)


def test_psnr_of_a_known_error_is_its_formula(truth: Image) -> None:
    # an error of 1/100 of the range everywhere: 40 dB
    assert psnr(truth + 2.0, truth, data_range=200.0) == pytest.approx(40)


def test_psnr_of_the_truth_itself_is_infinite(truth: Image) -> None:
    assert psnr(truth, truth, data_range=200.0) == np.inf


def test_psnr_of_whole_numbers_does_not_wrap_around() -> None:
    image, truth = np.zeros((2, 2, 2), np.uint8), np.full((2, 2, 2), 255, np.uint8)
    assert psnr(image, truth, data_range=255) == pytest.approx(0)


def test_ssim_of_the_truth_itself_is_one(truth: Image) -> None:
    assert ssim(truth, truth, data_range=200.0) == pytest.approx(1)


@pytest.mark.parametrize("data_range", [1.0, 200.0])
def test_ssim_is_that_of_scikit_image(
    truth: Image, noisy: Image, data_range: float
) -> None:
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
    with pytest.raises(ValueError, match=r"\(11, 10, 11\).*at least 11"):
        ssim(np.zeros((11, 10, 11)), np.zeros((11, 10, 11)), data_range=1.0)


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
