import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.conformal import (
    conformal_threshold,
    least_volumes,
    missed,
)

THRESHOLDS = np.linspace(0, 6, 61)


def losses(count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Missed shares of volumes, some of which are far harder than others."""
    rows = []
    for _ in range(count):
        level = random.gamma(4.0, 0.6)
        values = np.maximum(random.normal(level, 1, 200), 0)
        rows.append(missed(values, np.ones(200, bool), THRESHOLDS))
    return np.stack(rows)


@pytest.mark.parametrize(("alpha", "n"), [(0.1, 19), (0.1, 40), (0.2, 12)])
def test_the_mean_loss_on_new_volumes_is_at_most_alpha(alpha: float, n: int) -> None:
    random = np.random.default_rng(2)
    reached = []
    for _ in range(300):
        rows = losses(n + 1, random)
        found = conformal_threshold(rows[:-1], THRESHOLDS, alpha)
        reached.append(rows[-1][np.searchsorted(THRESHOLDS, found.threshold)])
    assert np.mean(reached) <= alpha + 0.01
    # the threshold is not simply the lowest one
    assert np.mean(reached) > alpha / 10


def test_too_few_volumes_promise_nothing() -> None:
    assert least_volumes(0.1) == 9
    assert least_volumes(0.01) == 99
    rows = np.zeros((8, len(THRESHOLDS)))
    with pytest.raises(InputError, match=r"8 trials .* give at least 9"):
        conformal_threshold(rows, THRESHOLDS, 0.1)
    assert conformal_threshold(np.zeros((9, 61)), THRESHOLDS, 0.1).threshold == 6


def test_a_loss_that_no_threshold_keeps_is_refused() -> None:
    with pytest.raises(InputError, match=r"no threshold keeps the loss at 0\.1"):
        conformal_threshold(np.ones((20, 61)), THRESHOLDS, 0.1)


def test_parts_of_the_same_volume_are_said_to_be_approximate() -> None:
    rows = losses(20, np.random.default_rng(0))
    assert conformal_threshold(rows, THRESHOLDS, 0.2, independent=False).approximate
    assert not conformal_threshold(rows, THRESHOLDS, 0.2).approximate


def test_a_loss_that_falls_again_counts_with_its_largest_value_so_far() -> None:
    rows = np.zeros((50, 61))
    rows[:, 30] = 1.0
    found = conformal_threshold(rows, THRESHOLDS, 0.1)
    assert found.threshold == pytest.approx(THRESHOLDS[29])


def test_missed_is_the_share_of_wrong_voxels_below_a_threshold() -> None:
    values = np.array([0.0, 1.0, 2.0, 5.0], np.float32)
    wrong = np.array([False, True, True, True])
    share = missed(values, wrong, np.array([0.0, 1.5, 5.0, 6.0]))
    np.testing.assert_allclose(share, [0, 1 / 3, 2 / 3, 1])
    assert not missed(values, np.zeros(4, bool), THRESHOLDS).any()
