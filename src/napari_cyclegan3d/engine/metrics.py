"""Image quality against a known truth, in 3D."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Image = NDArray[np.floating] | NDArray[np.integer]


def match_grey(image: Image, truth: Image) -> NDArray[np.float64]:
    """`image` with the gain and offset that bring it closest to `truth`.

    Scans differ in brightness and contrast; least squares takes both away, so that a
    comparison afterwards is about structure and noise.

    Args:
        image: Any shape.
        truth: Same shape.

    Returns:
        gain · image + offset as float64.
    """
    x, y = image.astype(np.float64), truth.astype(np.float64)
    variance = np.square(x - x.mean()).mean()
    if variance == 0:
        return np.full(x.shape, y.mean())
    gain = ((x - x.mean()) * (y - y.mean())).mean() / variance
    return np.asarray(gain * (x - x.mean()) + y.mean())


def psnr(image: Image, truth: Image, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB: 10 log10(data_range² / mean squared error)."""
    error = np.square(image.astype(np.float64) - truth.astype(np.float64)).mean()
    if error == 0:
        return float("inf")
    return float(10 * np.log10(data_range**2 / error))


def ssim(image: Image, truth: Image, data_range: float) -> float:
    """Mean structural similarity in 3D (Wang et al. 2004, doi 10.1109/TIP.2003.819861).

    Gaussian weights of sigma 1.5 voxels cut at 3.5 sigma, population covariance,
    K1 = 0.01, K2 = 0.03; a rim of 5 voxels is left out of the mean.

    Args:
        image: (z, y, x), each side at least 11 voxels.
        truth: Same shape.
        data_range: Largest minus smallest possible grey value.

    Raises:
        ValueError: A side is shorter than the window.
    """
    radius = 5
    if min(truth.shape) < 2 * radius + 1:
        raise ValueError(f"shape {truth.shape}: SSIM needs at least 11 voxels per side")

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(values, 1.5, truncate=3.5))

    x, y = image.astype(np.float64), truth.astype(np.float64)
    mean_x, mean_y = mean(x), mean(y)
    variance_x = mean(x * x) - mean_x**2
    variance_y = mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )
    inside = (slice(radius, -radius),) * similarity.ndim
    return float(similarity[inside].mean())
