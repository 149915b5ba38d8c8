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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.orientations import OrientationError, inv_ornt_aff, io_orientation
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.units import METRES, conversion
from napari_cyclegan3d.engine.volume import Shape, Volume
from napari_cyclegan3d.io.blocks import Sink
from napari_cyclegan3d.io.flat import FlatSink, Layout, Mapped, staging, writing
from napari_cyclegan3d.io.guard import one_sentence, quiet
from napari_cyclegan3d.io.nifti_voxels import (
    Unpacked,
    is_compressed,
    opened,
    refuse_cut_off,
)

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
        shape, dtype, offset = _promised(header, path)
        refuse_cut_off(path, offset + math.prod(shape) * dtype.itemsize)
        affine = header.get_best_affine()
        if not np.abs(affine).max() < _FAR or not np.linalg.det(affine[:3, :3]):
            raise InputError(
                f"{path}: the affine in its header cannot be inverted; correct the "
                "voxel sizes and the sform of the file"
            )
        orientation = io_orientation(affine)
        to_ras = affine @ inv_ornt_aff(orientation, shape)
        x, y, z = (shape[axis] for axis in np.argsort(orientation[:, 0]))
        layout = replace(
            _layout((z, y, x), dtype, orientation),
            offset=offset,
            scaling=_scaling(header),
        )
        compressed = is_compressed(path)
        return Volume(
            Unpacked(path, layout) if compressed else Mapped(path, layout, read),
            _SWAP @ to_ras @ _SWAP,
            _unit(header),
            name=path.name,
            metadata={"nifti_header": header, "nifti_orientation": orientation},
        )


@contextmanager
def create(volume: Volume, path: Path) -> Iterator[Sink]:
    """Lend a sink whose voxels become a NIfTI image when the block ends well.

    A volume that was read from NIfTI keeps its header, its orientation on disk and the
    codes of its qform and sform; both get the affine of the volume (the qform without
    shear, which it cannot hold). Any other one is stored with x fastest and z slowest.

    A compressed file can only be written from its start to its end: the voxels wait
    uncompressed beside it, which needs room for both.

    Args:
        volume: Geometry, metadata, shape and type; its voxels are not read.
        path: The file to create or to replace.

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
    layout = _layout(volume.shape, header.get_data_dtype(), orientation)
    with (
        quiet("nibabel.global"),
        atomic_path(path, layout.voxel_bytes) as temporary,
    ):
        if is_compressed(path):
            with staging(temporary.parent, layout) as sink:
                yield sink
                _pack(sink, header, temporary)
            return
        with temporary.open("wb") as file:
            header.write_to(file)
            offset = file.tell()
        with writing(temporary, replace(layout, offset=offset)) as sink:
            yield sink


def _layout(shape: Shape, dtype: np.dtype[Any], orientation: NDArray[Any]) -> Layout:
    """How voxels z y x lie on disk, from the orientation of the axes i j k there."""
    k, j, i = (2 - int(axis) for axis in orientation[::-1, 0])
    backwards = {2 - int(axis) for axis, flip in orientation if flip < 0}
    z, y, x = (axis in backwards for axis in range(3))
    return Layout(shape, dtype, order=(k, j, i), flipped=(z, y, x))


def _pack(sink: FlatSink, header: Any, path: Path) -> None:
    # without a name and a time in it, the same volume gives the same bytes
    with path.open("wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
        header.write_to(packed)
        for piece in sink.stored_bytes():
            packed.write(piece)


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


def _promised(header: Any, path: Path) -> tuple[Shape, np.dtype[Any], int]:
    """Voxels per axis i j k, their type, and the bytes before them, by the header."""
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
    return (columns, rows, planes), dtype, offset


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
