"""What OME-Zarr says about an image: its axes, its place, and which array it is."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.units import conversion, unit_name
from napari_cyclegan3d.engine.volume import Shape, Volume
from napari_cyclegan3d.io.frames import Series

# our own attribute, beside those of OME-Zarr
NOTE = "napari_cyclegan3d"
_VERSIONS = ("0.4", "0.5")
_LARGEST = 2**24
_SECONDS = {"second": 1.0, "millisecond": 1e-3, "microsecond": 1e-6, "minute": 60.0}
_FOREIGN = (
    "is no OME-Zarr image (it has no multiscales in its attributes); give the folder "
    "of an image, as in plate.zarr/A/1/0, or convert the array to OME-Zarr"
)


@dataclass(frozen=True)
class Description:
    """An image as its attributes describe it.

    Attributes:
        version: Version of OME-Zarr.
        path: Its full resolution, inside its folder.
        smaller: The other levels of its pyramid, the largest first.
        leading: Names of the axes before z y x.
        step: From one frame to the next, and the unit of that, see `Series`.
        affine: 4×4 matrix from voxel (z, y, x) to world (z, y, x), in `unit`.
        unit: Length unit of the world.
        note: What this program has noted, empty in files of others.
    """

    version: str
    path: str
    smaller: tuple[str, ...]
    leading: str
    step: tuple[float, str]
    affine: NDArray[np.float64]
    unit: str
    note: Mapping[str, Any]


def attributes_of(folder: Path) -> dict[str, Any] | None:
    """The attributes of a Zarr group or array of either version; None: it is neither.

    Raises:
        InputError: They are no JSON, or too large to be attributes.
        OSError: They cannot be read.
    """
    for name in ("zarr.json", ".zattrs"):
        file = folder / name
        if file.is_file():
            content = _json(file)
            own = content.get("attributes", {}) if name == "zarr.json" else content
            return own if isinstance(own, dict) else {}
    return {} if (folder / ".zgroup").is_file() else None


def describe(folder: Path) -> Description:
    """Read the attributes of an image.

    Raises:
        InputError: The folder is no OME-Zarr image of a known version, or has axes,
            units or a place that make no 3D volume.
    """
    attributes = attributes_of(folder)
    if attributes is None:
        raise InputError(
            f"{folder}: holds no zarr.json, .zattrs or .zgroup; give the folder of an "
            "OME-Zarr image"
        )
    image, version = _image(attributes, folder)
    if version not in _VERSIONS:
        raise InputError(
            f"{folder}: is OME-Zarr {version}; known are {' and '.join(_VERSIONS)}: "
            "convert it"
        )
    units = _spatial_units(image["axes"], folder)
    names = "".join(str(axis["name"])[:1].lower() for axis in image["axes"][:-3])
    level, *smaller = image["datasets"]
    steps = [*level["coordinateTransformations"]]
    steps += image.get("coordinateTransformations", [])
    affine = _affine(steps, len(names), folder)
    _, _, unit = units
    try:
        affine[:3] *= np.array([[conversion(one, unit)] for one in units])
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    note = attributes.get(NOTE)
    return Description(
        version,
        _inside(str(level["path"]), folder),
        tuple(_inside(str(one["path"]), folder) for one in smaller),
        names,
        _time_step(image["axes"], steps),
        affine,
        unit,
        note if isinstance(note, dict) else {},
    )


def image_attributes(
    volume: Volume,
    levels: Sequence[Shape],
    series: Series | None,
    note: Mapping[str, Any],
    version: str,
) -> Any:
    """Attributes of a group with one image.

    A level's voxel is the mean of `levels[i]` voxels of full size, whose centres lie
    half a voxel less than that from the centre of the first one.

    Args:
        volume: Geometry, name and shape.
        levels: Voxels of full size in a voxel of each level (z, y, x); "0" is the path
            of the first one.
        series: The frames, if there are several.
        note: What to keep beside shape and affine, for this program only.
        version: 0.4 or 0.5.
    """
    leading = "" if series is None else series.axes
    image = {
        "name": (volume.name if series is None else volume.name.rpartition("::")[0])
        or volume.name,
        "axes": [_axis(name, series) for name in leading]
        + [
            {"name": axis, "type": "space"}
            | ({} if volume.unit == "pixel" else {"unit": volume.unit})
            for axis in "zyx"
        ],
        "datasets": [
            {
                "path": str(number),
                "coordinateTransformations": _place(volume, factors, series),
            }
            for number, factors in enumerate(levels)
        ],
    }
    own = {"shape": list(volume.shape), "affine_zyx": volume.affine.tolist()}
    noted = {NOTE: {**own, **note}}
    if version == "0.4":
        return {"multiscales": [{"version": version, **image}], **noted}
    return {"ome": {"version": version, "multiscales": [image]}, **noted}


def _axis(name: str, series: Series | None) -> dict[str, str]:
    if name != "t":
        return {"name": name, "type": "channel"}
    stated = series is not None and series.unit != "pixel"
    return {"name": name, "type": "time"} | ({"unit": "second"} if stated else {})


def _place(
    volume: Volume, factors: Shape, series: Series | None
) -> list[dict[str, Any]]:
    leading = "" if series is None else series.axes
    steps = [series.step if series and name == "t" else 1.0 for name in leading]
    scale = [side * one for side, one in zip(volume.spacing, factors, strict=True)]
    shift = [
        start + side * (one - 1) / 2
        for start, side, one in zip(volume.origin, volume.spacing, factors, strict=True)
    ]
    return [
        {"type": "scale", "scale": [*steps, *scale]},
        {"type": "translation", "translation": [0.0] * len(steps) + shift},
    ]


def noted_affine(told: Description, shape: Shape) -> NDArray[np.float64]:
    """The affine that this program has noted, if it is still that of the image.

    A program that crops or rescales the image and copies its attributes copies a note
    that has become wrong; its shape or place then gives it away.
    """
    try:
        affine = np.array(told.note["affine_zyx"], dtype=np.float64).reshape(4, 4)
        noted_shape = tuple(told.note["shape"])
    except (KeyError, TypeError, ValueError):
        return told.affine
    scale = np.diag(np.linalg.norm(affine[:3, :3], axis=0))
    nearest = np.hstack([scale, affine[:3, 3:]])
    intact = noted_shape == shape and np.allclose(
        nearest, told.affine[:3], rtol=1e-6, atol=0
    )
    return affine if intact else told.affine


def _time_step(axes: list[Any], steps: list[Mapping[str, Any]]) -> tuple[float, str]:
    """How far frames are apart, as `Series` has it."""
    names = [str(axis["name"]).lower() for axis in axes[:-3]]
    if "t" not in names:
        return 1.0, "pixel"
    at = names.index("t")
    step = math.prod(float(one["scale"][at]) for one in steps if "scale" in one)
    seconds = _SECONDS.get(str(axes[at].get("unit", "")))
    if seconds is None or not 0 < step < math.inf:
        return 1.0, "pixel"
    return step * seconds, "second"


def _json(file: Path) -> dict[str, Any]:
    if file.stat().st_size > _LARGEST:
        raise InputError(f"{file}: is too large for attributes; copy it again")
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise InputError(f"{file}: is no description of Zarr; copy it again")
    return content


def _image(attributes: Mapping[str, Any], folder: Path) -> tuple[Any, str]:
    """The image described, and the version of the description."""
    newer = attributes.get("ome")
    source = newer if isinstance(newer, dict) else attributes
    images = source.get("multiscales")
    if not images:
        raise InputError(f"{folder}: {_FOREIGN}")
    if len(images) > 1:
        raise InputError(
            f"{folder}: holds {len(images)} images; save the one you need by itself"
        )
    default = "0.4" if newer is None else "0.5"
    return images[0], str(source.get("version") or images[0].get("version", default))


def _spatial_units(axes: list[Any], folder: Path) -> tuple[str, str, str]:
    """Units of z, y and x, which must be the last axes."""
    names = [str(axis["name"]).lower() for axis in axes]
    if names[-3:] != ["z", "y", "x"]:
        raise InputError(
            f"{folder}: has the axes {' '.join(names)}; save it with z y x as the last "
            "ones"
        )
    z, y, x = (unit_name(str(axis.get("unit", ""))) for axis in axes[-3:])
    return z, y, x


def _affine(
    steps: list[Mapping[str, Any]], leading: int, folder: Path
) -> NDArray[np.float64]:
    """What scales and translations, one after another, do to z y x."""
    affine = np.eye(4)
    for step in steps:
        kind = step["type"]
        if kind == "identity":
            continue
        if kind not in ("scale", "translation") or kind not in step:
            raise InputError(
                f"{folder}: is placed by '{kind}', where only numbers of a scale and a "
                "translation are known; convert it"
            )
        numbers = np.array(step[kind], dtype=np.float64)[leading:]
        if numbers.shape != (3,):
            raise InputError(
                f"{folder}: its {kind} has not one number per axis; correct its "
                "attributes"
            )
        if not np.isfinite(numbers).all() or (kind == "scale" and numbers.min() <= 0):
            raise InputError(
                f"{folder}: its {kind} of {numbers.tolist()} places no image; correct "
                "its attributes"
            )
        if kind == "scale":
            affine[:3] *= numbers[:, np.newaxis]
        else:
            affine[:3, 3] += numbers
    return affine


def _inside(path: str, folder: Path) -> str:
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or path.startswith("/") or "\\" in path:
        raise InputError(
            f"{folder}: takes its voxels from {path!r}, outside its own folder; copy "
            "them into it"
        )
    return path
