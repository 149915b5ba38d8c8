"""TIFF stacks: ImageJ, OME, BigTIFF and plain ones.

Uncompressed stacks are memory-mapped; compressed and tiled ones are decoded piece by
piece through zarr. What is written opens in Fiji with its voxel size.
"""

import lzma
import math
import struct
import weakref
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import TiffFile, TiffFileError, TiffPageSeries

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.volume import ArraySource, Region, Volume
from napari_cyclegan3d.io.blocks import Sink
from napari_cyclegan3d.io.flat import (
    Layout,
    Mapped,
    staging_series,
    writing_series,
)
from napari_cyclegan3d.io.frames import Series, framed
from napari_cyclegan3d.io.guard import one_sentence, quiet
from napari_cyclegan3d.io.tiff_checks import (
    REMEDY,
    Axes,
    only_series,
    refuse_lost_bytes,
    refuse_lost_pages,
)
from napari_cyclegan3d.io.tiff_geometry import (
    imagej_metadata,
    ome_metadata,
    read_geometry,
    read_step,
)

_IMAGEJ_TYPES = ("uint8", "uint16", "float32")
_OME_TYPES = (*_IMAGEJ_TYPES, "bool", "int8", "int16", "int32", "uint32", "float64")
# classic TIFF counts bytes with 32 bits; 32 MiB are left for the headers
_CLASSIC_BYTES = 2**32 - 2**25
# ImageJ's resolution is a fraction of two 32-bit integers
_IMAGEJ_SPACINGS = (1e-6, 1e6)

_DAMAGE = (
    TiffFileError,
    AssertionError,
    IndexError,
    KeyError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    ZeroDivisionError,
    lzma.LZMAError,
    struct.error,
    zlib.error,
)


def read(path: Path) -> Volume:
    """Open a TIFF stack; voxels are read when they are asked for.

    A single image becomes a volume of one slice.

    Raises:
        InputError: The file is damaged or cut off, or holds something else than one
            grey-valued stack (z, y, x).
    """
    frames = read_series(path)
    if len(frames) > 1:
        said = frames[0].metadata["tiff_axes"]
        if frames[0].metadata["series"].has_channels:
            raise InputError(
                f"{path}: is a colour or multi-channel image ({said} beside y and x); "
                f"name one channel of it, as in {path.name}::0, or save it as a grey "
                "stack (in Fiji: Image > Color > Split Channels)"
            )
        raise InputError(
            f"{path}: has 4 axes ({said} beside y and x); name one frame of it, as in "
            f"{path.name}::0"
        )
    return frames[0]


def read_series(path: Path) -> list[Volume]:
    """Open all frames and channels of a hyperstack, see `read`.

    Raises:
        InputError: As `read`, but for axes of frames and channels.
    """
    with quiet("tifffile"), one_sentence(path, REMEDY, _DAMAGE), ExitStack() as stack:
        tif = stack.enter_context(TiffFile(path))
        refuse_lost_pages(tif, path)
        image = only_series(tif, path)
        axes = Axes.of(image, path)
        refuse_lost_bytes(tif, image, path)
        affine, unit = read_geometry(tif, axes.shape)
        series = Series(
            "".join(axes.names[axis] for axis in axes.frames).lower(),
            tuple(axes.sizes[axis] for axis in axes.frames),
            *read_step(tif),
        )
        told = {"tiff_axes": axes.said} if series.count > 1 else {}
        return [
            framed(
                Volume(array, affine, unit, name=path.name, metadata=told),
                number,
                series,
            )
            for number, array in enumerate(_voxels(tif, image, axes, path, stack))
        ]


def _voxels(
    tif: TiffFile, image: TiffPageSeries, axes: Axes, path: Path, stack: ExitStack
) -> list[ArraySource]:
    """The voxels of each frame."""
    frames = list(np.ndindex(*(axes.sizes[axis] for axis in axes.frames)))
    if image.dataoffset is None or not axes.one_after_another:
        opened = _Opened(image)
        # the file stays open for as long as something can be read from it
        weakref.finalize(opened, stack.pop_all().close)
        dtype = image.dtype.newbyteorder("=")
        return [_Decoded(path, opened, dtype, axes, frame) for frame in frames]
    dtype = image.dtype.newbyteorder(tif.byteorder)
    layout = Layout(axes.shape, dtype, image.dataoffset)
    return [
        Mapped(
            path,
            replace(layout, offset=layout.offset + number * layout.voxel_bytes),
            partial(_frame, number=number),
        )
        for number in range(len(frames))
    ]


def _frame(path: Path, number: int) -> Volume:
    frames = read_series(path)
    if number >= len(frames):
        raise InputError(f"{path}: has changed since it was opened; open it again")
    return frames[number]


@contextmanager
def create(volume: Volume, path: Path) -> Iterator[Sink]:
    """Lend a sink whose voxels become a TIFF stack when the block ends well.

    8 and 16 bits unsigned and 32 bits float, up to 4 GB, become an ImageJ stack; all
    else becomes an OME-TIFF (BigTIFF beyond 4 GB), without loss.

    Args:
        volume: Geometry, shape and type; its voxels are not read.
        path: The file to create or to replace.

    Raises:
        InputError: The type of the voxels does not exist in OME-TIFF, or the file could
            not be written.
    """
    with _created(volume, None, path) as (sink,):
        yield sink


@contextmanager
def create_series(
    volume: Volume, series: Series, path: Path
) -> Iterator[Sequence[Sink]]:
    """Lend a sink for each frame of what becomes a hyperstack, see `create`.

    Args:
        volume: Any frame.
        series: The axes before z y x; with channels it becomes an OME-TIFF.
        path: The file to create or to replace.

    Raises:
        InputError: As `create`.
    """
    with _created(volume, series, path) as sinks:
        yield sinks


@contextmanager
def _created(
    volume: Volume, series: Series | None, path: Path
) -> Iterator[Sequence[Sink]]:
    if volume.dtype.name not in _OME_TYPES:
        raise InputError(
            f"{path}: TIFF stacks cannot hold {volume.dtype.name}; convert the voxels "
            f"to one of {', '.join(_OME_TYPES)}"
        )
    dtype = volume.dtype.newbyteorder("=")
    layout = Layout(volume.shape, dtype)
    count = 1 if series is None else series.count
    size = count * layout.voxel_bytes
    with quiet("tifffile"), atomic_path(path, size) as temporary:
        if dtype == np.bool_:
            # eight of them share a byte
            with staging_series(temporary.parent, layout, count) as sinks:
                yield sinks
                _write(temporary, volume, series, _planes(sinks))
            return
        offset = _write(temporary, volume, series, None)
        layout = replace(layout, offset=offset)
        with writing_series(temporary, layout, count) as sinks:
            yield sinks


def _write(
    path: Path,
    volume: Volume,
    series: Series | None,
    planes: Iterator[NDArray[Any]] | None,
) -> int:
    """Write a stack, or without `planes` room for one; gives where the voxels start."""
    _, y, x = volume.spacing
    imagej = fits_imagej(volume, series)
    frames = () if series is None else series.shape
    size = math.prod(frames) * math.prod(volume.shape) * volume.dtype.itemsize
    told = imagej_metadata if imagej else ome_metadata
    offset, _ = tifffile.imwrite(
        path,
        planes,
        shape=(*frames, *volume.shape),
        dtype=volume.dtype.newbyteorder("="),
        photometric="minisblack",
        imagej=imagej,
        ome=not imagej,
        bigtiff=size > _CLASSIC_BYTES,
        resolution=(1 / x, 1 / y) if imagej else None,
        metadata=told(volume, series),
        returnoffset=True,
    ) or (0, 0)
    return offset


def fits_imagej(volume: Volume, series: Series | None = None) -> bool:
    """Whether this can be an ImageJ stack that Fiji opens without a plugin."""
    count = 1 if series is None else series.count
    size = count * math.prod(volume.shape) * volume.dtype.itemsize
    low, high = _IMAGEJ_SPACINGS
    return (
        volume.dtype.name in _IMAGEJ_TYPES
        and size <= _CLASSIC_BYTES
        # tifffile takes a last axis of one for colour samples
        and volume.shape[2] > 1
        and all(low <= spacing <= high for spacing in volume.spacing)
        # ImageJ has channels between the slices
        and (series is None or not series.has_channels)
    )


def _planes(sinks: Sequence[Sink]) -> Iterator[NDArray[Any]]:
    for sink in sinks:
        for region in sink.parts():
            yield from sink[region]


class _Opened:
    """The stored voxels of an image, for as long as somebody has this."""

    def __init__(self, image: TiffPageSeries) -> None:
        import zarr

        store = image.aszarr(squeeze=False, level=0)
        self.voxels = zarr.open_array(store, mode="r", zarr_format=2)


class _Decoded:
    """Voxels of a compressed or tiled frame, decoded where they are read."""

    def __init__(
        self,
        path: Path,
        opened: _Opened,
        dtype: np.dtype[Any],
        axes: Axes,
        frame: tuple[int, ...],
    ) -> None:
        self.shape = axes.shape
        self.dtype = dtype
        self._path = path
        self._opened = opened
        self._axes = axes
        self._frame = frame

    def __getitem__(self, region: Region) -> NDArray[Any]:
        shape = [
            len(range(*part.indices(size)))
            for part, size in zip(region, self.shape, strict=True)
        ]
        place: Any = self._axes.stored_region(self._frame, region)
        with quiet("tifffile"), one_sentence(self._path, REMEDY, _DAMAGE):
            stored = self._opened.voxels[place]
        return np.array(stored, dtype=self.dtype, order="C").reshape(shape)
