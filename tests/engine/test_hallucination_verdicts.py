import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from napari_cyclegan3d.engine.hallucination.gathering import Objects
from napari_cyclegan3d.engine.hallucination.odds import Evidence
from napari_cyclegan3d.engine.hallucination.verdicts import (
    Judgement,
    Tested,
    bh,
    judge,
    verdict,
)

Numbers = NDArray[np.float64]
THRESHOLD = 3.0


def one(
    power: float,
    support: float,
    again: float | None = None,
    *,
    same: bool = True,
    prior_only: float = 0.0,
) -> str:
    """The verdict on one object; `again`: its support by independent data."""
    own = Evidence(np.array([power]), np.array([power * support]))
    other, supported = None, np.zeros(1, np.bool_)
    if again is not None:
        other = Evidence(np.array([power]), np.array([power * again]))
        supported = other.supports(THRESHOLD) & same
    found = verdict(own, other, supported, np.array([prior_only]))
    return str(found[0])


def population(
    count: int,
    invented: int,
    deviation: float = 0.0,
    ratio: float = np.sqrt(0.5),
    independent: bool = True,
    seed: int = 0,
) -> tuple[Objects, NDArray[np.bool_]]:
    """Objects of which the first were made of noise, so that own data agree."""
    random = np.random.default_rng(seed)
    fake = np.arange(count) < invented
    power = np.where(fake, random.uniform(2, 6, count), random.uniform(5, 20, count))
    support = np.where(fake, 1.2, 1 + deviation * random.normal(size=count))
    again = np.where(fake, 0, support) * ratio * power + random.normal(size=count)
    own = support * power + random.normal(size=count)
    nothing = np.zeros(count)
    return (
        Objects(
            labels=np.zeros((1, 1, 1), np.int32),
            score=own * power,
            energy=power**2,
            contrast=nothing,
            centre=np.zeros((count, 3), np.int32),
            independent=independent,
            score_again=again * ratio * power if independent else nothing,
            energy_again=(ratio * power) ** 2 if independent else nothing,
            agreement=np.ones(count) if independent else nothing,
        ),
        fake,
    )


def auroc(high: Numbers, low: Numbers) -> float:
    return float(np.mean(high[:, None] > low[None]))


def judged(objects: Objects, *, fresh: bool = False) -> Judgement:
    return judge(objects, np.zeros(len(objects)), Tested(THRESHOLD, 1000, fresh))


def test_support_takes_independent_data() -> None:
    assert one(10, 1.0) == "uncontradicted"
    assert one(10, 1.0, again=1.0) == "supported"


def test_what_the_data_could_show_and_do_not_is_contradicted() -> None:
    assert one(10, 0.0) == "contradicted"
    assert one(10, 1.0, again=0.0) == "contradicted"
    assert one(10, 0.0, again=1.0) == "contradicted"


@pytest.mark.parametrize("support", [0.0, 1.0, 2.0])
def test_without_power_nothing_can_be_said(support: float) -> None:
    assert one(2.9, support) == "unverifiable"
    assert one(2.9, support, again=support) == "unverifiable"


def test_detail_that_the_raw_volume_cannot_determine_is_never_supported() -> None:
    assert one(10, 1.0, again=1.0, prior_only=0.8) == "unverifiable"
    assert one(10, 0.0, prior_only=0.8) == "contradicted"


def test_an_object_that_does_not_come_back_is_not_supported() -> None:
    assert one(10, 1.0, again=1.0, same=False) == "uncontradicted"


def test_support_needs_the_threshold_and_the_whole_interval() -> None:
    # confirmation 2.9 of power 3.2, and 5 of power 10
    assert one(3.2, 1.0, again=2.9 / 3.2) == "uncontradicted"
    assert one(10, 1.0, again=0.5) == "uncontradicted"


def test_inventions_made_of_noise_are_hardly_ever_supported() -> None:
    objects, fake = population(4000, 2000)

    found = judged(objects)

    assert np.mean(found.verdict[fake] == "supported") < 0.005
    assert np.mean(found.verdict[~fake] == "supported") > 0.8
    assert np.mean(found.verdict[~fake] == "contradicted") < 0.005


def test_odds_part_invented_from_real_by_independent_data_only() -> None:
    objects, fake = population(2000, 500)
    blind, _ = population(2000, 500, independent=False)

    found, same_data = judged(objects), judged(blind)

    assert auroc(found.odds[fake], found.odds[~fake]) > 0.98
    assert not np.isin(same_data.verdict, ["supported"]).any()
    assert auroc(same_data.odds[fake], same_data.odds[~fake]) > 0.9  # by their power


def test_what_is_contradicted_is_ranked_above_what_cannot_be_told() -> None:
    objects, _ = population(200, 2)
    objects.energy[:2] = 64, 1
    objects.score[:2] = 64, 1
    objects.energy_again[:2] = 32, 0.5
    objects.score_again[:2] = 0

    found = judged(objects)

    assert found.verdict[:2].tolist() == ["contradicted", "unverifiable"]
    assert found.odds[0] > found.odds[1] > np.quantile(found.odds[2:], 0.95)


def test_what_noise_can_make_is_ranked_above_clear_objects_that_half_come_back() -> (
    None
):
    objects, fake = population(2000, 200)
    # the raw volume's noise is in both parts of a split: an invention comes back, too
    objects.energy[fake] = objects.score[fake] = 2.5**2
    objects.energy_again[fake] = objects.score_again[fake] = 2.5**2 / 2
    weak = np.arange(200, 400)
    objects.energy[weak] = objects.score[weak] = 7**2
    objects.energy_again[weak] = 7**2 / 2
    objects.score_again[weak] = 0.5 * objects.energy_again[weak]

    found = judge(objects, np.zeros(len(objects)), Tested(THRESHOLD, 20_000))

    assert found.odds[fake].min() > found.odds[weak].max()


def test_a_second_scan_counts_more_than_the_data_that_an_object_was_made_from() -> None:
    objects, _ = population(200, 2)
    # invented, as noise was taken for it: clear in its own data; and faint, but real
    objects.energy[:2], objects.score[:2] = (5**2, 2.5**2), (8 * 5, 2.5**2)
    objects.energy_again[:2] = objects.energy[:2] / 2
    objects.score_again[:2] = 0, np.sqrt(objects.energy_again[1])

    found = judged(objects, fresh=True)

    assert found.odds[0] > found.odds[1]


@pytest.mark.parametrize("deviation", [0.0, 0.15])
def test_p_of_real_objects_is_uniform_however_networks_exaggerate(
    deviation: float,
) -> None:
    objects, _ = population(4000, 0, deviation, independent=False)

    p = judged(objects).p

    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.02)
    assert np.mean(p < 0.5) == pytest.approx(0.5, abs=0.05)


def test_power_in_a_second_scan_follows_from_objects_that_are_in_both() -> None:
    objects, _ = population(500, 0, ratio=1.3)

    found = judged(objects)

    np.testing.assert_allclose(found.evidence.power, 1.3 * np.sqrt(objects.energy))
    np.testing.assert_allclose(np.median(found.evidence.support), 1, atol=0.05)


def test_an_object_that_is_gone_falls_short_by_its_whole_power() -> None:
    objects, _ = population(300, 0)
    objects.agreement[0] = 0.1
    objects.energy[0], objects.score[0] = 200, 200

    found = judged(objects)

    assert found.verdict[0] == "contradicted"
    assert found.evidence.confirmation[0] == 0
    assert found.shortfall[0] > 5


def test_no_objects_give_no_verdicts() -> None:
    found = judged(population(0, 0)[0])

    assert len(found.verdict) == len(found.p) == len(found.shortfall) == 0


def test_rates_are_those_of_benjamini_and_hochberg() -> None:
    # p · m / rank, and never more than that of a larger p
    ps = np.array([0.04, 0.01, 0.03, 0.9])

    np.testing.assert_allclose(bh(ps), [0.16 / 3, 0.04, 0.16 / 3, 0.9])


def test_the_rate_of_false_discoveries_is_kept() -> None:
    random = np.random.default_rng(1)
    wrong = []
    for _ in range(200):
        z = random.normal(size=200) + 4 * (np.arange(200) < 40)
        listed = bh(norm.sf(z)) <= 0.1
        wrong.append(listed[40:].sum() / max(listed.sum(), 1))

    assert np.mean(wrong) == pytest.approx(0.1 * 160 / 200, abs=0.02)


def test_rates_of_no_tests_are_none() -> None:
    assert bh(np.empty(0)).shape == (0,)


def test_a_network_that_does_not_stand_the_noise_speaks_against_nothing() -> None:
    objects, fake = population(2000, 500)
    objects.score_again[:] *= 0.15

    found, by_scan = judged(objects), judged(objects, fresh=True)

    assert not found.stands
    assert np.mean(found.verdict == "contradicted") < 0.005
    assert auroc(found.odds[fake], found.odds[~fake]) > 0.9  # by their power
    # of a second scan the network knows nothing: there the objects are missing
    assert by_scan.stands
    assert np.mean(by_scan.verdict == "contradicted") > 0.5
