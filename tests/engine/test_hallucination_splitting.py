import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination import splitting
from napari_cyclegan3d.engine.hallucination.findings import NoiseFit, OperatorFit
from napari_cyclegan3d.engine.hallucination.noise import Noise, fit_noise
from napari_cyclegan3d.engine.hallucination.operator import Operator
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.hallucination.splitting import split, two_scans
from napari_cyclegan3d.engine.volume import Volume

SHAPE = (72, 72, 72)
SAME = Operator(
    OperatorFit(
        relation="degraded",
        scale=1,
        gain=1.0,
        offset=0.0,
        blur=(0.0, 0.0, 0.0),
        shift=(0.0, 0.0, 0.0),
        correlation=1.0,
    )
)
EVEN = Noise(
    NoiseFit(
        sigma=2.0,
        level=0.0,
        frequency=(0.0, 0.1, 0.3, 0.5, 0.9),
        power=(4.984, 3.323, 1.661, 0.665, 0.332),
        how="known",
        whiteness=1.0,
    )
)


def related(one: NDArray[np.floating], two: NDArray[np.floating]) -> float:
    return float(np.corrcoef(one.ravel(), two.ravel())[0, 1])


def blobs() -> NDArray[np.float32]:
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 3)
    return np.where(field > field.std(), 100, 20).astype(np.float32)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_the_two_parts_have_independent_noise_of_known_strength(tau: float) -> None:
    truth = blobs()
    white = np.random.default_rng(1).standard_normal(SHAPE, dtype=np.float32)
    noise = EVEN.coloured(white)
    noise *= 2 / noise.std()
    parts = split(Volume(truth + noise), EVEN, SAME, Volume(truth), 3, tau)
    first, second = parts.first.read() - truth, parts.second.read() - truth
    assert abs(related(first, second)) < 0.02
    smooth = [ndimage.gaussian_filter(one, 1.5) for one in (first, second)]
    assert abs(related(*smooth)) < 0.06
    assert first.std() == pytest.approx(parts.noise_first.fit.sigma, rel=0.04)
    assert second.std() == pytest.approx(parts.noise_second.fit.sigma, rel=0.04)


def test_noise_that_is_measured_splits_as_well() -> None:
    truth = blobs()
    truth[:, :, 36:] = 20
    white = np.random.default_rng(1).standard_normal(SHAPE)
    noise = ndimage.gaussian_filter(white, 0.7)
    raw = Volume((truth + 6 / noise.std() * noise).astype(np.float32))
    found = fit_noise(
        raw, Volume(truth), SAME, InspectConfig(), np.random.default_rng(0)
    )
    parts = split(raw, found, SAME, Volume(truth), 3)
    assert abs(related(parts.first.read() - truth, parts.second.read() - truth)) < 0.04


def test_photon_noise_is_split_by_its_local_strength() -> None:
    truth = blobs()
    raw = np.random.default_rng(2).poisson(truth).astype(np.float32)
    levels = tuple((float(one), float(one) ** 0.5) for one in range(10, 120, 5))
    update = {"deviations": levels, "power": (1.0,) * 5, "sigma": 20**0.5}
    noise = Noise(EVEN.fit.model_copy(update=update))
    parts = split(Volume(raw), noise, SAME, Volume(truth), 3)
    first, second = parts.first.read() - truth, parts.second.read() - truth
    for grey in (20, 100):
        here = truth == grey
        assert abs(related(first[here], second[here])) < 0.02
        assert first[here].std() == pytest.approx((2 * grey) ** 0.5, rel=0.03)


def test_the_noise_is_the_same_however_the_volume_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    truth = Volume(blobs())
    noises = []
    for side in (128, 40):
        monkeypatch.setattr(splitting, "SIDE", side)
        parts = split(truth, EVEN, SAME, truth, 7)
        noises.append(parts.first.read() - truth.read())
    assert np.abs(noises[0] - noises[1]).max() < 0.05 * noises[0].std()


def test_white_noise_of_a_part_is_that_part_of_the_whole() -> None:
    whole = splitting.white_noise((slice(0, 130), slice(0, 70), slice(0, 20)), 5, 3)
    part = splitting.white_noise((slice(60, 90), slice(2, 68), slice(4, 8)), 5, 3)
    np.testing.assert_array_equal(part, whole[60:96, 2:74, 4:14])
    assert whole.std() == pytest.approx(1, abs=0.01)


def test_equal_seeds_give_equal_splits_and_others_do_not() -> None:
    volume = Volume(blobs())
    one, two, other = (
        split(volume, EVEN, SAME, volume, seed).first.read() for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert related(one - volume.read(), other - volume.read()) < 0.02


def test_parts_of_a_finer_enhancement_lie_on_the_raw_grid() -> None:
    raw = Volume(blobs()[:40, :36, :20], np.diag([2.0, 3.0, 4.0, 1.0]), unit="mm")
    enhanced = raw.resampled(np.repeat(raw.read(), 2, 0).repeat(2, 1).repeat(2, 2), 2)
    levels = ((20.0, 1.0), (100.0, 4.0))
    noise = Noise(EVEN.fit.model_copy(update={"deviations": levels}))
    operator = Operator(SAME.fit.model_copy(update={"scale": 2}))
    parts = split(raw, noise, operator, enhanced, 1)
    for part in (parts.first, parts.second):
        assert (part.shape, part.spacing, part.unit) == (raw.shape, (2, 3, 4), "mm")
    region = (slice(3, 9), slice(0, 5), slice(7, 20))
    np.testing.assert_array_equal(parts.first.read(region), parts.first.read()[region])


def test_a_second_scan_needs_no_drawn_noise_and_gets_its_own_fits() -> None:
    truth = blobs()
    truth[:, :, 36:] = 20
    random = np.random.default_rng(4)
    raw = Volume((truth + random.normal(0, 3, SHAPE)).astype(np.float32))
    second = Volume((3 * truth + 7 + random.normal(0, 12, SHAPE)).astype(np.float32))
    config = InspectConfig()
    parts = two_scans(raw, second, EVEN, Volume(truth), config, random)
    assert (parts.first, parts.second, parts.noise_first) == (raw, second, EVEN)
    assert parts.noise_second.fit.sigma == pytest.approx(12, rel=0.08)
    assert parts.operator.fit.gain == pytest.approx(3, rel=0.02)


@pytest.mark.parametrize("case", ["shape", "itself"])
def test_a_second_scan_that_is_none_is_refused_with_a_sentence(case: str) -> None:
    raw = Volume(blobs(), name="scan")
    second = raw.crop((slice(10), slice(10), slice(10))) if case == "shape" else raw
    words = "same grid" if case == "shape" else "is the first scan itself"
    with pytest.raises(InputError, match=words):
        two_scans(raw, second, EVEN, raw, InspectConfig(), np.random.default_rng(0))
