"""Thresholds with a guarantee, from volumes of which the truth is known.

Conformal risk control (Angelopoulos et al. 2024, arXiv:2208.02814): over new volumes of
the same kind, the mean loss at the threshold is at most alpha.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Controlled:
    """A threshold on the suspicion, below which a voxel is trusted.

    Attributes:
        threshold: The highest one that keeps the risk.
        risk: The mean loss that it may reach, at most alpha.
        n: Volumes or parts behind it.
        approximate: Whether they are parts of the same volumes; these depend on each
            other, and then the guarantee holds only about.
    """

    threshold: float
    risk: float
    n: int
    approximate: bool


def least_volumes(alpha: float) -> int:
    """Volumes without which no threshold can promise a risk of at most alpha."""
    return max(1, math.ceil(1 / alpha - 1 - 1e-9))


def conformal_threshold(
    losses: Numbers, thresholds: Numbers, alpha: float, independent: bool = True
) -> Controlled:
    """The highest threshold at which the mean loss over new volumes is at most alpha.

    Args:
        losses: Of each volume at each threshold, shape (volumes, thresholds), 0 to 1,
            growing with the threshold.
        thresholds: Rising.
        alpha: The loss to allow.
        independent: Whether each row comes from a volume of its own.

    Raises:
        InputError: There are too few volumes, or no threshold keeps the loss.
    """
    n, least = len(losses), least_volumes(alpha)
    if n < least:
        raise InputError(
            f"{n} trials with a known truth cannot promise a loss of at most "
            f"{alpha:g}; give at least {least}"
        )
    growing = np.maximum.accumulate(np.asarray(losses, np.float64), axis=1)
    risk = (growing.sum(axis=0) + 1) / (n + 1)
    kept = np.flatnonzero(risk <= alpha + 1e-12)
    if not kept.size:
        raise InputError(
            f"no threshold keeps the loss at {alpha:g}: the least is {risk[0]:.2g} "
            f"over {n} trials; allow a larger loss"
        )
    best = int(kept[-1])
    return Controlled(float(thresholds[best]), float(risk[best]), n, not independent)


def missed(
    suspicion: NDArray[Any], wrong: NDArray[np.bool_], thresholds: Numbers
) -> Numbers:
    """Share of the wrong voxels whose suspicion is below each threshold.

    Args:
        suspicion: Of each voxel.
        wrong: Whether something is wrong there; without any, nothing is missed.
        thresholds: Rising.
    """
    values = np.sort(suspicion[wrong].astype(np.float64))
    return np.searchsorted(values, thresholds) / max(1, values.size)
