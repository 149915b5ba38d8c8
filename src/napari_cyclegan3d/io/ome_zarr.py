"""OME-Zarr: a folder with an image in chunks, one file each.

Read are versions 0.4 (Zarr 2) and 0.5 (Zarr 3), of a pyramid the full resolution.
Written is 0.5, or 0.4 where `ome_zarr_version` in the metadata of the volume says so,
with a pyramid. OME-Zarr places an image by a scale and a translation and knows no
rotation: they hold the nearest that they can, and the whole affine is in an attribute
of our own, which is used when the image is read here again.

A file of a chunk appears whole or not at all, and is written even if all its voxels
are equal. So a chunk whose file exists is done, several processes may write different
chunks at the same time, and a result that was interrupted can be gone on with. In large
images of version 0.5 a file holds several chunks (a shard), and the same is true of it.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import ArraySource, Region, Shape, Volume
from napari_cyclegan3d.io.frames import MOST_FRAMES, Series, framed
from napari_cyclegan3d.io.guard import one_sentence
from napari_cyclegan3d.io.ome_chunks import UNFINISHED, Grid
from napari_cyclegan3d.io.ome_metadata import (
    NOTE,
    Description,
    describe,
    noted_affine,
)
from napari_cyclegan3d.io.ome_store import SUFFIX, remove
from napari_cyclegan3d.io.ome_writing import (
    VERSION_KEY,
    Frame,
    create,
    create_series,
    reopen,
)

__all__ = [
    "create",
    "create_series",
    "is_named_store",
    "is_store",
    "levels",
    "read",
    "read_series",
    "remove",
    "reopen",
]

_LARGEST_CHUNK = 2**30
_GREY_KINDS = "buif"
_LARGEST_VOXEL = 8
# what zarr and its codecs raise about damaged content
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
_REMEDY = (
    "is no OME-Zarr image that can be read (damaged, cut off, or something else under "
    "this name); copy or download it again"
)


def is_store(path: Path) -> bool:
    """Whether a folder is named `.zarr`, or holds what describes a Zarr group.

    Raises:
        OSError: The folder may not be looked into.
    """
    if not path.is_dir():
        return False
    names = ("zarr.json", ".zattrs", ".zgroup")
    return is_named_store(path) or any((path / name).is_file() for name in names)


def is_named_store(path: Path) -> bool:
    """Whether a path has the suffix of these folders."""
    return path.suffix.lower() == SUFFIX


def read(path: Path) -> Volume:
    """Open the full resolution of an image; voxels are read when they are asked for.

    Axes of length 1 before z y x are dropped. The place comes from the affine that
    `create` leaves, else from the scales and translations of the image and its level.

    Raises:
        InputError: The folder is damaged or no image of OME-Zarr 0.4 or 0.5, holds
            something else than one grey-valued 3D image, or is not finished.
    """
    frames = read_series(path)
    if len(frames) > 1:
        series: Series = frames[0].metadata["series"]
        raise InputError(
            f"{path}: has shape {(*series.shape, *frames[0].shape)}; save one channel "
            "and one frame of it with the axes z y x, or name one, as in "
            f"{path.name}::0"
        )
    return frames[0]


def read_series(path: Path) -> list[Volume]:
    """Open all frames and channels of an image, see `read`.

    Raises:
        InputError: As `read`, but for axes before z y x.
    """
    with _opening(path) as told:
        array = _array(path / told.path)
        _refuse_array(array, told, path)
        z, y, x = (int(size) for size in array.shape[len(told.leading) :])
        affine = noted_affine(told, (z, y, x))
        series = _series(array, told)
        metadata = {VERSION_KEY: told.version} if told.version == "0.4" else {}
        return [
            framed(
                Volume(
                    _Voxels(path, array, frame),
                    affine,
                    told.unit,
                    name=path.resolve().name,
                    metadata=metadata,
                ),
                number,
                series,
            )
            for number, frame in enumerate(np.ndindex(array.shape[:-3]))
        ]


def levels(path: Path, frame: int = 0) -> list[ArraySource]:
    """The levels of a pyramid, that of full size first, of one of its frames.

    Raises:
        InputError: As `read`.
    """
    with _opening(path) as told:
        found: list[ArraySource] = []
        for name in (told.path, *told.smaller):
            array = _array(path / name)
            _refuse_array(array, told, path)
            place = np.unravel_index(frame, array.shape[:-3]) if array.ndim > 3 else ()
            found.append(_Voxels(path, array, tuple(map(int, place))))
        return found


def _array(path: Path) -> Any:
    # here, as in all of `io`: the library takes long to load, and few volumes need it
    import zarr

    return zarr.open_array(path, mode="r")


@contextmanager
def _opening(path: Path) -> Iterator[Description]:
    """What an image says of itself; what goes wrong is said in a sentence."""
    if not path.is_dir():
        raise InputError(f"{path}: is a file; an OME-Zarr is a folder; check the path")
    with one_sentence(path, _REMEDY, _DAMAGE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = describe(path)
        if told.note.get("state") == UNFINISHED:
            raise InputError(
                f"{path}: is not finished; give the command that began it once more, "
                "and it goes on"
            )
        yield told


def _refuse_array(array: Any, told: Description, path: Path) -> None:
    """Refuse what is no 3D image, and chunks that no memory holds."""
    named = f"{path}: its array {told.path}"
    if array.ndim != len(told.leading) + 3 or min(array.shape) < 1:
        raise InputError(
            f"{named} has shape {array.shape}, which does not fit its axes; copy it "
            "again"
        )
    if math.prod(array.shape[:-3]) > MOST_FRAMES:
        raise InputError(
            f"{named} has shape {array.shape}; save fewer than {MOST_FRAMES} channels "
            "and frames of it"
        )
    if array.dtype.kind not in _GREY_KINDS or array.dtype.itemsize > _LARGEST_VOXEL:
        raise InputError(
            f"{named} has values of type {array.dtype}, which are no grey values; save "
            "them as integers or float32"
        )
    chunk = math.prod(array.chunks) * array.dtype.itemsize
    if chunk > _LARGEST_CHUNK:
        raise InputError(
            f"{named} has chunks of shape {array.chunks}, {chunk} bytes each, which is "
            "damage or too much; store it in chunks of at most 1 GiB"
        )


def _series(array: Any, told: Description) -> Series:
    """What the axes before z y x are, without those of length 1."""
    longer = [
        (name, int(size))
        for name, size in zip(told.leading, array.shape[:-3], strict=True)
        if size > 1
    ]
    names = "".join(name for name, _ in longer)
    return Series(names, tuple(size for _, size in longer), *told.step)


class _Voxels:
    """Voxels z y x of a frame of an array, in the byte order of the machine."""

    def __init__(self, path: Path, array: Any, frame: Frame) -> None:
        z, y, x = array.shape[-3:]
        self.shape: Shape = (int(z), int(y), int(x))
        self.dtype = array.dtype.newbyteorder("=")
        self._path = path
        self._array = array
        self._frame = frame
        self._grid: Grid | None = None
        # our own arrays have all their chunks
        if NOTE in array.attrs:
            self._grid = Grid.of(array, frame)

    def __getitem__(self, region: Region) -> NDArray[Any]:
        ranges = [
            range(*part.indices(size))
            for part, size in zip(region, self.shape, strict=True)
        ]
        if not all(ranges):
            return np.empty([len(one) for one in ranges], self.dtype)
        with one_sentence(self._path, _REMEDY, _DAMAGE):
            if self._grid is not None and not self._grid.is_done(region):
                raise InputError(
                    f"{self._path}: has lost some of its chunks; copy it again"
                )
            stored = self._array[(*self._frame, *region)]
            return np.require(stored, self.dtype, ["C", "W"])
