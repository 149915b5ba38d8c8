"""Gain, offset and sub-voxel shift between raw tiles and a model of them."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_cyclegan3d.engine.hallucination.findings import Triple
from napari_cyclegan3d.engine.hallucination.sampling import Floats, Sample

# raw voxels; a result and its source lie on the same grid, so more is no shift
FARTHEST = 4
# raw voxels; less is the error of the estimate
LEAST = 0.02


def line(model: Floats, raw: Floats) -> tuple[float, float, float]:
    """Gain, offset and correlation of the least squares line raw ≈ gain·model + offset.

    Where one of the two is constant, gain and correlation are 0.
    """
    mean_model = float(model.mean(dtype=np.float64))
    mean_raw = float(raw.mean(dtype=np.float64))
    one = (model - np.float32(mean_model)).ravel()
    two = (raw - np.float32(mean_raw)).ravel()
    # float32 dot products are summed in parts by BLAS: exact enough for ratios
    power, other, both = float(one @ one), float(two @ two), float(one @ two)
    if not power or not other:
        return 0.0, mean_raw, 0.0
    gain = both / power
    return gain, mean_raw - gain * mean_model, both / (power * other) ** 0.5


def coarse(
    sample: Sample, model: Floats, lost: Callable[[Triple, Triple], float]
) -> Triple:
    """Whole voxels by which the model lies off, by phase correlation.

    Args:
        sample: The tiles.
        model: What the operator without a shift makes of the enhanced tiles.
        lost: Share of the raw tiles that is not explained, for a blur and a shift.

    Returns:
        The shift, if it explains more of the raw tiles than none; else zeros.
    """
    axes = (1, 2, 3)
    window = np.ones((1, 1, 1), dtype=np.float32)
    for axis, size in enumerate(model.shape[1:]):
        shape = [1, 1, 1]
        shape[axis] = size
        taper = np.hanning(size + 2)[1:-1].astype(np.float32)
        window = window * taper.reshape(shape)
    centred = [
        (tiles - tiles.mean(axis=axes, keepdims=True)) * window
        for tiles in (model, sample.raw)
    ]
    first, second = (fft.rfftn(tiles, axes=axes, workers=-1) for tiles in centred)
    cross = (first * second.conj()).sum(axis=0)
    cross /= np.abs(cross) + 1e-6 * np.abs(cross).max() + np.finfo(np.float32).tiny
    surface = np.abs(fft.irfftn(cross, s=model.shape[1:], workers=-1))
    grids = [np.abs(np.fft.fftfreq(size, 1 / size)) for size in surface.shape]
    for axis, grid in enumerate(grids):
        far = np.flatnonzero(grid > min(FARTHEST, len(grid) // 4))
        surface.swapaxes(0, axis)[far] = 0
    peak = np.unravel_index(int(surface.argmax()), surface.shape)
    z, y, x = (
        float(place if place <= size // 2 else place - size)
        for place, size in zip(peak, surface.shape, strict=True)
    )
    still, blur = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return (z, y, x) if lost(blur, (z, y, x)) < lost(blur, still) else still


def fine(
    sample: Sample, model: Callable[[Triple], Floats], start: Triple, sure: float
) -> Triple:
    """The shift by least squares: the raw tiles as model and gradients of the model.

    Args:
        sample: The tiles.
        model: What the operator makes of the enhanced tiles, for a shift.
        start: Where to begin, within about a voxel.
        sure: Standard errors from which on a shift is one.

    Returns:
        The shift of the enhanced against the raw volume (z, y, x), in raw voxels.
    """
    raw = sample.raw[sample.inner]
    shift = np.array(start)
    error = np.zeros(3)
    for _ in range(3):
        made = model((float(shift[0]), float(shift[1]), float(shift[2])))
        step, error = _step(made, sample, raw)
        shift = np.clip(shift + step, -FARTHEST, FARTHEST)
        if np.abs(step).max() < LEAST / 4:
            break
    least = np.maximum(LEAST, sure * error)
    z, y, x = (
        0.0 if abs(one) < bound else round(float(one), 4)
        for one, bound in zip(shift, least, strict=True)
    )
    return z, y, x


def _step(
    made: Floats, sample: Sample, raw: Floats
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far a model lies off, and the standard error of that, by least squares."""
    step, error = np.zeros(3), np.zeros(3)
    wide = [axis for axis in range(3) if made.shape[axis + 1] > 2]
    parts = [made, *(np.gradient(made, axis=axis + 1) for axis in wide)]
    found, errors = least_squares([part[sample.inner] for part in parts], raw)
    if found[0]:
        step[wide] = np.clip(found[1:] / found[0], -1, 1)
        error[wide] = errors[1:] / abs(found[0])
    return step, error


def least_squares(
    parts: Sequence[Floats], raw: Floats
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights of parts (and of a constant) that explain raw tiles most.

    Returns:
        The weights and their standard errors, were the rest white noise.
    """
    target = raw.ravel() - raw.mean()
    columns = [part.ravel() - part.mean() for part in parts]
    gram = np.array([[float(a @ b) for b in columns] for a in columns])
    right = np.array([float(a @ target) for a in columns])
    inverse = np.linalg.pinv(gram, rcond=1e-7)
    found = inverse @ right
    rest = max(float(target @ target) - float(found @ right), 0.0) / target.size
    return found, np.sqrt(rest * np.abs(np.diag(inverse)))
