"""What OME-Zarr says about an image: its axes, its place, and which array it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.units import conversion, unit_name
from napari_cyclegan3d.engine.volume import Shape, Volume

# our own attribute, beside those of OME-Zarr
NOTE = "napari_cyclegan3d"
_VERSIONS = ("0.4", "0.5")
_LARGEST = 2**24
_FOREIGN = (
    "is no OME-Zarr image (it has no multiscales in its attributes); give the folder "
    "of an image, as in plate.zarr/A/1/0, or convert the array to OME-Zarr"
)


@dataclass(frozen=True)
class Description:
    """An image as its attributes describe it.

    Attributes:
        path: Its full resolution, inside its folder.
        leading: How many axes come before z y x.
        affine: 4×4 matrix from voxel (z, y, x) to world (z, y, x), in `unit`.
        unit: Length unit of the world.
        note: What this program has noted, empty in files of others.
    """

    path: str
    leading: int
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
    leading = len(image["axes"]) - 3
    level = image["datasets"][0]
    steps = [*level["coordinateTransformations"]]
    steps += image.get("coordinateTransformations", [])
    affine = _affine(steps, leading, folder)
    _, _, unit = units
    try:
        affine[:3] *= np.array([[conversion(one, unit)] for one in units])
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    note = attributes.get(NOTE)
    return Description(
        _inside(str(level["path"]), folder),
        leading,
        affine,
        unit,
        note if isinstance(note, dict) else {},
    )


def image_attributes(volume: Volume, level: str, note: Mapping[str, Any]) -> Any:
    """Attributes of a group with one image of version 0.5.

    Args:
        volume: Geometry, name and shape.
        level: Path of the array inside the group.
        note: What to keep beside shape and affine, for this program only.
    """
    axes = [
        {"name": axis, "type": "space"}
        | ({} if volume.unit == "pixel" else {"unit": volume.unit})
        for axis in "zyx"
    ]
    place = [
        {"type": "scale", "scale": list(volume.spacing)},
        {"type": "translation", "translation": list(volume.origin)},
    ]
    image = {
        "name": volume.name,
        "axes": axes,
        "datasets": [{"path": level, "coordinateTransformations": place}],
    }
    own = {"shape": list(volume.shape), "affine_zyx": volume.affine.tolist()}
    return {"ome": {"version": "0.5", "multiscales": [image]}, NOTE: {**own, **note}}


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
