"""Writing OME-Zarr images, see `ome_zarr`."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Shape, Volume
from napari_cyclegan3d.io.frames import Series
from napari_cyclegan3d.io.ome_chunks import UNFINISHED, StoreSink
from napari_cyclegan3d.io.ome_metadata import NOTE, image_attributes
from napari_cyclegan3d.io.ome_pyramid import finish, levels_of, smaller
from napari_cyclegan3d.io.ome_store import refuse_others, replacing

Fingerprint = Mapping[str, Any]
Frame = tuple[int, ...]

VERSION_KEY = "ome_zarr_version"
# the same codec for Zarr 2 and for Zarr 3: of those that every reader has, the fastest
# on voxels of a network
_BLOSC_2 = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
_BLOSC_3 = {
    "name": "blosc",
    "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle"},
}
CHUNKS: Shape = (32, 128, 128)
# of larger images, a file holds a shard of several chunks
SHARDED_FROM = 2**32
CHUNKS_IN_SHARDS, CHUNKS_OF_SHARD = (64, 64, 64), (1, 2, 2)
_TYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "float32", "float64",
)  # fmt: skip


def reopen(path: Path, frame: Frame = ()) -> StoreSink:
    """The sink of an image that another process has created and not yet finished.

    Args:
        path: The image.
        frame: Which volume of a series.
    """
    return StoreSink(path.resolve(), frame)


@contextmanager
def create(
    volume: Volume,
    path: Path,
    chunks: Shape | None = None,
    fingerprint: Fingerprint | None = None,
    sharded_from: int = SHARDED_FROM,
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
        sharded_from: Bytes beyond which the chunks of version 0.5 share files.

    Raises:
        InputError: Zarr does not know the type of the voxels, something else is at the
            path, another job's image or a finished one is there (with a fingerprint),
            chunks were left out, or the system refused the writing.
    """
    files = _files(volume, chunks, sharded_from)
    with _created(volume, None, path, files, fingerprint) as (sink,):
        yield sink


@contextmanager
def create_series(
    volume: Volume,
    series: Series,
    path: Path,
    fingerprint: Fingerprint | None = None,
) -> Iterator[Sequence[StoreSink]]:
    """Lend a sink for each frame of what becomes one image, see `create`.

    Args:
        volume: Any frame.
        series: The axes before z y x.
        path: The folder to create.
        fingerprint: What makes this job another one than others.

    Raises:
        InputError: As `create`.
    """
    files = _files(volume, None, SHARDED_FROM)
    with _created(volume, series, path, files, fingerprint) as sinks:
        yield sinks


@contextmanager
def _created(
    volume: Volume,
    series: Series | None,
    path: Path,
    files: tuple[Shape, Shape],
    fingerprint: Fingerprint | None,
) -> Iterator[list[StoreSink]]:
    _refuse_type(volume, path)
    frames = list(np.ndindex(() if series is None else series.shape))
    count = len(levels_of(volume.shape))
    kept = "nothing was changed"
    try:
        if fingerprint is None:
            with replacing(path) as temporary:
                _new(volume, series, temporary, files, {})
                yield [StoreSink(temporary, frame) for frame in frames]
                finish(temporary, frames, count)
            return
        job = json.loads(json.dumps(fingerprint, default=str))
        if path.resolve().exists():
            refuse_others(volume, path, job, frames[0], _version(volume))
        else:
            with replacing(path) as temporary:
                note = {"state": UNFINISHED, "job": job}
                _new(volume, series, temporary, files, note)
        kept = "what was done is kept: the same command goes on"
        yield [reopen(path, frame) for frame in frames]
        finish(path.resolve(), frames, count)
    except OSError as error:
        raise InputError(
            f"{path}: could not be written ({error.strerror or error}); "
            f"free space or choose another folder; {kept}"
        ) from error


def _refuse_type(volume: Volume, path: Path) -> None:
    if volume.dtype.name not in _TYPES:
        raise InputError(
            f"{path}: grey values in OME-Zarr cannot be {volume.dtype.name}; convert "
            f"the voxels to one of {', '.join(_TYPES)}"
        )


def _version(volume: Volume) -> str:
    return "0.4" if volume.metadata.get(VERSION_KEY) == "0.4" else "0.5"


def _files(
    volume: Volume, chunks: Shape | None, sharded_from: int
) -> tuple[Shape, Shape]:
    """Voxels per axis of a chunk, and how many chunks per axis share a file."""
    size = math.prod(volume.shape) * volume.dtype.itemsize
    if chunks is not None or _version(volume) == "0.4" or size <= sharded_from:
        return chunks or CHUNKS, (1, 1, 1)
    return CHUNKS_IN_SHARDS, CHUNKS_OF_SHARD


def _new(
    volume: Volume,
    series: Series | None,
    path: Path,
    files: tuple[Shape, Shape],
    note: Mapping[str, Any],
) -> None:
    """An image of which no chunk is written yet."""
    import zarr

    version, factors = _version(volume), levels_of(volume.shape)
    group = zarr.create_group(
        path,
        zarr_format=2 if version == "0.4" else 3,
        attributes=image_attributes(volume, factors, series, note, version),
    )
    frames = () if series is None else series.shape
    axes = "" if series is None else series.axes
    for level, factor in enumerate(factors):
        shape = smaller(volume.shape, factor)
        group.create_array(
            str(level),
            shape=(*frames, *shape),
            dtype=volume.dtype.newbyteorder("="),
            attributes={NOTE: {"all_chunks": True}},
            **_layout(shape, axes, files, version),
        )


def _layout(
    shape: Shape, axes: str, files: tuple[Shape, Shape], version: str
) -> dict[str, Any]:
    """How an array is cut and packed."""
    sizes, shared = files
    ones = (1,) * len(axes)
    inner = tuple(min(one, size) for one, size in zip(sizes, shape, strict=True))
    chunks = (*ones, *inner)
    if version == "0.4":
        return {
            "chunks": chunks,
            "compressors": _BLOSC_2,
            "chunk_key_encoding": {"name": "v2", "separator": "/"},
        }
    shards = tuple(one * count for one, count in zip(inner, shared, strict=True))
    return {
        "chunks": chunks,
        "shards": None if shards == inner else (*ones, *shards),
        "compressors": _BLOSC_3,
        "dimension_names": (*axes, "z", "y", "x"),
    }
