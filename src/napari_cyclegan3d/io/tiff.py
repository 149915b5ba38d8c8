"""TIFF stacks: ImageJ, OME, BigTIFF and plain ones.

Uncompressed stacks are memory-mapped; compressed and tiled ones are decoded piece by
piece through zarr. What is written opens in Fiji with its voxel size.
"""

import lzma
import math
import struct
import weakref
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from tifffile import TiffFile, TiffFileError, TiffFrame, TiffPage, TiffPageSeries

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.volume import ArraySource, Region, Shape, Volume
from napari_cyclegan3d.io.blocks import Sink
from napari_cyclegan3d.io.flat import Layout, Mapped, staging, writing
from napari_cyclegan3d.io.guard import one_sentence, quiet
from napari_cyclegan3d.io.tiff_geometry import (
    imagej_metadata,
    ome_metadata,
    read_geometry,
)

_IMAGEJ_TYPES = ("uint8", "uint16", "float32")
_OME_TYPES = (*_IMAGEJ_TYPES, "bool", "int8", "int16", "int32", "uint32", "float64")
_DESCRIPTION = 270
# classic TIFF counts bytes with 32 bits; 32 MiB are left for the headers
_CLASSIC_BYTES = 2**32 - 2**25
# ImageJ's resolution is a fraction of two 32-bit integers
_IMAGEJ_SPACINGS = (1e-6, 1e6)
# no codec of TIFF packs voxels of a real image into fewer than 1 of 2000 bytes
_DENSEST = 2000
# more channels than this are slices that a program did not name
_MOST_CHANNELS = 4

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
_CUT_OFF = "is cut off: parts of the stack are missing; copy or download it again"
_REMEDY = (
    "is no TIFF image that can be read (damaged, cut off, or another format under "
    "this name); save it again as an uncompressed TIFF stack"
)


def read(path: Path) -> Volume:
    """Open a TIFF stack; voxels are read when they are asked for.

    A single image becomes a volume of one slice.

    Raises:
        InputError: The file is damaged or cut off, or holds something else than one
            grey-valued stack (z, y, x).
    """
    with (
        quiet("tifffile"),
        one_sentence(path, _REMEDY, _DAMAGE),
        ExitStack() as stack,
    ):
        tif = stack.enter_context(TiffFile(path))
        _refuse_lost_pages(tif, path)
        series = _only_series(tif, path)
        axes = _Axes.of(series, path)
        _refuse_lost_bytes(tif, series, path)
        affine, unit = read_geometry(tif, axes.shape)
        array: ArraySource
        if series.dataoffset is None:
            array = _Decoded(path, series, axes)
            # the file stays open for as long as something can be read from it
            weakref.finalize(array, stack.pop_all().close)
        else:
            dtype = series.dtype.newbyteorder(tif.byteorder)
            stored = Layout(axes.shape, dtype, series.dataoffset)
            array = Mapped(path, stored, read)
        return Volume(array, affine, unit, name=path.name)


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
    if volume.dtype.name not in _OME_TYPES:
        raise InputError(
            f"{path}: TIFF stacks cannot hold {volume.dtype.name}; convert the voxels "
            f"to one of {', '.join(_OME_TYPES)}"
        )
    dtype = volume.dtype.newbyteorder("=")
    layout = Layout(volume.shape, dtype)
    with quiet("tifffile"), atomic_path(path, layout.voxel_bytes) as temporary:
        if dtype == np.bool_:
            # eight of them share a byte
            with staging(temporary.parent, layout) as sink:
                yield sink
                _write(temporary, volume, _planes(sink))
            return
        offset = _write(temporary, volume, None)
        with writing(temporary, replace(layout, offset=offset)) as sink:
            yield sink


def _write(path: Path, volume: Volume, planes: Iterator[NDArray[Any]] | None) -> int:
    """Write a stack, or without `planes` room for one; gives where the voxels start."""
    _, y, x = volume.spacing
    imagej = fits_imagej(volume)
    offset, _ = tifffile.imwrite(
        path,
        planes,
        shape=volume.shape,
        dtype=volume.dtype.newbyteorder("="),
        photometric="minisblack",
        imagej=imagej,
        ome=not imagej,
        bigtiff=math.prod(volume.shape) * volume.dtype.itemsize > _CLASSIC_BYTES,
        resolution=(1 / x, 1 / y) if imagej else None,
        metadata=imagej_metadata(volume) if imagej else ome_metadata(volume),
        returnoffset=True,
    ) or (0, 0)
    return offset


def fits_imagej(volume: Volume) -> bool:
    """Whether the volume can be an ImageJ stack that Fiji opens without a plugin."""
    size = math.prod(volume.shape) * volume.dtype.itemsize
    low, high = _IMAGEJ_SPACINGS
    return (
        volume.dtype.name in _IMAGEJ_TYPES
        and size <= _CLASSIC_BYTES
        # tifffile takes a last axis of one for colour samples
        and volume.shape[2] > 1
        and all(low <= spacing <= high for spacing in volume.spacing)
    )


def _planes(sink: Sink) -> Iterator[NDArray[Any]]:
    for region in sink.parts():
        yield from sink[region]


def _only_series(tif: TiffFile, path: Path) -> TiffPageSeries:
    if len(tif.series) != 1:
        shapes = ", ".join(str(series.shape) for series in tif.series[:4])
        raise InputError(
            f"{path}: holds {len(tif.series)} images (shapes {shapes}); "
            "save the one you need as a stack of its own"
        )
    series = tif.series[0]
    keyframe = series.keyframe
    codec = tifffile.COMPRESSION(keyframe.compression).name
    if keyframe.compression not in tifffile.TIFF.DECOMPRESSORS:
        raise InputError(
            f"{path}: is compressed with {codec}, which needs another package; "
            "`pip install imagecodecs`, or save the stack uncompressed"
        )
    if series.dtype.kind not in "buif":
        raise InputError(
            f"{path}: voxels of type {series.dtype} are no grey values; "
            "save the stack with 8, 16 or 32 bits"
        )
    return series


@dataclass(frozen=True)
class _Axes:
    """Where the axes z y x are among the stored ones; all others have length 1."""

    sizes: tuple[int, ...]
    z: int | None
    y: int
    x: int

    @classmethod
    def of(cls, series: TiffPageSeries, path: Path) -> "_Axes":
        axes = series.get_axes(squeeze=False)
        sizes = tuple(int(size) for size in series.get_shape(squeeze=False))
        y, x = axes.rindex("Y"), axes.rindex("X")
        longer = [
            axis for axis, size in enumerate(sizes) if size > 1 and axis not in (y, x)
        ]
        named = " × ".join(f"{sizes[axis]} {axes[axis]}" for axis in longer)
        if any(
            axes[axis] == "S" or (axes[axis] == "C" and sizes[axis] <= _MOST_CHANNELS)
            for axis in longer
        ):
            raise InputError(
                f"{path}: is a colour or multi-channel image ({named} beside y and x); "
                "save one channel of it as a grey stack (in Fiji: Image > Color > "
                "Split Channels)"
            )
        if len(longer) > 1:
            raise InputError(
                f"{path}: has {len(longer) + 2} axes ({named} beside y and x); "
                "save one 3D stack (z, y, x) of it"
            )
        z = longer[0] if longer else None
        if y > x or (z is not None and z > y):
            raise InputError(
                f"{path}: its axes are stored as {axes}; save the stack slice by slice "
                "(z, y, x)"
            )
        return cls(sizes, z, y, x)

    @property
    def shape(self) -> Shape:
        """Voxels per axis, (z, y, x)."""
        depth = 1 if self.z is None else self.sizes[self.z]
        return depth, self.sizes[self.y], self.sizes[self.x]

    def stored_region(self, region: Region) -> tuple[slice, ...]:
        """The same voxels in terms of the stored axes."""
        parts = [slice(None)] * len(self.sizes)
        if self.z is not None:
            parts[self.z] = region[0]
        parts[self.y], parts[self.x] = region[1:]
        return tuple(parts)


def _refuse_lost_pages(tif: TiffFile, path: Path) -> None:
    """Follow the chain of page headers to its end, which a file cut off has not.

    tifffile ends the chain where it breaks, and then gives what it has.
    """

    def number_at(position: int, kind: str) -> int:
        tif.filehandle.seek(position)
        data = tif.filehandle.read(struct.calcsize(kind))
        if len(data) < struct.calcsize(kind):
            raise InputError(f"{path}: {_CUT_OFF}")
        return int(struct.unpack(kind, data)[0])

    form = tif.tiff
    seen: set[int] = set()
    # the first link comes after a mark that has the length of a link
    header = number_at(form.offsetsize, form.offsetformat)
    while header:
        if header in seen:
            raise InputError(f"{path}: {_REMEDY}")
        seen.add(header)
        tags = number_at(header, form.tagnoformat)
        link = header + form.tagnosize + tags * form.tagsize
        header = number_at(link, form.offsetformat)


def _refuse_lost_bytes(tif: TiffFile, series: TiffPageSeries, path: Path) -> None:
    """Compare what the headers promise with the bytes that are there."""
    size = tif.filehandle.size
    pages = [page for page in series.pages if page is not None]
    if len(pages) < len(series.pages):
        raise InputError(
            f"{path}: some of its slices are in other files that are not here; "
            "put all files of the image into one folder"
        )
    lost = max(_last_byte(series, pages), _description_end(tif)) > size
    if lost or _stated_slices(tif) > series.nbytes / tif.pages.first.nbytes:
        raise InputError(f"{path}: {_CUT_OFF}")
    if series.nbytes > size * _DENSEST:
        raise InputError(
            f"{path}: is damaged: promises {series.nbytes} bytes of voxels and has "
            f"{size} bytes in all; copy or download it again"
        )


def _stated_slices(tif: TiffFile) -> int:
    """How many slices follow a single header, as ImageJ writes large stacks.

    tifffile takes such a file for one of a single slice when it has been cut off.
    """
    if not tif.imagej_metadata or len(tif.pages) > 1:
        return 1
    return int(tif.imagej_metadata.get("images", 1))


def _description_end(tif: TiffFile) -> float:
    """Where the text that holds the voxel size ends; infinity if it cannot be read."""
    page = tif.pages.first
    if _DESCRIPTION in page.tags:
        tag = page.tags[_DESCRIPTION]
        return tag.valueoffset + tag.valuebytecount
    form = tif.tiff
    tif.filehandle.seek(page.offset)
    (count,) = struct.unpack(form.tagnoformat, tif.filehandle.read(form.tagnosize))
    codes = [
        struct.unpack_from(f"{form.byteorder}H", tif.filehandle.read(form.tagsize))[0]
        for _ in range(count)
    ]
    return math.inf if _DESCRIPTION in codes else 0


def _last_byte(series: TiffPageSeries, pages: list[TiffPage | TiffFrame]) -> int:
    """Where the voxels end in the file."""
    if series.dataoffset is not None:
        return series.dataoffset + int(series.nbytes)
    if series.is_multifile:
        return 0
    return max(
        offset + count
        for page in pages
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
    )


class _Decoded:
    """Voxels of a compressed or tiled stack, decoded where they are read."""

    def __init__(self, path: Path, series: TiffPageSeries, axes: _Axes) -> None:
        self.shape = axes.shape
        self.dtype = series.dtype.newbyteorder("=")
        self._path = path
        self._axes = axes
        self._stored = zarr.open_array(
            series.aszarr(squeeze=False, level=0), mode="r", zarr_format=2
        )

    def __getitem__(self, region: Region) -> NDArray[Any]:
        shape = [
            len(range(*part.indices(size)))
            for part, size in zip(region, self.shape, strict=True)
        ]
        with quiet("tifffile"), one_sentence(self._path, _REMEDY, _DAMAGE):
            stored = self._stored[self._axes.stored_region(region)]
        return np.array(stored, dtype=self.dtype, order="C").reshape(shape)
