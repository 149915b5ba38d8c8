"""The bytes of a NIfTI file: whether they are all there, and how voxels are read."""

import gzip
import math
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from nibabel.orientations import apply_orientation
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region
from napari_cyclegan3d.io.guard import one_sentence

Stream = BinaryIO | gzip.GzipFile

_GZIP_MAGIC = b"\x1f\x8b"
# deflate never packs more than 1032 bytes into one
_DENSEST = 1032
_PIECE = 2**20
_CUT_OFF = "is damaged or cut off inside its compressed data; copy or download it again"


@dataclass(frozen=True)
class Stored:
    """What the header promises about the voxels in the file.

    Attributes:
        shape: Voxels per axis on disk, (i, j, k), i fastest.
        dtype: Type of one voxel, in the byte order of the file.
        offset: Bytes before the first voxel, in the uncompressed file.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int

    @property
    def voxel_bytes(self) -> int:
        """Size of all voxels."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def file_bytes(self) -> int:
        """Size of the uncompressed file up to its last voxel."""
        return self.offset + self.voxel_bytes


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


def refuse_cut_off(path: Path, stored: Stored) -> None:
    """Compare what the header promises with the bytes that are there.

    Nothing of the size that the header promises is allocated.

    Raises:
        InputError: The file is shorter.
    """
    size = path.stat().st_size
    if is_compressed(path):
        size = _unpacked_size(path, stored.file_bytes)
    if size < stored.file_bytes:
        raise InputError(
            f"{path}: is cut off or damaged: its header promises {stored.file_bytes} "
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


class Voxels:
    """Voxels z y x of a NIfTI file, in the byte order of the machine.

    Plain files are memory-mapped; compressed ones are unpacked at the first access and
    kept. Scaled voxels are float32: slope × stored + intercept.
    """

    def __init__(
        self,
        path: Path,
        stored: Stored,
        orientation: NDArray[Any],
        scaling: tuple[float, float] | None,
    ) -> None:
        self._path = path
        self._stored = stored
        self._orientation = orientation
        self._scaling = scaling
        self._lock = threading.Lock()
        self._seen = self._stamp()
        self._zyx = None if is_compressed(path) else self._turned(self._map())
        i, j, k = (int(axis) for axis in np.argsort(orientation[:, 0]))
        self.shape = (stored.shape[k], stored.shape[j], stored.shape[i])
        self.dtype = np.dtype(np.float32) if scaling else stored.dtype.newbyteorder("=")

    def __getitem__(self, region: Region) -> NDArray[Any]:
        with self._lock:
            if self._zyx is None:
                self._zyx = self._turned(self._unpack())
        part = self._zyx[region]
        if self._scaling is None:
            return np.array(part, dtype=self.dtype, order="C")
        slope, intercept = self._scaling
        with np.errstate(all="ignore"):
            scaled = part.astype(np.float64, order="C") * slope + intercept
            return scaled.astype(np.float32)

    def _stamp(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size

    def _turned(self, ijk: NDArray[Any]) -> NDArray[Any]:
        """The same memory, with axes z y x along the nearest anatomical directions."""
        turned: NDArray[Any] = apply_orientation(ijk, self._orientation)
        return turned.T

    def _map(self) -> NDArray[Any]:
        return np.memmap(
            self._path,
            dtype=self._stored.dtype,
            mode="r",
            offset=self._stored.offset,
            shape=self._stored.shape,
            order="F",
        )

    def _unpack(self) -> NDArray[Any]:
        remedy = (
            f"needs {self._stored.voxel_bytes / 1e9:.3g} GB of memory when unpacked; "
            "unpack it to .nii, which is read piece by piece"
        )
        with one_sentence(self._path, remedy, (MemoryError,)):
            if self._stamp() != self._seen:
                raise InputError(
                    f"{self._path}: has changed since it was opened; open it again"
                )
            voxels = np.empty(self._stored.voxel_bytes, np.uint8)
            with opened(self._path) as plain:
                plain.seek(self._stored.offset)
                for start in range(0, voxels.size, _PIECE):
                    piece = plain.read(min(_PIECE, voxels.size - start))
                    voxels[start : start + len(piece)] = np.frombuffer(piece, np.uint8)
        return voxels.view(self._stored.dtype).reshape(self._stored.shape, order="F")
