"""Grey values that mean the same as a reference's, in order.

All methods are one: percentiles of the volume are taken to those of the reference, with
straight lines between. What lies beyond the outermost ones follows their lines, so that
nothing is cut off and the order of grey values stays (Nyúl et al. 2000,
doi:10.1109/42.836373, for landmarks).
"""

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare.arrays import Computed
from napari_cyclegan3d.prepare.events import Applied, Event
from napari_cyclegan3d.prepare.levels import Values, otsu, sampled
from napari_cyclegan3d.prepare.options import MatchSettings

QUANTILES = 257
FLOAT = np.dtype(np.float32)


def match(volume: Volume, settings: MatchSettings, reference: Volume | None) -> Applied:
    """The volume with grey values like the reference's, as float32.

    Raises:
        InputError: One of the two shows nothing between the percentiles.
    """
    assert reference is not None
    asked = _percentiles(settings)
    source = yield from _levels(volume, asked, settings)
    target = yield from _levels(reference, asked, settings)
    for one, found in ((volume, source), (reference, target)):
        if found[0] == found[-1]:
            low, high = settings.percentiles
            raise InputError(
                f"{one.name}: its percentiles {low:g} and {high:g} are both "
                f"{found[0]:g}; spread them, or choose another volume"
            )
    # grey values of integers repeat: one place of the line for each
    first = np.flatnonzero(np.diff(source, prepend=-np.inf) > 0)
    line = _Line(source[first], target[first])
    return replace(volume, array=Computed((volume.array,), line, FLOAT))


def _percentiles(settings: MatchSettings) -> Values:
    low, high = settings.percentiles
    if settings.method == "percentiles":
        return np.array([low, high])
    if settings.method == "histogram":
        return np.linspace(low, high, QUANTILES)
    tens = np.arange(10.0, 91.0, 10.0)
    return np.array([low, *tens[(tens > low) & (tens < high)], high])


def _levels(
    volume: Volume, asked: Values, settings: MatchSettings
) -> Generator[Event, None, Values]:
    values = yield from sampled(volume)
    if settings.foreground:
        values = values[values > otsu(values)]
    return np.asarray(np.percentile(values, asked))


class _Line:
    """A line through points, straight between them and beyond them."""

    def __init__(self, source: Values, target: Values) -> None:
        self.source, self.target = source, target
        ends = np.diff(target)[[0, -1]] / np.diff(source)[[0, -1]]
        self.slopes = float(ends[0]), float(ends[1])

    def __call__(self, voxels: NDArray[Any]) -> NDArray[Any]:
        grey = voxels.astype(np.float64)
        found = np.interp(grey, self.source, self.target)
        found += np.minimum(grey - self.source[0], 0) * self.slopes[0]
        found += np.maximum(grey - self.source[-1], 0) * self.slopes[1]
        return np.asarray(found)
