"""Grey levels of a volume: a sample of them, their percentiles, Otsu's threshold."""

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare.arrays import slabs
from napari_cyclegan3d.prepare.events import Event, Working

SAMPLE_VOXELS = 2**22
BINS = 256
# a few voxels of metal or a vessel must not stretch the histogram
HIGHEST = 99.9

Values = NDArray[np.float64]


def sampled(volume: Volume) -> Generator[Event, None, Values]:
    """Finite grey values: all of them, or about four million at random.

    Raises:
        InputError: None is finite, or all are the same.
    """
    share = min(1.0, SAMPLE_VOXELS / np.prod(volume.shape, dtype=np.float64))
    random = np.random.default_rng(0)
    parts = []
    for done, _, voxels in slabs(volume):
        values = voxels[np.isfinite(voxels)]
        if share < 1:
            values = random.choice(values, int(np.ceil(share * values.size)))
        parts.append(values.astype(np.float64))
        yield Working(done, f"reading {volume.name}")
    values = np.concatenate(parts)
    if not values.size:
        raise InputError(f"{volume.name}: no voxel is a finite number; choose another")
    if values.min() == values.max():
        raise InputError(
            f"{volume.name}: every voxel is {values[0]:g}; choose a volume that shows "
            "something"
        )
    return values


def otsu(values: Values) -> float:
    """The threshold that parts values best into two (Otsu 1979).

    Values above it are the brighter class. What is brighter than 99.9 % of all values
    counts as that bright.
    """
    top = float(np.percentile(values, HIGHEST))
    if top <= values.min():
        top = float(values.max())
    counts, edges = np.histogram(np.minimum(values, top), BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = counts.sum() - below
    sums = np.cumsum(counts * middles)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = sums[:-1] / below - (sums[-1] - sums[:-1]) / above
        between = np.nan_to_num(below * above * apart**2)
    best = np.flatnonzero(between == between.max())
    # where nothing lies between the classes, every threshold there is as good
    return float(edges[1:-1][best].mean())


def threshold_of(volume: Volume, given: float | None) -> Generator[Event, None, float]:
    """A threshold that was given, or Otsu's of the volume."""
    if given is not None:
        return given
    return otsu((yield from sampled(volume)))
