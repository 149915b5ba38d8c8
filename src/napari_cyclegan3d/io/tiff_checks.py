"""Whether a TIFF file holds all that its headers promise, and what its axes are."""

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import tifffile
from tifffile import TiffFile, TiffFrame, TiffPage, TiffPageSeries

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region, Shape
from napari_cyclegan3d.io.frames import MOST_FRAMES

_DESCRIPTION = 270
# no codec of TIFF packs voxels of a real image into fewer than 1 of 2000 bytes
_DENSEST = 2000
# more channels than this are slices that a program did not name
_MOST_CHANNELS = 4
_CUT_OFF = "is cut off: parts of the stack are missing; copy or download it again"
REMEDY = (
    "is no TIFF image that can be read (damaged, cut off, or another format under "
    "this name); save it again as an uncompressed TIFF stack"
)


def only_series(tif: TiffFile, path: Path) -> TiffPageSeries:
    """The image of a file.

    Raises:
        InputError: It holds several, or one that cannot be decoded.
    """
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
class Axes:
    """Where the axes z y x and those of frames are among the stored ones.

    Attributes:
        names: A letter for each stored axis.
        sizes: Their lengths; all axes but those below have length 1.
        frames: Which of them count frames and channels.
        z: Which one counts slices; None: there is a single one.
        y: Which one counts rows.
        x: Which one counts columns.
    """

    names: str
    sizes: tuple[int, ...]
    frames: tuple[int, ...]
    z: int | None
    y: int
    x: int

    @classmethod
    def of(cls, series: TiffPageSeries, path: Path) -> "Axes":
        """Find them.

        Raises:
            InputError: They make no grey-valued volumes z y x.
        """
        names = series.get_axes(squeeze=False)
        sizes = tuple(int(size) for size in series.get_shape(squeeze=False))
        y, x = names.rindex("Y"), names.rindex("X")
        longer = [
            axis for axis, size in enumerate(sizes) if size > 1 and axis not in (y, x)
        ]
        said = " × ".join(f"{sizes[axis]} {names[axis]}" for axis in longer)
        if any(names[axis] == "S" for axis in longer):
            raise InputError(
                f"{path}: is a colour or multi-channel image ({said} beside y and x); "
                "save one channel of it as a grey stack (in Fiji: Image > Color > "
                "Split Channels)"
            )
        z = _slices(names, sizes, longer)
        frames = tuple(axis for axis in longer if axis != z)
        few = math.prod(sizes[axis] for axis in frames) <= MOST_FRAMES
        if not few or any(names[axis] not in "TC" for axis in frames):
            raise InputError(
                f"{path}: has {len(longer) + 2} axes ({said} beside y and x); "
                "save one 3D stack (z, y, x) of it"
            )
        if y > x or any(axis > y for axis in longer):
            raise InputError(
                f"{path}: its axes are stored as {names}; save the stack slice by "
                "slice (z, y, x)"
            )
        return cls(names, sizes, frames, z, y, x)

    @property
    def shape(self) -> Shape:
        """Voxels per axis, (z, y, x)."""
        depth = 1 if self.z is None else self.sizes[self.z]
        return depth, self.sizes[self.y], self.sizes[self.x]

    @property
    def one_after_another(self) -> bool:
        """Whether the slices of a frame follow each other."""
        return self.z is None or all(axis < self.z for axis in self.frames)

    @property
    def said(self) -> str:
        """The axes beside y and x in words."""
        axes = [*self.frames] if self.z is None else sorted([*self.frames, self.z])
        return " × ".join(f"{self.sizes[axis]} {self.names[axis]}" for axis in axes)

    def stored_region(
        self, frame: tuple[int, ...], region: Region
    ) -> tuple[slice | int, ...]:
        """The voxels of a region of a frame in terms of the stored axes."""
        parts: list[slice | int] = [slice(None)] * len(self.sizes)
        for axis, number in zip(self.frames, frame, strict=True):
            parts[axis] = number
        if self.z is not None:
            parts[self.z] = region[0]
        parts[self.y], parts[self.x] = region[1:]
        return tuple(parts)


def _slices(names: str, sizes: tuple[int, ...], longer: list[int]) -> int | None:
    """Which axis counts slices: that named so, or the only one that is no channels."""
    named = [axis for axis in longer if names[axis] == "Z"]
    if named:
        return named[-1]
    if len(longer) != 1:
        # of several axes without a name none is known to count slices
        return None
    (axis,) = longer
    few_channels = names[axis] == "C" and sizes[axis] <= _MOST_CHANNELS
    return None if few_channels else axis


def refuse_lost_pages(tif: TiffFile, path: Path) -> None:
    """Follow the chain of page headers to its end, which a file cut off has not.

    tifffile ends the chain where it breaks, and then gives what it has.

    Raises:
        InputError: The chain breaks or goes in a circle.
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
            raise InputError(f"{path}: {REMEDY}")
        seen.add(header)
        tags = number_at(header, form.tagnoformat)
        link = header + form.tagnosize + tags * form.tagsize
        header = number_at(link, form.offsetformat)


def refuse_lost_bytes(tif: TiffFile, series: TiffPageSeries, path: Path) -> None:
    """Compare what the headers promise with the bytes that are there.

    Raises:
        InputError: Some are missing, or far too many are promised.
    """
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
