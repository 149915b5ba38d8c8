"""Maps of what the raw volume says about the enhanced one, voxel by voxel.

All live on the raw grid. The residual is compared with the structure that the enhanced
volume shows (what was invented misses in the raw volume by just that much), and with
lines and balls of the volume's own thickness (what the network deleted).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import fft

from napari_cyclegan3d.engine.hallucination.comparison import (
    Constants,
    Parts,
    Sight,
    compare,
    compared,
    contrast_of,
)
from napari_cyclegan3d.engine.hallucination.filters import (
    BOX,
    Array,
    otsu,
    smooth,
    wide,
)
from napari_cyclegan3d.engine.hallucination.noise import Noise
from napari_cyclegan3d.engine.hallucination.operator import Operator
from napari_cyclegan3d.engine.hallucination.reduction import reduced
from napari_cyclegan3d.engine.hallucination.sampling import finite
from napari_cyclegan3d.engine.hallucination.store import blocks, finer
from napari_cyclegan3d.engine.hallucination.templates import fit_search
from napari_cyclegan3d.engine.volume import Volume

__all__ = [
    "HALO",
    "Constants",
    "Parts",
    "Sight",
    "block_maps",
    "compare",
    "contrast_of",
    "maps_of",
    "measure",
    "residual_of",
]

HALO = 24  # raw voxels around a core that its maps may depend on
SIDE = 48  # of a tile of the first pass, without halo
TILES = 8
# widths of the windows in which structures are compared
MIDDLE, OTHERS = 2.5, (2.0, 3.5)

Blocks = dict[str, Array]


def block_maps(
    raw: Array, enhanced: Array, operator: Operator, noise: Noise, constants: Constants
) -> Blocks:
    """All maps of a block that need no pass of a network.

    Args:
        raw: Block of the raw volume.
        enhanced: The same place in the enhanced volume.
        operator: How raw follows from enhanced.
        noise: Of the raw volume.
        constants: Of the whole volume.

    Returns:
        On the raw grid: residual (signed z; negative: invented), rse (in standard
        deviations of the noise), prior_only (0 to 1), support (local b) and power
        (local d′).
    """
    return maps_of(Sight.of(raw, enhanced, operator, noise, constants))


def maps_of(sight: Sight) -> Blocks:
    """The maps of a block that has been compared; see `block_maps`."""
    residual, (z, power) = residual_of(sight)
    return {
        "residual": residual,
        "rse": np.sqrt(smooth(sight.parts.residual**2, 2.0)),
        "prior_only": prior_only(
            sight.contrast, sight.operator, sight.noise, sight.constants
        ),
        "support": np.clip(1 + z / np.maximum(power, 1), 0, 1.5),
        "power": power,
    }


def residual_of(sight: Sight) -> tuple[Array, tuple[Array, Array]]:
    """The map of the residual; z and d′ of the structures in the middle window."""
    parts = sight.parts
    missing = sight.constants.search.best(*parts.twice(sight.noise))
    np.maximum(missing, 0, out=missing)
    energy, both = parts.structure**2, parts.structure * parts.residual
    middle = compared(both, energy, MIDDLE)
    invented = np.minimum(middle[0], 0)
    for width in OTHERS:
        np.minimum(invented, compared(both, energy, width)[0], out=invented)
    return np.where(-invented > missing, invented, missing), middle


def prior_only(
    contrast: Array, operator: Operator, noise: Noise, constants: Constants
) -> Array:
    """Share of local detail that the raw block cannot determine, on the raw grid."""
    scale = operator.scale
    spectrum = fft.rfftn(contrast, workers=2)
    axes = [fft.fftfreq(size) * scale for size in contrast.shape[:2]]
    axes.append(fft.rfftfreq(contrast.shape[2]) * scale)
    small = [axis.astype(np.float32) for axis in axes]
    grid = np.meshgrid(*small, indexing="ij", sparse=True)
    radius = np.sqrt(grid[0] ** 2 + grid[1] ** 2 + grid[2] ** 2)
    log_blur = sum(
        (2 * np.pi * axis * sigma) ** 2
        for axis, sigma in zip(grid, operator.fit.blur, strict=True)
    )
    share = np.interp(radius, constants.frequency, constants.share)
    seen = share.astype(np.float32) * np.exp(-log_blur)
    for axis in grid:
        seen = seen * (np.abs(axis) <= 0.5)
    hidden = fft.irfftn(spectrum / (1 + seen), contrast.shape, workers=2)
    floor = constants.threshold * 0.1
    local = np.sqrt(smooth(reduced(hidden.astype(np.float32) ** 2, scale), 1.5))
    whole = np.sqrt(smooth(reduced(contrast**2, scale), 1.5))
    return np.clip(local / (whole + floor), 0, 1)


def measure(
    raw: Volume,
    enhanced: Volume,
    operator: Operator,
    noise: Noise,
    random: np.random.Generator,
) -> Constants:
    """The constants of a volume, from up to 64 random tiles of it.

    Args:
        raw: The raw volume.
        enhanced: The enhanced one.
        operator: How raw follows from enhanced.
        noise: Of the raw volume.
        random: Chooses the tiles.
    """
    tiles = list(_tiles(raw, enhanced, operator.scale, random))
    threshold = _threshold([tile[1] for tile in tiles], operator.scale)
    contrasts = [contrast_of(tile[1], threshold, operator.scale) for tile in tiles]
    thickness = _thickness(contrasts, threshold, operator.scale)
    frequency, share = _share(contrasts, operator, noise)
    parts = [
        compare(one, other, contrast, operator, noise)
        for (one, other), contrast in zip(tiles, contrasts, strict=True)
    ]
    blur = operator.fit.blur
    sigma = (float(np.hypot(width, thickness)) for width in blur)
    z, y, x = sigma
    search = fit_search([one.twice(noise) for one in parts], (z, y, x))
    return Constants(threshold, thickness, search, frequency, share)


def _tiles(
    raw: Volume, enhanced: Volume, scale: int, random: np.random.Generator
) -> Iterator[tuple[Array, Array]]:
    """Random tiles of both volumes; the same one is not drawn twice."""
    places = list(blocks(raw.shape, SIDE, HALO // 2))
    count = min(TILES, len(places))
    for number in random.choice(len(places), count, replace=False):
        region = places[number].read
        yield (
            finite(raw.read(region))[0],
            finite(enhanced.read(finer(region, scale)))[0],
        )


def _threshold(tiles: Sequence[Array], scale: int) -> float:
    """Contrast that parts structures from texture: 0.6 of Otsu's."""
    values = np.concatenate(
        [np.abs(tile - wide(tile, BOX * scale)).ravel() for tile in tiles]
    )
    return 0.6 * otsu(values)


def _thickness(contrasts: Sequence[Array], threshold: float, scale: int) -> float:
    """Standard deviation across structures, in raw voxels, by content and surface."""
    inside = surface = 0
    for contrast in contrasts:
        mask = np.abs(contrast) > threshold
        inside += int(mask.sum())
        surface += sum(int(np.diff(mask, axis=axis).sum()) for axis in range(3))
    # a cylinder has radius / 3 voxels per face that it shows along the axes
    radius = 3 * inside / max(surface, 1) / scale
    return float(np.clip(radius / 2, 0.4, 3.0))


def _share(
    contrasts: Sequence[Array], operator: Operator, noise: Noise
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Power of the structures over that of the noise, by frequency of the raw grid."""
    edges = np.linspace(0, 0.9, 19)
    power, count = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
    for contrast in contrasts:
        windows = np.meshgrid(*map(np.hanning, contrast.shape), indexing="ij")
        window = np.prod(windows, axis=0)
        spectrum = np.abs(fft.fftn(contrast * window)) ** 2 / np.sum(window**2)
        axes = [fft.fftfreq(size) * operator.scale for size in contrast.shape]
        radius = np.linalg.norm(np.meshgrid(*axes, indexing="ij"), axis=0)
        power += np.histogram(radius, edges, weights=spectrum)[0]
        count += np.histogram(radius, edges)[0]
    middle = (edges[1:] + edges[:-1]) / 2
    fit = noise.fit
    noisy = fit.sigma**2 * np.interp(middle, fit.frequency, fit.power)
    seen = operator.fit.gain**2 * power / np.maximum(count, 1) / operator.scale**3
    return tuple(middle), tuple(seen / np.maximum(noisy, 1e-12))
