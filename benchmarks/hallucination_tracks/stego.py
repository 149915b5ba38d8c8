"""Track S: pairs of networks of which some hide the scan in their result.

Chu et al. 2017 (arXiv:1712.02950): a CycleGAN may write what it takes away into detail
that nobody sees, and read it there on the way back. Here the code is constructed, so
that it is known which pair hides something, and how much: the scan's noise, up to a
fifth of the sampling frequency, rides on a checkerboard carrier in the result.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter

from hallucination_tracks.natural import REGIMES, natural, restorer
from hallucination_tracks.planted import Planted, planted
from hallucination_tracks.scores import auroc
from hallucination_tracks.tools import Tools, fitted
from hallucination_tracks.volumes import Array, noise
from napari_cyclegan3d.engine.hallucination.cycle import fill_cycle
from napari_cyclegan3d.engine.hallucination.passes import plain, run_through
from napari_cyclegan3d.engine.hallucination.store import new_map
from napari_cyclegan3d.engine.volume import Volume

SIGMA = 0.3
BAND = 0.2  # cycles per voxel along each axis that the code holds
FAINT = 0.01  # deviation of the code over that of the result
SHARES = (1.0, 0.5, 0.25, 0.1)  # of the scan's noise that the way back can read
SOFT, SMOOTH = 0.8, 1.0  # blurs of errors, as in the hardened cycle, in voxels
WHOLE = 64  # side of a block of the cycle map: a volume at once
Function = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class StegoTrial:
    """Gaps by pair, and how well cycle errors find known faults of one result.

    Attributes:
        gaps: Hardened over plain cycle error, by name of the pair.
        rms: Deviation of the code over that of the result.
        plain, hardened: AUROC, for voxels that are wrong, of the cycle error of the
            pair that hides everything.
        independent: The same of the error by the fitted operator.
    """

    gaps: dict[str, float]
    rms: float
    plain: float
    hardened: float
    independent: float


HONEST = ("honest", "honest_noisy", "honest_restorer")
CODED = tuple(f"coded_{round(100 * share)}" for share in SHARES)


def on_stego(seed: int) -> StegoTrial:
    """One volume with all pairs."""
    case = planted(seed, SIGMA)
    tools = fitted(case.raw, case.enhanced)
    way_back = tools.operator.apply
    coded, decode = hidden(case.raw, case.enhanced, way_back)
    random = np.random.default_rng([seed, 6])

    def noisy(enhanced: Array) -> Array:
        return way_back(enhanced) + noise(random, SIGMA, 0.0)

    gaps = {
        "honest": gap(case.raw, case.enhanced, way_back, tools)[0],
        "honest_noisy": gap(case.raw, case.enhanced, noisy, tools)[0],
        "honest_restorer": _of_restorer(seed),
    }
    maps = {}
    for name, share in zip(CODED, SHARES, strict=True):
        gaps[name], maps[name] = gap(case.raw, coded, decode(share), tools)
    found = _smooth(gaussian_filter(case.raw - decode(1.0)(coded), SOFT))
    return StegoTrial(
        gaps,
        float((coded - case.enhanced).std() / case.enhanced.std()),
        auroc(np.abs(found), case.wrong),
        auroc(maps[CODED[0]], case.wrong),
        _independent(case, way_back),
    )


def hidden(
    raw: Array, enhanced: Array, way_back: Function
) -> tuple[Array, Callable[[float], Function]]:
    """A result that holds the scan's noise, and ways back that read it.

    Args:
        raw: The scan.
        enhanced: An honest result of it.
        way_back: The honest way back.

    Returns:
        The result with the code, and by share of the noise a way back.
    """
    carrier = (np.indices(raw.shape).sum(0) % 2 * 2 - 1).astype(np.float32)
    secret = _low(raw - way_back(enhanced))
    strength = FAINT * float(enhanced.std()) / float(secret.std())
    cleared = enhanced - carrier * _low(carrier * enhanced)
    coded = cleared + np.float32(strength) * carrier * secret

    def decode(share: float) -> Function:
        def back(result: Array) -> Array:
            read = _low(carrier * result) * np.float32(share / strength)
            return np.asarray(way_back(result) + read)

        return back

    return coded, decode


def gap(
    raw: Array, enhanced: Array, back: Function, tools: Tools
) -> tuple[float, NDArray[np.float16]]:
    """The alarm's ratio, and the map of the hardened cycle error."""
    out = new_map(raw.shape)
    steps = fill_cycle(
        out, Volume(raw), Volume(enhanced), plain(back), tools.noise, WHOLE
    )
    return run_through(steps), out


def _of_restorer(seed: int) -> float:
    """Of a result that is full of inventions made of the scan's noise."""
    regime = REGIMES["crowded"]
    _, raw, _ = natural(seed, regime)
    enhanced = restorer(regime)(raw)
    tools = fitted(raw, enhanced)
    return gap(raw, enhanced, tools.operator.apply, tools)[0]


def _independent(case: Planted, way_back: Function) -> float:
    error = gaussian_filter(case.raw - way_back(case.enhanced), SOFT)
    return auroc(np.abs(_smooth(error)), case.wrong)


def _smooth(values: Array) -> Array:
    return np.asarray(gaussian_filter(values, SMOOTH))


def _low(values: Array) -> Array:
    """What varies slowly, without a trace of the rest."""
    spectrum = fft.rfftn(values)
    for axis, size in enumerate(values.shape):
        last = axis == values.ndim - 1
        frequency = fft.rfftfreq(size) if last else np.abs(fft.fftfreq(size))
        shape = [1] * values.ndim
        shape[axis] = -1
        spectrum *= (frequency <= BAND).reshape(shape)
    return fft.irfftn(spectrum, values.shape).astype(np.float32)
