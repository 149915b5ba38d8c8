from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, stats

from napari_cyclegan3d.engine.hallucination.fusion import Fusion
from napari_cyclegan3d.engine.hallucination.suspicion import (
    Normal,
    Null,
    cauchy,
    scores,
    suspicion,
)

Numbers = NDArray[np.floating[Any]]


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)


def uniform_at(p: Numbers, levels: tuple[float, ...], within: float) -> bool:
    return all(abs(float(np.mean(p <= level)) / level - 1) < within for level in levels)


def test_p_values_are_uniform_under_the_null_whatever_its_shape(
    random: np.random.Generator,
) -> None:
    for draw in (random.standard_normal, random.standard_exponential):
        nulls = [Null.of(draw(30_000), random) for _ in range(12)]
        p = np.stack([null.p(draw((20, 50, 30)).astype(np.float32)) for null in nulls])
        assert p.shape == (12, 20, 50, 30)
        assert uniform_at(p, (0.5, 0.1, 0.01), 0.08)
        assert uniform_at(p, (0.001, 0.0001), 0.3)


def test_a_p_value_is_never_too_small_on_average_however_few_the_null_values(
    random: np.random.Generator,
) -> None:
    p = [
        float(Null.of(random.standard_normal(19), random).p(random.standard_normal()))
        for _ in range(4000)
    ]
    # 19 values: the least p is 1/20, and it occurs once in 20 times
    assert min(p) == pytest.approx(0.05)
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.012)


def test_beyond_the_largest_null_value_p_falls_on_and_stays_above_the_true_one(
    random: np.random.Generator,
) -> None:
    null = Null.of(random.standard_normal(20_000), random)
    values = null.largest + np.linspace(0.01, 2, 50)
    p = null.p(values)
    assert null.extrapolates(values).all()
    assert not null.extrapolates(null.largest)
    assert (np.diff(p) < 0).all()
    assert (p[values > 4.5] > stats.norm.sf(values[values > 4.5])).all()
    assert p[0] <= 1 / 20_001


def test_the_tail_of_a_heavy_null_is_heavy(random: np.random.Generator) -> None:
    truth = stats.t(df=3)
    null = Null.of(truth.rvs(50_000, random_state=random), random)
    far = truth.isf(1e-6)
    assert null.shape > 0.1
    assert 0.1 < float(null.p(far)) / 1e-6 < 30


def test_a_threshold_is_the_least_value_with_that_p(
    random: np.random.Generator,
) -> None:
    null = Null.of(random.standard_normal(5000), random)
    for p in (0.3, 0.01, 1e-5):
        threshold = null.threshold(p)
        assert float(null.p(threshold)) <= p * (1 + 1e-3)
        assert float(null.p(threshold - 0.01)) > p
    few = Null.of(random.standard_normal(20), random)
    assert few.threshold(0.01) == np.inf
    assert few.threshold(1.0) == -np.inf


def test_uncalibrated_p_values_are_uniform_for_normal_values_with_outliers(
    random: np.random.Generator,
) -> None:
    values = random.normal(4, 3, 100_000)
    outliers = np.where(np.arange(values.size) % 500 == 0, 80.0, values)
    assert uniform_at(Normal.of(outliers).p(values), (0.5, 0.05, 0.01), 0.12)
    folded = np.abs(random.normal(0, 2, 100_000))
    assert uniform_at(Normal.of(folded, folded=True).p(folded), (0.5, 0.05), 0.12)
    assert (Normal.of(np.zeros(9)).p(np.ones(3)) == 1).all()


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.999])
def test_the_cauchy_rule_keeps_small_p_values_valid_under_dependence(
    correlation: float, random: np.random.Generator
) -> None:
    cov = np.full((4, 4), correlation) + (1 - correlation) * np.eye(4)
    z = random.multivariate_normal(np.zeros(4), cov, 400_000)
    combined = cauchy(list(stats.norm.sf(z).T), [3.0, 2.0, 2.0, 1.0])
    for level in (0.01, 0.001):
        assert np.mean(combined <= level) < 1.2 * level
    # and they are not valid because nothing is ever found
    assert np.mean(combined <= 0.01) > 0.004


def test_the_cauchy_rule_is_exact_for_one_p_and_keeps_tiny_ones() -> None:
    p = np.array([1e-200, 1e-12, 1e-3, 0.5, 0.9])
    np.testing.assert_allclose(cauchy([p], [2.0]), p, rtol=1e-9)
    # one tiny p among indifferent ones counts with its weight, even beside ps of 1
    both = cauchy([np.array(1e-9), np.array(1.0)], [1.0, 3.0])
    assert float(both) == pytest.approx(4e-9, rel=1e-3)


def test_either_sign_of_the_residual_raises_suspicion_and_prior_only_does_not(
    random: np.random.Generator,
) -> None:
    null = Null.of(np.abs(random.standard_normal(10_000)), random)
    maps = {
        "residual": np.array([-6.0, 6.0, 0.0], np.float32),
        "prior_only": np.array([0.0, 0.0, 1.0], np.float32),
    }
    values = suspicion(maps, {"residual": null, "prior_only": null})
    assert values[0] == values[1] > 5
    assert values[2] < 0.1
    with pytest.raises(ValueError, match="none of the maps"):
        suspicion({"prior_only": maps["prior_only"]}, {"prior_only": null})


def test_evidence_follows_from_support_and_power_where_it_is_not_given() -> None:
    power, support = np.array([0.0, 8.0, 8.0]), np.array([0.0, 1.0, 0.0])
    found = scores({"power": power, "support": support})
    np.testing.assert_allclose(found["evidence"], [0, 0, 8])
    assert "evidence" not in scores({"power": power})


def test_suspicion_ends_at_six_and_starts_at_zero(random: np.random.Generator) -> None:
    null = Null.of(random.standard_normal(1000), random)
    values = suspicion({"rse": np.array([-50.0, 0.0, 500.0])}, {"rse": null})
    assert values.dtype == np.float32
    assert values[0] < 0.01
    assert values[2] == 6


def planted_ps(
    random: np.random.Generator,
) -> tuple[dict[str, Numbers], NDArray[np.bool_]]:
    """Two informative maps and one that says nothing; 4 % of the voxels are wrong."""
    noise = ndimage.gaussian_filter(random.standard_normal((3, 20_000)), (0, 2))
    noise /= noise.std(axis=1, keepdims=True)
    wrong = random.random(20_000) < 0.04
    z = noise + np.outer([2.0, 2.0, 0.0], wrong)
    names = ("residual", "instability", "rse")
    return dict(zip(names, stats.norm.sf(z), strict=True)), wrong


def test_a_fusion_that_was_learnt_ranks_better_than_any_map_and_stays_uniform(
    random: np.random.Generator,
) -> None:
    ps, wrong = planted_ps(random)
    fusion = Fusion.fit(ps, wrong, np.arange(wrong.size) // 100, random)
    new, truth = planted_ps(random)
    fused = fusion.p(new)

    def auroc(p: Numbers) -> float:
        pairs = stats.mannwhitneyu(p[~truth], p[truth])
        return float(pairs.statistic / (truth.sum() * (~truth).sum()))

    assert auroc(fused) > max(auroc(p) for p in new.values()) + 0.02
    assert auroc(fused) > auroc(cauchy(list(new.values()), [1, 1, 1]))
    assert uniform_at(fused[~truth], (0.5, 0.1, 0.01), 0.25)


def test_more_evidence_in_any_map_never_makes_a_voxel_less_suspicious(
    random: np.random.Generator,
) -> None:
    ps, wrong = planted_ps(random)
    ps["rse"] = 1 - ps["residual"]  # a map that points the wrong way
    fusion = Fusion.fit(ps, wrong, np.arange(wrong.size), random)
    for name in ps:
        rising = {other: np.full(50, 0.3) for other in ps}
        rising[name] = np.logspace(0, -10, 50)
        assert (np.diff(fusion.sums(rising)) >= 0).all()


def test_a_map_that_the_fusion_does_not_know_counts_beside_it(
    random: np.random.Generator,
) -> None:
    ps, wrong = planted_ps(random)
    fusion = Fusion.fit(ps, wrong, np.arange(wrong.size) // 100, random)
    null = Null.of(np.abs(random.standard_normal(10_000)), random)
    nulls = dict.fromkeys((*ps, "cycle"), null)
    maps = {name: np.full(2, 0.5, np.float32) for name in ps}
    alone = suspicion(maps, nulls, fusion)
    with_cycle = suspicion({**maps, "cycle": np.array([0.5, 6.0])}, nulls, fusion)
    assert with_cycle[1] > 4 > with_cycle[0] + 3
    assert with_cycle[0] == pytest.approx(alone[0], abs=0.5)
    loud = {**maps, "residual": np.full(2, 8.0, np.float32)}
    assert (suspicion(loud, nulls, fusion) > alone + 1).all()
