"""NIfTI-1 and NIfTI-2 in one file, plain (.nii) or compressed (.nii.gz).

On disk the axes are i j k in any orientation, with an affine to a world x y z that
counts towards right, anterior and superior (RAS). In memory a volume lies z y x, each
axis along the nearest of these directions. Flips and permutations are the only change,
so that writing can undo them and a volume returns to its own grid.
"""

import gzip
import io
import math
import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.orientations import (
    OrientationError,
    apply_orientation,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.blocks import slabs
from napari_cyclegan3d.io.guard import one_sentence, quiet
from napari_cyclegan3d.io.nifti_voxels import (
    Stored,
    Stream,
    Voxels,
    is_compressed,
    opened,
    refuse_cut_off,
)
from napari_cyclegan3d.io.units import METRES, conversion

_TYPES = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64",
)  # fmt: skip
_DAMAGE = (
    HeaderDataError,
    OrientationError,
    WrapStructError,
    KeyError,
    OverflowError,
    ValueError,
)
# beyond it, products of lengths are infinite
_FAR = 1e100
_HEADER_BYTES = 540
_LENGTH_BITS = 7
# long double, complex and colours are no grey values that can be trained on
_LARGEST_VOXEL = 8
_MOST_BEFORE_VOXELS = 2**26
# NIfTI-1 counts voxels per axis with 16 bits
_LONGEST_NIFTI1 = 32767
_REMEDY = (
    "is no NIfTI image that can be read (damaged, or another format under this name); "
    "take another copy or convert it again"
)
# x y z ↔ z y x
_SWAP = np.eye(4)[[2, 1, 0, 3]]
_RAS = np.array([[0, 1], [1, 1], [2, 1]])


def read(path: Path) -> Volume:
    """Open a NIfTI image; `.nii` is read piece by piece, `.nii.gz` at the first access.

    Voxels keep the type they have on disk, unless the header scales them: then they
    are float32. The affine follows the sform, else the qform; the unit is millimeter
    where the header names none. The metadata hold the header and the orientation on
    disk, for `write`.

    Raises:
        InputError: The file is damaged or cut off, or holds something else than one
            grey-valued 3D image.
    """
    with quiet("nibabel.global"), one_sentence(path, _REMEDY, _DAMAGE):
        header = _read_header(path)
        stored = _stored(header, path)
        refuse_cut_off(path, stored)
        affine = header.get_best_affine()
        if not np.abs(affine).max() < _FAR or not np.linalg.det(affine[:3, :3]):
            raise InputError(
                f"{path}: the affine in its header cannot be inverted; correct the "
                "voxel sizes and the sform of the file"
            )
        orientation = io_orientation(affine)
        to_ras = affine @ inv_ornt_aff(orientation, stored.shape)
        return Volume(
            Voxels(path, stored, orientation, _scaling(header)),
            _SWAP @ to_ras @ _SWAP,
            _unit(header),
            name=path.name,
            metadata={"nifti_header": header, "nifti_orientation": orientation},
        )


def write(volume: Volume, path: Path) -> None:
    """Write a NIfTI image, slab by slab.

    A volume that was read from NIfTI keeps its header, its orientation on disk and the
    codes of its qform and sform; both get the affine of the volume (the qform without
    shear, which it cannot hold). Any other one is stored with x fastest and z slowest.

    Raises:
        InputError: NIfTI programs do not know the type of the voxels, or the file could
            not be written.
    """
    if volume.dtype.name not in _TYPES:
        raise InputError(
            f"{path}: NIfTI programs cannot read {volume.dtype.name}; convert the "
            f"voxels to one of {', '.join(_TYPES)}"
        )
    orientation = volume.metadata.get("nifti_orientation", _RAS)
    header = _header_for(volume, orientation)
    compressed = is_compressed(path)
    size = math.prod(volume.shape) * volume.dtype.itemsize
    with (
        quiet("nibabel.global"),
        atomic_path(path, None if compressed else size) as temporary,
        temporary.open("wb") as file,
    ):
        if not compressed:
            _write_image(file, header, volume, orientation)
            return
        # without a name and a time in it, the same volume gives the same bytes
        with gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
            _write_image(packed, header, volume, orientation)


def _read_header(path: Path) -> Any:
    with opened(path) as file:
        start = file.read(_HEADER_BYTES)
        if start[344:348] == b"n+1\0":
            kind: Any = nib.Nifti1Header
        elif start[4:8] == b"n+2\0":
            kind = nib.Nifti2Header
        else:
            raise InputError(f"{path}: {_REMEDY}")
        length = kind.template_dtype.itemsize
        to_voxels = int(kind(start[:length], check=False)["vox_offset"])
        if to_voxels > _MOST_BEFORE_VOXELS:
            raise InputError(f"{path}: {_REMEDY}")
        start += file.read(max(0, to_voxels - _HEADER_BYTES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind.from_fileobj(io.BytesIO(start))


def _stored(header: Any, path: Path) -> Stored:
    shape = tuple(int(size) for size in header.get_data_shape())
    if min(shape) < 1:
        raise InputError(f"{path}: its header states the shape {shape}; {_REMEDY}")
    count = math.prod(shape[3:])
    if count > 1:
        raise InputError(
            f"{path}: is a {len(shape)}D image of {count} frames; save one of them as "
            "a 3D image"
        )
    dtype = header.get_data_dtype()
    if dtype.kind not in "uif" or dtype.itemsize > _LARGEST_VOXEL:
        raise InputError(
            f"{path}: voxels of type {dtype} are no grey values; "
            "convert the image to float32"
        )
    columns, rows, planes = (*shape, 1, 1)[:3]
    offset = header.get_data_offset() or header.single_vox_offset
    return Stored((columns, rows, planes), dtype, offset)


def _scaling(header: Any) -> tuple[float, float] | None:
    slope, intercept = header.get_slope_inter()
    if slope is None or (slope, intercept) == (1, 0):
        return None
    return float(slope), float(intercept)


def _unit(header: Any) -> str:
    code = int(header["xyzt_units"]) & _LENGTH_BITS
    return {1: "meter", 3: "micrometer"}.get(code, "millimeter")


def _header_for(volume: Volume, orientation: NDArray[Any]) -> Any:
    """The header to write: the volume's own one with its present affine, or a new one.

    Both forms get the same affine, so that programs that prefer one or the other agree.
    """
    own = volume.metadata.get("nifti_header")
    header = nib.Nifti1Header() if own is None else own.copy()
    shape = tuple(volume.shape[::-1][int(axis)] for axis in orientation[:, 0])
    if max(shape) > _LONGEST_NIFTI1:
        header = _as_nifti2(header)
    header["vox_offset"] = 0
    beyond_space = header["pixdim"][4:].copy()
    header.set_data_shape(shape)
    header["pixdim"][4:] = beyond_space
    header.set_data_dtype(volume.dtype)
    header.set_slope_inter(1, 0)
    affine: NDArray[np.float64] = _SWAP @ volume.affine @ _SWAP
    if own is None or _unit(own) != volume.unit:
        affine[:3] *= _set_unit(header, volume.unit)
    affine = affine @ np.linalg.inv(inv_ornt_aff(orientation, shape))
    header.set_qform(affine, max(1, int(header["qform_code"])))
    header.set_sform(affine, max(1, int(header["sform_code"])))
    return header


def _as_nifti2(header: Any) -> Any:
    wide = nib.Nifti2Header(endianness=header.endianness)
    for field in set(wide) & set(header) - {"sizeof_hdr", "magic"}:
        wide[field] = header[field]
    wide.extensions.extend(header.extensions)
    return wide


def _set_unit(header: Any, unit: str) -> float:
    """State a unit that NIfTI knows; how many of it the volume's unit is."""
    codes = {"meter": 1, "millimeter": 2, "micrometer": 3}
    known = unit
    if unit in METRES and unit not in codes:
        known = "millimeter" if METRES[unit] > METRES["millimeter"] else "micrometer"
    other_bits = int(header["xyzt_units"]) & ~_LENGTH_BITS
    header["xyzt_units"] = other_bits | codes.get(known, 0)
    return conversion(unit, known)


def _write_image(
    file: Stream, header: Any, volume: Volume, orientation: NDArray[Any]
) -> None:
    header.write_to(file)
    dtype = header.get_data_dtype()
    to_disk = ornt_transform(_RAS, orientation)
    # the slowest axis on disk is this one of z y x
    slowest = 2 - int(orientation[2, 0])
    length = volume.shape[slowest]
    plane_bytes = math.prod(volume.shape) // length * dtype.itemsize
    parts = list(slabs(length, plane_bytes))
    flipped = orientation[2, 1] < 0
    for part in reversed(parts) if flipped else parts:
        region = [slice(None)] * 3
        region[slowest] = part
        zyx = volume.read((region[0], region[1], region[2]))
        ijk = apply_orientation(zyx.T, to_disk)
        file.write(np.ascontiguousarray(ijk.T, dtype=dtype).data)
