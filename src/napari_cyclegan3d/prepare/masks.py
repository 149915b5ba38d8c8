"""Masks: of the brain, and what they leave of a volume."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare import hdbet
from napari_cyclegan3d.prepare.arrays import Computed, Mask, check_fits
from napari_cyclegan3d.prepare.events import Applied, Warned, Working
from napari_cyclegan3d.prepare.grids import covered, on_grid
from napari_cyclegan3d.prepare.levels import threshold_of
from napari_cyclegan3d.prepare.options import BrainMaskSettings, MaskSettings

# labels and distances of so many voxels take about 4 GB
MOST_VOXELS = 2**28


def mask(volume: Volume, settings: MaskSettings, mask: Volume | None) -> Applied:
    """The volume with one value outside of a mask (voxels that are not 0).

    Raises:
        InputError: The mask does not overlap with the volume, or voxels cannot have
            the value for outside.
    """
    assert mask is not None
    check_fits(settings.outside, volume.dtype, "outside")
    yield Working(0, f"masking {volume.name}")
    if not covered(mask, volume):
        raise InputError(
            f"{mask.name}: does not overlap with {volume.name} in the world; choose "
            "the mask of this volume"
        )
    placed = on_grid(mask, volume, "nearest")

    def function(voxels: NDArray[Any], inside: NDArray[Any]) -> NDArray[Any]:
        keep = (inside != 0) != settings.inverted
        return np.where(keep, voxels, np.asarray(settings.outside, voxels.dtype))

    sources = (volume.array, placed.array)
    return replace(volume, array=Computed(sources, function, volume.dtype))


def brain_mask(
    volume: Volume, settings: BrainMaskSettings, _: Volume | None
) -> Applied:
    """A mask of the brain on the volume's grid: 1 inside, 0 outside.

    Raises:
        InputError: HD-BET is asked for and not installed, or fails; or the volume is
            too large for the built-in mask, or shows nothing.
    """
    program = hdbet.program() if settings.method != "otsu" else None
    if program is None and settings.method == "hd-bet":
        raise InputError(
            "method hd-bet: there is no program hd-bet; install it in an environment "
            "of its own (pipx install hd-bet), or use method otsu"
        )
    if program is not None:
        found = yield from hdbet.brain_mask(program, volume, settings.device)
        return replace(volume, array=found.astype(np.uint8))
    if math.prod(volume.shape) > MOST_VOXELS:
        raise InputError(
            f"{volume.name}: {math.prod(volume.shape) / 1e6:.0f} million voxels are "
            "too many for the built-in mask; resample the volume first"
        )
    threshold = yield from threshold_of(volume, settings.threshold)
    yield Working(0.5, f"looking for the largest object of {volume.name}")
    bright = volume.read() > threshold
    found = largest(bright, settings.opening * min(volume.spacing), volume.spacing)
    if not found.any():
        raise InputError(
            f"{volume.name}: nothing above {threshold:g} is thicker than the opening "
            f"of {settings.opening:g} voxels; make it smaller"
        )
    yield Warned(
        f"{volume.name}: the mask is the largest object above {threshold:.4g}, not a "
        "brain extraction: where the volume shows scalp and skull, so does the mask"
    )
    return replace(volume, array=found.astype(np.uint8))


def largest(bright: Mask, radius: float, spacing: tuple[float, float, float]) -> Mask:
    """The largest object after an opening, with its holes filled.

    Args:
        bright: Voxels of objects (z, y, x).
        radius: Of the ball of the opening, in the unit of the spacing.
        spacing: Of the voxels (z, y, x).
    """
    from scipy import ndimage

    core = bright
    if radius:
        # outside of the volume nothing is known: objects may go on there
        depth = ndimage.distance_transform_edt(bright, spacing)
        core = depth > radius
    labels, count = ndimage.label(core)
    if not count:
        return np.zeros_like(bright)
    sizes = np.bincount(labels.ravel())[1:]
    core = labels == sizes.argmax() + 1
    if radius:
        core = bright & (ndimage.distance_transform_edt(~core, spacing) <= radius)
    filled: Mask = ndimage.binary_fill_holes(core)
    return filled
