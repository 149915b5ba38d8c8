"""Where the raw volume shows noise alone."""

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.sampling import Floats, finite
from napari_cyclegan3d.engine.hallucination.settings import Span
from napari_cyclegan3d.engine.volume import Volume, format_region

# sides of bricks; the longer ones, where there are enough, tell more about slow noise
SHORT, LONG = 16, 32
LEAST_SIDE = 4
LEAST_VOXELS = 500
LEAST_BRICKS, ENOUGH_BRICKS = 12, 96
# deviation of a flat brick, as a multiple of the flattest tenth's median
FLAT = 1.25
# deviation of the model in a flat brick, as a share of the brick's own: structure of
# that share is next to nothing, or as little as can be had
EMPTY, SHOWN = 0.12, 0.35
# the same, as a share of that of all tiles
FAINT, CONTRAST = 0.1, 0.2
# steps between neighbours, as a share of those of the bright half, that are no noise;
# a brick in which more than a share of voxels has none was masked or cut off
MASKED = 0.02
CUT_OFF = 0.5
FLATTEST = "the flattest parts of the raw volume"


def noise_region(raw: Volume, spans: tuple[Span, Span, Span]) -> Floats:
    """The voxels of a part of the raw volume that a person called noise.

    Raises:
        InputError: It is not within the volume, or has too few voxels.
    """
    z, y, x = (slice(start, stop) for start, stop in spans)
    sides = [stop - start for start, stop in spans]
    if any(
        start < 0 or stop > size or stop <= start
        for (start, stop), size in zip(spans, raw.shape, strict=True)
    ):
        raise InputError(
            f"noise region {format_region((z, y, x))} is not within the volume "
            f"{raw.name} of shape {raw.shape}; choose a part of it"
        )
    thin = any(
        side < min(LEAST_SIDE, size)
        for side, size in zip(sides, raw.shape, strict=True)
    )
    if thin or np.prod(sides) < LEAST_VOXELS:
        raise InputError(
            f"noise region {format_region((z, y, x))} is too small to measure noise; "
            f"give at least {LEAST_VOXELS} voxels, {LEAST_SIDE} along each axis"
        )
    return finite(raw.read((z, y, x)))[0]


def bricks(tiles: Floats, longest: int = SHORT) -> Floats:
    """Tiles (n, z, y, x) cut into bricks of up to `longest`³ voxels, (m, z, y, x)."""
    count = len(tiles)
    sides = [min(longest, size) for size in tiles.shape[1:]]
    whole = [size // side for size, side in zip(tiles.shape[1:], sides, strict=True)]
    z, y, x = (
        slice(0, number * side) for number, side in zip(whole, sides, strict=True)
    )
    parts = tiles[:, z, y, x].reshape(
        count, whole[0], sides[0], whole[1], sides[1], whole[2], sides[2]
    )
    return np.ascontiguousarray(
        parts.transpose(0, 1, 3, 5, 2, 4, 6).reshape(-1, *sides)
    )


def noise_alone(tiles: Floats, models: Floats) -> tuple[Floats, float, str]:
    """Bricks that show noise alone.

    Args:
        tiles: Raw tiles (n, z, y, x).
        models: What they should be without noise.

    Returns:
        Bricks (m, z, y, x), none where all are constant; their noise-free grey value;
        and where they are from, for a report.
    """
    contrast = float(models.std())
    for side, share in ((LONG, EMPTY), (SHORT, EMPTY), (SHORT, SHOWN)):
        flat, there = _flattest(tiles, models, side)
        shown = deviations(there)
        empty = shown <= np.maximum(share * deviations(flat), FAINT * contrast)
        if np.count_nonzero(empty) >= LEAST_BRICKS:
            clear = np.flatnonzero(empty)[np.argsort(shown[empty])[:ENOUGH_BRICKS]]
            return flat[clear], grey_value(there[clear]), FLATTEST
    # what the model shows there is weak: the network copied noise
    if not len(flat) or np.median(shown) < CONTRAST * contrast:
        return flat, grey_value(there), FLATTEST
    raw, model = _whole(tiles, models, SHORT)
    spread = deviations(raw - model)
    half = spread <= (np.median(spread) if len(spread) else 0)
    how = (
        "the difference of raw and degraded enhanced volume, as no part without "
        "structure was found; a noise region would be safer"
    )
    return raw[half] - model[half], grey_value(model[half]), how


def _flattest(tiles: Floats, models: Floats, side: int) -> tuple[Floats, Floats]:
    """The bricks that vary least, and their models."""
    raw, model = _whole(tiles, models, side)
    if not len(raw):
        return raw, model
    spread = deviations(raw)
    first = np.sort(spread)[: max(1, len(spread) // 10)]
    flat = spread <= FLAT * np.median(first)
    return raw[flat], model[flat]


def _whole(tiles: Floats, models: Floats, side: int) -> tuple[Floats, Floats]:
    """All bricks that were neither masked nor cut off, and their models."""
    raw, model = bricks(tiles, side), bricks(models, side)
    details = np.abs(np.diff(raw - model, axis=-1))
    bright = model.mean(axis=(1, 2, 3))
    within = details[bright >= np.median(bright)]
    still = details <= MASKED * np.sqrt((within**2).mean(dtype=np.float64))
    whole = still.mean(axis=(1, 2, 3)) < CUT_OFF
    return raw[whole], model[whole]


def grey_value(parts: Floats) -> float:
    """The middle one of bricks' mean grey values; 0 where there are none."""
    return float(np.median(parts.mean(axis=(1, 2, 3)))) if len(parts) else 0.0


def deviations(parts: Floats) -> NDArray[np.float64]:
    """Deviation of each brick from its own plane."""
    flat = without_plane(parts)
    result: NDArray[np.float64] = np.sqrt(
        (flat**2).mean(axis=(1, 2, 3), dtype=np.float64)
    )
    return result


def without_plane(parts: Floats) -> Floats:
    """Bricks less their mean and their linear trend."""
    flat = parts - parts.mean(axis=(1, 2, 3), keepdims=True)
    for axis, size in enumerate(parts.shape[1:]):
        along = [1, 1, 1, 1]
        along[axis + 1] = size
        ramp = (np.arange(size, dtype=np.float32) - (size - 1) / 2).reshape(along)
        power = float((ramp**2).mean()) or 1.0
        flat -= ramp * ((flat * ramp).mean(axis=(1, 2, 3), keepdims=True) / power)
    result: Floats = flat.astype(np.float32, copy=False)
    return result
