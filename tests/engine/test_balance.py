import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_cyclegan3d.engine.balance import Balancer, Decision
from napari_cyclegan3d.engine.sections.steps import BalanceConfig

WEIGHTS = {
    "adversarial_a": 5.0,
    "adversarial_b": 1.0,
    "cycle_a": 2.0,
    "cycle_b": 20.0,
    "identity_a": 0.0,
    "identity_b": 5.0,
    "judge_a": 1.0,
    "judge_b": 1.0,
}
RATES = {"lr_generator": 4e-4, "lr_discriminator": 2e-4}
CONFIG = BalanceConfig(enabled=True)

Terms = dict[str, float]
Course = Callable[[int], Terms]


def healthy(step: int) -> Terms:
    """A training that gets better, as noisy as one of batch 1."""
    random = np.random.default_rng(step)
    level = 0.25 + 0.75 * np.exp(-step / 300)
    terms = {name: 0.3 for name in WEIGHTS if WEIGHTS[name] > 0}
    terms |= {f"cycle_{side}": level for side in "ab"}
    terms |= {f"{kind}_b": 0.8 for kind in ("identity", "adversarial", "judge")}
    noisy = {name: value * random.lognormal(0, 0.3) for name, value in terms.items()}
    for side in "ab":
        noisy[f"contrast_{side}"] = float(np.clip(random.normal(0.5, 0.3), -1, 1))
        noisy[f"real_{side}_seen_real"] = 0.7
        noisy[f"fake_{side}_seen_real"] = 0.35
    return noisy


def with_change(change: Callable[[int, Terms], Terms], after: int = 0) -> Course:
    """A healthy training of which something changes after a step."""

    def course(step: int) -> Terms:
        terms = healthy(step)
        return terms if step <= after else terms | change(step, terms)

    return course


def always(**values: float) -> Course:
    return with_change(lambda *_: values)


def watch(
    balancer: Balancer, course: Course, steps: range
) -> list[tuple[int, Decision]]:
    """The decisions of a course that ignores them."""
    decisions = []
    for step in steps:
        balancer.add(step, course(step))
        decision = balancer.check(step)
        if decision is not None:
            decisions.append((step, decision))
    return decisions


def train(
    balancer: Balancer, course: Course, actions: int
) -> list[tuple[int, Decision]]:
    """The decisions of a training that goes back when it is told to."""
    decisions: list[tuple[int, Decision]] = []
    step = 0
    while len(decisions) < actions and step < 20_000:
        step += 1
        balancer.add(step, course(step))
        decision = balancer.check(step)
        if decision is None:
            continue
        decisions.append((step, decision))
        if decision.step_back_to is not None:
            step = decision.step_back_to
            balancer.forget_after(step)
    return decisions


def balancer(**changes: Any) -> Balancer:
    return Balancer(CONFIG.model_copy(update=changes), WEIGHTS, RATES)


def test_a_healthy_training_is_left_alone() -> None:
    assert watch(balancer(), healthy, range(1, 5001)) == []


def test_nothing_is_decided_before_the_first_check_nor_between_checks() -> None:
    decisions = watch(balancer(), always(fake_a_seen_real=0.0), range(1, 700))
    assert [step for step, _ in decisions] == [250, 350, 450, 550, 650]


FAILURES = {
    "inverted in both directions": (
        with_change(lambda *_: {"contrast_a": -0.6, "contrast_b": -0.6}, 900),
        "contrast inverted (correlation with the source: fake_a -0.60, fake_b -0.60)",
    ),
    "inverted in one direction": (
        with_change(lambda *_: {"contrast_b": -0.5}, 900),
        "contrast inverted (correlation with the source: fake_b -0.50)",
    ),
    "a generator explodes at once": (
        with_change(lambda *_: {"identity_b": 40.0}, 900),
        "identity_b exploded to 40 from 0.",
    ),
    "a discriminator explodes slowly": (
        with_change(
            lambda step, terms: {"judge_a": terms["judge_a"] * 1.03 ** (step - 900)},
            900,
        ),
        "judge_a exploded to ",
    ),
    "a cycle drifts": (
        with_change(lambda step, _: {"cycle_a": 0.3 + (step - 900) / 500}, 900),
        "cycle_a drifted to ",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_found_and_named_within_two_checks(name: str) -> None:
    course, reason = FAILURES[name]
    decisions = watch(balancer(), course, range(1, 2000))
    rollbacks = [one for one in decisions if one[1].kind == "rollback"]
    step, first = rollbacks[0]
    assert 900 < step <= 1150 + 200 * (name == "a cycle drifts")
    assert first.reason.startswith(reason)
    assert first.step_back_to == step - CONFIG.back
    assert f"at step {step}: back to step {step - CONFIG.back}" in first.reason


def test_an_explosion_is_found_though_most_of_what_is_known_came_after_it() -> None:
    course = with_change(lambda *_: {"cycle_b": 30.0}, 900)
    decisions = watch(balancer(start=2500), course, range(1, 2501))
    assert [one.kind for _, one in decisions] == ["rollback"]


def test_inverted_contrast_is_no_failure_where_it_is_meant() -> None:
    course = always(contrast_a=-0.8, contrast_b=-0.8)
    assert watch(balancer(inversion=False), course, range(1, 1000)) == []
    assert watch(balancer(), course, range(1, 1000)) != []


def test_a_return_is_never_to_the_future_nor_before_the_start() -> None:
    course = always(contrast_a=-0.8)
    decisions = train(balancer(back=900), course, 11)
    targets = [(step, one.step_back_to) for step, one in decisions]
    assert all(back is None or 0 <= back < step for step, back in targets)
    assert targets[0] == (250, 0)


def test_failures_in_a_row_go_further_back_each_time() -> None:
    failing = with_change(lambda *_: {"contrast_a": -0.8}, 3000)
    decisions = train(balancer(), failing, 4)
    distances = [step - (one.step_back_to or 0) for step, one in decisions]
    assert distances == [200, 400, 600, 800]
    assert "failure 4 in a row" in decisions[3][1].reason


def test_getting_beyond_a_failure_ends_the_row() -> None:
    tries = {3150: 2, 5150: 1}

    def course(step: int) -> Terms:
        terms = healthy(step)
        for end, left in tries.items():
            if end - 130 < step <= end and left > 0:
                tries[end] -= step == end
                return terms | {"contrast_a": -0.8}
        return terms

    decisions = train(balancer(), course, 3)
    found = [(step, one.step_back_to) for step, one in decisions]
    assert found == [(3150, 2950), (3150, 2750), (5150, 4950)]


def test_the_second_failure_in_a_row_starts_from_the_first_weights_and_rates() -> None:
    course = always(contrast_a=-0.8)
    changed = balancer()
    weights = WEIGHTS | {"cycle_b": 10.0, "adversarial_a": 15.0}
    rates = dict.fromkeys(RATES, 1e-5)
    changed.load_state_dict(
        balancer().state_dict() | {"weights": weights, "rates": rates}
    )
    (_, first), (_, second) = train(changed, course, 2)
    (_, usual_first), (_, usual_second) = train(balancer(), course, 2)
    assert first.rates == rates
    assert first.weights != usual_first.weights
    assert second == usual_second
    assert second.rates == RATES
    assert usual_second.weights != usual_first.weights


def test_after_ten_returns_without_progress_balancing_stops_and_says_so() -> None:
    watched = balancer()
    decisions = train(watched, always(contrast_a=-0.8), 11)
    assert [one.kind for _, one in decisions] == ["rollback"] * 10 + ["adjust"]
    last = decisions[-1][1]
    assert "again after 10 rollbacks" in last.reason
    assert "balancing stops" in last.reason
    assert (last.weights, last.rates) == (WEIGHTS, RATES)
    assert watched.stopped
    assert watch(watched, always(contrast_a=-0.8), range(1, 1000)) == []


def test_numbers_that_are_not_finite_go_back_with_ever_lower_rates() -> None:
    watched = balancer()
    first, second = watched.diverged(1200), watched.diverged(1100)
    assert (first.step_back_to, second.step_back_to) == (1000, 700)
    assert first.rates == {name: rate / 2 for name, rate in RATES.items()}
    assert second.rates == {name: rate / 4 for name, rate in RATES.items()}
    for _ in range(8):
        assert watched.diverged(1100).kind == "rollback"
    assert watched.diverged(1100).kind == "adjust"


TOO_SMALL = {
    "cycle_b": with_change(lambda step, _: {"cycle_b": 0.2 + step / 5000}, 0),
    "adversarial_a": always(fake_a_seen_real=0.1, real_a_seen_real=0.7),
    "judge_b": always(fake_b_seen_real=0.5, real_b_seen_real=0.5),
}


@pytest.mark.parametrize("name", TOO_SMALL)
def test_the_weight_that_is_too_small_grows_and_the_others_shrink(name: str) -> None:
    decisions = watch(balancer(), TOO_SMALL[name], range(1, 451))
    first = decisions[0][1]
    assert first.kind == "adjust"
    assert first.weights[name] > WEIGHTS[name]
    assert name in first.reason
    others = [one for one, weight in WEIGHTS.items() if weight > 0 and one != name]
    assert all(first.weights[one] < WEIGHTS[one] for one in others)


@pytest.mark.parametrize(("seen", "wins"), [(0.02, True), (0.5, False)])
def test_the_rate_of_the_winning_side_is_lowered(seen: float, wins: bool) -> None:
    shares = {f"fake_{side}_seen_real": seen for side in "ab"}
    shares |= {f"real_{side}_seen_real": 0.98 if wins else 0.5 for side in "ab"}
    first = watch(balancer(), always(**shares), range(1, 300))[0][1]
    assert (first.rates["lr_discriminator"] < RATES["lr_discriminator"]) == wins
    assert (first.rates["lr_generator"] > RATES["lr_generator"]) == wins
    assert np.prod(list(first.rates.values())) == pytest.approx(8e-8)


@pytest.mark.parametrize(
    "course",
    [
        always(fake_a_seen_real=0.0, real_a_seen_real=1.0, fake_b_seen_real=0.0),
        always(fake_b_seen_real=0.9, real_b_seen_real=0.1),
        with_change(
            lambda step, _: {"contrast_b": -0.9 if step % 7000 > 6000 else 0.5}
        ),
        with_change(lambda step, _: {"cycle_a": 0.3 + 0.1 * np.sin(step / 200)}),
    ],
    ids=["discriminators win", "they lose", "inverts at times", "waves"],
)
def test_weights_and_rates_stay_within_limits_and_their_sum_is_kept(
    course: Course,
) -> None:
    decisions = watch(balancer(), course, range(1, 9000))
    assert decisions
    for _, one in decisions:
        assert sum(one.weights.values()) == pytest.approx(sum(WEIGHTS.values()))
        for name, weight in WEIGHTS.items():
            assert weight / 10.001 <= one.weights[name] <= weight * 10.001
        for name, rate in RATES.items():
            assert rate / 51 <= one.rates[name] <= rate * 2.001
        assert one.weights["identity_a"] == 0


def test_nothing_is_decided_when_the_limits_are_reached() -> None:
    losing = always(fake_b_seen_real=0.9, real_b_seen_real=0.1, real_a_seen_real=0.5)
    decisions = watch(balancer(), losing, range(1, 9000))
    assert decisions[-1][0] < 6000


def test_the_same_course_gives_the_same_decisions() -> None:
    course = with_change(lambda *_: {"contrast_b": -0.9}, 1000)
    assert train(balancer(), course, 8) == train(balancer(), course, 8)


@pytest.mark.parametrize("stop", [90, 640, 1149, 1150])
def test_a_resumed_training_decides_like_one_that_never_stopped(stop: int) -> None:
    def course(step: int) -> Terms:
        terms = healthy(step) | {"fake_a_seen_real": 0.2}
        return terms | {"contrast_b": -0.9} if 1000 < step < 1400 else terms

    whole, first, second = balancer(), balancer(), balancer()
    expected = watch(whole, course, range(1, 3000))
    decisions = watch(first, course, range(1, stop + 1))
    # a state is saved as plain values
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    decisions += watch(second, course, range(stop + 1, 3000))
    assert decisions == expected
    assert {one.kind for _, one in expected} == {"rollback", "adjust"}


def test_a_state_of_other_weights_is_refused() -> None:
    state = balancer().state_dict()
    state["weights"] = {"cycle_a": 1.0}
    with pytest.raises(ValueError, match="cycle_a"):
        balancer().load_state_dict(state)


def test_memory_does_not_grow_with_the_length_of_the_training() -> None:
    sizes = []
    watched = balancer()
    for steps in (range(1, 20_500), range(20_500, 41_000)):
        for step in steps:
            watched.add(step, {"cycle_a": 0.5})
        state = watched.state_dict()
        sizes.append((len(state["recent"]), len(state["blocks"])))
    assert sizes[0] == sizes[1]


def test_what_came_after_the_state_returned_to_is_forgotten() -> None:
    course = with_change(lambda *_: {"cycle_a": 9.0, "contrast_a": -1.0}, 600)
    watched, fresh = balancer(), balancer()
    watch(watched, course, range(1, 640))
    watched.forget_after(600)
    watch(fresh, course, range(1, 601))
    kept, expected = watched.state_dict(), fresh.state_dict()
    assert kept["blocks"] == expected["blocks"]
    # fewer of them: the oldest had made room
    assert kept["recent"] == expected["recent"][-len(kept["recent"]) :]
    assert watch(watched, healthy, range(601, 1400)) == []
