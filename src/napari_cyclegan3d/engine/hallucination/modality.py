"""Curves of grey values: what another modality would show, on average."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from napari_cyclegan3d.engine.hallucination.sampling import Floats, Sample

Curve = tuple[tuple[float, float], ...]

KNOTS = 9
# loss that is accepted for a curve without turns, as a share of the unexplained rest
MONOTONE = 0.01
# of the curve's second differences, as a share of what the voxels say
STIFFNESS = 1e-2


def mapped(curve: Sequence[tuple[float, float]], enhanced: Floats) -> Floats:
    """Grey values along the curve, linear between its points, constant beyond."""
    x, y = np.array(curve).T
    result: Floats = np.interp(enhanced, x, y).astype(np.float32)
    return result


def fit_curve(sample: Sample, made: Callable[[Floats], Floats]) -> Curve:
    """The curve c for which blurred c(enhanced) explains most of the raw tiles.

    The curve is a sum of hats, and blur is linear, so this is one least squares
    problem: the conditional mean of the raw grey value that allows for the blur.

    Args:
        sample: The tiles.
        made: Blurs, moves and reduces enhanced tiles and cuts their borders off.

    Returns:
        Pairs of enhanced and raw grey values, ascending; without a turn where that
        explains nearly as much.
    """
    knots = _knots(sample.enhanced)
    raw = sample.raw[sample.inner].ravel()
    middle = raw.mean()
    raw = raw - middle
    columns = []
    for height in np.eye(len(knots)):
        hat = np.interp(sample.enhanced, knots, height).astype(np.float32)
        columns.append(made(hat).ravel())
    design = np.stack(columns)
    gram = (design @ design.T).astype(np.float64)
    right = (design @ raw).astype(np.float64)
    bend = np.diff(np.eye(len(knots)), 2, axis=0)
    stiff = STIFFNESS * np.trace(gram) / len(knots) * bend.T @ bend
    # no tissue is darker or brighter than all of the raw volume
    bounds = np.quantile(raw, (0.0005, 0.9995)) + np.array([-1e-6, 1e-6])
    root = np.linalg.cholesky(gram + stiff + 1e-9 * np.trace(gram) * np.eye(len(gram)))
    values = optimize.lsq_linear(root.T, np.linalg.solve(root, right), bounds).x

    def rest(curve: NDArray[np.float64]) -> float:
        return float(raw @ raw + curve @ gram @ curve - 2 * curve @ right)

    best = rest(values)
    weights = np.maximum(design.sum(axis=1, dtype=np.float64), 1e-9)
    for rising in (True, False):
        straight = optimize.isotonic_regression(
            values, weights=weights, increasing=rising
        ).x
        if rest(straight) <= (1 + MONOTONE) * best:
            values = straight
            break
    values = values + middle
    return tuple((float(a), float(b)) for a, b in zip(knots, values, strict=True))


def _knots(enhanced: Floats) -> NDArray[np.float64]:
    """Grey values from the darkest to the brightest, closer where there are more."""
    some = enhanced.ravel()[:: max(1, enhanced.size // 2**20)].astype(np.float64)
    shares = np.quantile(some, np.linspace(0.002, 0.998, KNOTS))
    even = np.linspace(some.min(), some.max(), KNOTS)
    both = np.unique(np.concatenate([even, (shares + even) / 2]))
    apart = np.diff(both, prepend=-np.inf) > (both[-1] - both[0]) / (3 * KNOTS)
    knots: NDArray[np.float64] = both[apart]
    return knots
