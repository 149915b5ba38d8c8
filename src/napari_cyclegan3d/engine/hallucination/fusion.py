"""A rule for combining p-values that is learnt from known errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from napari_cyclegan3d.engine.hallucination.nulls import Null, voxel_p

Numbers = NDArray[np.float64]

KNEES = (1.0, 3.0)
# deviations that a p-value may be worth
LOWEST, HIGHEST = -2.0, 7.0
RIDGE = 1e-3
EXAMPLES = 2**16


@dataclass(frozen=True, eq=False)
class Fusion:
    """Logistic regression on the deviations that the p-values are worth.

    Every map enters with three slopes, from its clipped deviation and from what of it
    exceeds 1 and 3. No slope is negative, so that more evidence in any map never makes
    a voxel less suspicious.

    Attributes:
        order: Names of the maps.
        slopes: Of each map and knee, shape (maps, 3).
        null: The sums of voxels where nothing is wrong, made by slopes that were
            fitted to the other half of the voxels.
    """

    order: tuple[str, ...]
    slopes: Numbers
    null: Null

    @property
    def names(self) -> frozenset[str]:
        """The maps that it needs."""
        return frozenset(self.order)

    @classmethod
    def fit(
        cls,
        ps: Mapping[str, NDArray[Any]],
        wrong: NDArray[np.bool_],
        group: NDArray[np.integer[Any]],
        random: np.random.Generator,
    ) -> Self:
        """Learn from voxels that are known to be wrong or right.

        Args:
            ps: Of the maps, by name; one value per voxel.
            wrong: Of each voxel, whether something is wrong there; both occur on either
                side of the groups.
            group: Of each voxel, the volume or part that it comes from: its evenness
                decides which half of the voxels it belongs to.
            random: Chooses among very many voxels.
        """
        chosen = _balanced(wrong, random)
        order, half = tuple(ps), (group % 2 == 0)[chosen]
        features = _features([np.ravel(ps[name])[chosen] for name in order])
        truth = wrong[chosen]
        sums = np.empty(len(truth))
        for one in (half, ~half):
            sums[~one] = features[~one] @ _slopes(features[one], truth[one])
        slopes = _slopes(features, truth).reshape(len(order), -1)
        return cls(order, slopes, Null.of(sums[~truth], random))

    def sums(self, ps: Mapping[str, NDArray[Any]]) -> Numbers:
        """The sum that grows with suspicion, of the shape of the p-values."""
        total: Numbers | float = 0.0
        for name, slopes in zip(self.order, self.slopes, strict=True):
            z = _deviations(ps[name])
            total = total + slopes[0] * z
            for knee, slope in zip(KNEES, slopes[1:], strict=True):
                total = total + slope * np.maximum(z - knee, 0.0)
        return np.asarray(total)

    def p(self, ps: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """One p-value from those of the maps."""
        return voxel_p(self.null, self.sums(ps))


def _balanced(
    wrong: NDArray[np.bool_], random: np.random.Generator
) -> NDArray[np.intp]:
    """Places of at most `EXAMPLES` wrong voxels, and of as many right ones."""
    parts = [np.flatnonzero(wrong), np.flatnonzero(~wrong)]
    return np.concatenate(
        [
            random.choice(part, EXAMPLES, replace=False)
            if part.size > EXAMPLES
            else part
            for part in parts
        ]
    )


def _deviations(p: NDArray[Any]) -> Numbers:
    z: Numbers = np.clip(-special.ndtri(p), LOWEST, HIGHEST)
    return z


def _features(ps: Sequence[NDArray[Any]]) -> Numbers:
    columns = []
    for p in ps:
        z = _deviations(p)
        columns += [z, *(np.maximum(z - knee, 0.0) for knee in KNEES)]
    return np.stack(columns, axis=1)


def _slopes(features: Numbers, wrong: NDArray[np.bool_]) -> Numbers:
    """Of the logistic regression; both classes weigh the same."""
    sign = np.where(wrong, 1.0, -1.0)
    weight = np.where(wrong, 0.5 / wrong.sum(), 0.5 / (~wrong).sum())

    def loss(values: Numbers) -> tuple[float, Numbers]:
        margin = sign * (values[0] + features @ values[1:])
        pull = -weight * sign * special.expit(-margin)
        ridge = RIDGE * values[1:]
        value = weight @ np.logaddexp(0.0, -margin) + 0.5 * ridge @ values[1:]
        slope = np.concatenate([[pull.sum()], pull @ features + ridge])
        return float(value), slope

    start = np.zeros(1 + features.shape[1])
    bounds = [(None, None)] + [(0.0, None)] * features.shape[1]
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    slopes: Numbers = found.x[1:]
    return slopes
