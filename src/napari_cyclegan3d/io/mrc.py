"""MRC images of electron microscopy (.mrc, .map, .rec), read piece by piece.

Lengths are in ångström. The header holds the size of voxels, an origin, and which axis
is stored fastest, but no rotation and no other unit. These are in its labels (lines of
text that programs show) and count here as long as the header's numbers agree with them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.blocks import Sink
from napari_cyclegan3d.io.flat import FlatSink, Layout, Mapped, writing_series
from napari_cyclegan3d.io.frames import Series, every
from napari_cyclegan3d.io.guard import one_sentence
from napari_cyclegan3d.io.mrc_header import BYTES, REMEDY, Header, header_for

TYPES = ("int8", "int16", "uint16", "float16", "float32")
# MRC has no unsigned bytes that all programs understand
_WIDER = {"uint8": np.dtype("<u2")}
WIDENED = tuple(_WIDER)


def read(path: Path) -> Volume:
    """Open an MRC image; voxels are read when they are asked for.

    Raises:
        InputError: The file is damaged or cut off, or holds something else than one
            grey-valued 3D image on a rectangular grid.
    """
    frames = _header(path).frames
    if frames > 1:
        raise InputError(
            f"{path}: holds {frames} volumes; choose one, as in {path.name}::0"
        )
    return _frame(0, path)


def read_series(path: Path) -> list[Volume]:
    """The volumes of a file, in their order.

    Raises:
        InputError: As `read` does.
    """
    return every(path, _header(path).frames, _frame)


@contextmanager
def create(volume: Volume, path: Path) -> Iterator[Sink]:
    """Lend a sink whose voxels become an MRC image when the block ends well.

    Unsigned bytes are stored in 16 bits; all other types as they are.

    Args:
        volume: Geometry, shape and type; its voxels are not read.
        path: The file to create or to replace.

    Raises:
        InputError: MRC does not have the type, or the file could not be written.
    """
    with _created(volume, 1, path) as (sink,):
        yield sink


@contextmanager
def create_series(
    volume: Volume, series: Series, path: Path
) -> Iterator[Sequence[Sink]]:
    """Lend a sink for each frame of what becomes a stack of volumes, see `create`.

    Args:
        volume: Any frame.
        series: What the frames are; MRC keeps their number only.
        path: The file to create or to replace.

    Raises:
        InputError: As `create`.
    """
    with _created(volume, series.count, path) as sinks:
        yield sinks


@contextmanager
def _created(volume: Volume, count: int, path: Path) -> Iterator[Sequence[Sink]]:
    if volume.dtype.name not in (*TYPES, *_WIDER):
        raise InputError(
            f"{path}: MRC images cannot hold {volume.dtype.name}; convert the voxels "
            f"to one of {', '.join(TYPES)}"
        )
    dtype = _WIDER.get(volume.dtype.name, volume.dtype.newbyteorder("<"))
    layout = Layout(volume.shape, dtype, BYTES)
    header = header_for(volume, dtype, count)
    with atomic_path(path, count * layout.voxel_bytes) as temporary:
        temporary.write_bytes(header.tobytes())
        with writing_series(temporary, layout, count) as sinks:
            yield sinks
            _describe_values(sinks, header)
        with temporary.open("rb+") as file:
            file.write(header.tobytes())


def _describe_values(sinks: Sequence[FlatSink], header: Any) -> None:
    """Range, mean and spread of the voxels, by which viewers choose a contrast."""
    low, high, total, squares, count = np.inf, -np.inf, 0.0, 0.0, 0
    pieces = (sink[part] for sink in sinks for part in sink.parts())
    for plane in (plane for piece in pieces for plane in piece):
        values = plane[np.isfinite(plane)].astype(np.float64)
        if values.size:
            low, high = min(low, values.min()), max(high, values.max())
        total, squares = total + values.sum(), squares + (values**2).sum()
        count += values.size
    if not count:
        low, high, count = 0.0, 0.0, 1
    mean = total / count
    header["dmin"], header["dmax"], header["dmean"] = low, high, mean
    header["rms"] = np.sqrt(max(0.0, squares / count - mean**2))


def _header(path: Path) -> Header:
    with one_sentence(path, REMEDY, ()), path.open("rb") as file:
        header = Header.of(file.read(BYTES), path)
    layout, size = header.layout, path.stat().st_size
    promised = layout.offset + header.frames * layout.voxel_bytes
    if size < promised:
        raise InputError(
            f"{path}: is cut off or damaged: its header promises {promised} bytes and "
            f"{size} are there; copy or download it again"
        )
    return header


def _frame(number: int, path: Path) -> Volume:
    """The volume of this number; read anew when the file has been replaced."""
    header = _header(path)
    affine, unit = header.place
    start = header.layout.offset + number * header.layout.voxel_bytes
    return Volume(
        Mapped(path, replace(header.layout, offset=start), partial(_frame, number)),
        affine,
        unit,
        name=path.name,
    )
