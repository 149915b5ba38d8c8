"""How strong noise is, its spectrum, and how it grows with the grey value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, optimize

from napari_cyclegan3d.engine.hallucination.flatness import deviations, without_plane
from napari_cyclegan3d.engine.hallucination.sampling import Floats

Axes = tuple[tuple[float, ...], ...]
Levels = tuple[tuple[float, float], ...]

# factors along an axis that differ by less are chance
UNEVEN = 0.15
# points at which factors of axes of unlike length are compared
POINTS = 9
# rise of the power towards frequency 0 beyond what was measured
STEEPEST = 1.6
# power, as a share of the mean, that says nothing about axes
FAINT = 0.02
LEVELS = 12
# voxels of a range of grey values
LEAST_LEVEL = 1000
# ratio of the deviations of grey values below which they are alike
ALIKE = 1.15


@dataclass(frozen=True)
class Spectrum:
    """Strength and correlation of noise.

    Attributes:
        sigma: Deviation.
        frequency: Cycles per voxel.
        power: Radial power there.
        axes: Factors of it along the axes; none where the noise is alike in all
            directions. The mean over the whole spectrum is 1.
    """

    sigma: float
    frequency: tuple[float, ...]
    power: tuple[float, ...]
    axes: Axes


def measured(parts: Floats) -> Spectrum:
    """The noise that bricks (n, z, y, x) of it show."""
    spread = deviations(parts)
    if not len(parts) or not spread.any():
        return Spectrum(0.0, (0.0, 1.0), (1.0, 1.0), ())
    varied = spread > 0
    unit = spread[varied].astype(np.float32)[:, None, None, None]
    flat = without_plane(parts[varied] / unit)
    octant, counts = _octant(flat)
    frequency, power, axes = _factored(octant, counts)
    # with the plane went the noise of the four lowest frequencies
    lowest = power[0] * float(np.prod([one[0] for one in axes])) if axes else power[0]
    kept = max(0.5, 1 - 4 * lowest / flat[0].size)
    sigma = float(np.median(spread[varied])) / kept**0.5
    return Spectrum(sigma, frequency, power, axes)


def _octant(flat: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean power at frequencies from 0 to 0.5, and how many each stands for."""
    sides = flat.shape[1:]
    window = np.ones((1, 1, 1), dtype=np.float32)
    for axis, size in enumerate(sides):
        taper = np.hanning(size + 2)[1:-1].astype(np.float32)
        window = window * _along(taper, axis)
    total = np.zeros(sides)
    for some in np.array_split(flat, -(-len(flat) // 32)):
        spectra = fft.fftn(some * window, axes=(1, 2, 3), workers=-1)
        total += (np.abs(spectra) ** 2).sum(axis=0)
    counts = np.ones(sides)
    for axis, size in enumerate(sides):
        there = np.arange(size)
        folded = np.zeros((size // 2 + 1, size))
        folded[np.minimum(there, size - there), there] = 1
        total = np.moveaxis(np.tensordot(folded, total, (1, axis)), 0, axis)
        counts = np.moveaxis(np.tensordot(folded, counts, (1, axis)), 0, axis)
    return np.maximum(total / counts, 1e-6 * total.sum() / counts.sum()), counts


def _along(values: NDArray[Any], axis: int) -> NDArray[Any]:
    """Values of one of three axes, to be multiplied with blocks."""
    shape = [1, 1, 1]
    shape[axis] = len(values)
    return values.reshape(shape)


def _factored(
    octant: NDArray[np.float64], counts: NDArray[np.float64]
) -> tuple[tuple[float, ...], tuple[float, ...], Axes]:
    """Power as a radial part times a factor along each axis."""
    grids = [
        np.linspace(0, 0.5, size) if size > 1 else np.zeros(1) for size in octant.shape
    ]
    radius = np.sqrt(sum(one**2 for one in np.meshgrid(*grids, indexing="ij")))
    step = 0.5 / max(1, max(octant.shape) - 1)
    frequency = np.arange(0, 0.87 + step / 2, step)
    ring = np.minimum(np.rint(radius / step).astype(int), len(frequency) - 1)
    # the window spreads what the plane has taken over the lowest frequencies
    known = counts * (radius > 1.5 * step)
    factors = [np.ones(size) for size in octant.shape]
    radial = _averaged(octant, known, ring, len(frequency))
    uneven = 0.0
    for _ in range(8):
        for axis in range(3):
            rest = octant / (radial[ring] * _product(factors))
            across = tuple(other for other in range(3) if other != axis)
            weights = known * (octant > FAINT * octant.mean())
            total = weights.sum(axis=across)
            means = (weights * rest).sum(axis=across) / np.maximum(total, 1e-9)
            factors[axis] = factors[axis] * np.where(total > 0, means, 1)
        factors, uneven = _unlike(factors)
        radial = _averaged(octant / _product(factors), known, ring, len(frequency))
    if uneven < UNEVEN:
        factors = [np.ones(size) for size in octant.shape]
        radial = _averaged(octant, known, ring, len(frequency))
    model = radial[ring] * _product(factors)
    radial = radial * counts.sum() / (model * counts).sum()
    axes = tuple(tuple(float(value) for value in one) for one in factors)
    return (
        tuple(float(value) for value in frequency),
        tuple(float(value) for value in radial),
        axes if uneven >= UNEVEN else (),
    )


def _unlike(
    factors: list[NDArray[np.float64]],
) -> tuple[list[NDArray[np.float64]], float]:
    """Factors without what the axes have in common, and how unlike they are."""
    even = np.linspace(0, 1, POINTS)
    logs = np.array(
        [
            np.interp(even, np.linspace(0, 1, len(one)), np.log(np.maximum(one, FAINT)))
            for one in factors
            if len(one) > 1
        ]
    )
    if len(logs) < 2:
        return [np.ones_like(one) for one in factors], 0.0
    common = np.exp(logs.mean(axis=0))
    rest = [
        one / np.interp(np.linspace(0, 1, len(one)), even, common)
        if len(one) > 1
        else one
        for one in factors
    ]
    return rest, float(np.std(logs - logs.mean(axis=0), axis=1).max())


def by_level(residual: Floats, models: Floats, level: float, sigma: float) -> Levels:
    """Deviation of the noise by grey value, from the finest details of the residual.

    Args:
        residual: Raw tiles less models.
        models: What the raw tiles should be without noise.
        level: Grey value at which the deviation is known.
        sigma: That deviation.

    Returns:
        Pairs of grey value and deviation, which never falls; none where all are alike.
    """
    wide = [axis for axis in (1, 2, 3) if models.shape[axis] > 2]
    fine = residual.copy()
    steep = np.zeros_like(models)
    for axis in wide:
        fine -= ndimage.uniform_filter1d(fine, 3, axis=axis)
        steep += np.gradient(models, axis=axis) ** 2
    # mirrored at the tiles' borders, the finest details are weaker there
    cut = [slice(1, -1) if axis in wide else slice(None) for axis in range(4)]
    middle = tuple(cut)
    fine, steep, models = fine[middle], steep[middle], models[middle]
    low, high = np.quantile(models, (0.001, 0.999))
    if not high > low:
        return ()
    places = ((models - low) * (LEVELS / (high - low))).clip(0, LEVELS - 1).astype(int)
    found = []
    for number in range(LEVELS):
        here = places == number
        if np.count_nonzero(here) < LEAST_LEVEL:
            continue
        # the even half: near edges the network's errors look like noise
        even = steep[here] <= np.median(steep[here])
        details = fine[here][even]
        found.append((models[here][even].mean(), _spread(details), len(details)))
    if len(found) < 2:
        return ()
    levels, spreads, counts = np.array(found, dtype=np.float64).T
    rising = optimize.isotonic_regression(spreads, weights=counts).x
    at_level = float(np.interp(level, levels, rising))
    if not at_level or rising[-1] / max(rising[0], 1e-30) < ALIKE:
        return ()
    scaled = np.clip(rising / at_level, 0.2, 5) * sigma
    return tuple((float(a), float(b)) for a, b in zip(levels, scaled, strict=True))


def slope(deviations: Sequence[tuple[float, float]]) -> float:
    """Variance gained per grey value, by a line."""
    if len(deviations) < 2:
        return 0.0
    levels, values = np.array(deviations).T
    return float(np.polyfit(levels, values**2, 1)[0])


def _averaged(
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    ring: NDArray[np.int_],
    count: int,
) -> NDArray[np.float64]:
    """Weighted means by ring; the first rings without any continue as a Gaussian."""
    total = np.bincount(ring.ravel(), weights.ravel(), count)
    sums = np.bincount(ring.ravel(), (weights * values).ravel(), count)
    known = np.flatnonzero(total)
    means = np.maximum(sums[known] / total[known], 1e-30)
    filled = np.interp(np.arange(count), known, means)
    first = known[0]
    if first and len(known) > 1:
        later = min(2, len(known) - 1)
        fall = np.log(means[0] / means[later]) / (known[later] ** 2 - first**2)
        rise = np.exp(fall * (first**2 - np.arange(first) ** 2))
        filled[:first] = means[0] * rise.clip(1, STEEPEST)
    return filled


def _product(factors: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    z, y, x = factors
    return z[:, None, None] * y[:, None] * x


def _spread(values: Floats) -> float:
    """Deviation without the outermost hundredth; works for few grey values too."""
    low, high = np.quantile(values, (0.005, 0.995))
    return float(np.clip(values, low, high).std(dtype=np.float64))
