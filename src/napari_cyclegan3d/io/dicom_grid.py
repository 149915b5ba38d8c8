"""The grid that the slices of a DICOM series make, and their voxels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import inv_ornt_aff, io_orientation
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.extras import needed
from napari_cyclegan3d.engine.volume import Region
from napari_cyclegan3d.io.flat import Layout

# positions are written with few digits
_UNEVEN = 0.02
# in pixels over the whole stack
_SHIFTED = 0.5
_TURNED = 1e-3
_PARALLEL = 1e-4
# no codec of DICOM packs voxels of a real image into fewer than 1 of 2000 bytes
_DENSEST = 2000
# left, posterior, superior → right, anterior, superior
_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# x y z ↔ z y x
_SWAP = np.eye(4)[[2, 1, 0, 3]]


@dataclass(frozen=True)
class Slice:
    """What the header of one file says.

    Attributes:
        path: The file.
        size: Columns, rows, and slices: more than one in a file of many frames.
        dtype: Type of the grey values.
        origin: World position (left, posterior, superior) of its first voxel, in mm.
        directions: Columns: where columns, rows and slices count towards.
        spacing: Voxel size along columns, rows and slices, in mm.
    """

    path: Path
    size: tuple[int, int, int]
    dtype: np.dtype[Any]
    origin: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing: NDArray[np.float64]

    @classmethod
    def of(cls, reader: Any, path: Path) -> "Slice":
        """By a reader of SimpleITK that has read the header.

        Raises:
            InputError: It is no grey-valued image, or larger than the file can be.
        """
        if reader.GetDimension() > 3 or reader.GetNumberOfComponents() > 1:
            raise InputError(
                f"{path}: is a colour image or a series of them; export grey values"
            )
        columns, rows, *more = reader.GetSize()
        size = (int(columns), int(rows), int(more[0]) if more else 1)
        dtype = _numpy_type(reader, path)
        if math.prod(size) * dtype.itemsize > path.stat().st_size * _DENSEST:
            raise InputError(
                f"{path}: is damaged: promises {math.prod(size)} voxels and has "
                f"{path.stat().st_size} bytes in all; export the series again"
            )
        return cls(
            path,
            size,
            dtype,
            np.array(reader.GetOrigin()),
            np.array(reader.GetDirection()).reshape(3, 3),
            np.array(reader.GetSpacing()),
        )


def grid(
    slices: Sequence[Slice], named: Path
) -> tuple[Layout, list[Slice], NDArray[np.float64]]:
    """The volume that slices make: how it is stored, its slices in order, its affine.

    Args:
        slices: One per file, in any order.
        named: What messages are about.

    Raises:
        InputError: The slices make no regular grid.
    """
    first = slices[0]
    for one in slices:
        _refuse_other(one, first)
    ordered, step = _ordered(slices, named)
    columns, rows, depth = first.size
    edges = first.directions * first.spacing
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([edges[:, 0], edges[:, 1], step])
    affine[:3, 3] = ordered[0].origin
    dtype = np.result_type(*(one.dtype for one in ordered))
    shape = (columns, rows, depth * len(ordered))
    layout, upright = _upright(_RAS @ affine, shape, dtype)
    return layout, ordered, upright


def _upright(
    affine: NDArray[np.float64], shape: tuple[int, int, int], dtype: np.dtype[Any]
) -> tuple[Layout, NDArray[np.float64]]:
    """The volume z y x nearest to right, anterior and superior: flips and swaps only.

    Args:
        affine: From columns, rows and slices to that world x y z.
        shape: Columns, rows and slices.
        dtype: Type of the voxels.

    Returns:
        How its voxels lie in the slices, and its affine z y x.
    """
    orientation = io_orientation(affine)
    to_ras = affine @ inv_ornt_aff(orientation, shape)
    sizes, flipped = [0, 0, 0], [False, False, False]
    for size, (axis, flip) in zip(shape, orientation, strict=True):
        sizes[2 - int(axis)] = size
        flipped[2 - int(axis)] = flip < 0
    k, j, i = (2 - int(axis) for axis in orientation[::-1, 0])
    layout = Layout(
        (sizes[0], sizes[1], sizes[2]),
        dtype,
        order=(k, j, i),
        flipped=(flipped[0], flipped[1], flipped[2]),
    )
    return layout, _SWAP @ to_ras @ _SWAP


def _refuse_other(one: Slice, first: Slice) -> None:
    if one.size != first.size or not np.allclose(one.spacing[:2], first.spacing[:2]):
        raise InputError(
            f"{one.path}: has {one.size[0]} × {one.size[1]} pixels of "
            f"{one.spacing[0]:g} × {one.spacing[1]:g} mm, and {first.path.name} "
            f"{first.size[0]} × {first.size[1]} of {first.spacing[0]:g} × "
            f"{first.spacing[1]:g} mm; keep only slices of one size in the folder"
        )
    if np.abs(one.directions - first.directions).max() > _TURNED:
        raise InputError(
            f"{one.path}: is turned against {first.path.name}; keep only slices of one "
            "direction in the folder (localizers have several)"
        )


def _ordered(
    slices: Sequence[Slice], named: Path
) -> tuple[list[Slice], NDArray[np.float64]]:
    """The slices from first to last, and the way from one to the next."""
    first = slices[0]
    normal = first.directions[:, 2]
    if len(slices) == 1:
        return list(slices), normal * first.spacing[2]
    if first.size[2] > 1:
        raise InputError(
            f"{named}: holds {len(slices)} files with {first.size[2]} slices each; "
            "open one of these files in a folder of its own"
        )
    ordered = sorted(slices, key=lambda one: float(one.origin @ normal))
    origins = np.array([one.origin for one in ordered])
    _refuse_uneven(ordered, np.diff(origins @ normal), named)
    step = (origins[-1] - origins[0]) / (len(ordered) - 1)
    sideways = step - (step @ normal) * normal
    if np.linalg.norm(sideways) * len(ordered) > _SHIFTED * first.spacing[:2].min():
        angle = math.degrees(math.atan2(np.linalg.norm(sideways), step @ normal))
        raise InputError(
            f"{named}: its slices are shifted by a gantry tilt of {angle:.1f} degrees; "
            "convert it with dcm2niix, which puts them upright"
        )
    return ordered, step


def _refuse_uneven(
    ordered: Sequence[Slice], steps: NDArray[np.float64], named: Path
) -> None:
    usual = float(np.median(steps))
    least, most = int(steps.argmin()), int(steps.argmax())
    if steps[least] < _PARALLEL:
        raise InputError(
            f"{named}: {ordered[least].path.name} and {ordered[least + 1].path.name} "
            "lie at the same place (several times or echoes in one series); keep one "
            "file for each place"
        )
    if steps[most] - steps[least] > _UNEVEN * usual:
        odd = most if steps[most] - usual > usual - steps[least] else least
        raise InputError(
            f"{named}: its slices are not evenly spaced: {steps[odd]:.4g} mm between "
            f"{ordered[odd].path.name} and {ordered[odd + 1].path.name}, and else "
            f"{usual:.4g} mm; add the missing slices, or resample it to a NIfTI image"
        )


def _numpy_type(reader: Any, path: Path) -> np.dtype[Any]:
    library = needed("SimpleITK", "mri", "DICOM")
    types = {
        library.sitkUInt8: "uint8",
        library.sitkInt8: "int8",
        library.sitkUInt16: "uint16",
        library.sitkInt16: "int16",
        library.sitkUInt32: "uint32",
        library.sitkInt32: "int32",
        library.sitkFloat32: "float32",
        library.sitkFloat64: "float64",
    }
    if reader.GetPixelID() not in types:
        raise InputError(f"{path}: is a colour image; export grey values")
    return np.dtype(types[reader.GetPixelID()])


class Voxels:
    """The voxels of a series; a file is decoded whenever a slice of it is read."""

    def __init__(self, layout: Layout, files: tuple[Path, ...]) -> None:
        self.shape = layout.shape
        self.dtype = layout.dtype
        self._layout = layout
        self._files = files

    def __getitem__(self, region: Region) -> NDArray[Any]:
        return self._layout.read(region, self._planes)

    def _planes(self, first: int, count: int) -> NDArray[Any]:
        if len(self._files) == 1:
            return _decoded(self._files[0], self._layout.stored_shape)[first:][:count]
        planes = np.empty((count, *self._layout.stored_shape[1:]), self.dtype)
        for plane, file in zip(planes, self._files[first:][:count], strict=True):
            plane[:] = _decoded(file, (1, *plane.shape))[0]
        return planes


def _decoded(file: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    library = needed("SimpleITK", "mri", "DICOM")
    try:
        file.open("rb").close()
        voxels = library.GetArrayFromImage(library.ReadImage(str(file)))
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "damaged"
        raise InputError(
            f"{file}: could not be read ({reason}); check that the file is there, "
            "whole and permitted to you, and open the series again"
        ) from error
    voxels = voxels.reshape((1,) * (3 - voxels.ndim) + voxels.shape)
    if voxels.shape != shape:
        raise InputError(f"{file}: has changed; open the series again")
    return np.asarray(voxels)
