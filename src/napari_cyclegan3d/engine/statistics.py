"""Patches of a volume to measure a network's statistics on."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.volume import Shape, Volume

# patches looked at for each one wanted, as some show nothing
TRIES = 8
# the root of x^4 = x + 1
SPREAD = 1.2207440846057596


def sample_patches(
    volume: Volume,
    intensity: Intensity,
    patch: Shape,
    count: int,
    dims: int,
    inputs: int,
) -> Iterator[Tensor]:
    """Patches evenly spread over a volume, the same at every call.

    The places follow the additive recurrence of M. Roberts ("The Unreasonable
    Effectiveness of Quasirandom Sequences", 2018), which leaves no part of the volume
    out whatever the count. Patches of one value, or with voxels without one, are passed
    over; there may thus be fewer than `count`. A side longer than the volume is filled
    by mirroring.

    Args:
        volume: Read patch by patch; for a 2D network with the slices first.
        intensity: From grey values to numbers around zero.
        patch: Voxels of a patch (z, y, x); for a 2D network (1, rows, columns).
        count: Patches wanted.
        dims: 3 for volumes, 2 for slices.
        inputs: Channels of the network's input; those of noise are 0.

    Yields:
        (1, inputs, z, y, x), or (1, inputs, rows, columns), normalised.

    Raises:
        InputError: None of the patches shows anything.
    """
    found = 0
    for number in range(TRIES * count):
        grey = _read(volume, patch, number)
        if not np.isfinite(grey).all() or grey.min() == grey.max():
            continue
        image = torch.from_numpy(intensity.apply(grey))
        # the one slice of a 2D patch is where the channel belongs
        image = image[None] if dims == 2 else image[None, None]
        noise = torch.zeros_like(image).expand(-1, inputs - 1, *(-1,) * dims)
        yield torch.cat([image, noise], 1)
        found += 1
        if found == count:
            return
    if not found:
        raise InputError(
            f"{volume.name}: {TRIES * count} patches of {patch} voxels all hold one "
            "value, or voxels without one; crop the volume to what it shows"
        )


def _read(volume: Volume, patch: Shape, number: int) -> NDArray[np.generic]:
    """The patch at the place of this number."""
    region, missing = [], []
    for axis, (size, side) in enumerate(zip(volume.shape, patch, strict=True)):
        fraction = (0.5 + (number + 1) * SPREAD ** -(axis + 1)) % 1
        start = int(fraction * (max(0, size - side) + 1))
        region.append(slice(start, min(size, start + side)))
        missing.append((0, max(0, side - size)))
    z, y, x = region
    grey = volume.read((z, y, x))
    return np.pad(grey, missing, mode="reflect") if np.any(missing) else grey
