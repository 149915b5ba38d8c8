"""NIfTI-1 and NIfTI-2 in one file, plain (.nii) or compressed (.nii.gz).

On disk the axes are i j k in any orientation, with an affine to a world x y z that
counts towards right, anterior and superior (RAS). In memory a volume lies z y x, each
axis along the nearest of these directions. Flips and permutations are the only change,
so that writing can undo them and a volume returns to its own grid. A fourth axis holds
frames, which lie one after another.
"""

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import OrientationError, inv_ornt_aff, io_orientation
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.volume import ArraySource, Shape, Volume
from napari_cyclegan3d.io.blocks import Sink
from napari_cyclegan3d.io.flat import (
    FlatSink,
    Layout,
    Mapped,
    staging_series,
    writing_series,
)
from napari_cyclegan3d.io.frames import Series, framed
from napari_cyclegan3d.io.guard import one_sentence, quiet
from napari_cyclegan3d.io.nifti_header import (
    REMEDY,
    SWAP,
    header_for,
    promised,
    read_header,
    scaling,
    unit_of,
)
from napari_cyclegan3d.io.nifti_voxels import (
    Content,
    Unpacked,
    is_compressed,
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
    frames = read_series(path)
    if len(frames) > 1:
        header = frames[0].metadata["nifti_header"]
        raise InputError(
            f"{path}: is a {len(header.get_data_shape())}D image of {len(frames)} "
            f"frames; name one of them, as in {path.name}::0"
        )
    return frames[0]


def read_series(path: Path) -> list[Volume]:
    """Open all frames of an image, as `read` opens a single one.

    Raises:
        InputError: The file is damaged or cut off, or its voxels are no grey values.
    """
    with quiet("nibabel.global"), one_sentence(path, REMEDY, _DAMAGE):
        header = read_header(path)
        shape, series, dtype, offset = promised(header, path)
        frame_bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
        refuse_cut_off(path, offset + series.count * frame_bytes)
        orientation, affine = _placed(header, shape, path)
        x, y, z = (shape[axis] for axis in np.argsort(orientation[:, 0]))
        layout = replace(
            _layout((z, y, x), dtype, orientation), scaling=scaling(header)
        )
        volume = Volume(
            np.broadcast_to(np.zeros((), layout.grey_dtype), (z, y, x)),
            affine,
            unit_of(header),
            name=path.name,
            metadata={"nifti_header": header, "nifti_orientation": orientation},
        )
        return [
            framed(replace(volume, array=array), number, series)
            for number, array in enumerate(_voxels(path, layout, offset, series.count))
        ]


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
    with _created(volume, None, path) as (sink,):
        yield sink


@contextmanager
def create_series(
    volume: Volume, series: Series, path: Path
) -> Iterator[Sequence[Sink]]:
    """Lend a sink for each frame of what becomes a 4D image, see `create`.

    Args:
        volume: Any frame.
        series: How many there will be; the step between them is kept from a volume
            that was read from NIfTI.
        path: The file to create or to replace.

    Raises:
        InputError: As for `create`.
    """
    with _created(volume, series, path) as sinks:
        yield sinks


@contextmanager
def _created(
    volume: Volume, series: Series | None, path: Path
) -> Iterator[list[FlatSink]]:
    if volume.dtype.name not in _TYPES:
        raise InputError(
            f"{path}: NIfTI programs cannot read {volume.dtype.name}; convert the "
            f"voxels to one of {', '.join(_TYPES)}"
        )
    orientation = volume.metadata.get("nifti_orientation", _RAS)
    header = header_for(volume, orientation, series)
    layout = _layout(volume.shape, header.get_data_dtype(), orientation)
    count = 1 if series is None else series.count
    with (
        quiet("nibabel.global"),
        atomic_path(path, count * layout.voxel_bytes) as temporary,
    ):
        if is_compressed(path):
            with staging_series(temporary.parent, layout, count) as sinks:
                yield sinks
                _pack(sinks[0], header, temporary)
            return
        with temporary.open("wb") as file:
            header.write_to(file)
            offset = file.tell()
        layout = replace(layout, offset=offset)
        with writing_series(temporary, layout, count) as sinks:
            yield sinks


def _placed(
    header: Any, shape: Shape, path: Path
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The orientation of the axes on disk, and the affine of the volume z y x."""
    affine = header.get_best_affine()
    if not np.abs(affine).max() < _FAR or not np.linalg.det(affine[:3, :3]):
        raise InputError(
            f"{path}: the affine in its header cannot be inverted; correct the "
            "voxel sizes and the sform of the file"
        )
    orientation = io_orientation(affine)
    to_ras = affine @ inv_ornt_aff(orientation, shape)
    return orientation, SWAP @ to_ras @ SWAP


def _layout(shape: Shape, dtype: np.dtype[Any], orientation: NDArray[Any]) -> Layout:
    """How voxels z y x lie on disk, from the orientation of the axes i j k there."""
    k, j, i = (2 - int(axis) for axis in orientation[::-1, 0])
    backwards = {2 - int(axis) for axis, flip in orientation if flip < 0}
    z, y, x = (axis in backwards for axis in range(3))
    return Layout(shape, dtype, order=(k, j, i), flipped=(z, y, x))


def _voxels(
    path: Path, layout: Layout, offset: int, count: int
) -> Iterator[ArraySource]:
    """The voxels of each frame."""
    content = None
    if is_compressed(path):
        content = Content(path, offset, count * layout.voxel_bytes)
        offset = 0
    for number in range(count):
        frame = replace(layout, offset=offset + number * layout.voxel_bytes)
        if content is None:
            yield Mapped(path, frame, partial(_frame, number=number))
        else:
            yield Unpacked(content, frame)


def _frame(path: Path, number: int) -> Volume:
    frames = read_series(path)
    if number >= len(frames):
        raise InputError(f"{path}: has changed since it was opened; open it again")
    return frames[number]


def _pack(sink: FlatSink, header: Any, path: Path) -> None:
    # without a name and a time in it, the same volume gives the same bytes
    with path.open("wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
        header.write_to(packed)
        for piece in sink.stored_bytes():
            packed.write(piece)
