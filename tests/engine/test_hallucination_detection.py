"""Maps, objects and their tests find what was invented and what was deleted."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from napari_cyclegan3d.engine.hallucination.evidence import (
    evidence,
    split_evidence,
)
from napari_cyclegan3d.engine.hallucination.filters import (
    otsu,
    robust_deviation,
    wide,
    without,
)
from napari_cyclegan3d.engine.hallucination.findings import NoiseFit, OperatorFit
from napari_cyclegan3d.engine.hallucination.lines import (
    along,
    directions,
    every_third,
    halfway,
    line,
)
from napari_cyclegan3d.engine.hallucination.maps import (
    Constants,
    block_maps,
    contrast_of,
    measure,
)
from napari_cyclegan3d.engine.hallucination.noise import Noise
from napari_cyclegan3d.engine.hallucination.objects import segment
from napari_cyclegan3d.engine.hallucination.operator import Operator
from napari_cyclegan3d.engine.volume import Volume

SIDE, SIGMA, BLUR = 40, 0.1, 1.0
Array = NDArray[np.float32]
Case = tuple[Array, Array, Array]


def operator(scale: int = 1) -> Operator:
    return Operator(
        OperatorFit(
            relation="degraded",
            scale=scale,  # type: ignore[arg-type]
            gain=1.0,
            offset=0.0,
            blur=(BLUR,) * 3,
            shift=(0.0, 0.0, 0.0),
            correlation=0.9,
        )
    )


def noise(sigma: float = SIGMA) -> Noise:
    return Noise(
        NoiseFit(
            sigma=sigma,
            level=0.0,
            frequency=(0.0, 0.9),
            power=(1.0, 1.0),
            how="known",
            whiteness=1.0,
        )
    )


def rod(place: tuple[int, int], start: int, stop: int, scale: int = 1) -> Array:
    volume = np.zeros((SIDE * scale,) * 3, np.float32)
    y, x = (part * scale for part in place)
    thick = 2 * scale
    volume[start * scale : stop * scale, y : y + thick, x : x + thick] = 1
    return volume


@pytest.fixture
def case() -> Case:
    """Truth with two rods; a result with one more and a gap in the second; the raw."""
    first, second = rod((10, 10), 0, SIDE), rod((28, 12), 0, SIDE)
    invented, gap = rod((20, 28), 14, 26), rod((28, 12), 15, 25)
    truth = first + second
    raw = gaussian_filter(truth, BLUR)
    raw += np.random.default_rng(1).normal(0, SIGMA, raw.shape).astype(np.float32)
    return truth, raw, truth - gap + invented


def constants(raw: Array, enhanced: Array, scale: int = 1) -> Constants:
    return measure(
        Volume(raw),
        Volume(enhanced),
        operator(scale),
        noise(),
        np.random.default_rng(0),
    )


def test_an_invented_object_is_contradicted_and_real_ones_are_not(case: Case) -> None:
    _, raw, enhanced = case
    known = constants(raw, enhanced)
    labels = segment(enhanced, known)
    tests = evidence(labels, enhanced, raw, operator(), noise(), known)
    invented = {labels[z, 20, 28] for z in range(14, 26)} - {0}
    assert invented
    for test in tests:
        assert test.power > 3
        if test.label in invented:
            assert test.support < 0.3
            assert test.z < -3
        else:
            assert 0.7 < test.support < 1.3


def test_the_residual_is_negative_at_inventions_and_positive_at_gaps(
    case: Case,
) -> None:
    _, raw, enhanced = case
    known = constants(raw, enhanced)
    maps = block_maps(raw, enhanced, operator(), noise(), known)
    assert set(maps) == {"residual", "rse", "prior_only", "support", "power"}
    assert all(one.shape == raw.shape for one in maps.values())
    residual = maps["residual"]
    assert residual[20, 20, 28] < -4
    assert residual[20, 28, 12] > 4
    assert np.abs(residual[:, 4, 34]).max() < 4
    assert 0.8 < np.median(maps["rse"]) < 1.2


def test_what_is_missing_most_is_where_it_was_deleted(case: Case) -> None:
    _, raw, enhanced = case
    known = constants(raw, enhanced)
    maps = block_maps(raw, enhanced, operator(), noise(), known)
    z, y, x = np.unravel_index(maps["residual"].argmax(), raw.shape)
    assert 15 <= z < 25
    assert abs(y - 28.5) <= 2
    assert abs(x - 12.5) <= 2


def test_where_a_fibre_has_a_gap_less_evidence_is_needed(case: Case) -> None:
    _, raw, enhanced = case
    known = constants(raw, enhanced)
    plain = replace(known, search=replace(known.search, power=0.0))
    guided, blind = (
        block_maps(raw, enhanced, operator(), noise(), one)["residual"]
        for one in (known, plain)
    )
    assert guided[20, 28, 12] > blind[20, 28, 12] + 0.2
    assert np.median(guided[:, 4, 34]) == pytest.approx(
        np.median(blind[:, 4, 34]), abs=0.7
    )


def test_noise_that_became_structure_is_not_confirmed_by_independent_noise() -> None:
    random = np.random.default_rng(5)
    real, ghost = rod((10, 10), 0, SIDE), rod((20, 28), 14, 26)
    enhanced = real + ghost
    clean = gaussian_filter(real, BLUR)
    # the noise of the first part looks like the ghost, and the network believed it
    first = clean + gaussian_filter(ghost, BLUR)
    second = clean + random.normal(0, SIGMA, clean.shape).astype(np.float32)
    known = constants(second, enhanced)
    labels = segment(enhanced, known)
    same = evidence(labels, enhanced, first, operator(), noise(), known)
    other = split_evidence(
        labels, enhanced, enhanced, second, operator(), noise(), known
    )
    ghosts = set(np.unique(labels[ghost > 0])) - {0}
    for test in same:
        assert test.support > 0.7
    for label, confirmed in other.items():
        assert confirmed.agreement == pytest.approx(1)
        assert (confirmed.confirmation > 3) == (label not in ghosts)


def test_the_confirmation_of_an_invented_object_has_mean_0_and_deviation_1() -> None:
    random, weak = np.random.default_rng(2), noise(0.5)
    enhanced = rod((20, 20), 15, 25)
    raws = random.normal(0, 0.5, (40, *enhanced.shape)).astype(np.float32)
    known = constants(raws[0], enhanced)
    labels = segment(enhanced, known)
    assert labels.max() == 1
    values = [
        evidence(labels, enhanced, raw, operator(), weak, known)[0].confirmation
        for raw in raws
    ]
    assert abs(np.mean(values)) < 0.6
    assert 0.6 < np.std(values) < 1.4


def test_what_cancels_in_the_raw_volume_has_no_power() -> None:
    fine = np.zeros((SIDE * 2,) * 3, np.float32)
    sign = (np.indices(fine.shape).sum(0) % 2 * 2 - 1).astype(np.float32)
    fine[30:50, 30:50, 30:50] = sign[30:50, 30:50, 30:50]
    enhanced = fine + rod((8, 8), 0, SIDE, scale=2)
    raw = operator(2).apply(enhanced)
    raw += np.random.default_rng(4).normal(0, SIGMA, raw.shape).astype(np.float32)
    known = constants(raw, enhanced, 2)
    labels = segment(enhanced, known, 2)
    tests = evidence(labels, enhanced, raw, operator(2), noise(), known)
    unseen = [one for one in tests if min(one.centre) > 25 and max(one.centre) < 55]
    seen = [one for one in tests if one not in unseen]
    assert unseen
    assert max(one.power for one in unseen) < 3
    assert min(one.power for one in seen) > 3


def test_detail_that_the_blur_destroys_is_prior_only(case: Case) -> None:
    truth, raw, _ = case
    checks = (np.indices(truth.shape).sum(0) % 2 - 0.5).astype(np.float32)
    enhanced = truth.copy()
    enhanced[:, 2:8, 28:36] += checks[:, 2:8, 28:36]
    known = constants(raw, enhanced)
    share = block_maps(raw, enhanced, operator(), noise(), known)["prior_only"]
    rods, checked = share[10:30, 10:12, 10:12], share[10:30, 3:7, 30:34]
    assert checked.mean() > 0.8
    assert rods.mean() < checked.mean() - 0.15
    assert share.min() >= 0
    assert share.max() <= 1


def test_a_block_with_its_halo_says_what_the_whole_volume_says() -> None:
    random = np.random.default_rng(3)
    enhanced = np.zeros((96, 32, 32), np.float32)
    enhanced[:, 10:12, 10:12] = 1
    enhanced[40:52, 20:22, 20:22] = 1
    raw = operator().apply(np.where(np.arange(96)[:, None, None] < 60, enhanced, 0))
    raw += random.normal(0, SIGMA, raw.shape).astype(np.float32)
    known = constants(raw, enhanced)
    whole = block_maps(raw, enhanced, operator(), noise(), known)
    part = block_maps(raw[:72], enhanced[:72], operator(), noise(), known)
    for name, one in whole.items():
        assert np.abs(one[:48] - part[name][:48]).max() < 0.1, name


def test_long_structures_are_several_objects_and_dust_is_none() -> None:
    enhanced = rod((10, 10), 0, SIDE)
    enhanced[30, 30, 30] = 1
    labels = segment(enhanced, constants(enhanced, enhanced))
    assert labels[30, 30, 30] == 0
    assert set(np.unique(labels)) == set(range(labels.max() + 1))
    assert (labels > 0)[5:35, 10:12, 10:12].all()


def test_dark_structures_are_objects_as_well() -> None:
    enhanced = 1 - rod((10, 10), 0, SIDE)
    known = constants(enhanced, enhanced)
    assert (segment(enhanced, known) > 0)[5:35, 10:12, 10:12].all()
    assert contrast_of(enhanced, known.threshold, 1)[20, 10, 10] < -0.5


def test_a_line_weighs_as_much_in_every_direction() -> None:
    sums = [
        sum(weight * len(places) for weight, places in line(step))
        for step in directions()
    ]
    assert len(sums) == 49
    assert np.ptp(sums) < 0.25 * np.mean(sums)


def test_each_voxel_is_summed_along_the_direction_chosen_for_it() -> None:
    block = np.random.default_rng(0).normal(size=(20, 21, 22)).astype(np.float32)
    scales = np.linspace(1, 2, 49, dtype=np.float32)
    chosen = np.random.default_rng(1).integers(0, 49, block.shape)
    found = along(block, chosen, scales)
    for number, third in enumerate(every_third(block)):
        mine = chosen[::3, ::3, ::3] == number
        expected = third[mine] * scales[number]
        assert found[::3, ::3, ::3][mine] == pytest.approx(expected, abs=1e-4)


def test_on_half_the_grid_lines_sum_what_they_do_on_all_of_it() -> None:
    small = gaussian_filter(np.random.default_rng(0).normal(size=(18,) * 3), 2.0)
    coarse = (small / small.std()).astype(np.float32)
    fine = zoom(coarse, 35 / 18, order=1)
    inner = (slice(6, -6),) * 3
    for number, (one, other) in enumerate(
        zip(halfway(coarse), _fully(fine), strict=True)
    ):
        assert one[inner] == pytest.approx(other[::2, ::2, ::2][inner], abs=0.1), number


def _fully(block: Array) -> Iterator[Array]:
    for number in range(49):
        chosen = np.full(block.shape, number)
        yield along(block, chosen, np.ones(49, np.float32))


def test_the_background_does_not_contain_what_lies_on_it() -> None:
    block = np.full((40, 40, 40), 2.0, np.float32)
    block[10:20, 10:20, 10:20] = 9
    assert np.abs(without(block, block > 5, wide(block)) - 2)[15, 15, 15] < 0.7
    assert wide(block)[15, 15, 15] > 3


def test_a_tenth_of_outliers_hardly_moves_the_robust_deviation() -> None:
    values = np.random.default_rng(0).normal(size=10_000)
    values[:1000] += 50
    assert robust_deviation(values) == pytest.approx(1, abs=0.2)


def test_otsu_parts_two_groups() -> None:
    values = np.r_[np.full(900, 0.1), np.full(100, 0.9)]
    assert 0.1 < otsu(values) < 0.9


def test_tests_come_in_the_order_of_the_labels_and_do_not_depend_on_company(
    case: Case,
) -> None:
    _, raw, enhanced = case
    known = constants(raw, enhanced)
    labels = segment(enhanced, known)
    found = evidence(labels, enhanced, raw, operator(), noise(), known)
    assert [one.label for one in found] == list(range(1, labels.max() + 1))
    for one in found[:4]:
        alone = np.where(labels == one.label, labels, 0)
        (again,) = evidence(alone, enhanced, raw, operator(), noise(), known)
        assert again.voxels == one.voxels
        assert again.centre == one.centre
        assert again.energy == pytest.approx(one.energy, rel=0.05)
