"""Image quality: against a known truth, and of a set of patches against another set.

Everything works on volumes (z, y, x) and on slices (y, x).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter
from scipy.stats import wasserstein_distance

from napari_cyclegan3d.engine.errors import InputError

Image = NDArray[np.floating] | NDArray[np.integer]
Mask = NDArray[np.bool_]

SSIM_RADIUS = 5
# shortest side whose spectrum has two shells
SMALLEST_SPECTRUM = 4
# sliced Wasserstein: sigmas of the bands in voxels, side of a neighbourhood, how many
# of them are taken from each patch, and how many directions they are projected on
BANDS, NEIGHBOURHOOD, POSITIONS, DIRECTIONS = (1.0, 2.0), 3, 256, 64
# of the deviation of patches: what a band without content counts in units of
LEAST_BAND = 1e-3


def match_grey(
    image: Image, truth: Image, mask: Mask | None = None
) -> NDArray[np.float64]:
    """`image` with the gain and offset that bring it closest to `truth`.

    Scans differ in brightness and contrast; least squares takes both away, so that a
    comparison afterwards is about structure and noise.

    Args:
        image: Any shape.
        truth: Same shape.
        mask: Same shape; gain and offset are fitted where it is true.

    Returns:
        gain · image + offset as float64, everywhere.

    Raises:
        InputError: Shapes differ, or the mask is empty or not boolean.
    """
    inside = _inside(image, truth, mask)
    whole = image.astype(np.float64)
    x, y = whole[inside], truth[inside].astype(np.float64)
    variance = np.square(x - x.mean()).mean()
    if variance == 0:
        return np.full(whole.shape, y.mean())
    gain = ((x - x.mean()) * (y - y.mean())).mean() / variance
    return np.asarray(gain * (whole - x.mean()) + y.mean())


def psnr(
    image: Image, truth: Image, data_range: float, mask: Mask | None = None
) -> float:
    """Peak signal-to-noise ratio in dB: 10 log10(data_range² / mean squared error).

    Args:
        image: Any shape.
        truth: Same shape.
        data_range: Largest minus smallest possible grey value.
        mask: Same shape; the error is averaged where it is true.

    Raises:
        InputError: Shapes differ, or the mask is empty or not boolean.
    """
    error = _mean_square_error(image, truth, _inside(image, truth, mask))
    if error == 0:
        return float("inf")
    return float(10 * np.log10(data_range**2 / error))


def nrmse(image: Image, truth: Image, mask: Mask | None = None) -> float:
    """Root of the mean squared error over the range of the truth, in the mask.

    Args:
        image: Any shape.
        truth: Same shape; the range is its largest minus its smallest grey value.
        mask: Same shape; range and error are taken where it is true.

    Raises:
        InputError: Shapes differ, the mask is empty or not boolean, or the truth has
            one value only.
    """
    inside = _inside(image, truth, mask)
    low, high = float(truth[inside].min()), float(truth[inside].max())
    if low == high:
        raise InputError(
            f"truth of {low:g} everywhere: an error has no share of a range of 0; "
            "choose a region with structure"
        )
    return math.sqrt(_mean_square_error(image, truth, inside)) / (high - low)


def ssim(
    image: Image, truth: Image, data_range: float, mask: Mask | None = None
) -> float:
    """Mean structural similarity (Wang et al. 2004, doi 10.1109/TIP.2003.819861).

    Gaussian weights of sigma 1.5 voxels cut at 3.5 sigma, population covariance,
    K1 = 0.01, K2 = 0.03; a rim of 5 voxels is left out of the mean.

    Args:
        image: (z, y, x) or (y, x), each side at least 11 voxels.
        truth: Same shape.
        data_range: Largest minus smallest possible grey value.
        mask: Same shape; the similarity is averaged where it is true. Windows reach 5
            voxels beyond it.

    Raises:
        InputError: A side is shorter than the window, shapes differ, or the mask is
            empty inside the rim or not boolean.
    """
    if min(truth.shape) < 2 * SSIM_RADIUS + 1:
        raise InputError(
            f"shape {truth.shape}: SSIM needs at least {2 * SSIM_RADIUS + 1} voxels "
            "per side; choose a larger region"
        )
    _inside(image, truth, mask)

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
    core = (slice(SSIM_RADIUS, -SSIM_RADIUS),) * similarity.ndim
    if mask is None:
        return float(similarity[core].mean())
    if not mask[core].any():
        raise InputError(
            f"mask: true only within {SSIM_RADIUS} voxels of the border, where there "
            "is no SSIM; give a mask that reaches further in"
        )
    return float(similarity[core][mask[core]].mean())


def fsc(
    image: Image, truth: Image, spacing: Sequence[float] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fourier shell correlation (Harauz & van Heel 1986, Optik 73:146); 2D: rings.

    The mean is taken off, and a Hann window along each axis fades out the borders,
    whose jumps would correlate at all frequencies. Shells are one coefficient of the
    shortest extent wide, up to the Nyquist frequency of the coarsest axis.

    Args:
        image: (z, y, x) or (y, x), each side at least 4 voxels.
        truth: Same shape: the truth, or an independent second image.
        spacing: Voxel size along each axis; by default 1.

    Returns:
        Frequency of each shell (cycles per unit of `spacing`) and the correlation
        there, -1 to 1; 0 where an image has nothing.

    Raises:
        InputError: Shapes differ, or a side is too short.
    """
    _inside(image, truth, None)
    if min(image.shape) < SMALLEST_SPECTRUM:
        raise InputError(
            f"shape {image.shape}: a Fourier shell correlation needs at least "
            f"{SMALLEST_SPECTRUM} voxels per side; choose a larger region"
        )
    sizes = tuple(spacing or (1.0,) * image.ndim)
    extent = min(side * size for side, size in zip(image.shape, sizes, strict=True))
    # beyond floating-point doubt about a frequency that is Nyquist's exactly
    shells = math.floor(extent / (2 * max(sizes)) + 1e-6)
    shell = np.minimum(np.rint(_radius(image.shape, sizes) * extent), shells + 1)
    shell, weights = shell.astype(np.intp).ravel(), _hermitian_weights(image.shape)

    def shell_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.bincount(shell, (values * weights).ravel(), shells + 2)
        return sums[1:-1].astype(np.float64)

    one, other = _spectrum(image), _spectrum(truth)
    cross = shell_sums((one * other.conj()).real)
    power = shell_sums(np.abs(one) ** 2) * shell_sums(np.abs(other) ** 2)
    filled = power > 0
    correlation = np.where(filled, cross / np.sqrt(np.where(filled, power, 1)), 0)
    return np.arange(1, shells + 1) / extent, correlation


def fsc_resolution(
    frequency: NDArray[np.float64], correlation: NDArray[np.float64], threshold: float
) -> float:
    """The length at which a Fourier shell correlation first falls below a threshold.

    Between shells the correlation is taken as linear. Usual thresholds are 0.5 against
    a truth without noise, and 0.143 between two images with noise of their own, which
    is the same resolution (Rosenthal & Henderson 2003, doi 10.1016/j.jmb.2003.07.013).

    Args:
        frequency: As from `fsc`.
        correlation: As from `fsc`.
        threshold: 0 to 1.

    Returns:
        One over the frequency, in the unit of the voxel size. If the correlation never
        falls below: that of the last shell, so the resolution is this or better. If it
        is below from the first shell on: infinity.
    """
    below = correlation < threshold
    if not below.any():
        return float(1 / frequency[-1])
    last = int(below.argmax())
    if last == 0:
        return float("inf")
    drop = correlation[last - 1] - correlation[last]
    share = (correlation[last - 1] - threshold) / drop
    crossing = frequency[last - 1] + share * (frequency[last] - frequency[last - 1])
    return float(1 / crossing)


def sliced_wasserstein(images: Image, others: Image, seed: int = 0) -> float:
    """How differently two sets of patches look, without any pairs.

    Sliced Wasserstein distance (Rabin et al. 2011, doi 10.1007/978-3-642-24785-9_37)
    between small neighbourhoods in the bands of a Laplacian decomposition, as Karras et
    al. 2018, arXiv:1710.10196 judge GANs, with bands that are not reduced, in units of
    each band's deviation in `others` instead of each set's own: so noise, blur, and
    brightness count, and inverted contrast where dark and bright differ in shape or
    amount.

    Args:
        images: Patches to judge (n, z, y, x) or (n, y, x), sides at least 3 voxels.
        others: Patches of the wanted look (m, …), same number of axes.
        seed: Decides the neighbourhoods and directions; the same for both sets.

    Returns:
        0 for equal sets; the mean distance over bands and directions.

    Raises:
        InputError: Patches are too small, flat in one set and solid in the other, or
            `others` have one value only.
    """
    if images.ndim != others.ndim or min(*images.shape[1:], *others.shape[1:]) < 3:
        raise InputError(
            f"patches {images.shape} and {others.shape}: both sets need as many axes "
            f"and at least {NEIGHBOURHOOD} voxels per side"
        )
    if others.min() == others.max():
        raise InputError(
            f"patches of {others.flat[0]:g} everywhere: nothing looks like them; draw "
            "patches with structure"
        )
    size = NEIGHBOURHOOD ** (images.ndim - 1)
    directions = np.random.default_rng(seed).normal(size=(size, DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    distances: list[float] = []
    for band, wanted in zip(_bands(images), _bands(others), strict=True):
        deviation = max(wanted.std(), LEAST_BAND * others.std())
        shown = _neighbourhoods(band, seed) @ directions / deviation
        target = _neighbourhoods(wanted, seed) @ directions / deviation
        distances += map(wasserstein_distance, shown.T, target.T)
    return float(np.mean(distances))


def _inside(image: Image, truth: Image, mask: Mask | None) -> Mask:
    """The mask, or one that is true everywhere; all shapes are checked."""
    if image.shape != truth.shape:
        raise InputError(
            f"shapes {image.shape} and {truth.shape}: images are compared on one grid; "
            "resample one to the other"
        )
    if mask is None:
        return np.ones(image.shape, np.bool_)
    if mask.shape != image.shape or mask.dtype != np.bool_:
        raise InputError(
            f"mask of shape {mask.shape} and type {mask.dtype} for images of shape "
            f"{image.shape}: give a boolean mask on the same grid"
        )
    if not mask.any():
        raise InputError("mask: true nowhere; give one that covers what is compared")
    return mask


def _mean_square_error(image: Image, truth: Image, inside: Mask) -> float:
    difference = image[inside].astype(np.float64) - truth[inside].astype(np.float64)
    return float(np.square(difference).mean())


def _radius(shape: tuple[int, ...], sizes: Sequence[float]) -> NDArray[np.float64]:
    """Frequency of each coefficient of a real image's spectrum."""
    axes = [fft.fftfreq(*pair) for pair in zip(shape[:-1], sizes[:-1], strict=True)]
    grids = np.ix_(*axes, fft.rfftfreq(shape[-1], sizes[-1]))
    return np.asarray(np.sqrt(sum(grid**2 for grid in grids)))


def _hermitian_weights(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """How often a coefficient along the last axis occurs in the whole spectrum."""
    weights = np.full(shape[-1] // 2 + 1, 2.0)
    weights[0] = 1
    if shape[-1] % 2 == 0:
        weights[-1] = 1
    return weights


def _spectrum(image: Image) -> NDArray[np.complex128]:
    faded = image.astype(np.float64) - image.mean(dtype=np.float64)
    for axis, side in enumerate(image.shape):
        window = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
        faded *= np.expand_dims(window, [a for a in range(image.ndim) if a != axis])
    return np.asarray(fft.rfftn(faded))


def _bands(patches: Image) -> list[NDArray[np.float64]]:
    """Patches split into bands of fineness; their sum is the patches."""
    rest, bands = patches.astype(np.float64), []
    for sigma in BANDS:
        smooth = gaussian_filter(rest, (0, *(sigma,) * (patches.ndim - 1)))
        bands.append(rest - smooth)
        rest = smooth
    return [*bands, rest]


def _neighbourhoods(patches: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Neighbourhoods (count, voxels), from the same places of each patch."""
    axes = tuple(range(1, patches.ndim))
    windows = sliding_window_view(patches, (NEIGHBOURHOOD,) * len(axes), axes)
    random = np.random.default_rng(seed)
    places = (random.integers(windows.shape[a], size=POSITIONS) for a in axes)
    chosen: tuple[Any, ...] = (slice(None), *places)
    return np.asarray(windows[chosen].reshape(-1, NEIGHBOURHOOD ** len(axes)))
