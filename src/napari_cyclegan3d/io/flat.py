"""Voxels that lie in a file uncompressed, one after another.

Most of a TIFF stack, a NIfTI image and a contiguous HDF5 dataset is just that, behind
some bytes of header. They are read through memory maps that last for one reading, and
written by seeking, never through a map: the pages of a map that stays count as memory
of the process, until all of a large file does; and a disk that becomes full under a map
ends the process, where a write raises an error.
"""

import io
import math
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region, Shape, Volume
from napari_cyclegan3d.io.blocks import slabs
from napari_cyclegan3d.io.guard import one_sentence

_PIECE = 2**20

Planes = Callable[[int, int], NDArray[Any]]


@dataclass(frozen=True)
class Layout:
    """How the voxels z y x lie in a file.

    Attributes:
        shape: Voxels per axis, (z, y, x).
        dtype: Type of one stored voxel, in the byte order of the file.
        offset: Bytes before the first voxel.
        order: Which of the axes z y x (0, 1, 2) is stored slowest, second and fastest.
        flipped: Which of the axes z y x are stored backwards.
        scaling: Slope and intercept by which stored numbers become grey values.
    """

    shape: Shape
    dtype: np.dtype[Any]
    offset: int = 0
    order: Shape = (0, 1, 2)
    flipped: tuple[bool, bool, bool] = (False, False, False)
    scaling: tuple[float, float] | None = None

    @property
    def stored_shape(self) -> Shape:
        """Voxels per axis as stored, the slowest axis first."""
        slowest, middle, fastest = (self.shape[axis] for axis in self.order)
        return slowest, middle, fastest

    @property
    def grey_dtype(self) -> np.dtype[Any]:
        """Type of what is read: that of the file as the machine has it, or float32."""
        return np.dtype(np.float32) if self.scaling else self.dtype.newbyteorder("=")

    @property
    def voxel_bytes(self) -> int:
        """Size of all voxels."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def file_bytes(self) -> int:
        """Size of the file up to its last voxel."""
        return self.offset + self.voxel_bytes

    @property
    def plane_bytes(self) -> int:
        """Size of one plane across the slowest axis."""
        return self.voxel_bytes // self.stored_shape[0]

    def read(self, region: Region, planes: Planes) -> NDArray[Any]:
        """Voxels of a region: contiguous, writable, in the machine's byte order.

        Args:
            region: Three slices (z, y, x), of any step.
            planes: Gives stored planes, from their first number and their count. It is
                asked for at most 32 MiB at a time (or one plane).
        """
        slow, *rest = self._stored(region)
        lengths = [
            len(range(*part.indices(size)))
            for part, size in zip(region, self.shape, strict=True)
        ]
        voxels = np.empty(lengths, self.grey_dtype)
        if not voxels.size:
            return voxels
        rows, columns = map(_as_slice, rest)
        stored = voxels.transpose(self.order)
        for part in slabs(len(slow), self.plane_bytes):
            some = slow[part]
            first, last = min(some[0], some[-1]), max(some[0], some[-1])
            chosen = planes(first, last - first + 1)[:: some.step, rows, columns]
            # numbers beyond float32 become infinite, as NIfTI's scaling may make them
            with np.errstate(all="ignore"):
                stored[part] = self._grey(chosen)
        return voxels

    def write(self, region: Region, block: Any, file: io.RawIOBase) -> None:
        """Store a region (three slices of step 1) in an unbuffered file."""
        ranges = self._stored(region)
        shape = [len(ranges[self.order.index(axis)]) for axis in range(3)]
        if not math.prod(shape):
            return
        z, y, x = (slice(None, None, -1 if flip else 1) for flip in self.flipped)
        turned = np.broadcast_to(np.asarray(block), shape)[z, y, x]
        stored = np.ascontiguousarray(turned.transpose(self.order), self.dtype)
        data = stored.reshape(-1).view(np.uint8).data
        positions = self._positions(ranges)
        length = len(data) // len(positions)
        for number, position in enumerate(positions):
            file.seek(position)
            _write_all(file, data[number * length : (number + 1) * length])

    def _positions(self, ranges: list[range]) -> list[int]:
        """Where in the file the runs begin that make up a region as it is stored."""
        slowest, middle, fastest = self.stored_shape
        inner = 2
        # axes that are written whole need no seeking between their items
        while inner and len(ranges[inner]) == (slowest, middle, fastest)[inner]:
            inner -= 1
        places = np.zeros(1, np.int64)
        strides = (middle * fastest, fastest, 1)
        for axis, (indices, stride) in enumerate(zip(ranges, strides, strict=True)):
            first = min(indices[0], indices[-1])
            steps = first + np.arange(len(indices) if axis < inner else 1)
            places = np.add.outer(places, steps * stride).ravel()
        return (self.offset + places * self.dtype.itemsize).tolist()

    def parts(self) -> Iterator[Region]:
        """Regions of at most 32 MiB (or one stored plane) in the order of the file."""
        slowest = self.order[0]
        length = self.shape[slowest]
        parts = list(slabs(length, self.plane_bytes))
        for part in reversed(parts) if self.flipped[slowest] else parts:
            region = [slice(0, size) for size in self.shape]
            region[slowest] = part
            yield region[0], region[1], region[2]

    def _stored(self, region: Region) -> list[range]:
        """The indices of a region as stored, the slowest axis first."""
        ranges = []
        for axis in self.order:
            size = self.shape[axis]
            one = range(*region[axis].indices(size))
            if self.flipped[axis]:
                last = size - 1
                one = range(last - one.start, last - one.stop, -one.step)
            ranges.append(one)
        return ranges

    def _grey(self, stored: NDArray[Any]) -> NDArray[Any]:
        if self.scaling is None:
            return stored
        slope, intercept = self.scaling
        scaled = stored.astype(np.float64)
        scaled *= slope
        scaled += intercept
        return scaled


class Mapped:
    """Voxels in an uncompressed file, which is opened and mapped for each reading.

    So the memory of the process does not grow with what was read, no file stays open,
    and a volume goes to other processes. A file that has been replaced is read by its
    new header, if it still holds a volume of the same shape and type.
    """

    def __init__(
        self, path: Path, layout: Layout, read: Callable[[Path], Volume]
    ) -> None:
        self.shape = layout.shape
        self.dtype = layout.grey_dtype
        self._path = path
        self._layout = layout
        self._read = read
        self._seen = _stamp(path.stat())

    def __getitem__(self, region: Region) -> NDArray[Any]:
        damage = "has become shorter; open it again"
        with (
            one_sentence(self._path, damage, (ValueError,)),
            self._path.open("rb") as file,
        ):
            if _stamp(os.fstat(file.fileno())) == self._seen:
                return self._layout.read(region, mapped(file, self._layout))
        volume = self._read(self._path)
        if (volume.shape, volume.dtype) != (self.shape, self.dtype):
            raise InputError(
                f"{self._path}: has changed since it was opened; open it again"
            )
        return volume.read(region)


class FlatSink:
    """Voxels that are being written into a file, anywhere, and can be read back."""

    def __init__(
        self, file: Any, layout: Layout, lock: "threading.Lock | None" = None
    ) -> None:
        self.shape = layout.shape
        self.dtype = layout.grey_dtype
        self._file = file
        self._layout = layout
        # a position in the file is shared by all threads, and by all sinks in it
        self._lock = lock or threading.Lock()
        if file.seek(0, os.SEEK_END) < layout.file_bytes:
            file.truncate(layout.file_bytes)

    def __getitem__(self, region: Region) -> NDArray[Any]:
        with self._lock:
            return self._layout.read(region, mapped(self._file, self._layout))

    def __setitem__(self, region: Region, block: Any) -> None:
        with self._lock:
            self._layout.write(region, block, self._file)

    def parts(self) -> Iterator[Region]:
        """Regions of at most 32 MiB in the order of the file."""
        return self._layout.parts()

    def stored_bytes(self) -> Iterator[bytes]:
        """The bytes from the first voxel to the end of the file."""
        self._file.seek(self._layout.offset)
        while piece := self._file.read(_PIECE):
            yield piece


@contextmanager
def writing(path: Path, layout: Layout) -> Iterator[FlatSink]:
    """Write voxels into a file that has its header, or is to have none."""
    with writing_series(path, layout, 1) as (sink,):
        yield sink


@contextmanager
def writing_series(path: Path, layout: Layout, count: int) -> Iterator[list[FlatSink]]:
    """Write volumes one after another into a file, see `writing`."""
    with path.open("rb+", buffering=0) as file:
        yield _sinks(file, layout, count)


@contextmanager
def staging(folder: Path, layout: Layout) -> Iterator[FlatSink]:
    """Write voxels uncompressed into a nameless file, for what packs them afterwards.

    The system removes it even if the process is killed.
    """
    with staging_series(folder, layout, 1) as (sink,):
        yield sink


@contextmanager
def staging_series(
    folder: Path, layout: Layout, count: int
) -> Iterator[list[FlatSink]]:
    """Write volumes one after another into a nameless file, see `staging`."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        yield _sinks(file, layout, count)


def _sinks(file: Any, layout: Layout, count: int) -> list[FlatSink]:
    lock = threading.Lock()
    starts = [layout.offset + number * layout.voxel_bytes for number in range(count)]
    return [FlatSink(file, replace(layout, offset=start), lock) for start in starts]


def mapped(file: Any, layout: Layout) -> Planes:
    """Stored planes of an open file, each time as a map that ends with its last use."""

    def planes(first: int, count: int) -> NDArray[Any]:
        start = layout.offset + first * layout.plane_bytes
        shape = (count, *layout.stored_shape[1:])
        return np.memmap(file, layout.dtype, "r", start, shape)

    return planes


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_mtime_ns, status.st_size


def _as_slice(indices: range) -> slice:
    if not indices:
        return slice(0, 0)
    # a slice takes a negative stop for one counted from the end
    stop = None if indices.stop < 0 else indices.stop
    return slice(indices.start, stop, indices.step)


def _write_all(file: io.RawIOBase, data: memoryview) -> None:
    """Write everything: at once the system takes 2 GB, or what there is room for.

    Raises:
        OSError: There is no more room.
    """
    while data:
        data = data[file.write(data) or 0 :]
