"""OME-Zarr: a folder with an image in chunks, one file each.

Read are versions 0.4 (Zarr 2) and 0.5 (Zarr 3), of a pyramid the full resolution.
Written is 0.5 with this one level. OME-Zarr places an image by a scale and a
translation and knows no rotation: they hold the nearest that they can, and the whole
affine is in an attribute of our own, which is used when the image is read here again.

A file of a chunk appears whole or not at all, and is written even if all its voxels
are equal. So a chunk whose file exists is done, several processes may write different
chunks at the same time, and a result that was interrupted can be gone on with.
"""

import errno
import json
import math
import os
import secrets
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region, Shape, Volume
from napari_cyclegan3d.io.guard import one_sentence
from napari_cyclegan3d.io.ome_chunks import LEVEL, UNFINISHED, Grid, StoreSink
from napari_cyclegan3d.io.ome_metadata import (
    NOTE,
    Description,
    attributes_of,
    describe,
    image_attributes,
    noted_affine,
)

Fingerprint = Mapping[str, Any]

SUFFIX = ".zarr"
CHUNKS: Shape = (32, 128, 128)
_TYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "float32", "float64",
)  # fmt: skip
_LARGEST_CHUNK = 2**30
_GREY_KINDS = "buif"
_LARGEST_VOXEL = 8
# what zarr and its codecs raise about damaged content
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
_REMEDY = (
    "is no OME-Zarr image that can be read (damaged, cut off, or something else under "
    "this name); copy or download it again"
)


def is_store(path: Path) -> bool:
    """Whether a folder is named `.zarr`, or holds what describes a Zarr group.

    Raises:
        OSError: The folder may not be looked into.
    """
    if not path.is_dir():
        return False
    names = ("zarr.json", ".zattrs", ".zgroup")
    return is_named_store(path) or any((path / name).is_file() for name in names)


def is_named_store(path: Path) -> bool:
    """Whether a path has the suffix of these folders."""
    return path.suffix.lower() == SUFFIX


def read(path: Path) -> Volume:
    """Open the full resolution of an image; voxels are read when they are asked for.

    Axes of length 1 before z y x are dropped. The place comes from the affine that
    `create` leaves, else from the scales and translations of the image and its level.

    Raises:
        InputError: The folder is damaged or no image of OME-Zarr 0.4 or 0.5, holds
            something else than one grey-valued 3D image, or is not finished.
    """
    if not path.is_dir():
        raise InputError(f"{path}: is a file; an OME-Zarr is a folder; check the path")
    with one_sentence(path, _REMEDY, _DAMAGE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = describe(path)
        if told.note.get("state") == UNFINISHED:
            raise InputError(
                f"{path}: is not finished; give the command that began it once more, "
                "and it goes on"
            )
        array = zarr.open_array(path / told.path, mode="r")
        _refuse_array(array, told, path)
        z, y, x = (int(size) for size in array.shape[told.leading :])
        return Volume(
            _Voxels(path, array, (z, y, x)),
            noted_affine(told, (z, y, x)),
            told.unit,
            name=path.resolve().name,
        )


def _refuse_array(array: Any, told: Description, path: Path) -> None:
    """Refuse what is no 3D image, and chunks that no memory holds."""
    named = f"{path}: its array {told.path}"
    if array.ndim != told.leading + 3 or min(array.shape) < 1:
        raise InputError(
            f"{named} has shape {array.shape}, which does not fit its axes; copy it "
            "again"
        )
    if max(array.shape[: told.leading], default=1) > 1:
        raise InputError(
            f"{named} has shape {array.shape}; save one channel and one frame of it "
            "with the axes z y x"
        )
    if array.dtype.kind not in _GREY_KINDS or array.dtype.itemsize > _LARGEST_VOXEL:
        raise InputError(
            f"{named} has values of type {array.dtype}, which are no grey values; save "
            "them as integers or float32"
        )
    chunk = math.prod(array.chunks) * array.dtype.itemsize
    if chunk > _LARGEST_CHUNK:
        raise InputError(
            f"{named} has chunks of shape {array.chunks}, {chunk} bytes each, which is "
            "damage or too much; store it in chunks of at most 1 GiB"
        )


class _Voxels:
    """Voxels z y x of an array, in the byte order of the machine."""

    def __init__(self, path: Path, array: Any, shape: Shape) -> None:
        self.shape = shape
        self.dtype = array.dtype.newbyteorder("=")
        self._path = path
        self._array = array
        self._leading = (0,) * (array.ndim - 3)
        self._grid: Grid | None = None
        # our own arrays have all their chunks
        if NOTE in array.attrs:
            self._grid = Grid(Path(array.store.root), shape, array.chunks)

    def __getitem__(self, region: Region) -> NDArray[Any]:
        ranges = [
            range(*part.indices(size))
            for part, size in zip(region, self.shape, strict=True)
        ]
        if not all(ranges):
            return np.empty([len(one) for one in ranges], self.dtype)
        with one_sentence(self._path, _REMEDY, _DAMAGE):
            if self._grid is not None and not self._grid.is_done(region):
                raise InputError(
                    f"{self._path}: has lost some of its chunks; copy it again"
                )
            stored = self._array[(*self._leading, *region)]
            return np.require(stored, self.dtype, ["C", "W"])


def reopen(path: Path) -> StoreSink:
    """The sink of an image that another process has created and not yet finished."""
    return StoreSink(path.resolve())


@contextmanager
def create(
    volume: Volume,
    path: Path,
    chunks: Shape | None = None,
    fingerprint: Fingerprint | None = None,
) -> Iterator[StoreSink]:
    """Lend a sink whose voxels become an image when the block ends well.

    Without a fingerprint it appears whole or not at all, and replaces an older one.
    With a fingerprint it is there at once, marked as unfinished, stays when the block
    fails or the process is killed, and is gone on with when the same job comes again.
    The scale is the spacing and the translation the origin: the nearest to the affine
    that OME-Zarr can express. The affine itself is in the attribute
    `napari_cyclegan3d`, with the fingerprint.

    Args:
        volume: Geometry, shape and type; its voxels are not read.
        path: The folder to create.
        chunks: Voxels per axis of a chunk (z, y, x).
        fingerprint: What makes this job another one than others; goes into JSON.

    Raises:
        InputError: Zarr does not know the type of the voxels, something else is at the
            path, another job's image or a finished one is there (with a fingerprint),
            chunks were left out, or the system refused the writing.
    """
    if volume.dtype.name not in _TYPES:
        raise InputError(
            f"{path}: grey values in OME-Zarr cannot be {volume.dtype.name}; convert "
            f"the voxels to one of {', '.join(_TYPES)}"
        )
    kept = "nothing was changed"
    try:
        if fingerprint is None:
            with _replacing(path) as temporary:
                sink = _new(volume, temporary, chunks, {})
                yield sink
                sink.finish()
            return
        job = json.loads(json.dumps(fingerprint, default=str))
        if path.resolve().exists():
            _refuse_others(volume, path, job)
        else:
            with _replacing(path) as temporary:
                _new(volume, temporary, chunks, {"state": UNFINISHED, "job": job})
        kept = "what was done is kept: the same command goes on"
        sink = reopen(path)
        yield sink
        sink.finish()
    except OSError as error:
        raise InputError(
            f"{path}: could not be written ({error.strerror or error}); "
            f"free space or choose another folder; {kept}"
        ) from error


def remove(path: Path) -> None:
    """Delete an image, and nothing that is none.

    Raises:
        InputError: There is something else at the path.
        OSError: It may not be deleted.
    """
    final = path.resolve()
    _refuse_foreign(path, final)
    if final.exists():
        # out of the way at once, however long the deletion of its files takes
        hidden = _hidden(final)
        final.rename(hidden)
        shutil.rmtree(hidden)


def _new(
    volume: Volume, path: Path, chunks: Shape | None, note: Mapping[str, Any]
) -> StoreSink:
    attributes = image_attributes(volume, LEVEL, note)
    group = zarr.create_group(path, zarr_format=3, attributes=attributes)
    group.create_array(
        LEVEL,
        shape=volume.shape,
        dtype=volume.dtype.newbyteorder("="),
        chunks=tuple(
            min(side, size)
            for side, size in zip(chunks or CHUNKS, volume.shape, strict=True)
        ),
        # of the codecs every reader has, the fastest on voxels of a network
        compressors=BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"),
        dimension_names=("z", "y", "x"),
        attributes={NOTE: {"all_chunks": True}},
    )
    return StoreSink(path)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Lend a path beside `path`; its folder becomes `path` when the block ends well."""
    final = path.resolve()
    if not final.parent.is_dir():
        raise InputError(
            f"{path}: the folder {final.parent} does not exist; create it or choose "
            "another"
        )
    _refuse_foreign(path, final)
    if final.exists() and not os.access(final, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    temporary = _hidden(final)
    try:
        yield temporary
        remove(final)
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _hidden(final: Path) -> Path:
    return final.with_name(f".{secrets.token_hex(8)}.part{SUFFIX}")


def _refuse_foreign(path: Path, final: Path) -> None:
    if final.exists() and (not final.is_dir() or attributes_of(final) is None):
        raise InputError(
            f"{path}: is there already and no OME-Zarr image; choose another name"
        )


def _refuse_others(volume: Volume, path: Path, job: Any) -> None:
    """Refuse to go on with what is not the same job's."""
    final = path.resolve()
    note = ((attributes_of(final) if final.is_dir() else None) or {}).get(NOTE, {})
    if note.get("state") != UNFINISHED:
        raise InputError(f"{path}: exists already; replace it with --overwrite")
    sink = StoreSink(final)
    if note.get("job") != job or (sink.shape, sink.dtype) != (
        volume.shape,
        volume.dtype,
    ):
        raise InputError(
            f"{path}: is the unfinished result of another job; finish that one with "
            "its own settings, or replace it with --overwrite"
        )
