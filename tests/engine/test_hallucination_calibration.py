from collections.abc import Generator
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_cyclegan3d.engine.hallucination.alarms import CUBE, Alarms, region_peaks
from napari_cyclegan3d.engine.hallucination.calibration import Calibration, calibrate
from napari_cyclegan3d.engine.hallucination.findings import NoiseFit, OperatorFit
from napari_cyclegan3d.engine.hallucination.likeness import likeness
from napari_cyclegan3d.engine.hallucination.measured import confirmation, measured
from napari_cyclegan3d.engine.hallucination.noise import Noise
from napari_cyclegan3d.engine.hallucination.operator import Operator
from napari_cyclegan3d.engine.hallucination.passes import plain
from napari_cyclegan3d.engine.hallucination.plants import drawn, window
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.hallucination.trials import (
    Material,
    Model,
    Trial,
    regions,
    trials,
)
from napari_cyclegan3d.engine.volume import Volume

T = TypeVar("T")
Maps = dict[str, NDArray[np.float32]]
SIGMA = 0.25


def returned(work: Generator[float, None, T]) -> T:
    while True:
        try:
            assert 0 <= next(work) <= 1
        except StopIteration as end:
            result: T = end.value
            return result


def model(sigma: float = SIGMA) -> Model:
    fit = OperatorFit(
        relation="degraded",
        scale=1,
        gain=1.0,
        offset=0.0,
        blur=(0.8, 0.8, 0.8),
        shift=(0, 0, 0),
        correlation=0.9,
    )
    noise = NoiseFit(
        sigma=sigma,
        level=0,
        frequency=(0.0, 0.9),
        power=(1.0, 1.0),
        how="known",
        whiteness=1,
    )
    return Model(Operator(fit), Noise(noise), 0.3)


def clean(random: np.random.Generator, side: int = 56) -> Volume:
    """A volume with a dozen fibres."""
    block = np.zeros((side,) * 3, np.float32)
    for _ in range(12):
        z, y, x = random.standard_normal(3)
        fibre = drawn("fibre", 4.0, 18.0, (1, 1, 1), (z, y, x))
        place = window(random.integers(12, side - 12, 3).tolist(), fibre.shape)
        np.maximum(block[place], fibre, out=block[place])
    return Volume(block)


def restored(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """A generator that makes spots of noise, and loses thin structure."""
    smooth = ndimage.gaussian_filter(raw, 0.9)
    sharp = 1 / (1 + np.exp(-(smooth - 0.45) / 0.05))
    return np.asarray(sharp, np.float32)


def maps(raw: Volume, enhanced: Volume) -> Maps:
    """Two quick maps that need no network."""
    rest = raw.read() - model().operator.apply(enhanced.read())
    return {
        "residual": ndimage.gaussian_filter(rest, 1.2) / np.float32(0.03),
        "rse": np.sqrt(ndimage.gaussian_filter(rest**2, 2.0)),
    }


def scene(random: np.random.Generator, side: int = 56) -> Trial:
    truth = clean(random, side)
    raw = model().degraded(truth, random)
    return Trial(raw, Volume(restored(raw.read())), truth)


def calibrated(
    seed: int, material: dict[str, Any] | None = None, **given: Any
) -> Calibration:
    random = np.random.default_rng(seed)
    one = scene(random)
    return returned(
        calibrate(
            Material(one.raw, one.enhanced, **(material or {})),
            given.pop("model", model()),
            maps,
            InspectConfig(false_alarms=4.0),
            random,
            **given,
        )
    )


@pytest.fixture(scope="module")
def by_clean_volumes() -> Calibration:
    random = np.random.default_rng(7)
    volumes = [clean(random) for _ in range(12)]
    return calibrated(0, {"translate": plain(restored), "clean": volumes})


def test_the_best_rung_is_taken_that_the_material_reaches() -> None:
    random = np.random.default_rng(0)
    pair = scene(random)
    translate = plain(restored)
    given: dict[int, dict[str, Any]] = {
        1: {"translate": translate, "pairs": [(pair.raw, pair.truth)]},
        2: {"translate": translate, "clean": [pair.truth]},
        3: {"translate": translate},
        4: {"pairs": [(pair.raw, pair.truth)]},
    }
    for rung, material in given.items():
        found = calibrated(1, {**material, "most": 2})
        assert found.fit.rung == rung
        assert found.fit.remarks
        assert found.fit.nulls > 1000
    assert "nothing about what a network makes of noise" in found.fit.remarks[0]


def test_p_values_are_about_uniform_where_nothing_is_wrong_in_new_volumes(
    by_clean_volumes: Calibration,
) -> None:
    random = np.random.default_rng(11)
    values = []
    for _ in range(8):
        one = scene(random)
        found = maps(one.raw, one.enhanced)
        right = measured(one, model(), found).right
        values.append(by_clean_volumes.suspicion(found)[6:-6, 6:-6, 6:-6][right])
    s = np.concatenate(values)
    assert s.min() >= 0
    assert s.max() <= 6
    for p in (0.5, 0.1, 0.01):
        assert 0.7 < np.mean(s >= -np.log10(p)) / p < 1.4


def test_false_alarms_in_new_volumes_are_near_those_that_were_allowed(
    by_clean_volumes: Calibration,
) -> None:
    random = np.random.default_rng(12)
    alarms, voxels = 0, 0
    for _ in range(16):
        one = scene(random)
        found = maps(one.raw, one.enhanced)
        right = measured(one, model(), found).right
        s = by_clean_volumes.suspicion(found)[6:-6, 6:-6, 6:-6]
        alarms += int(np.sum(region_peaks(s, right, 2.0) >= by_clean_volumes.high))
        voxels += int(right.sum())
    allowed = 4.0 * voxels / CUBE
    assert allowed > 15
    assert 0.5 < alarms / allowed < 2
    told = by_clean_volumes.fit.false_alarms
    assert told is not None
    assert 0.5 < told / (4e6 / CUBE) < 2


def test_what_is_trusted_misses_a_tenth_of_the_errors_at_most(
    by_clean_volumes: Calibration,
) -> None:
    trust = by_clean_volumes.trust
    assert trust is not None
    assert not trust.approximate
    random = np.random.default_rng(13)
    lost = []
    for _ in range(20):
        one = scene(random)
        found = maps(one.raw, one.enhanced)
        wrong = measured(one, model(), found).wrong
        s = by_clean_volumes.suspicion(found)[6:-6, 6:-6, 6:-6]
        lost.append(float(np.mean(s[wrong] < trust.threshold)) if wrong.any() else 0)
    assert np.mean(lost) <= 0.1 + 2 * np.std(lost) / np.sqrt(len(lost))


def test_without_a_network_plants_teach_to_see_what_contradicts_the_raw_volume() -> (
    None
):
    found = calibrated(3)
    assert found.fusion is not None
    random = np.random.default_rng(14)
    truth = clean(random)
    raw = model().degraded(truth, random)
    one = Trial(raw, model().planted(truth, random), truth)
    parts = measured(one, model(), maps(one.raw, one.enhanced))
    s = found.suspicion(maps(one.raw, one.enhanced))[6:-6, 6:-6, 6:-6]
    assert np.mean(s[parts.wrong] > 2) > 0.7
    assert np.mean(s[parts.right] > 2) < 0.02


def test_a_noisier_volume_than_the_fit_says_widens_the_nulls_and_is_remarked() -> None:
    few = {"most": 2}
    fitting, poor = calibrated(4, few), calibrated(4, few, model=model(SIGMA / 2))
    assert not any("do not describe it fully" in one for one in fitting.fit.remarks)
    assert any("do not describe it fully" in one for one in poor.fit.remarks)
    # p-values are those of the true noise all the same
    value = np.full((1, 1, 1), 4.0, np.float32)
    ratio = np.log(poor.nulls["residual"].p(value) / fitting.nulls["residual"].p(value))
    assert abs(float(ratio.item())) < np.log(5)


def test_a_volume_too_small_to_try_is_uncalibrated_and_says_so() -> None:
    random = np.random.default_rng(0)
    raw = Volume(random.standard_normal((12, 40, 40)).astype(np.float32))
    material = Material(raw, Volume(np.zeros((12, 40, 40), np.float32)))
    found = returned(calibrate(material, model(), maps, InspectConfig(), random))
    assert found.fit.rung == 5
    assert "uncalibrated" in found.fit.remarks[0]
    assert found.warnings
    s = found.suspicion(maps(raw, material.enhanced))
    assert 0.05 < np.mean(s > 1) < 0.2


def test_raw_volumes_unlike_the_real_one_are_warned_of() -> None:
    random = np.random.default_rng(0)
    odd = clean(random)
    brighter = replace(odd, array=5 * odd.read() + 1)
    material = {"translate": plain(restored), "clean": [brighter], "most": 1}
    assert any("other grey values" in one for one in calibrated(5, material).warnings)
    white = [random.standard_normal((32,) * 3).astype(np.float32)]
    again = [random.standard_normal((32,) * 3).astype(np.float32)]
    smooth = [ndimage.gaussian_filter(white[0], 1.0)]
    smooth[0] /= smooth[0].std()
    assert not likeness(white, again).warnings
    assert "spectrum" in likeness(white, smooth).warnings[0]


def test_invented_objects_reach_the_confirmation_as_often_as_is_allowed() -> None:
    random = np.random.default_rng(6)

    def objects(count: int, width: float) -> tuple[NDArray[Any], NDArray[Any]]:
        share = np.where(np.arange(count) % 2, 0.9, 0.05)
        return random.normal(8 * (share > 0.5), width, count), share

    # with wider confirmations than in theory the threshold rises
    threshold, realised, doubt = confirmation(
        [objects(2000, 1.5) for _ in range(5)], 0.02
    )
    assert doubt is None
    assert realised is not None
    assert 0.005 < realised < 0.04
    others, share = objects(20_000, 1.5)
    assert 0.5 < np.mean(others[share < 0.3] >= threshold) / 0.02 < 2
    # it never falls below that of theory
    assert confirmation([objects(4000, 0.5)], 0.02)[0] == pytest.approx(2.054, 1e-3)
    assert "too few" in str(confirmation([objects(20, 1.0)], 0.02)[2])
    assert confirmation([], 0.02)[1:] == (None, None)


def test_false_alarms_stay_near_the_nominal_rate_on_other_draws() -> None:
    random = np.random.default_rng(8)

    def draw(count: int) -> Alarms:
        peaks = [
            2 + random.exponential(0.4, random.poisson(30)).astype(np.float32)
            for _ in range(count)
        ]
        return Alarms(tuple(peaks), (CUBE,) * count)

    rates = []
    for _ in range(60):
        seen = draw(8)
        rates.append(draw(50).rate(seen.threshold(1 / CUBE)) * CUBE)
        told = seen.realised(1 / CUBE)
        assert told is not None
        assert told * CUBE < 4
    assert 0.85 < np.mean(rates) < 1.15
    # rarer alarms than any that was seen: never more than allowed, on average
    rare = [draw(50).rate(draw(8).threshold(0.01 / CUBE)) * CUBE for _ in range(60)]
    assert np.mean(rare) <= 0.012
    assert Alarms((np.zeros(0, np.float32),), (CUBE,)).threshold(1 / CUBE) == 0


def test_a_region_that_touches_an_error_is_no_false_alarm() -> None:
    s = np.zeros((8, 8, 8), np.float32)
    s[1, 1, 1], s[2, 2, 2], s[6, 6, 6], s[6, 6, 5] = 3, 5, 4, 2.5
    right = np.ones(s.shape, bool)
    assert sorted(region_peaks(s, right, 2.0)) == [4, 5]
    right[1, 1, 1] = False
    assert list(region_peaks(s, right, 2.0)) == [4]


def test_parts_do_not_overlap_and_those_with_structure_come_first() -> None:
    random = np.random.default_rng(0)
    block = np.zeros((40, 40, 100), np.float32)
    block[:, :, 80:] = clean(random, 40).read()[:, :, :20]
    parts = regions(Volume(block), 20, 4, random, step=4)
    assert parts[0][2].stop == 100
    covered = np.zeros(block.shape, int)
    for part in parts:
        covered[part] += 1
        assert all((one.stop - one.start) == 20 for one in part)
        assert all(one.start % 4 == 0 for one in part)
    assert covered.max() == 1


def test_trials_of_pairs_keep_their_truth_and_the_number_of_their_volume() -> None:
    random = np.random.default_rng(0)
    scenes = [scene(random) for _ in range(2)]
    material = Material(
        scenes[0].raw,
        scenes[0].enhanced,
        plain(restored),
        pairs=[(one.raw, one.truth) for one in scenes],
        most=2,
    )
    made = returned(trials(model(), material, random))
    assert [one.volume for one in made] == [0, 1]
    for one, given in zip(made, scenes, strict=True):
        np.testing.assert_array_equal(one.truth.read(), given.truth.read())
        np.testing.assert_array_equal(one.enhanced.read(), restored(one.raw.read()))
