"""One dataset (z, y, x) of an HDF5 file.

The file is opened anew for each reading, without a lock: 0.3 ms per reading, and a
volume goes to other threads and processes, may be replaced on disk while it is open,
and never keeps the program that writes it from its work.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.units import conversion, unit_name
from napari_cyclegan3d.engine.volume import Region, Shape, Volume
from napari_cyclegan3d.io.blocks import Sink
from napari_cyclegan3d.io.flat import Layout, writing
from napari_cyclegan3d.io.guard import one_sentence

# where programs put the voxels: most of them, Data Exchange, NeXus, Diamond's NeXus
_USUAL = (
    "data",
    "exchange/data",
    "entry/data/data",
    "entry1/tomo_entry/data/data",
)
_TYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "float32", "float64",
)  # fmt: skip
# long double and complex are no grey values that can be trained on
_LARGEST_VOXEL = 8
# no codec packs voxels of a real image into fewer than 1 of 2000 bytes
_DENSEST = 2000
_GREY_KINDS = "buif"
_MOST_LISTED = 8
_MOST_LINKS = 16
_DAMAGE = (OSError, KeyError, OverflowError, RuntimeError, TypeError, ValueError)
_REMEDY = (
    "is no HDF5 file that can be read (damaged, cut off, or another format under this "
    "name); copy or download it again"
)
_ELSEWHERE = (
    "takes its voxels from other files, which are not followed; copy them into one "
    "file, or open the file that holds them"
)


def read(path: Path, key: str | None = None) -> Volume:
    """Open a dataset; voxels are read when they are asked for.

    Axes of length 1 before z y x are dropped, and an image is a volume of one slice.
    The place comes from the attributes that `write` leaves; else the voxel size from
    `spacing` and `unit`, or from `element_size_um` of Fiji's HDF5 plugin (z, y, x).

    Args:
        path: The file.
        key: Path of the dataset in the file; by default `data`, the usual place of a
            beamline's file, or else the only dataset with three axes (or with two).

    Raises:
        InputError: The file is damaged, there is no such dataset or a choice of
            several, or it is something else than one grey-valued 3D image.
    """
    with _opened(path) as file:
        dataset = _choose(file, path) if key is None else _dataset(file, key, path)
        named = f"{path}::{dataset.name.strip('/')}"
        _refuse_promises(dataset, named, path.stat().st_size)
        shape = _shape(dataset, named)
        affine, unit = _geometry(dataset, named)
        return Volume(
            _Voxels(path, dataset, shape),
            affine,
            unit,
            name=path.name if key is None else f"{path.name}::{key.strip('/')}",
            metadata={"dataset": dataset.name},
        )


@contextmanager
def create(volume: Volume, path: Path) -> Iterator[Sink]:
    """Lend a sink whose voxels become the dataset `data` when the block ends well.

    Its attributes are `affine_zyx` (voxel z y x to world z y x), `spacing`, `unit` and,
    where the unit is a length, `element_size_um`. It is contiguous, not chunked: then
    its voxels are written as those of the other formats are, anywhere and fast, and
    not by HDF5, which ends the process when the disk is full.

    Args:
        volume: Geometry, shape and type; its voxels are not read.
        path: The file to create or to replace.

    Raises:
        InputError: HDF5 programs do not know the type of the voxels, or the file could
            not be written.
    """
    if volume.dtype.name not in _TYPES:
        raise InputError(
            f"{path}: grey values in HDF5 cannot be {volume.dtype.name}; convert the "
            f"voxels to one of {', '.join(_TYPES)}"
        )
    layout = Layout(volume.shape, volume.dtype.newbyteorder("="))
    with atomic_path(path, layout.voxel_bytes) as temporary:
        # Python's own writing raises when the disk is full
        with temporary.open("wb+") as stream, h5py.File(stream, "w") as file:
            offset = _create_dataset(file, volume, layout.dtype)
        with writing(temporary, replace(layout, offset=offset)) as sink:
            yield sink


def _create_dataset(file: h5py.File, volume: Volume, dtype: np.dtype[Any]) -> int:
    """Make room for the voxels; where they start in the file."""
    dataset = file.create_dataset("data", volume.shape, dtype, fill_time="never")
    dataset.attrs["affine_zyx"] = volume.affine
    dataset.attrs["spacing"] = volume.spacing
    dataset.attrs["unit"] = volume.unit
    if volume.unit != "pixel":
        in_micrometers = conversion(volume.unit, "micrometer")
        sizes = np.array(volume.spacing) * in_micrometers
        dataset.attrs["element_size_um"] = sizes
    # a place is found for the voxels when the first one is written
    dataset[-1, -1, -1] = 0
    return int(dataset.id.get_offset())


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    # what the system says is better than what HDF5 makes of it
    with one_sentence(path, _REMEDY, ()):
        path.open("rb").close()
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"{path}: {_REMEDY}") from error


def _choose(file: h5py.File, path: Path) -> h5py.Dataset:
    """The dataset that is meant when none is named."""
    for key in _USUAL:
        usual = _linked(file, key, path)
        if isinstance(usual, h5py.Dataset):
            return usual
    found: list[h5py.Dataset] = []

    def keep(_: str, item: h5py.Group | h5py.Dataset) -> bool | None:
        if (
            isinstance(item, h5py.Dataset)
            and item.ndim > 1
            and item.dtype.kind in "buif"
        ):
            found.append(item)
        return len(found) > 10 * _MOST_LISTED or None

    file.visititems(keep)
    candidates = [item for item in found if item.ndim > 2] or found
    if not candidates:
        raise InputError(
            f"{path}: holds no dataset of grey values with three axes; open a file "
            "that has one"
        )
    if len(candidates) > 1:
        raise InputError(
            f"{path}: holds several datasets; choose one, as in "
            f"{path.name}::{candidates[0].name.strip('/')}: {_listed(candidates)}"
        )
    return candidates[0]


def _listed(datasets: list[h5py.Dataset]) -> str:
    shown = [f"{item.name.strip('/')} {item.shape}" for item in datasets[:_MOST_LISTED]]
    return ", ".join(shown) + (", …" if len(datasets) > _MOST_LISTED else "")


def _dataset(file: h5py.File, key: str, path: Path) -> h5py.Dataset:
    item = _linked(file, key, path)
    if not isinstance(item, h5py.Dataset):
        raise InputError(
            f"{path}::{key}: there is no such dataset; at the top the file has "
            f"{', '.join(list(file)[:_MOST_LISTED]) or 'nothing'}"
        )
    return item


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
            raise InputError(f"{path}::{key}: {_ELSEWHERE}")
        target = item.id.links.get_val(name).decode()
        item = file if target.startswith("/") else item
        names += target.split("/")[::-1]
    return item


def _shape(dataset: h5py.Dataset, named: str) -> Shape:
    sizes = (1,) * (3 - dataset.ndim) + dataset.shape
    *leading, depth, height, width = sizes
    if dataset.ndim < 2 or any(size != 1 for size in leading):
        raise InputError(
            f"{named}: has shape {dataset.shape}; save one channel or frame of it as a "
            "dataset with three axes (z, y, x)"
        )
    return depth, height, width


def _refuse_promises(dataset: h5py.Dataset, named: str, file_bytes: int) -> None:
    """Refuse what cannot be read, and voxels that the file does not hold."""
    if dataset.shape is None or dataset.dtype.kind not in _GREY_KINDS:
        raise InputError(
            f"{named}: values of type {dataset.dtype} are no grey values; save them "
            "as integers or float32"
        )
    if dataset.dtype.itemsize > _LARGEST_VOXEL:
        raise InputError(
            f"{named}: voxels of type {dataset.dtype} are too wide; save float32"
        )
    if dataset.external or (
        dataset.is_virtual
        and any(source.file_name != "." for source in dataset.virtual_sources())
    ):
        raise InputError(f"{named}: {_ELSEWHERE}")
    chunk = math.prod(dataset.chunks or (1,)) * dataset.dtype.itemsize
    promised = max(chunk, math.prod(dataset.shape) * dataset.dtype.itemsize)
    if promised > file_bytes * _DENSEST:
        raise InputError(
            f"{named}: is damaged or was never filled: promises {promised} bytes of "
            f"voxels and the file has {file_bytes} bytes in all; copy it again"
        )
    _refuse_codecs(dataset, named)


def _refuse_codecs(dataset: h5py.Dataset, named: str) -> None:
    creation = dataset.id.get_create_plist()
    for index in range(creation.get_nfilters()):
        code, _, _, name = creation.get_filter(index)
        if not h5py.h5z.filter_avail(code):
            raise InputError(
                f"{named}: is compressed with {name.decode(errors='replace') or code}, "
                "which needs another package; store it with gzip (h5repack -f GZIP=1), "
                "or `pip install hdf5plugin` and set HDF5_PLUGIN_PATH to its folder"
            )


def _geometry(dataset: h5py.Dataset, named: str) -> tuple[NDArray[np.float64], str]:
    """Affine and unit by the attributes of the dataset."""
    text = dataset.attrs.get("unit", "")
    unit = unit_name(text if isinstance(text, str) else "")
    affine = _numbers(dataset, "affine_zyx", (4, 4))
    if affine is not None:
        if not np.isfinite(affine).all() or not np.linalg.det(affine[:3, :3]):
            raise InputError(
                f"{named}: its attribute affine_zyx cannot be inverted; correct or "
                "delete the attribute"
            )
        return affine, unit
    sizes = _numbers(dataset, "spacing", (3,))
    if sizes is None:
        sizes, unit = _numbers(dataset, "element_size_um", (3,)), "micrometer"
    if sizes is None or not (np.isfinite(sizes) & (sizes > 0)).all():
        return np.eye(4), "pixel"
    return np.diag([*sizes, 1.0]), unit


def _numbers(
    dataset: h5py.Dataset, name: str, shape: tuple[int, ...]
) -> NDArray[np.float64] | None:
    if name not in dataset.attrs:
        return None
    stated = dataset.attrs.get_id(name)
    # looked at before it is read: an attribute may promise any size
    if stated.shape != shape or stated.dtype.kind not in "uif":
        return None
    return np.asarray(dataset.attrs[name], dtype=np.float64)


class _Voxels:
    """Voxels z y x of a dataset, in the byte order of the machine."""

    def __init__(self, path: Path, dataset: h5py.Dataset, shape: Shape) -> None:
        self.shape = shape
        self.dtype = dataset.dtype.newbyteorder("=")
        self._path = path
        self._key = dataset.name
        self._stored = dataset.shape, dataset.dtype

    def __getitem__(self, region: Region) -> NDArray[Any]:
        ranges = [
            range(*part.indices(size))
            for part, size in zip(region, self.shape, strict=True)
        ]
        # HDF5 takes no end before the start
        parts = [slice(r.start, max(r.start, r.stop), r.step) for r in ranges]
        stored_shape, _ = self._stored
        outer = [slice(None)] * (len(stored_shape) - 3)
        with _opened(self._path) as file:
            dataset = _dataset(file, self._key, self._path)
            if (dataset.shape, dataset.dtype) != self._stored:
                raise InputError(
                    f"{self._path}: has changed since it was opened; open it again"
                )
            voxels = dataset[(*outer, *parts[-len(stored_shape) :])]
        voxels = np.asarray(voxels, dtype=self.dtype, order="C")
        return voxels.reshape([len(r) for r in ranges])
