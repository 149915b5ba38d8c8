"""What is known of one place, in words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image

from napari_cyclegan3d.engine.hallucination.findings import Finding
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.layers import finest
from napari_cyclegan3d.gui.views.grid import Grid, grid_of
from napari_cyclegan3d.gui.views.shown import Shown

NOTHING = "–"


def words_at(shown: Shown, world: Sequence[float]) -> str:
    """Grey values, residual, and how well a structure there is confirmed.

    Single voxels are read. What is not in memory is told only if it is drawn.

    Args:
        shown: The layers.
        world: Where, in the world of the viewer (z, y, x last).
    """
    place = tuple(world)[-3:]
    raw, enhanced = shown.names
    parts = [f"{raw} {_value(shown.raw, place)}"]
    parts.append(f"{enhanced} {_value(shown.enhanced, place)}")
    if shown.truth is not None:
        parts.append(f"truth {_value(shown.truth, place)}")
    if shown.residual is not None:
        parts.append(f"residual {_value(shown.residual, place)}")
    parts += [
        f"{name.replace('_', ' ')} {_of_map(shown.maps[name], shown.raw, place)}"
        for name in ("suspicion", "support", "prior_only")
        if name in shown.maps
    ]
    finding = finding_at(shown, place)
    if finding is not None:
        parts.append(_of(finding))
    return " · ".join(parts)


def finding_at(shown: Shown, world: Sequence[float]) -> Finding | None:
    """The finding that lies at a place, if one does."""
    if shown.suspects is None or shown.inspection is None:
        return None
    label = _voxel(finest(shown.suspects), grid_of(shown.suspects), world)
    found = (one for one in shown.inspection.findings if one.id == label)
    return next(found, None)


def _of(finding: Finding) -> str:
    confirmation, power = (
        NOTHING if one is None else f"{one:.1f}"
        for one in (finding.confirmation, finding.power)
    )
    return (
        f"no. {finding.id} {finding.verdict}: confirmation {confirmation} of power "
        f"{power}"
    )


def _value(layer: Image, world: Sequence[float]) -> str:
    voxels, grid = finest(layer), grid_of(layer)
    if isinstance(voxels, np.ndarray):
        return _written(_voxel(voxels, grid, world))
    seen = layer.visible and grid.voxel_at(world) is not None
    # of the slice that is drawn; reading a voxel could read a whole file
    value: Any = layer.get_value(world, world=True) if seen else None
    return _written(value[1] if isinstance(value, tuple) else value)


def _of_map(volume: Volume, raw: Image, world: Sequence[float]) -> str:
    """Maps lie on the grid of the raw volume, however that one is drawn."""
    if not isinstance(volume.array, np.ndarray):
        return NOTHING
    return _written(_voxel(volume.array, grid_of(raw), world))


def _voxel(voxels: Any, grid: Grid, world: Sequence[float]) -> Any:
    at = grid.voxel_at(world)
    return None if at is None else voxels[at]


def _written(value: Any) -> str:
    return NOTHING if value is None else f"{float(value):.4g}".replace("-", "−")
