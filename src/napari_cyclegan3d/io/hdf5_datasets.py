"""What is in an HDF5 file: its datasets, and which one is meant."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.io.guard import one_sentence
from napari_cyclegan3d.io.hdf5_place import place_of

# where programs put the voxels: most of them, Data Exchange, NeXus, Diamond's NeXus,
# ESRF's NXtomo, Fiji's HDF5 plugin, MATLAB's and ilastik's habits
_USUAL = (
    "data",
    "exchange/data",
    "entry/data/data",
    "entry1/tomo_entry/data/data",
    "entry1/data/data",
    "entry0000/reconstruction/results/data",
    "t0/channel0",
    "exported_data",
    "volume/data",
    "main",
)
# channel and time of Fiji's plugin: the first is meant only where it is the only one
_OTHERS = {"t0/channel0": ("t0/channel1", "t1/channel0")}
_GREY_KINDS = "buif"
MOST_LISTED = 8
_MOST_FOUND = 200
_MOST_VISITED = 20_000
_MOST_LINKS = 16
_DAMAGE = (OSError, KeyError, OverflowError, RuntimeError, TypeError, ValueError)
REMEDY = (
    "is no HDF5 file that can be read (damaged, cut off, or another format under this "
    "name); copy or download it again"
)
ELSEWHERE = (
    "takes its voxels from other files, which are not followed; copy them into one "
    "file, or open the file that holds them"
)


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset that could be opened as a volume.

    Attributes:
        path: Where it is in the file, without a slash before it.
        shape: Its length along all its axes.
        dtype: Name of the type of one voxel.
        spacing: Distance between voxel centres (z, y, x), in `unit`.
        unit: Unit of lengths, "pixel" where none is stated.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    spacing: tuple[float, float, float]
    unit: str

    @property
    def frames(self) -> int:
        """How many volumes it holds."""
        return math.prod(self.shape[:-3])


def datasets(path: Path) -> list[DatasetInfo]:
    """What can be opened of a file, the usual places first; at most 200 datasets.

    Raises:
        InputError: The file is damaged or no HDF5.
    """
    with opened(path) as file:
        found = _candidates(file)
        usual = [item for key in _USUAL for item in found if _key(item) == key]
        return [_info(item) for item in sorted(found, key=lambda one: one not in usual)]


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, for one reading, without a lock.

    Raises:
        InputError: It cannot be opened, or what is in it cannot be read.
    """
    # what the system says is better than what HDF5 makes of it
    with one_sentence(path, REMEDY, ()):
        path.open("rb").close()
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"{path}: {REMEDY}") from error


def chosen(file: h5py.File, path: Path) -> h5py.Dataset:
    """The dataset that is meant when none is named.

    Raises:
        InputError: There is none, or a choice of several.
    """
    for key in _USUAL:
        usual = _linked(file, key, path)
        others = [_linked(file, other, path) for other in _OTHERS.get(key, ())]
        if isinstance(usual, h5py.Dataset) and not any(others):
            return usual
    found = _candidates(file)
    candidates = [item for item in found if item.ndim > 2] or found
    if not candidates:
        raise InputError(
            f"{path}: holds no dataset of grey values with three axes; open a file "
            "that has one"
        )
    if len(candidates) > 1:
        raise InputError(
            f"{path}: holds several datasets; choose one, as in "
            f"{path.name}::{_key(candidates[0])}: {_listed(candidates)}"
        )
    return candidates[0]


def named_dataset(file: h5py.File, key: str, path: Path) -> h5py.Dataset:
    """The dataset at a path inside the file.

    Raises:
        InputError: There is none.
    """
    item = _linked(file, key, path)
    if not isinstance(item, h5py.Dataset):
        raise InputError(
            f"{path}::{key}: there is no such dataset; at the top the file has "
            f"{', '.join(list(file)[:MOST_LISTED]) or 'nothing'}"
        )
    return item


def _candidates(file: h5py.File) -> list[h5py.Dataset]:
    """Datasets of grey values with two axes or more; of very many, the first ones."""
    found: list[h5py.Dataset] = []
    visited = 0

    def keep(_: str, item: h5py.Group | h5py.Dataset) -> bool | None:
        nonlocal visited
        visited += 1
        if (
            isinstance(item, h5py.Dataset)
            and item.ndim > 1
            and item.dtype.kind in _GREY_KINDS
        ):
            found.append(item)
        return len(found) >= _MOST_FOUND or visited >= _MOST_VISITED or None

    file.visititems(keep)
    return found


def _info(item: h5py.Dataset) -> DatasetInfo:
    affine, unit = place_of(item, item.name, own=False)
    z, y, x = (float(affine[axis, axis]) for axis in range(3))
    return DatasetInfo(_key(item), item.shape, item.dtype.name, (z, y, x), unit)


def _key(item: h5py.Dataset) -> str:
    return str(item.name).strip("/")


def _listed(items: list[h5py.Dataset]) -> str:
    shown = [f"{_key(item)} {item.shape}" for item in items[:MOST_LISTED]]
    return ", ".join(shown) + (", …" if len(items) > MOST_LISTED else "")


def _linked(file: h5py.File, key: str, path: Path) -> object:
    """What a path inside the file leads to; None where it leads nowhere.

    Links are followed by hand, because HDF5 would open any file that they name.
    """
    item: object = file
    names = key.split("/")[::-1]
    soft_links = 0
    while names:
        name = names.pop().encode()
        if name in (b"", b"."):
            continue
        if not isinstance(item, h5py.Group) or not item.id.links.exists(name):
            return None
        kind = item.id.links.get_info(name).type
        if kind == h5py.h5l.TYPE_HARD:
            item = item[name]
            continue
        soft_links += 1
        if kind != h5py.h5l.TYPE_SOFT or soft_links > _MOST_LINKS:
            raise InputError(f"{path}::{key}: {ELSEWHERE}")
        target = item.id.links.get_val(name).decode()
        item = file if target.startswith("/") else item
        names += target.split("/")[::-1]
    return item
