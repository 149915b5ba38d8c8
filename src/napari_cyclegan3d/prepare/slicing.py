"""Slices that show enough to be trained on (after MRI_T1_T2_CycleGAN)."""

from collections.abc import Generator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare.arrays import Taken, slabs
from napari_cyclegan3d.prepare.events import Applied, Event, Noted, Warned, Working
from napari_cyclegan3d.prepare.grids import on_grid
from napari_cyclegan3d.prepare.levels import threshold_of
from napari_cyclegan3d.prepare.options import SlicesSettings
from napari_cyclegan3d.prepare.records import Kept

AXES = "zyx"


def slices(
    volume: Volume, settings: SlicesSettings, reference: Volume | None
) -> Applied:
    """The slices whose share of background is below the limit.

    With a reference, its slices decide: T2 keeps the slices that T1 keeps.

    Raises:
        InputError: No slice shows enough.
    """
    decides = volume
    if reference is not None:
        decides = replace(on_grid(reference, volume, "nearest"), name=reference.name)
    axis = AXES.index(settings.axis)
    threshold = yield from threshold_of(decides, settings.threshold)
    shares = yield from background(decides, axis, threshold)
    numbers = np.flatnonzero(shares < settings.background)
    if not numbers.size:
        raise InputError(
            f"{decides.name}: every slice across {settings.axis} has at least "
            f"{shares.min():.2f} of background, the limit is {settings.background:g}; "
            "raise it, or lower the threshold"
        )
    gaps = int(numbers[-1] - numbers[0] + 1 - numbers.size)
    if gaps:
        yield Warned(
            f"{volume.name}: {gaps} slices between the others were left out, so that "
            "places behind the first gap are no longer those in the world; undo puts "
            "every slice back"
        )
    kept = tuple(int(one) for one in numbers)
    yield Noted(Kept(axis=settings.axis, numbers=kept))
    every = [np.arange(size) for size in volume.shape]
    every[axis] = numbers
    z, y, x = every
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, axis] * numbers[0]
    return replace(volume, array=Taken(volume.array, (z, y, x)), affine=affine)


def background(
    volume: Volume, axis: int, threshold: float
) -> Generator[Event, None, NDArray[np.float64]]:
    """The share of background of each slice; no number is background, too."""
    others = tuple(one for one in range(3) if one != axis)
    counts = np.zeros(volume.shape[axis])
    for done, place, voxels in slabs(volume):
        content = (voxels > threshold) & np.isfinite(voxels)
        found = content.sum(axis=others)
        if axis:
            counts += found
        else:
            counts[place] = found
        yield Working(done, f"looking at slices of {volume.name}")
    return 1 - counts * volume.shape[axis] / np.prod(volume.shape, dtype=np.float64)
