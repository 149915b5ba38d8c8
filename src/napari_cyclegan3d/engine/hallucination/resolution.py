"""How fine the enhanced volume looks, and how fine the data say it is.

The claim is read off the volume itself by decorrelation (Descloux et al. 2019, doi
10.1038/s41592-019-0515-7); what is confirmed, off its Fourier shell correlation with
raw data that it was not made from. What lies between the two is invented bandwidth.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_cyclegan3d.engine.hallucination.reduction import reduced
from napari_cyclegan3d.engine.metrics import fsc, fsc_resolution
from napari_cyclegan3d.engine.volume import Region, Volume

# longest side of what is looked at, from the middle of the volume
SIDE = 160
# where two halves of the data would correlate by 0.143, a perfect volume correlates
# with one of them by the square root (Rosenthal & Henderson 2003, doi
# 10.1016/j.jmb.2003.07.013)
CONFIRMED = 0.143**0.5
# high passes, in cycles per voxel, under which the claim is searched
HIGH_PASSES = (0.0, 0.02, 0.04, 0.08, 0.12, 0.18)
SHELLS = 60
# lower peaks are those of noise
LEAST_PEAK = 0.05


def confirmed_resolution(enhanced: Volume, raw: Volume, scale: int) -> float:
    """The length down to which independent raw data agree with an enhancement.

    Args:
        enhanced: Made from other data of the same object.
        raw: Not what it was made from; on a grid coarser by `scale`.
        scale: Size of `enhanced` over that of `raw`.

    Returns:
        In the unit of the volume; infinite if nothing agrees.
    """
    place = _middle(raw)
    z, y, x = (slice(part.start * scale, part.stop * scale) for part in place)
    coarse = reduced(_read(enhanced, (z, y, x)), scale)
    return fsc_resolution(*fsc(coarse, _read(raw, place), raw.spacing), CONFIRMED)


def claimed_resolution(volume: Volume) -> float:
    """The length down to which a volume shows structure above its own noise.

    Returns:
        In the unit of the volume, that of its coarsest axis.
    """
    values = _read(volume, _middle(volume))
    for axis, side in enumerate(values.shape):
        window = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
        values = (values - values.mean()) * np.expand_dims(
            window.astype(np.float32), [one for one in range(3) if one != axis]
        )
    amplitude = np.abs(fft.rfftn(values)).astype(np.float32)
    grids = [fft.fftfreq(n) for n in values.shape[:2]] + [fft.rfftfreq(values.shape[2])]
    radius = np.sqrt(sum(one**2 for one in np.ix_(*grids))).astype(np.float32)
    inside = (radius <= 0.5) & (radius > 0)
    radius, amplitude = radius[inside], amplitude[inside]
    order = np.argsort(radius)
    radius, amplitude = radius[order], amplitude[order]
    edges = np.linspace(0.5 / SHELLS, 0.5, SHELLS)
    cuts = np.searchsorted(radius, edges, side="right")
    found = [_peak(amplitude, radius, cuts, edges, low) for low in HIGH_PASSES]
    finest = max(found)
    return float("inf") if finest <= 0 else max(volume.spacing) / finest


def _peak(
    amplitude: NDArray[np.float32],
    radius: NDArray[np.float32],
    cuts: NDArray[np.intp],
    edges: NDArray[np.float64],
    low: float,
) -> float:
    """The frequency where the volume correlates best with its own phases below it."""
    kept = amplitude if not low else amplitude * (1 - np.exp(-((radius / low) ** 2)))
    sums = np.cumsum(kept, dtype=np.float64)
    power = float(np.square(kept, dtype=np.float64).sum())
    counts = np.maximum(cuts, 1)
    curve = sums[counts - 1] / np.sqrt(np.maximum(power * counts, 1e-30))
    best = int(np.argmax(curve))
    # the last shell: no noise above it, as fine as voxels are
    after = curve[best:].min()
    if best < len(curve) - 1 and curve[best] - after < LEAST_PEAK * curve[best]:
        best = len(curve) - 1
    return float(edges[best])


def _middle(volume: Volume) -> Region:
    z, y, x = (
        slice((n - min(n, SIDE)) // 2, (n - min(n, SIDE)) // 2 + min(n, SIDE))
        for n in volume.shape
    )
    return z, y, x


def _read(volume: Volume, region: Region) -> NDArray[np.float32]:
    return np.nan_to_num(volume.read(region).astype(np.float32))
