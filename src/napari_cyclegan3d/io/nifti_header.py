"""The header of a NIfTI file: what it promises, and the one that is written."""

import io
import math
import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.orientations import inv_ornt_aff
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.units import METRES, conversion
from napari_cyclegan3d.engine.volume import Shape, Volume
from napari_cyclegan3d.io.frames import MOST_FRAMES, Series
from napari_cyclegan3d.io.nifti_quaternion import store_rotation
from napari_cyclegan3d.io.nifti_voxels import opened

REMEDY = (
    "is no NIfTI image that can be read (damaged, or another format under this name); "
    "take another copy or convert it again"
)
# x y z ↔ z y x
SWAP = np.eye(4)[[2, 1, 0, 3]]
_HEADER_BYTES = 540
_LENGTH_BITS, _TIME_BITS = 7, 56
_TIMES = {8: ("second", 1.0), 16: ("second", 1e-3), 24: ("second", 1e-6)}
_SECONDS = 8
# long double, complex and colours are no grey values that can be trained on
_LARGEST_VOXEL = 8
_MOST_BEFORE_VOXELS = 2**26
# NIfTI-1 counts voxels per axis with 16 bits
_LONGEST_NIFTI1 = 32767


def read_header(path: Path) -> Any:
    """The header with its extensions; of the voxels nothing is read.

    Raises:
        InputError: The file does not begin as NIfTI in one file does.
    """
    with opened(path) as file:
        start = file.read(_HEADER_BYTES)
        if start[344:348] == b"n+1\0":
            kind: Any = nib.Nifti1Header
        elif start[4:8] == b"n+2\0":
            kind = nib.Nifti2Header
        else:
            raise InputError(f"{path}: {REMEDY}")
        length = kind.template_dtype.itemsize
        to_voxels = int(kind(start[:length], check=False)["vox_offset"])
        if to_voxels > _MOST_BEFORE_VOXELS:
            raise InputError(f"{path}: {REMEDY}")
        start += file.read(max(0, to_voxels - _HEADER_BYTES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind.from_fileobj(io.BytesIO(start))


def promised(header: Any, path: Path) -> tuple[Shape, Series, np.dtype[Any], int]:
    """Voxels per axis i j k, the frames, the type, and the bytes before the voxels.

    Raises:
        InputError: They are no grey-valued volumes.
    """
    shape = tuple(int(size) for size in header.get_data_shape())
    if min(shape) < 1:
        raise InputError(f"{path}: its header states the shape {shape}; {REMEDY}")
    count = math.prod(shape[3:])
    if count > MOST_FRAMES:
        raise InputError(
            f"{path}: promises {count} frames, more than {MOST_FRAMES}; {REMEDY}"
        )
    dtype = header.get_data_dtype()
    if dtype.kind not in "uif" or dtype.itemsize > _LARGEST_VOXEL:
        raise InputError(
            f"{path}: voxels of type {dtype} are no grey values; "
            "convert the image to float32"
        )
    columns, rows, planes = (*shape, 1, 1)[:3]
    offset = header.get_data_offset() or header.single_vox_offset
    # behind the time NIfTI has what is measured: components of a vector
    only_times = math.prod(shape[4:]) == 1
    step, unit = _time_step(header)
    series = Series("t" if only_times else "c", (count,), step, unit)
    return (columns, rows, planes), series, dtype, offset


def scaling(header: Any) -> tuple[float, float] | None:
    """Slope and intercept; None where stored numbers are the grey values."""
    slope, intercept = header.get_slope_inter()
    if slope is None or (slope, intercept) == (1, 0):
        return None
    return float(slope), float(intercept)


def unit_of(header: Any) -> str:
    """The unit of length: millimeter where the header names none."""
    code = int(header["xyzt_units"]) & _LENGTH_BITS
    return {1: "meter", 3: "micrometer"}.get(code, "millimeter")


def header_for(volume: Volume, orientation: NDArray[Any], series: Series | None) -> Any:
    """The header to write: the volume's own one with its present affine, or a new one.

    Both forms get the same affine, so that programs that prefer one or the other agree.

    Args:
        volume: Geometry, type, and in its metadata the header that it came with.
        orientation: How its axes lie on disk, as nibabel describes it.
        series: What frames there will be; None: one volume.
    """
    own = volume.metadata.get("nifti_header")
    header = nib.Nifti1Header() if own is None else own.copy()
    shape = tuple(volume.shape[::-1][int(axis)] for axis in orientation[:, 0])
    tail = _frame_shape(own, series)
    if max(*shape, *tail, 1) > _LONGEST_NIFTI1:
        header = _as_nifti2(header)
    header["vox_offset"] = 0
    beyond_space = header["pixdim"][4:].copy()
    header.set_data_shape(shape + tail)
    header["pixdim"][4:] = beyond_space
    header.set_data_dtype(volume.dtype)
    header.set_slope_inter(1, 0)
    affine: NDArray[np.float64] = SWAP @ volume.affine @ SWAP
    if own is None or unit_of(own) != volume.unit:
        affine[:3] *= _set_unit(header, volume.unit)
    if own is None and series is not None:
        _set_time_step(header, series)
    affine = affine @ np.linalg.inv(inv_ornt_aff(orientation, shape))
    header.set_qform(affine, max(1, int(header["qform_code"])))
    store_rotation(header, affine)
    header.set_sform(affine, max(1, int(header["sform_code"])))
    return header


def _frame_shape(own: Any, series: Series | None) -> tuple[int, ...]:
    """Axes behind those of space: as they were, if there are as many frames."""
    if series is None:
        return ()
    before = () if own is None else tuple(map(int, own.get_data_shape()[3:]))
    return before if math.prod(before) == series.count else (series.count,)


def _time_step(header: Any) -> tuple[float, str]:
    step = float(header["pixdim"][4])
    unit, seconds = _TIMES.get(int(header["xyzt_units"]) & _TIME_BITS, ("pixel", 1.0))
    return (step * seconds, unit) if 0 < step < math.inf else (1.0, "pixel")


def _set_time_step(header: Any, series: Series) -> None:
    header["pixdim"][4] = series.step
    if series.unit == "second":
        lengths = int(header["xyzt_units"]) & _LENGTH_BITS
        header["xyzt_units"] = lengths | _SECONDS


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
