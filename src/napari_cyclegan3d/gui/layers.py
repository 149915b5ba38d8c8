"""napari layer ↔ Volume: the only file that knows both.

napari draws slices of rotated volumes wrongly, so a volume with an oblique affine is
shown on the nearest upright grid. The true affine waits in the layer's metadata and
comes back when the layer becomes a volume again.
"""

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import ArraySource, Region, Volume
from napari_cyclegan3d.io.frames import series_of
from napari_cyclegan3d.io.origins import without_origin

if TYPE_CHECKING:
    from napari.layers import Image

LayerData = tuple[Any, dict[str, Any], str]
METADATA_KEY = "napari-cyclegan3d"
SOURCE_KEY = "napari-cyclegan3d-source"
# larger volumes stay on disk and are read slice by slice
EAGER_BYTES = 2**30


def to_layer_data(volume: Volume, *, lazy: bool = False) -> LayerData:
    """The volume as a napari layer tuple, upright, with units and axis labels.

    Args:
        volume: The volume; voxels that are in memory already are not copied.
        lazy: Leave a volume of any size where it is and read it slice by slice.
    """
    place = {"scale": volume.spacing, "translate": volume.origin}
    kwargs = {
        **place,
        "name": stem(volume.name),
        "rgb": False,  # napari takes three or four columns for colours
        "units": (volume.unit,) * 3,
        "axis_labels": volume.axis_labels,
        "metadata": _remembered(volume, Affine(**place).affine_matrix),
    }
    return for_display(volume, lazy=lazy), kwargs, "image"


def series_layer_data(frames: Sequence[Volume]) -> LayerData:
    """Frames as one layer (t, z, y, x); frame by frame is read as it is shown.

    Args:
        frames: As `read_series` gives them, of one shape and place.
    """
    import dask.array

    data, kwargs, kind = to_layer_data(frames[0], lazy=True)
    series = series_of(frames)
    shown = [for_display(frame, lazy=True) for frame in frames]
    data = dask.array.stack([dask.array.asarray(one) for one in shown])
    name = frames[0].name.rpartition("::")[0] or frames[0].name
    kwargs |= {
        "name": stem(name),
        "scale": (series.step, *kwargs["scale"]),
        "translate": (0.0, *kwargs["translate"]),
        "units": (series.unit, *kwargs["units"]),
        "axis_labels": ("t", *kwargs["axis_labels"]),
    }
    numbers = [one.metadata.get("frame") for one in frames]
    kwargs["metadata"][METADATA_KEY]["frames"] = numbers
    return data, kwargs, kind


def pyramid_layer_data(volume: Volume, levels: Sequence[ArraySource]) -> LayerData:
    """A large volume with smaller copies of it, so that it moves smoothly.

    Args:
        volume: The volume.
        levels: Its voxels, and its copies, the largest first.
    """
    _, kwargs, kind = to_layer_data(volume, lazy=True)
    data = [_lazy(one) for one in levels]
    return data, {**kwargs, "multiscale": True}, kind


def is_large(volume: Volume) -> bool:
    """Whether it stays on disk while it is shown."""
    return math.prod(volume.shape) * volume.dtype.itemsize > EAGER_BYTES


def is_series(layer: "Image") -> bool:
    """Whether a layer has frames, (t, z, y, x), instead of one volume."""
    return not getattr(layer, "rgb", False) and finest(layer).ndim == 4


def finest(layer: "Image") -> Any:
    """The voxels of a layer, of a pyramid those of full size; nothing is loaded."""
    return layer.data[0] if layer.multiscale else layer.data


def to_volume(layer: "Image", frame: int | None = None) -> Volume:
    """The volume that a layer shows; nothing is loaded.

    Args:
        layer: A layer with the axes z, y, x.
        frame: Which volume of a series (t, z, y, x).

    Raises:
        InputError: The layer is no single-channel 3D image, or has no such frame.
    """
    if getattr(layer, "rgb", False):
        raise InputError(
            f"{layer.name}: a colour image; split it into channels and use one of them"
        )
    data = finest(layer)
    if frame is not None and data.ndim == 4:
        return _frame(layer, data, frame)
    if data.ndim != 3:
        raise InputError(
            f"{layer.name}: shape {tuple(data.shape)} has {data.ndim} axes; use a 3D "
            "layer (z, y, x)"
        )
    return _placed(layer, data, layer.name)


def to_volumes(layer: "Image") -> list[Volume]:
    """All volumes that a layer shows: the frames of a series, else its only one.

    Raises:
        InputError: As `to_volume`.
    """
    if not is_series(layer):
        return [to_volume(layer)]
    return [to_volume(layer, number) for number in range(len(finest(layer)))]


def result_layer_data(
    layer: "Image",
    result: Volume,
    scale: Fraction,
    start: Sequence[int] | None = None,
    data: Any = None,
) -> LayerData:
    """A result as a layer that lies exactly over the layer it was computed from.

    Args:
        layer: The source.
        result: The translated volume; of a series, that of any frame.
        scale: Its size over the source's size.
        start: The source's voxel where the result begins, one number for each axis of
            the layer; by default the first.
        data: What the layer shows; by default the voxels of `result`.
    """
    axes = layer.ndim
    factor = np.array([1.0] * (axes - 3) + [float(scale)] * 3)
    # the first voxel's centre, in voxels of the source
    first = np.array(start or (0,) * axes) + (1 / factor - 1) / 2
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
        "metadata": {SOURCE_KEY: layer.name},
    }
    if _known_volume(layer) is not None:
        shown = _of_space(layer.affine.affine_matrix @ Affine(**place).affine_matrix)
        kwargs["metadata"] |= _remembered(without_origin(result), shown)
    return for_display(result) if data is None else data, kwargs, "image"


def source_name(layer: "Image") -> str | None:
    """The name that the layer had which an enhanced layer was computed from."""
    name = layer.metadata.get(SOURCE_KEY)
    return None if name is None else str(name)


def _frame(layer: "Image", data: Any, frame: int) -> Volume:
    """One volume of a series, where it lies in space."""
    if not 0 <= frame < len(data):
        raise InputError(
            f"{layer.name}: has frames 0 to {len(data) - 1}, and no frame {frame}; "
            "correct the range"
        )
    volume = _placed(layer, _Frame(data, frame), f"{layer.name} frame {frame}")
    if "frame" not in volume.metadata:
        return volume
    # of a file with channels, a layer shows every other frame
    numbers = layer.metadata[METADATA_KEY].get("frames", ())
    if len(numbers) != len(data):
        return without_origin(volume)
    return replace(volume, metadata={**volume.metadata, "frame": numbers[frame]})


def _placed(layer: "Image", data: ArraySource, name: str) -> Volume:
    """Voxels where the layer has them, with what is known of the layer's volume."""
    known = _known_volume(layer)
    if known is None:
        z, y, x = layer.axis_labels[-3:]
        return Volume(data, _transform(layer), _unit(layer), (z, y, x), name)
    return replace(known, array=data, name=name)


@dataclass(frozen=True)
class _Frame:
    """One volume of an array (t, z, y, x), without reading it."""

    series: Any
    number: int

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.series.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        kind: np.dtype[Any] = np.dtype(self.series.dtype)
        return kind

    def __getitem__(self, region: Region) -> Any:
        return self.series[(self.number, *region)]


def _unit(layer: "Image") -> str:
    """The unit of the three axes of space, if they share one."""
    units = {str(unit) for unit in layer.units[-3:]}
    return units.pop() if len(units) == 1 else "pixel"


def stem(name: str) -> str:
    """A file's name without its suffix, as napari names layers."""
    longest_first = sorted(io.READABLE_SUFFIXES, key=len, reverse=True)
    for suffix in (*(f".ome{one}" for one in longest_first), *longest_first):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def placed_in_space(layer: "Image") -> dict[str, Any]:
    """What gives a layer with the axes z y x the place of this one, which has more."""
    space = range(layer.ndim - 3, layer.ndim)
    own = _own_transform(layer).set_slice(space)
    place = {
        key: getattr(own, key) for key in ("scale", "translate", "rotate", "shear")
    }
    return place | {
        "affine": layer.affine.set_slice(space),
        "units": layer.units[-3:],
        "axis_labels": layer.axis_labels[-3:],
    }


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
    return _of_space(layer.affine.affine_matrix @ _own_transform(layer).affine_matrix)


def _of_space(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of a layer's matrix that is about its last three axes."""
    return np.asarray(matrix[-4:, -4:], dtype=np.float64)


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


def for_display(volume: Volume, *, lazy: bool = False) -> Any:
    """What a layer shows of a volume: voxels in memory, or slices that are read.

    Args:
        volume: The volume.
        lazy: Leave it where it is, whatever its size.
    """
    if isinstance(volume.array, np.ndarray):
        return volume.array
    if not is_large(volume) and not lazy:
        return volume.read()
    return _lazy(volume.array)


def _lazy(voxels: ArraySource) -> Any:
    """Slices that are read when they are shown."""
    import dask.array

    def read_slice(block_info: Any) -> NDArray[Any]:
        z, y, x = (slice(*ends) for ends in block_info[None]["array-location"])
        return np.asarray(voxels[z, y, x])

    depth, height, width = voxels.shape
    return dask.array.map_blocks(
        read_slice,
        # otherwise dask finds one by packing all that the voxels hold
        name=f"slices-{uuid.uuid4().hex}",
        chunks=((1,) * depth, (height,), (width,)),
        dtype=voxels.dtype,
        meta=np.empty((0, 0, 0), voxels.dtype),
    )
