"""One array of NumPy in a file (.npy).

The format says nothing about the world; where it is not just voxels of one pixel at
zero, that is in `NAME.npy.json` beside the file (see `sidecar.Placement`).
"""

import math
import tokenize
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.volume import Shape, Volume
from napari_cyclegan3d.io.blocks import Sink
from napari_cyclegan3d.io.flat import Layout, Mapped, writing_series
from napari_cyclegan3d.io.frames import Series, every
from napari_cyclegan3d.io.guard import one_sentence
from napari_cyclegan3d.io.sidecar import Placement, described, load, placement

TYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "float32", "float64",
)  # fmt: skip
_LONGEST = 10_000
_DAMAGE = (
    EOFError,
    OverflowError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
)
_REMEDY = (
    "is no array of NumPy that can be read (damaged, cut off, or another format under "
    "this name); save it again with numpy.save"
)


@dataclass(frozen=True)
class _Stored:
    """What the header of a file states, and where the values begin."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int

    @property
    def frames(self) -> int:
        return math.prod(self.shape[:-3])

    @property
    def volume_shape(self) -> Shape:
        depth, height, width = (1, *self.shape)[-3:]
        return depth, height, width


def read(path: Path) -> Volume:
    """Open an array with the axes z y x, or y x; it is read piece by piece.

    Axes of length 1 before z y x are dropped. Arrays of Python objects, which run a
    program when they are loaded, are refused.

    Raises:
        InputError: The file is damaged or cut off, or holds something else than one
            grey-valued volume.
    """
    stored = _header(path)
    if stored.frames > 1:
        raise InputError(
            f"{path}: has shape {stored.shape}, {stored.frames} volumes; choose one, "
            f"as in {path.name}::0"
        )
    return _frame(0, path)


def read_series(path: Path) -> list[Volume]:
    """The volumes of an array with axes before z y x, in their order.

    Raises:
        InputError: As `read` does.
    """
    return every(path, _header(path).frames, _frame)


@contextmanager
def create(volume: Volume, path: Path) -> Iterator[Sink]:
    """Lend a sink whose voxels become an array z y x when the block ends well.

    Args:
        volume: Geometry, shape and type; its voxels are not read.
        path: The file to create or to replace.

    Raises:
        InputError: The type is no grey value, or the file could not be written.
    """
    with _created(volume, (), path) as (sink,):
        yield sink


@contextmanager
def create_series(
    volume: Volume, series: Series, path: Path
) -> Iterator[Sequence[Sink]]:
    """Lend a sink for each frame of what becomes one array, see `create`.

    Args:
        volume: Any frame.
        series: The axes before z y x; NumPy keeps their lengths only.
        path: The file to create or to replace.

    Raises:
        InputError: As `create`.
    """
    with _created(volume, series.shape, path) as sinks:
        yield sinks


@contextmanager
def _created(
    volume: Volume, outer: tuple[int, ...], path: Path
) -> Iterator[Sequence[Sink]]:
    if volume.dtype.name not in TYPES:
        raise InputError(
            f"{path}: grey values cannot be {volume.dtype.name}; convert the voxels to "
            f"one of {', '.join(TYPES)}"
        )
    dtype = volume.dtype.newbyteorder("=")
    layout, count = Layout(volume.shape, dtype), math.prod(outer)
    plain = volume.unit == "pixel" and np.array_equal(volume.affine, np.eye(4))
    told = None if plain else placement(volume)
    # the sidecar comes last: it appears only beside the voxels that it describes
    with (
        described(path, Placement, told),
        atomic_path(path, count * layout.voxel_bytes) as temporary,
    ):
        shape = (*outer, *volume.shape)
        header = {"shape": shape, "fortran_order": False}
        with temporary.open("wb") as file:
            descr = np.lib.format.dtype_to_descr(dtype)
            np.lib.format.write_array_header_1_0(file, header | {"descr": descr})
            offset = file.tell()
        layout = replace(layout, offset=offset)
        with writing_series(temporary, layout, count) as sinks:
            yield sinks


def _header(path: Path) -> _Stored:
    with one_sentence(path, _REMEDY, _DAMAGE), path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        start = file.tell()
        # as many bytes as it says would be allocated
        if version != (1, 0) and int.from_bytes(file.read(4), "little") > _LONGEST:
            raise InputError(f"{path}: {_REMEDY}")
        file.seek(start)
        # a third version exists for names of fields, which grey values have not
        header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        stored = _Stored(*header(file), offset=file.tell())
    _refuse_other(stored, path)
    promised = stored.offset + math.prod(stored.shape) * stored.dtype.itemsize
    size = path.stat().st_size
    if size < promised:
        raise InputError(
            f"{path}: is cut off or damaged: its header promises {promised} bytes and "
            f"{size} are there; copy or download it again"
        )
    return stored


def _refuse_other(stored: _Stored, path: Path) -> None:
    if stored.dtype.name not in TYPES:
        raise InputError(
            f"{path}: values of type {stored.dtype} are no grey values; save them as "
            "integers or float32"
        )
    if len(stored.shape) < 2 or min(stored.shape) < 1:
        raise InputError(
            f"{path}: has shape {stored.shape}; save an array with the axes z y x"
        )
    if stored.fortran and stored.frames > 1:
        raise InputError(
            f"{path}: has shape {stored.shape} in Fortran's order, in which its "
            "volumes lie mixed; save numpy.ascontiguousarray of it"
        )


def _frame(number: int, path: Path) -> Volume:
    """The volume of this number; read anew when the file has been replaced."""
    stored = _header(path)
    layout = Layout(
        stored.volume_shape,
        stored.dtype,
        order=(2, 1, 0) if stored.fortran else (0, 1, 2),
    )
    place = load(path, Placement) or Placement()
    offset = stored.offset + number * layout.voxel_bytes
    return Volume(
        Mapped(path, replace(layout, offset=offset), partial(_frame, number)),
        place.affine,
        place.unit,
        name=path.name,
    )
