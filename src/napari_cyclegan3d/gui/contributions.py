"""What napari calls by the manifest: readers, writers, sample data."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari.layers import Image

from napari_cyclegan3d import io, samples
from napari_cyclegan3d.gui.layers import LayerData, to_layer_data, to_volume
from napari_cyclegan3d.io.trees import open_one

Paths = str | Sequence[str]


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """Napari's question whether this plugin reads a path."""
    return read if all(io.can_read(one) for one in _listed(path)) else None


def read(path: Paths) -> list[LayerData]:
    """Volumes as layers, with voxel size, position and units."""
    return [to_layer_data(open_one(Path(one))) for one in _listed(path)]


def write_image(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save an image layer with its voxel size and, in NIfTI, its orientation."""
    known = {
        key: attributes[key]
        for key in ("name", "scale", "translate", "rotate", "shear", "affine")
        if key in attributes
    }
    layer = Image(
        data,
        **known,
        metadata=attributes.get("metadata", {}),
        units=attributes.get("units"),
        axis_labels=attributes.get("axis_labels"),
        multiscale=attributes.get("multiscale", False),
        rgb=attributes.get("rgb", False),
    )
    io.write(to_volume(layer), Path(path))
    return [path]


def fibre_sample() -> list[LayerData]:
    """The synthetic fibre composite: fast scan, its truth, and a slow scan."""
    volumes = (samples.fibre_fast(), samples.fibre_truth(), samples.fibre_slow())
    return [to_layer_data(volume) for volume in volumes]


def head_sample() -> list[LayerData]:
    """The synthetic head: T1-like and T2-like, on an oblique grid."""
    return [to_layer_data(volume) for volume in (samples.head_t1(), samples.head_t2())]


def _listed(path: Paths) -> Sequence[str]:
    return [path] if isinstance(path, str) else path
