"""napari layer ↔ Volume: the only file that knows both.

napari draws slices of rotated volumes wrongly, so a volume with an oblique affine is
shown on the nearest upright grid. The true affine waits in the layer's metadata and
comes back when the layer becomes a volume again.
"""

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume

if TYPE_CHECKING:
    from napari.layers import Image

LayerData = tuple[Any, dict[str, Any], str]
METADATA_KEY = "napari-cyclegan3d"
# larger volumes stay on disk and are read slice by slice
EAGER_BYTES = 2**30


def to_layer_data(volume: Volume) -> LayerData:
    """The volume as a napari layer tuple, upright, with units and axis labels."""
    place = {"scale": volume.spacing, "translate": volume.origin}
    kwargs = {
        **place,
        "name": _stem(volume.name),
        "rgb": False,  # napari takes three or four columns for colours
        "units": (volume.unit,) * 3,
        "axis_labels": volume.axis_labels,
        "metadata": _remembered(volume, Affine(**place).affine_matrix),
    }
    return _for_display(volume), kwargs, "image"


def to_volume(layer: "Image") -> Volume:
    """The volume that a layer shows; nothing is loaded.

    Raises:
        InputError: The layer is no single-channel 3D image.
    """
    if getattr(layer, "rgb", False):
        raise InputError(
            f"{layer.name}: a colour image; split it into channels and use one of them"
        )
    data = layer.data[0] if layer.multiscale else layer.data
    if data.ndim != 3:
        raise InputError(
            f"{layer.name}: shape {tuple(data.shape)} has {data.ndim} axes; use a 3D "
            "layer (z, y, x)"
        )
    known = _known_volume(layer)
    if known is not None:
        return Volume(
            data,
            known.affine,
            known.unit,
            known.axis_labels,
            layer.name,
            known.metadata,
        )
    units = {str(unit) for unit in layer.units}
    z, y, x = layer.axis_labels
    return Volume(
        data,
        _transform(layer),
        units.pop() if len(units) == 1 else "pixel",
        (z, y, x),
        layer.name,
    )


def result_layer_data(layer: "Image", result: Volume, scale: Fraction) -> LayerData:
    """A result as a layer that lies exactly over the layer it was computed from.

    Args:
        layer: The source.
        result: The translated volume.
        scale: Its size over the source's size.
    """
    factor = float(scale)
    # the first voxel's centre, in voxels of the source
    first = np.full(3, (1 / factor - 1) / 2)
    place = {
        "scale": layer.scale / factor,
        "translate": _own_transform(layer)(first),
        "rotate": layer.rotate,
        "shear": layer.shear,
    }
    kwargs = {
        **place,
        "name": f"{layer.name} enhanced",
        "rgb": False,
        "affine": layer.affine,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }
    if _known_volume(layer) is not None:
        shown = layer.affine.affine_matrix @ Affine(**place).affine_matrix
        kwargs["metadata"] = _remembered(result, shown)
    return result.read(), kwargs, "image"


def _stem(name: str) -> str:
    """A file's name without its suffix, as napari names layers."""
    longest_first = sorted(io.READABLE_SUFFIXES, key=len, reverse=True)
    return next(
        (name[: -len(one)] for one in longest_first if name.lower().endswith(one)), name
    )


def _own_transform(layer: "Image") -> Affine:
    """Scale, shear, rotation and translation of a layer, without its extra affine."""
    return Affine(
        scale=layer.scale,
        translate=layer.translate,
        rotate=layer.rotate,
        shear=layer.shear,
    )


def _known_volume(layer: "Image") -> Volume | None:
    """The volume a layer was made from, moved as the user has moved the layer since."""
    kept = layer.metadata.get(METADATA_KEY)
    if kept is None:
        return None
    volume: Volume = kept["volume"]
    now, shown = _transform(layer), kept["shown"]
    if np.allclose(now, shown):
        return volume
    return replace(volume, affine=now @ np.linalg.inv(shown) @ volume.affine)


def _transform(layer: "Image") -> NDArray[np.float64]:
    """The 4×4 matrix from voxel index to world of a layer as it is shown."""
    matrix = layer.affine.affine_matrix @ _own_transform(layer).affine_matrix
    return np.asarray(matrix, dtype=np.float64)


def _remembered(volume: Volume, shown: NDArray[np.float64]) -> dict[str, Any]:
    """Metadata that bring a volume back: what it was, and how it is shown."""
    return {METADATA_KEY: {"volume": _without_voxels(volume), "shown": shown}}


def _without_voxels(volume: Volume) -> Volume:
    placeholder: NDArray[Any] = np.broadcast_to(
        np.zeros((), dtype=volume.dtype), volume.shape
    )
    return Volume(
        placeholder,
        volume.affine,
        volume.unit,
        volume.axis_labels,
        volume.name,
        volume.metadata,
    )


def _for_display(volume: Volume) -> Any:
    if np.prod(volume.shape) * volume.dtype.itemsize <= EAGER_BYTES:
        return volume.read()
    import dask.array

    def read_slice(block_info: Any) -> NDArray[Any]:
        z, y, x = (slice(*ends) for ends in block_info[None]["array-location"])
        return volume.read((z, y, x))

    depth, height, width = volume.shape
    return dask.array.map_blocks(
        read_slice,
        chunks=((1,) * depth, (height,), (width,)),
        dtype=volume.dtype,
        meta=np.empty((0, 0, 0), volume.dtype),
    )
