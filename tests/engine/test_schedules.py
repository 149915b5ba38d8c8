import json
import math
from typing import Any

import pytest

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.schedules import LearningRate
from napari_cyclegan3d.engine.sections.steps import OptimConfig


def rates(steps: int = 100, **optim: Any) -> LearningRate:
    return LearningRate(TrainConfig(steps=steps, optim=OptimConfig(**optim)))


@pytest.mark.parametrize(
    ("optim", "expected"),
    [
        ({"schedule": "constant"}, {0: 1, 50: 1, 100: 1, 500: 1}),
        ({"schedule": "linear"}, {0: 1, 50: 1, 75: 0.5, 99: 0.02, 100: 0, 500: 0}),
        ({"schedule": "cosine"}, {0: 1, 25: 0.853553, 50: 0.5, 100: 0, 500: 0}),
        (
            {"schedule": "step", "decay_rate": 0.1, "decay_steps": 20},
            {0: 1, 19: 1, 20: 0.1, 39: 0.1, 40: 0.01},
        ),
        (
            {"schedule": "inverse_time", "decay_rate": 0.5, "decay_steps": 20},
            {0: 1, 10: 0.8, 20: 2 / 3, 40: 0.5, 120: 0.25},
        ),
    ],
    ids=lambda value: value.get("schedule", ""),
)
def test_a_schedule_has_the_factors_of_its_formula(
    optim: dict[str, Any], expected: dict[int, float]
) -> None:
    rate = rates(**optim)
    for step, factor in expected.items():
        assert rate.factor(step) == pytest.approx(factor, abs=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "step"])
def test_observed_values_change_no_schedule_but_plateau(schedule: Any) -> None:
    told, untold = rates(schedule=schedule), rates(schedule=schedule)
    for step in range(0, 100, 10):
        told.observe(step, 1.0 + step)
    assert told.state_dict() == untold.state_dict()
    assert [told.factor(s) for s in range(100)] == [
        untold.factor(s) for s in range(100)
    ]


def plateau(rate: float = 0.5) -> LearningRate:
    return rates(schedule="plateau", decay_rate=rate, decay_steps=30)


def factors(rate: LearningRate, values: list[float], start: int = 0) -> list[float]:
    """The factor after each observed value, ten steps apart."""
    found = []
    for number, value in enumerate(values, start):
        rate.observe(10 * number, value)
        found.append(rate.factor(10 * number))
    return found


def test_a_plateau_lowers_the_rate_each_time_that_it_lasts_decay_steps() -> None:
    assert factors(plateau(), [5.0] * 8) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_improvement_keeps_the_rate_up_and_gives_it_new_time() -> None:
    assert factors(plateau(), [5, 4, 3, 2, 1, 0.5, 0.4]) == [1] * 7
    assert factors(plateau(), [5, 6, 6, 4, 6, 6, 6, 6]) == [1] * 6 + [0.5] * 2


def test_less_than_a_hundredth_of_the_best_is_no_improvement() -> None:
    assert factors(plateau(), [100, 99.5, 99.5, 99.2])[-1] == 0.5
    assert factors(plateau(), [100, 99.5, 99.5, 98.9])[-1] == 1
    # scores that are higher when better are told with their sign changed
    assert factors(plateau(), [-100, -100.5, -100.5, -100.8])[-1] == 0.5
    assert factors(plateau(), [-100, -100.5, -100.5, -101.1])[-1] == 1


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_values_that_are_not_finite_are_no_improvement(broken: float) -> None:
    assert factors(plateau(), [5.0, broken, broken, broken])[-1] == 0.5
    assert factors(plateau(), [broken, 5.0, 4.0, 3.0, 2.0])[-1] == 1


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_resumed_plateau_goes_on_as_if_uninterrupted(cut: int) -> None:
    values = [5, 4, 4.5, 4.2, 4.1, 4.0, 4.0, 3.0, 3.1, 3.1, 3.1, 3.1]
    whole = factors(plateau(), values)
    first, second = plateau(), plateau()
    begun = factors(first, values[:cut])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert begun + factors(second, values[cut:], cut) == whole
    assert len(set(whole)) > 2
