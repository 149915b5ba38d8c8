"""Grey values along a line through volumes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_cyclegan3d.engine.hallucination.findings import Inspection, OperatorFit
from napari_cyclegan3d.gui.views.grid import Grid

Values = NDArray[np.float64]
MOST = 400  # places along a line
BOX = 2**20  # voxels that are read at a time
REACH = 3.0  # of the blur, in standard deviations
NO_MARGIN = np.zeros(3, int)


@dataclass(frozen=True, eq=False)
class Source:
    """Voxels and where they lie."""

    voxels: Any
    grid: Grid


@dataclass(frozen=True, eq=False)
class Profile:
    """What a line runs through; NaN outside of a volume.

    Attributes:
        distance: From the line's beginning, in the world's unit (places).
        raw: Of the raw volume.
        others: By name, in grey values of the raw volume where a fit is known.
        expected: What the raw volume should show if the enhanced one were true.
        deviation: Of the noise at that grey value.
    """

    distance: Values
    raw: Values
    others: Mapping[str, Values] = field(default_factory=dict)
    expected: Values | None = None
    deviation: Values | None = None


def profile(
    raw: Source,
    others: Mapping[str, Source],
    inspection: Inspection | None,
    ends: NDArray[np.float64],
) -> Iterator[Profile]:
    """Read a profile, off the GUI thread.

    Args:
        raw: The raw volume.
        others: Enhanced and true volumes; that called "enhanced" gives what the raw one
            should show.
        inspection: Has the fits; None: grey values as they are.
        ends: The line from one world position to another (2, 3).
    """
    grids = [raw.grid, *(one.grid for one in others.values())]
    length = float(np.linalg.norm(ends[1] - ends[0]))
    finest = min(float(np.abs(grid.spacing).min()) for grid in grids)
    count = int(np.clip(2 * length / finest, 2, MOST)) + 1
    along = np.linspace(0, 1, count)
    places = ends[0] + along[:, None] * (ends[1] - ends[0])
    values = {name: read(one, places) for name, one in others.items()}
    if inspection is None:
        yield Profile(along * length, read(raw, places), values)
        return
    fit, noise = inspection.operator, inspection.noise
    expected = _degraded(others["enhanced"], raw.grid, fit, places)
    variance = noise.sigma**2 + noise.slope * (expected - noise.level)
    yield Profile(
        along * length,
        read(raw, places),
        {name: _in_grey_of_raw(one, fit) for name, one in values.items()},
        expected,
        np.sqrt(np.maximum(variance, 0.0)),
    )


def read(
    source: Source,
    places: NDArray[np.float64],
    prepare: Callable[[Values], Values] | None = None,
    margin: NDArray[np.int_] = NO_MARGIN,
) -> Values:
    """Values at world positions (n, 3), between voxels linearly; NaN outside.

    Args:
        source: The volume.
        places: World positions (n, 3).
        prepare: What is done with its voxels before.
        margin: Voxels around a place that it needs.
    """
    voxels = source.grid.to_voxels(places)
    last = np.array(source.grid.shape) - 1
    outside = ((voxels < -0.5) | (voxels > last + 0.5)).any(axis=1)

    def read_inside(places: NDArray[np.float64]) -> Values:
        low = np.maximum(np.floor(places.min(axis=0)).astype(int) - margin, 0)
        high = np.minimum(np.ceil(places.max(axis=0)).astype(int) + margin, last) + 1
        if np.prod(high - low) > BOX and len(places) > 1:
            half = len(places) // 2
            pieces = (places[:half], places[half:])
            return np.concatenate([read_inside(one) for one in pieces])
        ends = zip(low.tolist(), high.tolist(), strict=True)
        box = np.asarray(source.voxels[tuple(slice(*one) for one in ends)], np.float64)
        if prepare is not None:
            box = prepare(box)
        found: Values = map_coordinates(box, (places - low).T, order=1, mode="nearest")
        return found

    values = read_inside(np.clip(voxels, 0, last))
    values[outside] = np.nan
    return values


def _degraded(
    enhanced: Source, raw: Grid, fit: OperatorFit, places: NDArray[np.float64]
) -> Values:
    """What the operator makes of the enhanced volume, only where it is needed."""
    # the mean within a raw voxel blurs, too
    within = (1 - 1 / fit.scale**2) / 12
    width = np.sqrt(np.square(fit.blur) + within) * fit.scale
    return read(
        enhanced,
        places + np.array(fit.shift) * raw.spacing,
        lambda box: gaussian_filter(_in_grey_of_raw(box, fit), width, truncate=REACH),
        np.ceil(REACH * width).astype(int) + 1,
    )


def _in_grey_of_raw(values: Values, fit: OperatorFit) -> Values:
    if fit.curve:
        enhanced, raw = np.array(fit.curve).T
        return np.asarray(np.interp(values, enhanced, raw), np.float64)
    return fit.gain * values + fit.offset
