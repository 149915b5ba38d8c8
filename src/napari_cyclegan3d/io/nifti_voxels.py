"""The bytes of a NIfTI file: whether they are all there, and how voxels are read."""

import gzip
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region
from napari_cyclegan3d.io.flat import Layout, Planes, mapped
from napari_cyclegan3d.io.guard import one_sentence

Stream = BinaryIO | gzip.GzipFile

_GZIP_MAGIC = b"\x1f\x8b"
# deflate never packs more than 1032 bytes into one
_DENSEST = 1032
_PIECE = 2**20
_MOST_IN_MEMORY = 2**27
_CUT_OFF = "is damaged or cut off inside its compressed data; copy or download it again"


def is_compressed(path: Path) -> bool:
    """Whether the name says `.nii.gz`."""
    return path.name.lower().endswith(".gz")


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """The uncompressed bytes of the file.

    Raises:
        InputError: The content is compressed and the name says otherwise, or the other
            way round.
    """
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        if compressed != is_compressed(path):
            raise InputError(
                f"{path}: is {'' if compressed else 'not '}compressed with gzip; "
                f"rename it to end in {'.nii.gz' if compressed else '.nii'}"
            )
        if not compressed:
            yield file
            return
        damage = (EOFError, zlib.error, gzip.BadGzipFile)
        with one_sentence(path, _CUT_OFF, damage), gzip.GzipFile(fileobj=file) as plain:
            yield plain


def refuse_cut_off(path: Path, promised: int) -> None:
    """Compare what the header promises with the bytes that are there.

    Nothing of the size that the header promises is allocated.

    Args:
        path: The file.
        promised: Size of the uncompressed file up to its last voxel, in bytes.

    Raises:
        InputError: The file is shorter.
    """
    size = path.stat().st_size
    if is_compressed(path):
        size = _unpacked_size(path, promised)
    if size < promised:
        raise InputError(
            f"{path}: is cut off or damaged: its header promises {promised} "
            f"bytes and {size} are there; copy or download it again"
        )


def _unpacked_size(path: Path, promised: int) -> int:
    """Bytes in a compressed file, counted up to `promised` only."""
    size = path.stat().st_size
    if promised > size * _DENSEST:
        return size * _DENSEST
    with path.open("rb") as file:
        # an intact file ends with its unpacked size, modulo 2^32
        file.seek(-4, 2)
        if int.from_bytes(file.read(4), "little") == promised % 2**32:
            return promised
    count = 0
    with opened(path) as plain:
        while count < promised and (piece := plain.read(_PIECE)):
            count += len(piece)
    return count


class Content:
    """The voxels of a compressed file, unpacked at the first access and kept.

    Up to 128 MiB are kept in memory, more in a nameless file in the system's temporary
    folder, so that the memory of the process stays small.
    """

    def __init__(self, path: Path, offset: int, size: int) -> None:
        self._path = path
        self._offset = offset
        self._size = size
        self._lock = threading.Lock()
        self._seen = self._stamp()
        self._kept: Any = None

    def read(self, region: Region, layout: Layout) -> NDArray[Any]:
        """Voxels of a region of a volume that lies among the unpacked bytes."""
        with self._lock:
            if self._kept is None:
                self._kept = self._unpack()
        return layout.read(region, self._planes(layout))

    def _planes(self, layout: Layout) -> Planes:
        if not isinstance(self._kept, np.ndarray):
            return mapped(self._kept, layout)
        content = self._kept[layout.offset : layout.offset + layout.voxel_bytes]
        stored = content.view(layout.dtype).reshape(layout.stored_shape)
        return lambda first, count: stored[first : first + count]

    def _stamp(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size

    def _unpack(self) -> Any:
        with one_sentence(self._path, _CUT_OFF, ()):
            if self._stamp() != self._seen:
                raise InputError(
                    f"{self._path}: has changed since it was opened; open it again"
                )
            if self._size > _MOST_IN_MEMORY:
                return self._into_file()
            return self._into_memory()

    def _into_memory(self) -> NDArray[np.uint8]:
        content = np.empty(self._size, np.uint8)
        end = 0
        for piece in self._pieces():
            content[end : end + len(piece)] = np.frombuffer(piece, np.uint8)
            end += len(piece)
        return content

    def _into_file(self) -> Any:
        # it lives as long as the volume, not as long as this call
        file = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            for piece in self._pieces():
                file.write(piece)
            file.flush()
        except OSError as error:
            file.close()
            raise InputError(
                f"{self._path}: needs {self._size / 1e9:.3g} GB in "
                f"{tempfile.gettempdir()} when unpacked ({error.strerror or error}); "
                "free space there, set TMPDIR to another folder, or unpack it to .nii, "
                "which is read piece by piece"
            ) from error
        return file

    def _pieces(self) -> Iterator[bytes]:
        left = self._size
        with opened(self._path) as plain:
            plain.seek(self._offset)
            while left and (piece := plain.read(min(_PIECE, left))):
                left -= len(piece)
                yield piece


class Unpacked:
    """Voxels z y x among the content of a compressed file."""

    def __init__(self, content: Content, layout: Layout) -> None:
        self.shape = layout.shape
        self.dtype = layout.grey_dtype
        self._content = content
        self._layout = layout

    def __getitem__(self, region: Region) -> NDArray[Any]:
        return self._content.read(region, self._layout)
