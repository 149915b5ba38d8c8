import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.findings import NoiseFit, OperatorFit
from napari_cyclegan3d.engine.hallucination.noise import Noise, fit_noise, whiteness
from napari_cyclegan3d.engine.hallucination.operator import Operator
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.volume import Volume

SHAPE = (80, 80, 80)
# what it is, made of what is
SAME = Operator(
    OperatorFit(
        relation="degraded",
        scale=1,
        gain=1.0,
        offset=0.0,
        blur=(1.0, 1.0, 1.0),
        shift=(0.0, 0.0, 0.0),
        correlation=1.0,
    )
)


def scene(fill: float = 1.0) -> NDArray[np.float32]:
    """Bright blobs in one half of the volume, air in the other."""
    random = np.random.default_rng(0)
    field = ndimage.gaussian_filter(random.normal(size=SHAPE), 4)
    grey = 100.0 + 400 * (field > field.std() / 2)
    grey[:, :, round(fill * SHAPE[2]) :] = 100
    result: NDArray[np.float32] = grey.astype(np.float32)
    return result


def coloured(deviation: float, blur: float | tuple[float, ...]) -> NDArray[np.float64]:
    """Correlated noise with a little that is not, as every detector adds."""
    random = np.random.default_rng(1)
    noise = ndimage.gaussian_filter(random.standard_normal(SHAPE), blur, mode="wrap")
    noise += 0.2 * noise.std() * random.standard_normal(SHAPE)
    scaled: NDArray[np.float64] = noise * (deviation / noise.std())
    return scaled


def measured(
    raw: NDArray[np.floating], truth: NDArray[np.floating], **settings: object
) -> Noise:
    config = InspectConfig.model_validate(settings)
    random = np.random.default_rng(0)
    return fit_noise(Volume(raw), Volume(truth), SAME, config, random)


@pytest.mark.parametrize("blur", [0.0, 0.5, 0.8, (1.0, 0.5, 0.5)])
def test_noise_is_measured_and_whitened_whatever_its_correlation(
    blur: float | tuple[float, ...],
) -> None:
    truth = scene(0.5)
    noise = coloured(20, blur)
    found = measured(SAME.apply(truth) + noise, truth)
    assert found.fit.sigma == pytest.approx(20, rel=0.05)
    white = found.whiten(noise.astype(np.float32))
    assert white.std() == pytest.approx(1, abs=0.12)
    assert whiteness(white) > 0.85 > whiteness(noise) or blur == 0.0


def test_unlike_axes_are_told_apart() -> None:
    truth = scene(0.5)
    noise = coloured(20, (1.2, 0.4, 0.4))
    axes = measured(SAME.apply(truth) + noise, truth).fit.axes
    falls = [factors[-1] / factors[0] for factors in axes]
    assert falls[0] < 0.2 * min(falls[1:])
    assert measured(SAME.apply(truth) + coloured(20, 0.8), truth).fit.axes == ()


@pytest.mark.parametrize("blur", [0.0, 0.7])
def test_noise_that_is_drawn_measures_the_same(blur: float) -> None:
    truth = scene(0.5)
    found = measured(SAME.apply(truth) + coloured(20, blur), truth)
    again = found.draw(SHAPE, np.random.default_rng(5))
    assert again.std() == pytest.approx(found.fit.sigma, rel=0.03)
    power = measured(SAME.apply(truth) + again, truth).fit.power
    np.testing.assert_allclose(power[:9], found.fit.power[:9], rtol=0.25, atol=0.1)


def test_drawn_noise_is_as_strong_at_the_borders_as_within() -> None:
    fit = measured(SAME.apply(scene(0.5)) + coloured(20, 0.8), scene(0.5))
    drawn = np.stack(
        [fit.draw((20, 40, 40), np.random.default_rng(n)) for n in range(9)]
    )
    assert drawn[:, 0].std() == pytest.approx(drawn[:, 10].std(), rel=0.08)


def test_photon_noise_grows_with_the_grey_value() -> None:
    truth = scene()
    mean = SAME.apply(truth)
    raw = np.random.default_rng(2).poisson(mean).astype(np.float32)
    found = measured(raw, truth)
    assert found.fit.slope == pytest.approx(1, rel=0.25)
    levels = np.array([120, 250, 450], np.float32)
    np.testing.assert_allclose(found.deviation(levels), np.sqrt(levels), rtol=0.12)
    white = found.whiten(raw - mean, mean)
    for part in (mean < 150, mean > 400):
        assert white[part].std() == pytest.approx(1, abs=0.1)


def test_the_background_of_a_magnitude_scan_is_quieter_than_its_tissue() -> None:
    truth = scene(0.5) - 100
    mean = SAME.apply(truth)
    random = np.random.default_rng(3)
    raw = np.hypot(mean + random.normal(0, 30, SHAPE), random.normal(0, 30, SHAPE))
    found = measured(raw, truth)
    dark, bright = found.deviation(np.array([0, 400], np.float32))
    assert dark == pytest.approx(0.655 * 30, rel=0.1)
    assert bright == pytest.approx(30, rel=0.15)


def test_even_noise_has_one_deviation() -> None:
    truth = scene(0.5)
    fit = measured(SAME.apply(truth) + coloured(20, 0), truth).fit
    assert (fit.slope, fit.deviations, fit.axes) == (0, (), ())


def test_a_masked_background_is_not_taken_for_quiet_noise() -> None:
    truth = scene(0.5)
    raw = SAME.apply(truth) + coloured(20, 0)
    mask = np.s_[:, :50]
    raw[mask] = 1e-4 * coloured(1, 1)[mask]
    truth[mask] = 0
    assert measured(raw, truth).fit.sigma == pytest.approx(20, rel=0.08)


def test_without_any_flat_part_the_residual_is_taken_and_that_is_said() -> None:
    truth = np.random.default_rng(0).normal(100, 300, SHAPE).astype(np.float32)
    fit = measured(SAME.apply(truth) + coloured(20, 0), truth).fit
    assert "difference of raw and degraded" in fit.how
    assert fit.sigma == pytest.approx(20, rel=0.08)


def test_a_network_that_copies_noise_does_not_make_it_smaller() -> None:
    truth = scene(0.3)
    raw = SAME.apply(truth) + coloured(20, 0.5)
    copied = ndimage.gaussian_filter(raw, 1.0)
    assert measured(raw, copied).fit.sigma == pytest.approx(20, rel=0.08)


def test_a_noise_region_decides() -> None:
    truth = scene()
    raw = SAME.apply(truth) + coloured(5, 0)
    raw[:20, :20, :20] = 100 + 4 * coloured(5, 0)[:20, :20, :20]
    fit = measured(raw, truth, noise_region=((0, 20), (0, 20), (0, 20))).fit
    assert fit.sigma == pytest.approx(20, rel=0.05)
    assert "region" in fit.how


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (((0, 81), (0, 20), (0, 20)), "0:81, 0:20, 0:20 is not within the volume"),
        (((5, 5), (0, 20), (0, 20)), "is not within the volume"),
        (((0, 3), (0, 20), (0, 20)), "too small to measure noise"),
    ],
)
def test_a_noise_region_that_cannot_be_is_refused_with_a_sentence(
    region: object, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        measured(scene() + coloured(5, 0), scene(), noise_region=region)


def test_a_raw_volume_without_noise_is_refused_with_a_sentence() -> None:
    truth = scene()
    with pytest.raises(InputError, match="no noise was found"):
        measured(SAME.apply(truth), truth)


def test_a_network_that_does_nothing_leaves_the_noise_of_air() -> None:
    raw = SAME.apply(scene(0.4)) + coloured(20, 0)
    assert measured(raw, raw).fit.sigma == pytest.approx(20, rel=0.05)


def test_thin_volumes_have_noise_too() -> None:
    random = np.random.default_rng(0)
    truth = np.zeros((3, 64, 64), np.float32)
    truth[:, 20:30, 20:30] = 50
    raw = SAME.apply(truth) + random.normal(0, 2, truth.shape)
    assert measured(raw, truth).fit.sigma == pytest.approx(2, rel=0.1)


def test_what_is_scaled_grows_everywhere() -> None:
    fit = NoiseFit(
        sigma=2,
        level=10,
        slope=0.5,
        frequency=(0, 1),
        power=(1, 1),
        deviations=((10, 2), (20, 3)),
        how="known",
        whiteness=1,
    )
    mean = np.array([10, 15, 20], np.float32)
    tripled = Noise(fit).scaled(3)
    np.testing.assert_allclose(tripled.deviation(mean), 3 * Noise(fit).deviation(mean))
    assert (tripled.fit.sigma, tripled.fit.slope) == (6, 4.5)
