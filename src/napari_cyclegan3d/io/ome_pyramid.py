"""The pyramid of an OME-Zarr: smaller copies of an image, for viewers.

A level is made of the one before it, by the mean of 2×2×2 voxels, when the image itself
is complete. What is there already is left, so this, too, goes on where it was.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region, Shape
from napari_cyclegan3d.io.ome_chunks import FINISHED, StoreSink, regions
from napari_cyclegan3d.io.ome_metadata import NOTE

# axes that are shorter are not halved, and an image of this size needs no smaller one
SHORTEST, SMALL = 32, 128
# voxels of a level that are made at a time
_CUBE = 64


def levels_of(shape: Shape) -> list[Shape]:
    """Voxels of full size in a voxel of each level (z, y, x), the first one's 1."""
    levels: list[Shape] = [(1, 1, 1)]
    while max(sizes := smaller(shape, levels[-1])) > SMALL:
        z, y, x = (
            factor * (2 if size >= SHORTEST else 1)
            for factor, size in zip(levels[-1], sizes, strict=True)
        )
        levels.append((z, y, x))
    return levels


def smaller(shape: Shape, factors: Shape) -> Shape:
    """Voxels per axis of a level; the last ones may be of fewer voxels."""
    z, y, x = (-(-size // one) for size, one in zip(shape, factors, strict=True))
    return z, y, x


def finish(path: Path, frames: Sequence[tuple[int, ...]], levels: int) -> None:
    """Make the pyramid and mark the image as whole.

    Args:
        path: The image.
        frames: Its volumes.
        levels: How many levels it has, that of full size included.

    Raises:
        InputError: There are chunks that were not written.
    """
    counts = [StoreSink(path, frame).progress() for frame in frames]
    done, count = (sum(numbers) for numbers in zip(*counts, strict=True))
    if done < count:
        raise InputError(
            f"{path}: {count - done} of {count} chunks are not written; give "
            "the same command once more, and it goes on"
        )
    for frame, level in product(frames, range(1, levels)):
        fine = StoreSink(path, frame, str(level - 1))
        _fill(StoreSink(path, frame, str(level)), fine)
    # what a killed process was writing
    for rest in path.rglob("*.partial"):
        rest.unlink(missing_ok=True)
    import zarr

    group = zarr.open_group(path, mode="r+")
    note = group.attrs[NOTE]
    if isinstance(note, Mapping) and "state" in note:
        group.attrs[NOTE] = {**note, "state": FINISHED}


def _fill(coarse: StoreSink, fine: StoreSink) -> None:
    steps = [
        2 if one != other else 1
        for one, other in zip(coarse.shape, fine.shape, strict=True)
    ]
    for region in regions(coarse.shape, coarse.chunks):
        if coarse.is_done(region):
            continue
        block = np.empty([part.stop - part.start for part in region], coarse.dtype)
        for cube in regions(block.shape, (_CUBE,) * 3):
            source = tuple(
                slice(
                    (whole.start + part.start) * step, (whole.start + part.stop) * step
                )
                for whole, part, step in zip(region, cube, steps, strict=True)
            )
            block[cube] = mean(fine[_three(source)], steps)
        coarse[region] = block


def _three(parts: tuple[slice, ...]) -> Region:
    z, y, x = parts
    return z, y, x


def mean(voxels: NDArray[Any], steps: Sequence[int]) -> NDArray[Any]:
    """Means of pairs along the axes whose step is 2; the last of odd ones stays."""
    dtype = voxels.dtype
    if dtype.itemsize < 8:
        kind = np.float32 if dtype.itemsize < 4 or dtype.kind == "f" else np.float64
        voxels = voxels.astype(kind, copy=False)
    for axis in (axis for axis, step in enumerate(steps) if step == 2):
        along = np.moveaxis(voxels, axis, 0)
        pairs = len(along) // 2 * 2
        halves = _middle(along[0:pairs:2], along[1:pairs:2])
        voxels = np.moveaxis(np.concatenate([halves, along[pairs:]]), 0, axis)
    if dtype.kind in "bui" and voxels.dtype.kind == "f":
        voxels = np.rint(voxels)
    return voxels.astype(dtype, copy=False)


def _middle(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    half: NDArray[Any]
    if one.dtype.kind in "ui":  # of 64 bits, which float64 does not hold
        half = (one & other) + ((one ^ other) >> 1)
    else:
        with np.errstate(all="ignore"):  # what is no number stays none
            half = (one + other) / 2
    return half
