"""Where the voxels of an HDF5 dataset lie, by what programs write beside them.

Read are our own attributes, those of Fiji's HDF5 plugin (`element_size_um`), ilastik,
Neuroglancer and others (`voxel_size`, `resolution`, `spacing` …), and the axes of
NeXus (NXdata). All are in the order z y x, as the axes of the dataset are.
"""

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.units import conversion, unit_name

# attributes with a size along z y x, and the unit if the name tells it
_SIZES = (
    ("spacing", ""),
    ("element_size_um", "micrometer"),
    ("voxel_size_um", "micrometer"),
    ("voxel_size_mm", "millimeter"),
    ("voxel_size", ""),
    ("voxelsize", ""),
    ("pixel_size", ""),
    ("resolution", ""),
)
_UNITS = ("unit", "units", "spacing_unit", "spacing_units")
_UNIT_ENDS = ("_unit", "_units")
# places along an axis must be this even, in parts of a step
_EVEN = 1e-3
_MOST_PLACES = 2**20


def place_of(
    dataset: h5py.Dataset, named: str, *, own: bool = True
) -> tuple[NDArray[np.float64], str]:
    """Affine (voxel z y x to world z y x) and unit of a dataset.

    Args:
        dataset: The dataset; its last three axes are z y x.
        named: What to call it in a message.
        own: Whether a whole affine is looked for.

    Raises:
        InputError: The affine that it states cannot be inverted.
    """
    affine = numbers(dataset, "affine_zyx", (4, 4)) if own else None
    if affine is not None:
        if not np.isfinite(affine).all() or not np.linalg.det(affine[:3, :3]):
            raise InputError(
                f"{named}: its attribute affine_zyx cannot be inverted; correct or "
                "delete the attribute"
            )
        return affine, _stated_unit(dataset, "")
    found = _from_attributes(dataset) or _from_axes(dataset)
    if found is None:
        return np.eye(4), "pixel"
    sizes, unit = found
    return np.diag([*sizes, 1.0]), unit


def numbers(item: Any, name: str, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """An attribute of numbers, if it has this shape; nothing else is read."""
    if name not in item.attrs:
        return None
    stated = item.attrs.get_id(name)
    # looked at before it is read: an attribute may promise any size
    if stated.shape != shape or stated.dtype.kind not in "uif":
        return None
    return np.asarray(item.attrs[name], dtype=np.float64)


def axis_names(dataset: h5py.Dataset) -> list[str]:
    """Names of the axes of a dataset, by its own attribute or its group's (NXdata)."""
    for item in (dataset, dataset.parent):
        names = _texts(item, "axes")
        if len(names) == dataset.ndim:
            return names
    return []


def _from_attributes(dataset: h5py.Dataset) -> tuple[NDArray[np.float64], str] | None:
    for name, unit in _SIZES:
        sizes = numbers(dataset, name, (3,))
        if sizes is None and (one := numbers(dataset, name, ())) is not None:
            sizes = np.repeat(one, 3)
        if sizes is not None and (np.isfinite(sizes) & (sizes > 0)).all():
            return sizes, unit or _stated_unit(dataset, name)
    return None


def _stated_unit(item: Any, name: str) -> str:
    for key in (*(f"{name}{end}" for end in _UNIT_ENDS if name), *_UNITS):
        if text := _text(item, key):
            return unit_name(text)
    return "pixel"


def _from_axes(dataset: h5py.Dataset) -> tuple[NDArray[np.float64], str] | None:
    """The steps along the axes that the group (NXdata) has for this dataset."""
    group, names = dataset.parent, axis_names(dataset)
    if len(names) < 3:
        return None
    steps, units = [], []
    for name, size in zip(names[-3:], dataset.shape[-3:], strict=True):
        step, unit = _step(group, name, size)
        if step is None:
            return None
        steps.append(step)
        units.append(unit)
    try:
        factors = [conversion(unit, units[-1]) for unit in units]
    except InputError:
        return None
    return np.multiply(steps, factors), units[-1]


def _step(group: Any, name: str, size: int) -> tuple[float | None, str]:
    """The even step of the places along an axis, and their unit."""
    kind = group.get(name, getclass=True, getlink=True)
    axis = group.get(name) if kind is h5py.HardLink else None
    if (
        not isinstance(axis, h5py.Dataset)
        or axis.shape != (size,)
        or not 2 <= size <= _MOST_PLACES
        or axis.dtype.kind not in "uif"
        or axis.external
        or axis.is_virtual
    ):
        return None, "pixel"
    places = np.asarray(axis[:], dtype=np.float64)
    step = (places[-1] - places[0]) / (size - 1)
    even = np.abs(np.diff(places) - step) <= _EVEN * abs(step)
    if not np.isfinite(step) or step == 0 or not even.all():
        return None, "pixel"
    return abs(float(step)), _stated_unit(axis, "")


def _text(item: Any, name: str) -> str:
    """An attribute that is a short text."""
    if name not in item.attrs or item.attrs.get_id(name).shape != ():
        return ""
    value = item.attrs[name]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _texts(item: Any, name: str) -> list[str]:
    """Names in an attribute: a list of texts, or one text with colons or commas."""
    if name not in item.attrs:
        return []
    shape = item.attrs.get_id(name).shape
    if shape == ():
        text = _text(item, name).strip("[] ")
        return [one.strip() for one in text.replace(",", ":").split(":") if one]
    if len(shape) != 1 or not shape[0] <= 8:
        return []
    return [
        one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one)
        for one in item.attrs[name]
    ]
