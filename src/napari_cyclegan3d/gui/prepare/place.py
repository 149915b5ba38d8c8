"""Where the layer of a prepared volume lies: exactly where its voxels belong.

A volume is shown upright, its true place waits in its metadata. So a result is placed
by the voxels that it shares with the layer it was made from, or with its partner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.layers import METADATA_KEY, to_layer_data
from napari_cyclegan3d.gui.prepare.task import Grey

# of a voxel: so much of a turn is rounding
TURN = 1e-6


@dataclass(frozen=True, eq=False)
class Shown:
    """A volume, and the layer that shows it."""

    volume: Volume
    layer: Grey


def layer_attributes(
    result: Volume, others: Sequence[Shown], frame: int = 0
) -> dict[str, Any]:
    """What `add_image` takes for a result, so that it lies over other layers.

    Args:
        result: The prepared volume, or the first one of a series.
        others: What it may lie over, first the layer that it was made from; the first
            one whose grid is not turned against the result's decides.
        frame: Where the result begins in a series.
    """
    # voxels are shown later: this only asks for the place
    _, kwargs, _ = to_layer_data(result, lazy=True)
    source = others[0].layer
    leading = source.ndim - 3
    for other in others:
        step = np.linalg.inv(other.volume.affine) @ result.affine
        if other.layer.ndim == source.ndim and _is_upright(step):
            kwargs |= _over(other.layer, step, frame)
            break
    else:
        if leading:
            kwargs |= _with_time(kwargs, source, frame)
    shown = _matrix(kwargs)[-4:, -4:]
    kept = {**kwargs["metadata"][METADATA_KEY], "shown": shown}
    kwargs["metadata"] = {**kwargs["metadata"], METADATA_KEY: kept}
    return kwargs


def _is_upright(step: NDArray[np.float64]) -> bool:
    """Whether voxels of one grid lie along the axes of another, in its directions."""
    axes = step[:3, :3]
    sizes = np.diag(axes)
    return bool((sizes > 0).all() and np.allclose(axes, np.diag(sizes), atol=TURN))


def _over(layer: Grey, step: NDArray[np.float64], frame: int) -> dict[str, Any]:
    """The place of voxels that are a step of a layer's voxels (4 × 4) apart from it."""
    leading = layer.ndim - 3
    factor = np.array([1.0] * leading + list(np.diag(step)[:3]))
    first = np.array([float(frame)] * leading + list(step[:3, 3]))
    own = Affine(
        scale=layer.scale,
        translate=layer.translate,
        rotate=layer.rotate,
        shear=layer.shear,
    )
    return {
        "scale": layer.scale * factor,
        "translate": own(first),
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine.affine_matrix,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


def _with_time(kwargs: dict[str, Any], layer: Grey, frame: int) -> dict[str, Any]:
    """The place of a volume, and where its frames lie in time."""
    begin = layer.translate[0] + frame * layer.scale[0]
    return {
        "scale": [layer.scale[0], *kwargs["scale"]],
        "translate": [begin, *kwargs["translate"]],
        "units": [layer.units[0], *kwargs["units"]],
        "axis_labels": [layer.axis_labels[0], *kwargs["axis_labels"]],
    }


def _matrix(kwargs: dict[str, Any]) -> NDArray[np.float64]:
    """From voxels to the viewer's world, of a layer with these attributes."""
    names = ("scale", "translate", "rotate", "shear")
    own = Affine(**{name: kwargs[name] for name in names if name in kwargs})
    outer = kwargs.get("affine", np.eye(len(own.affine_matrix)))
    return np.asarray(outer @ own.affine_matrix, dtype=np.float64)
