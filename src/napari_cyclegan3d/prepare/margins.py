"""Room around a volume, and none: padding and cropping, lazily, in place."""

from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region, Volume
from napari_cyclegan3d.prepare.arrays import Indices, Taken, check_fits, slabs
from napari_cyclegan3d.prepare.events import Applied, Event, Working
from napari_cyclegan3d.prepare.grids import on_grid
from napari_cyclegan3d.prepare.levels import threshold_of
from napari_cyclegan3d.prepare.options import CropSettings, PadSettings

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def pad(volume: Volume, settings: PadSettings, _: Volume | None) -> Applied:
    """The volume with room at both ends of each axis.

    Raises:
        InputError: Voxels cannot have the value of the room.
    """
    yield Working(0, f"padding {volume.name}")
    if settings.filled == "constant":
        check_fits(settings.value, volume.dtype, "value")
    before, numbers = [], []
    for size, margin in zip(volume.shape, settings.margin, strict=True):
        least = size + 2 * margin
        extra = -least % settings.multiple
        room = margin + extra // 2, margin + extra - extra // 2
        before.append(room[0])
        numbers.append(_numbers(size, room, settings.filled))
    affine = volume.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ np.array(before, dtype=np.float64)
    z, y, x = numbers
    return replace(
        volume, array=Taken(volume.array, (z, y, x), settings.value), affine=affine
    )


def _numbers(size: int, room: tuple[int, int], filled: str) -> Indices:
    inside = np.arange(size)
    if filled == "constant":
        return np.pad(inside, room, constant_values=-1)
    if filled == "edge":
        return np.pad(inside, room, mode="edge")
    return np.pad(inside, room, mode="reflect")


def crop(volume: Volume, settings: CropSettings, mask: Volume | None) -> Applied:
    """The box of the volume around its content, or around the content of a mask.

    Raises:
        InputError: There is no content.
    """
    if mask is not None:
        looked_at = on_grid(mask, volume, "nearest")
        box = yield from box_of(looked_at, 0.0, mask=True)
    else:
        threshold = yield from threshold_of(volume, settings.threshold)
        box = yield from box_of(volume, threshold)
    if box is None:
        place = f" in the field of view of {volume.name}" if mask else ""
        raise InputError(
            f"{(mask or volume).name}: shows nothing but background{place}; choose "
            f"another {'mask' if mask else 'volume or threshold'}"
        )
    return volume.crop(region_of([box], volume, settings.margin))


def box_of(
    volume: Volume, threshold: float, *, mask: bool = False
) -> Generator[Event, None, Box | None]:
    """The smallest box with all voxels above a threshold; None: there are none.

    Args:
        volume: Where to look.
        threshold: Of grey values.
        mask: Content is what differs from the threshold, as labels below 0 do.
    """
    seen = [np.zeros(size, np.bool_) for size in volume.shape]
    for done, place, voxels in slabs(volume):
        content = np.isfinite(voxels) & (
            (voxels != threshold) if mask else (voxels > threshold)
        )
        plane = content.any(axis=0)
        seen[0][place] = content.any(axis=(1, 2))
        seen[1] |= plane.any(axis=1)
        seen[2] |= plane.any(axis=0)
        yield Working(done, f"looking for the content of {volume.name}")
    if not seen[0].any():
        return None
    ends = [np.flatnonzero(one)[[0, -1]] for one in seen]
    z, y, x = ((int(first), int(last) + 1) for first, last in ends)
    return z, y, x


def region_of(boxes: Sequence[Box], volume: Volume, margin: int) -> Region:
    """What boxes have in common, with a margin, within a volume."""
    z, y, x = (
        slice(
            max(0, max(box[axis][0] for box in boxes) - margin),
            min(size, min(box[axis][1] for box in boxes) + margin),
        )
        for axis, size in enumerate(volume.shape)
    )
    return z, y, x
