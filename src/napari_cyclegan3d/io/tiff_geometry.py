"""Voxel size and place of a TIFF stack: ImageJ's words, OME-XML, and our own note.

TIFF knows a voxel size and no rotation. So that a volume comes back as it was, the
files written here also carry the whole affine, in a key of their own that other
programs ignore.
"""

import math
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile

from napari_cyclegan3d.engine.units import conversion, unit_name
from napari_cyclegan3d.engine.volume import Shape, Volume
from napari_cyclegan3d.io.frames import Series

_NOTE = "napari_cyclegan3d"
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296

_IMAGEJ_UNITS = {
    "micrometer": "um",
    "millimeter": "mm",
    "nanometer": "nm",
    "centimeter": "cm",
    "meter": "m",
    "inch": "inch",
    "angstrom": "angstrom",
    "picometer": "pm",
}
_OME_SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "min": 60.0}
_OME_UNITS = _IMAGEJ_UNITS | {"micrometer": "µm", "inch": "in", "angstrom": "Å"}


def read_geometry(tif: TiffFile, shape: Shape) -> tuple[NDArray[np.float64], str]:
    """Affine and unit of the stack in a TIFF file.

    The voxel size comes from OME-XML or from ImageJ's description and resolution; other
    TIFF files have none that can be trusted, and get 1 pixel. Where the distance of
    slices is missing, it is 1 in an ImageJ stack, as in ImageJ, and else that of rows.

    Args:
        tif: The open file.
        shape: Voxels per axis, (z, y, x).

    Returns:
        The 4×4 matrix from voxel (z, y, x) to world (z, y, x), and its unit.
    """
    if tif.is_ome:
        (x, y, z), unit, note = _read_ome(tif.ome_metadata or "")
    elif tif.is_imagej:
        (x, y, z), unit, note = _read_imagej(tif, shape)
    else:
        (x, y, z), unit, note = (1.0, 1.0, 1.0), "pixel", ""
    spacing = np.array([z, y, x])
    noted = _read_note(note, shape, spacing)
    return np.diag([*spacing, 1.0]) if noted is None else noted, unit


def read_step(tif: TiffFile) -> tuple[float, str]:
    """From one frame to the next, and the unit of that, see `Series`."""
    step: float | None = None
    if tif.is_imagej:
        step = _positive((tif.imagej_metadata or {}).get("finterval"))
    elif tif.is_ome:
        attributes = _pixels(tif.ome_metadata or "")
        factor = _OME_SECONDS.get(attributes.get("TimeIncrementUnit", "s"))
        step = _positive(attributes.get("TimeIncrement"))
        step = None if step is None or factor is None else step * factor
    return (1.0, "pixel") if step is None else (step, "second")


def imagej_metadata(volume: Volume, series: Series | None) -> dict[str, Any]:
    """What tifffile writes into an ImageJ description."""
    metadata = {
        "axes": "ZYX" if series is None else f"{series.axes.upper()}ZYX",
        "spacing": volume.spacing[0],
        "unit": _IMAGEJ_UNITS.get(volume.unit, "pixel"),
        _NOTE: _note(volume),
    }
    if series is not None and series.unit == "second":
        metadata["finterval"] = series.step
    return metadata


def ome_metadata(volume: Volume, series: Series | None) -> dict[str, Any]:
    """What tifffile writes as OME-XML: voxel size, positions of planes, our note."""
    unit = _OME_UNITS.get(volume.unit, "pixel")
    axes = "ZYX" if series is None else f"{series.axes.upper()}ZYX"
    frames = 1 if series is None else series.count
    metadata: dict[str, Any] = {"axes": axes, "MapAnnotation": {_NOTE: _note(volume)}}
    if series is not None and series.unit == "second":
        metadata |= {"TimeIncrement": series.step, "TimeIncrementUnit": "s"}
    planes: dict[str, Any] = {}
    positions = volume.affine[:3, :1] * range(volume.shape[0]) + volume.affine[:3, 3:]
    for axis, name in enumerate("ZYX"):
        metadata[f"PhysicalSize{name}"] = volume.spacing[axis]
        metadata[f"PhysicalSize{name}Unit"] = unit
        planes[f"Position{name}"] = positions[axis].tolist() * frames
        planes[f"Position{name}Unit"] = [unit] * volume.shape[0] * frames
    return metadata | {"Plane": planes}


def _note(volume: Volume) -> str:
    """Shape and affine as 3 + 16 numbers that read back without a rounding error."""
    numbers = [*volume.shape, *volume.affine.ravel().tolist()]
    return " ".join(repr(number) for number in numbers)


def _read_note(
    note: str, shape: Shape, spacing: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """The noted affine, if the image is still the one that the note was written for.

    A program that crops or rescales the image and copies its metadata copies a note
    that has become wrong; its shape or voxel size then gives it away.
    """
    try:
        numbers = np.array(note.split(), dtype=np.float64)
        affine = numbers[3:].reshape(4, 4)
    except ValueError:
        return None
    noted_spacing = np.linalg.norm(affine[:3, :3], axis=0)
    intact = tuple(numbers[:3]) == shape and np.allclose(
        noted_spacing, spacing, rtol=1e-3, atol=0
    )
    return affine if intact else None


def _read_ome(xml: str) -> tuple[tuple[float, float, float], str, str]:
    attributes = _pixels(xml)
    if "PhysicalSizeX" not in attributes:
        return (1.0, 1.0, 1.0), "pixel", ""
    root = ElementTree.fromstring(xml)
    note = root.find(f".//{{*}}MapAnnotation/{{*}}Value/{{*}}M[@K='{_NOTE}']")
    unit = unit_name(attributes.get("PhysicalSizeXUnit", "µm"))
    x = _ome_size("X", attributes, unit, 1.0)
    y = _ome_size("Y", attributes, unit, x)
    z = _ome_size("Z", attributes, unit, y)
    return (x, y, z), unit, "" if note is None else note.text or ""


def _pixels(xml: str) -> Mapping[str, str]:
    """The attributes of the image in OME-XML; none if it cannot be read."""
    try:
        pixels = ElementTree.fromstring(xml).find(".//{*}Pixels")
    except ElementTree.ParseError:
        return {}
    return {} if pixels is None else pixels.attrib


def _ome_size(
    axis: str, attributes: Mapping[str, str], unit: str, default: float
) -> float:
    size = _positive(attributes.get(f"PhysicalSize{axis}"))
    own_unit = unit_name(attributes.get(f"PhysicalSize{axis}Unit", "µm"))
    return default if size is None else size * conversion(own_unit, unit)


def _read_imagej(
    tif: TiffFile, shape: Shape
) -> tuple[tuple[float, float, float], str, str]:
    words = tif.imagej_metadata or {}
    x, default_unit = _pixel_size(tif, _X_RESOLUTION)
    y, _ = _pixel_size(tif, _Y_RESOLUTION)
    z = _positive(words.get("spacing")) or (1.0 if shape[0] > 1 else y)
    text = str(words.get("unit", default_unit))
    unit = unit_name(text)
    y *= conversion(unit_name(str(words.get("yunit", text))), unit)
    z *= conversion(unit_name(str(words.get("zunit", text))), unit)
    return (x, y, z), unit, str(words.get(_NOTE, ""))


def _pixel_size(tif: TiffFile, tag: int) -> tuple[float, str]:
    """Size of a pixel by a resolution tag (a fraction: pixels per unit), and its unit.

    72 dots per inch is what programs write that know nothing; ImageJ ignores it too.
    """
    tags = tif.pages.first.tags
    unit = {2: "inch", 3: "cm"}.get(tags.valueof(_RESOLUTION_UNIT), "")
    match tags.valueof(tag):
        case (int(pixels), int(length)) if pixels > 0 and length > 0:
            known = unit != "inch" or pixels != 72 * length
            return (length / pixels, unit) if known else (1.0, "")
        case _:
            return 1.0, ""


def _positive(value: object) -> float | None:
    """A size from a header; ImageJ counts slices downwards with a negative one."""
    try:
        size = abs(float(str(value)))
    except ValueError:
        return None
    return size if 0 < size < math.inf else None
