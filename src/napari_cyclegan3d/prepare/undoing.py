"""Back on the grid that a volume, or the one it was made from, had before."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Planned, Volume
from napari_cyclegan3d.prepare.arrays import Taken, check_fits
from napari_cyclegan3d.prepare.events import Applied, Working
from napari_cyclegan3d.prepare.grids import on_grid
from napari_cyclegan3d.prepare.options import UndoSettings
from napari_cyclegan3d.prepare.records import Grid, Record
from napari_cyclegan3d.prepare.slicing import AXES

SCALES = tuple(map(Fraction, ("1", "2", "4", "1/2", "1/4")))


def undo(volume: Volume, settings: UndoSettings, origin: Volume | None) -> Applied:
    """The volume on the grid before its last steps; grey values stay as they are.

    An enhanced volume is finer than the prepared one: it comes onto the earlier grid at
    as many times its size.

    Args:
        volume: What is to be brought back.
        settings: How many steps, and how.
        origin: The prepared volume whose records count; by default the volume itself.

    Raises:
        InputError: There are no records, fewer than asked for, or of another grid.
    """
    records: tuple[Record, ...] = (origin or volume).metadata.get("prepared", ())
    if not records:
        raise InputError(
            f"{(origin or volume).name}: nothing tells how it was prepared (no "
            "NAME.prepared.json beside it); name the prepared volume it was made from"
        )
    if settings.back > len(records):
        raise InputError(
            f"back {settings.back}: steps of {(origin or volume).name} on record: "
            f"{len(records)}; give a smaller number, or 0 for all"
        )
    yield Working(0, f"bringing {volume.name} back")
    scale = _scale(volume, records[-1].after)
    undone = records[-settings.back :]
    waiting: Record | None = None
    for record in reversed(undone):
        if record.kept is None:
            waiting = record
            continue
        if waiting is not None:
            volume = _onto(volume, waiting.before, scale, settings)
            waiting = None
        volume = _put_back(volume, record, scale, settings.outside)
    if waiting is not None:
        volume = _onto(volume, waiting.before, scale, settings)
    return volume


def _scale(volume: Volume, after: Grid) -> Fraction:
    """Size of the volume over that of the grid it was made from."""
    for scale in SCALES:
        if volume.shape == tuple(int(size * scale) for size in after.shape):
            return scale
    raise InputError(
        f"{volume.name}: shape {volume.shape} is not 1, 2 or 4 times (or a half or a "
        f"quarter of) the shape {after.shape} that the records state; choose the "
        "prepared volume it was made from"
    )


def _grid(volume: Volume, grid: Grid, scale: Fraction) -> Volume:
    z, y, x = (int(size * scale) for size in grid.shape)
    fine = Planned((z, y, x), volume.dtype)
    coarse = Planned(grid.shape, volume.dtype)
    plain = replace(volume, array=coarse, affine=np.array(grid.affine), unit=grid.unit)
    return plain.resampled(fine, scale)


def _onto(
    volume: Volume, grid: Grid, scale: Fraction, settings: UndoSettings
) -> Volume:
    target = _grid(volume, grid, scale)
    return on_grid(volume, target, settings.interpolation, settings.outside)


def _put_back(
    volume: Volume, record: Record, scale: Fraction, outside: float
) -> Volume:
    """Each slice at its number before a selection."""
    assert record.kept is not None
    check_fits(outside, volume.dtype, "outside")
    axis = AXES.index(record.kept.axis)
    target = _grid(volume, record.before, scale)
    numbers = [np.arange(size) for size in target.shape]
    numbers[axis] = np.full(target.shape[axis], -1)
    kept = record.kept.numbers
    # of a finer volume, several slices lie where there was one
    for place in range(target.shape[axis]):
        one = int((place + Fraction(1, 2)) / scale)
        if one in kept:
            number = int(kept.index(one) * scale) + place - int(one * scale)
            numbers[axis][place] = min(number, volume.shape[axis] - 1)
    z, y, x = numbers
    return replace(target, array=Taken(volume.array, (z, y, x), outside))
