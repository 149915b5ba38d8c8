"""Structures of the enhanced volume as objects of their own."""

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination.filters import Array, smooth
from napari_cyclegan3d.engine.hallucination.maps import Constants, contrast_of

__all__ = ["parted", "segment"]

Labels = NDArray[np.int32]
SMALLEST = 15  # voxels of the enhanced volume at scale 1
SPREAD = 2.0  # raw voxels by which the contrast is blurred before it is parted


def segment(enhanced: Array, constants: Constants, scale: int = 1) -> Labels:
    """Objects: pieces of bright and of dark structures.

    A structure is parted where its contrast, blurred by 2 raw voxels, has valleys, so
    that a long fibre is many pieces, each of which can be real or invented.

    Args:
        enhanced: Block of the enhanced volume.
        constants: Of the whole volume.
        scale: Enhanced size over raw size.

    Returns:
        Labels from 1, without gaps; 0 is background.
    """
    contrast = contrast_of(enhanced, constants.threshold, scale)
    return parted(contrast, constants.threshold, scale)


def parted(contrast: Array, threshold: float, scale: int) -> Labels:
    """The objects of structures that `contrast_of` has found; see `segment`."""
    labels = np.zeros(contrast.shape, np.int32)
    for sign in (1, -1):
        inside = sign * contrast > threshold
        if inside.any():
            basins = _basins(smooth(sign * contrast, SPREAD * scale), inside)
            labels = np.where(inside, basins + labels.max(), labels)
    return _without_small(labels, SMALLEST * scale**3)


def _basins(height: Array, inside: NDArray[np.bool_]) -> Labels:
    """Each voxel belongs to the summit that the steepest ascent from it leads to."""
    padded = np.pad(np.where(inside, height, -np.inf), 1, constant_values=-np.inf)
    places = np.flatnonzero(np.isfinite(padded))
    flat = padded.ravel()
    best, target = flat[places].copy(), places.copy()
    strides = (padded.shape[1] * padded.shape[2], padded.shape[2], 1)
    for offsets in np.ndindex(3, 3, 3):
        move = sum((o - 1) * s for o, s in zip(offsets, strides, strict=True))
        there = places + move
        # of equal heights the last one is the summit
        higher = (flat[there] > best) | ((flat[there] == best) & (there > target))
        best[higher] = flat[there][higher]
        target[higher] = there[higher]
    number = np.zeros(flat.size, np.int64)
    number[places] = np.arange(len(places))
    target = number[target]
    while not np.array_equal(target, target[target]):
        target = target[target]
    _, names = np.unique(target, return_inverse=True)
    labels = np.zeros(flat.size, np.int32)
    labels[places] = names + 1
    inner = labels.reshape(padded.shape)[1:-1, 1:-1, 1:-1]
    return np.asarray(inner, dtype=np.int32)


def _without_small(labels: Labels, smallest: int) -> Labels:
    """Labels without gaps; what is small is background."""
    sizes = np.bincount(labels.ravel())
    keep = sizes >= smallest
    keep[0] = False
    names = np.cumsum(keep, dtype=np.int32) * keep
    return np.asarray(names[labels], dtype=np.int32)
