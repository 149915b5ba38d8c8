"""Bare voxels (.raw, .vol) that a sidecar `NAME.raw.json` describes.

    {"shape": [200, 512, 512], "dtype": "uint16", "byte_order": "little",
     "offset": 0, "spacing": [0.65, 0.65, 0.65], "unit": "micrometer"}

The axes are z y x, x fastest. A guess of the layout would show something, too, so
without the sidecar such a file is refused.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.volume import Shape, Volume
from napari_cyclegan3d.io import npy
from napari_cyclegan3d.io.blocks import Sink
from napari_cyclegan3d.io.flat import Layout, Mapped, writing
from napari_cyclegan3d.io.sidecar import (
    Placement,
    described,
    load,
    placement,
    sidecar,
)

TYPES = npy.TYPES
Type = Literal[
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "float32", "float64",
]  # fmt: skip
# the usual type of so many bytes
_USUAL = {1: "uint8", 2: "uint16", 4: "float32", 8: "float64"}


class RawLayout(Placement):
    """How the voxels lie in a raw file, and where they lie in the world."""

    shape: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        description="Voxels along z, y and x; x is stored fastest."
    )
    dtype: Type = Field("uint16", description="Type of one voxel.")
    byte_order: Literal["little", "big"] = Field(
        "little", description="Which byte of a voxel comes first."
    )
    offset: int = Field(0, ge=0, description="Bytes before the first voxel.")

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """The type in the byte order of the file."""
        return np.dtype(self.dtype).newbyteorder(self.byte_order)

    @property
    def file_bytes(self) -> int:
        """Size of the file that the layout describes."""
        return self.offset + math.prod(self.shape) * self.stored_dtype.itemsize


def read(path: Path) -> Volume:
    """Open a raw file by its sidecar; it is read piece by piece.

    Raises:
        InputError: There is no sidecar, or it does not fit the size of the file.
    """
    layout = load(path, RawLayout)
    if layout is None:
        raise InputError(
            f"{path}: raw voxels need a description; write {sidecar(path).name} beside "
            'it, as in {"shape": [200, 512, 512], "dtype": "uint16", '
            '"byte_order": "little", "offset": 0, "spacing": [1, 1, 1], '
            '"unit": "micrometer"}'
        )
    return open_with(path, layout)


def open_with(path: Path, layout: RawLayout) -> Volume:
    """Open a raw file by a layout, whatever a sidecar says.

    Raises:
        InputError: The layout does not fit the size of the file.
    """
    # a map is made when voxels are read; what may not be read is told now
    path.open("rb").close()
    refuse_misfit(path, layout)
    stored = Layout(layout.shape, layout.stored_dtype, layout.offset)
    return Volume(
        Mapped(path, stored, read), layout.affine, layout.unit, name=path.name
    )


def refuse_misfit(path: Path, layout: RawLayout) -> None:
    """Compare a layout with the size of the file.

    Raises:
        InputError: They do not fit; the sentence proposes what does.
    """
    size = path.stat().st_size
    if size == layout.file_bytes:
        return
    proposals = fitting(size, layout)
    remedy = (
        f"what fits: {'; '.join(proposals)}"
        if proposals
        else "correct the shape, the type or the offset"
    )
    z, y, x = layout.shape
    raise InputError(
        f"{path}: has {size} bytes, and {z} × {y} × {x} voxels of {layout.dtype} after "
        f"{layout.offset} bytes need {layout.file_bytes}; {remedy}"
    )


def fitting(size: int, layout: RawLayout) -> list[str]:
    """Small changes of a layout that fit a file of `size` bytes, in words."""
    width, voxels = layout.stored_dtype.itemsize, math.prod(layout.shape)
    found = []
    per_voxel, rest = divmod(size - layout.offset, voxels)
    if not rest and per_voxel in _USUAL:
        found.append(f"dtype {_USUAL[per_voxel]}")
    count, rest = divmod(size - layout.offset, width)
    if count > 0 and not rest:
        found += [f"shape {list(shape)}" for shape in _shapes(count, layout.shape)]
    left = size - voxels * width
    # a header is shorter than what it describes
    if 0 <= left < voxels * width and left != layout.offset:
        found.append(f"offset {left}")
    return found


def _shapes(count: int, near: Shape) -> Iterator[Shape]:
    """Shapes of so many voxels: two sizes as given, or a cube."""
    for axis in range(3):
        plane = math.prod(near) // near[axis]
        if count % plane == 0:
            sizes = list(near)
            sizes[axis] = count // plane
            yield sizes[0], sizes[1], sizes[2]
    side = round(count ** (1 / 3))
    if side**3 == count and side not in near:
        yield side, side, side


def describe(path: Path, layout: RawLayout) -> Path:
    """Write the sidecar of a raw file; gives its path.

    Raises:
        InputError: The layout does not fit the file, or could not be written.
    """
    refuse_misfit(path, layout)
    beside = sidecar(path)
    with atomic_path(beside) as temporary:
        text = json.dumps(layout.model_dump(mode="json"), indent=1)
        temporary.write_text(f"{text}\n", encoding="utf-8")
    return beside


@contextmanager
def create(volume: Volume, path: Path) -> Iterator[Sink]:
    """Lend a sink whose voxels become a raw file and its sidecar.

    Args:
        volume: Geometry, shape and type; its voxels are not read.
        path: The file to create or to replace; little-endian, x fastest.

    Raises:
        InputError: The type is no grey value, or a file could not be written.
    """
    if volume.dtype.name not in TYPES:
        raise InputError(
            f"{path}: grey values cannot be {volume.dtype.name}; convert the voxels to "
            f"one of {', '.join(TYPES)}"
        )
    dtype = volume.dtype.newbyteorder("<")
    layout = Layout(volume.shape, dtype)
    told = {
        "shape": list(volume.shape),
        "dtype": dtype.name,
        "byte_order": "little",
        "offset": 0,
        **placement(volume),
    }
    # the sidecar comes last: it appears only beside the voxels that it describes
    with (
        described(path, RawLayout, told),
        atomic_path(path, layout.voxel_bytes) as temporary,
    ):
        temporary.touch()
        with writing(temporary, layout) as sink:
            yield sink
