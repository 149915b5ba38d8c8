"""The axes of a model's input and output, in the words of bioimage.io."""

from fractions import Fraction
from typing import Any

import numpy as np

from napari_cyclegan3d.engine.units import METRES
from napari_cyclegan3d.exchange.graph import Outgoing

Axes = list[dict[str, Any]]


def input_axes(outgoing: Outgoing) -> Axes:
    """Batch, channel and space, with the sizes that the network takes."""
    size = {"min": outgoing.sizes.smallest, "step": outgoing.sizes.step}
    return [
        *_leading(outgoing),
        *(
            {"type": "space", "id": name, "size": size, "concatenable": True, **voxel}
            for name, voxel in _voxels(outgoing, Fraction(1)).items()
        ),
    ]


def output_axes(outgoing: Outgoing) -> Axes:
    """The same of the output: sizes refer to the input's, the halo is cut off."""
    halo = int(outgoing.sizes.halo * outgoing.scale)
    cut = {"halo": halo} if halo else {}
    return [
        *_leading(outgoing),
        *(
            {
                "type": "space",
                "id": name,
                "size": {"tensor_id": "input", "axis_id": name},
                **cut,
                **voxel,
            }
            for name, voxel in _voxels(outgoing, outgoing.scale).items()
        ),
    ]


def _leading(outgoing: Outgoing) -> Axes:
    # slices go as a batch; volumes one by one, as they are enhanced here
    batch = {"size": 1} if outgoing.network.dims == 3 else {}
    return [
        {"type": "batch", **batch},
        {"type": "channel", "channel_names": ["grey"]},
    ]


def _voxels(outgoing: Outgoing, scale: Fraction) -> dict[str, dict[str, Any]]:
    """Unit and voxel size of each axis, of the training's first volume."""
    origin = outgoing.model.header.provenance
    spacing, unit = origin.spacing_a, origin.unit_a
    if outgoing.direction == "b_to_a":
        spacing, unit = origin.spacing_b, origin.unit_b
    sides = dict(zip("zyx", spacing, strict=True))
    known = {"unit": unit} if unit in METRES else {}
    # sizes are computed from these and cut to whole voxels: with 24 bits that is exact
    return {
        name: {"scale": float(np.float32(sides[name])) / float(scale), **known}
        for name in outgoing.axes
    }
