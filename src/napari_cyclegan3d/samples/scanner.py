"""What a slow, careful scan and a fast one make of a density.

A model of the reconstructed grey values, not of the projections: blur, noise with the
spectrum that filtered back-projection leaves, and rings about the rotation axis z.
Arrays are (z, y, x); results are uint16 grey values.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

SLOW_GAIN = 60_000.0
"""Grey levels per unit density in the slow scan; density 0 is grey level 0."""
SLOW_BLUR = 0.5
"""Standard deviation of the slow scan's point spread function, in voxels."""
SLOW_NOISE = 0.01
"""Standard deviation of the slow scan's noise, in units of density."""

FAST_GAIN = 26_000.0
FAST_OFFSET = 14_000.0
"""Grey level = offset + gain × density: another scale and less contrast than slow."""
FAST_BLUR = 1.0
"""Standard deviation of the fast scan's point spread function, in voxels."""
FAST_NOISE = 0.08
"""Standard deviation of its electronic noise, in units of density."""
FAST_PHOTONS = 60.0
"""Photons counted per voxel of density 1: their noise grows with the density."""
NOISE_CORRELATION = 0.6
"""Width in voxels of the smoothing that reconstruction and detector do to the noise."""
RING_STRENGTH = 0.07
"""Standard deviation of the ring artefacts, in units of density."""
RING_HEIGHT = 8.0
"""Slices along z over which a ring comes and goes: a speck covers several rows."""


def slow_scan(
    density: NDArray[np.float32], seed: int, noise: float = SLOW_NOISE
) -> NDArray[np.uint16]:
    """The clean scan: a slight blur and faint noise.

    Args:
        density: Values in [0, 1], (z, y, x).
        seed: Seed of the noise.
        noise: Its standard deviation in units of density; 0 for the ground truth.

    Returns:
        Grey values of the same shape: matrix 21000, fibres 45000, pores 3000.
    """
    rng = np.random.default_rng(seed)
    seen = ndimage.gaussian_filter(density.astype(np.float64), SLOW_BLUR)
    seen += noise * rng.standard_normal(density.shape)
    return _digitise(SLOW_GAIN * seen)


def fast_scan(density: NDArray[np.float32], seed: int) -> NDArray[np.uint16]:
    """The fast scan: less contrast, blur, strong correlated noise and rings.

    Args:
        density: Values in [0, 1], (z, y, x); the rotation axis is the z axis through
            the middle.
        seed: Seed of noise and rings.

    Returns:
        Grey values of the same shape: matrix 23100, fibres 33500, pores 15300, before
        noise.
    """
    noise_rng, ring_rng = np.random.default_rng(seed).spawn(2)
    seen = ndimage.gaussian_filter(density.astype(np.float64), FAST_BLUR)
    variance = np.maximum(seen, 0) / FAST_PHOTONS + FAST_NOISE**2
    seen += np.sqrt(variance) * _reconstruction_noise(seen.shape, noise_rng)
    seen += RING_STRENGTH * _rings(seen.shape, ring_rng)
    return _digitise(FAST_OFFSET + FAST_GAIN * seen)


def _digitise(grey: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.clip(np.rint(grey), 0, 65_535).astype(np.uint16)


def _reconstruction_noise(
    shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Noise of variance 1 with the power spectrum of filtered back-projection.

    In the plane of a slice the power grows with the frequency, as the ramp filter makes
    it, and falls again where the reconstruction is smoothed: Riederer, Pelc & Chesler
    (1978), The noise power spectrum in computed X-ray tomography,
    doi 10.1088/0031-9155/23/3/008. Between slices only the smoothing correlates.
    """
    fz, fy, fx = np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij", sparse=True)
    in_plane = fy**2 + fx**2
    smoothing = np.exp(-2 * (np.pi * NOISE_CORRELATION) ** 2 * (in_plane + fz**2))
    # the least frequency keeps a little power: detectors drift
    amplitude = np.sqrt(np.sqrt(in_plane) + 0.02) * smoothing
    amplitude /= np.sqrt((amplitude**2).mean())
    white = fft.fftn(rng.standard_normal(shape))
    noise: NDArray[np.float64] = fft.ifftn(white * amplitude).real
    return noise


def _rings(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Rings and arcs about the z axis through the middle, of variance about 1.

    Every detector column has an error of its own, a few a large one (heavy tails). The
    error drifts along z, and some columns err during a part of the rotation only.
    """
    depth, height, width = shape
    y = np.arange(height)[:, None] - (height - 1) / 2
    x = np.arange(width) - (width - 1) / 2
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    columns = int(radius.max()) + 2
    white = rng.standard_normal((depth, columns))
    offsets = ndimage.gaussian_filter1d(white, RING_HEIGHT, 0)
    offsets *= rng.laplace(size=columns)
    offsets /= offsets.std()
    partial = rng.uniform(0, 1, columns) * (rng.uniform(size=columns) < 0.5)
    phase = rng.uniform(-np.pi, np.pi, columns)
    nearest = np.rint(radius).astype(int)
    arc = 1 + partial[nearest] * np.cos(angle - phase[nearest])
    low = radius.astype(int)
    part = radius - low
    rings = (1 - part) * offsets[:, low] + part * offsets[:, low + 1]
    result: NDArray[np.float64] = rings * arc
    return result
