"""Whether volumes can be inspected together, before anything long begins."""

import itertools

import numpy as np

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import check_contrast
from napari_cyclegan3d.engine.volume import Volume

SCALES = (1, 2, 4)
# shorter volumes hold neither an object with its surroundings nor a spectrum
SHORTEST = 16
# of a raw voxel: how far apart corners may lie that should be the same
APART = 0.5


def checked_scale(raw: Volume, enhanced: Volume) -> int:
    """Size of the enhanced volume over that of the raw one.

    Raises:
        InputError: The volumes are on grids that do not belong together, too small, or
            show nothing.
    """
    for volume in (raw, enhanced):
        if min(volume.shape) < SHORTEST:
            raise InputError(
                f"{volume.name}: shape {volume.shape}; an inspection needs at least "
                f"{SHORTEST} voxels along each axis"
            )
    scale = next(
        (n for n in SCALES if tuple(n * one for one in raw.shape) == enhanced.shape), 0
    )
    if not scale:
        raise InputError(
            f"{enhanced.name}: shape {enhanced.shape}, but {raw.name} has "
            f"{raw.shape}; the enhanced volume must be 1, 2 or 4 times as large along "
            "each axis: choose the volume that it was made from"
        )
    _check_place(raw.resampled(enhanced.array, scale), enhanced, raw)
    for volume in (raw, enhanced):
        check_contrast(volume)
    return scale


def check_same_grid(volume: Volume, other: Volume, what: str) -> None:
    """Refuse a volume that does not lie voxel by voxel on another one.

    Args:
        volume: What is checked.
        other: Whose grid it needs.
        what: Its part in the inspection, for the message: "truth".

    Raises:
        InputError: Shape or place differ, or it shows nothing.
    """
    if volume.shape != other.shape:
        raise InputError(
            f"{volume.name}: shape {volume.shape} as {what}, but {other.name} has "
            f"{other.shape}; resample it to that grid"
        )
    _check_place(other, volume, other)
    check_contrast(volume)


def check_model(model: Model, scale: int) -> None:
    """Refuse a model that cannot have made the enhanced volume.

    Raises:
        InputError: It enlarges by another factor.
    """
    if model.header.scale != scale:
        raise InputError(
            f"{model.name}: has scale {model.header.scale}, but the enhanced volume is "
            f"{scale} times the size of the raw one; choose the model that made it"
        )


def _check_place(wanted: Volume, given: Volume, raw: Volume) -> None:
    """Corners must agree, where the file says at all where its voxels lie."""
    if given.unit == "pixel" and np.array_equal(given.affine, np.eye(4)):
        return
    corners = np.array(
        [
            (*corner, 1)
            for corner in itertools.product(*((0, n - 1) for n in given.shape))
        ]
    )
    apart = np.abs(corners @ (wanted.affine - given.affine).T).max()
    if apart > APART * max(raw.spacing):
        raise InputError(
            f"{given.name}: lies up to {apart:.3g} {raw.unit} away from where it would "
            f"lie over {raw.name}; choose volumes of one scan, or register them first"
        )
