"""Slices from few projections: parallel beam, filtered back-projection.

The shadow of a pixel is a quadratic B-spline over three detector elements: sharper
shadows would make patterns where their edges fall between elements. One sparse matrix
per angle serves projection and back-projection of many slices. The filter is the ramp
as Kak and Slaney (1988, chapter 3) sample it, which keeps the mean.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def from_projections(
    slices: Floats, count: int, pixel: tuple[float, float] = (1.0, 1.0)
) -> Floats:
    """What is left of slices that are reconstructed from a few projections.

    Args:
        slices: (n, y, x).
        count: Projections, evenly over 180 degrees.
        pixel: Size of a pixel (y, x), in any unit.

    Returns:
        The reconstructions, of the same shape.
    """
    number, height, width = slices.shape
    finest = min(pixel)
    y = (np.arange(height) - (height - 1) / 2)[:, None] * pixel[0] / finest
    x = (np.arange(width) - (width - 1) / 2) * pixel[1] / finest
    area = pixel[0] * pixel[1] / finest**2
    elements = int(np.ceil(2 * np.hypot(y[-1, 0], x[-1]))) + 4
    # beyond the border lies what is at the border, on the whole
    around = _border_means(slices)
    pixels = (slices - around).reshape(number, -1).T.astype(np.float32)
    result = np.zeros_like(pixels)
    ramp = _ramp(elements)
    for angle in np.pi * np.arange(count) / count:
        beams = _beams(np.cos(angle) * x + np.sin(angle) * y, elements)
        shadow = (beams.T @ pixels) * np.float32(area)
        result += beams @ _filtered(shadow, ramp)
    result *= np.float32(np.pi / count)
    return result.T.reshape(slices.shape) + around


def _border_means(slices: Floats) -> Floats:
    edges = [slices[:, [0, -1]], slices[:, :, [0, -1]].swapaxes(1, 2)]
    rims = np.concatenate([one.reshape(len(slices), -1) for one in edges], axis=1)
    means: Floats = rims.mean(axis=1, dtype=np.float64).astype(np.float32)
    return means[:, None, None]


def _beams(places: NDArray[np.float64], elements: int) -> Any:
    """Share of each pixel in each detector element (pixels, elements), sparse."""
    from scipy import sparse

    at = places.ravel() + (elements - 1) / 2
    middle = np.floor(at + 0.5).astype(np.int32)
    off = (at - middle).astype(np.float32)
    weights = [(0.5 - off) ** 2 / 2, 0.75 - off**2, (0.5 + off) ** 2 / 2]
    shares = np.stack(weights, axis=1).ravel()
    columns = np.stack([middle - 1, middle, middle + 1], axis=1).ravel()
    ends = np.arange(0, shares.size + 1, len(weights))
    return sparse.csr_array((shares, columns, ends), shape=(at.size, elements))


def _ramp(elements: int) -> NDArray[Any]:
    size = 2 ** int(np.ceil(np.log2(2 * elements)))
    distance = np.minimum(np.arange(size), size - np.arange(size))
    kernel = np.zeros(size)
    kernel[0] = 0.25
    odd = distance % 2 == 1
    kernel[odd] = -1 / (np.pi * distance[odd]) ** 2
    return np.asarray(np.fft.rfft(kernel))


def _filtered(shadow: Floats, ramp: NDArray[Any]) -> Floats:
    from scipy import fft

    size = 2 * (ramp.size - 1)
    spectrum = fft.rfft(shadow, size, axis=0) * ramp[:, None].astype(np.complex64)
    filtered: Floats = fft.irfft(spectrum, size, axis=0)[: len(shadow)]
    return filtered
