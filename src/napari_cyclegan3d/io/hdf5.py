"""One dataset (z, y, x) of an HDF5 file, or the frames of one with more axes.

The file is opened anew for each reading, without a lock: 0.3 ms per reading, and a
volume goes to other threads and processes, may be replaced on disk while it is open,
and never keeps the program that writes it from its work.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.units import conversion
from napari_cyclegan3d.engine.volume import Region, Shape, Volume
from napari_cyclegan3d.io.blocks import Sink
from napari_cyclegan3d.io.flat import Layout, writing_series
from napari_cyclegan3d.io.frames import MOST_FRAMES, Series, framed
from napari_cyclegan3d.io.hdf5_datasets import (
    ELSEWHERE,
    DatasetInfo,
    chosen,
    datasets,
    named_dataset,
    opened,
)
from napari_cyclegan3d.io.hdf5_place import axis_names, numbers, place_of

__all__ = [
    "DatasetInfo",
    "create",
    "create_series",
    "datasets",
    "read",
    "read_series",
]

_TYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "float32", "float64",
)  # fmt: skip
# long double and complex are no grey values that can be trained on
_LARGEST_VOXEL = 8
# no codec packs voxels of a real image into fewer than 1 of 2000 bytes
_DENSEST = 2000
_GREY_KINDS = "buif"


def read(path: Path, key: str | None = None) -> Volume:
    """Open a dataset; voxels are read when they are asked for.

    Axes of length 1 before z y x are dropped, and an image is a volume of one slice.
    The place comes from the attributes that `create` leaves, else from what other
    programs write, see `hdf5_place`.

    Args:
        path: The file.
        key: Path of the dataset in the file; by default `data`, the usual place of a
            beamline's file, or else the only dataset with three axes (or with two).

    Raises:
        InputError: The file is damaged, there is no such dataset or a choice of
            several, or it is something else than one grey-valued 3D image.
    """
    frames = read_series(path, key)
    if len(frames) > 1:
        series: Series = frames[0].metadata["series"]
        name = frames[0].metadata["dataset"].strip("/")
        raise InputError(
            f"{path}::{name}: has shape {(*series.shape, *frames[0].shape)}; save one "
            "channel or frame of it as a dataset with three axes (z, y, x), or name "
            f"one, as in {path.name}::{name}::0"
        )
    return frames[0]


def read_series(path: Path, key: str | None = None) -> list[Volume]:
    """Open all frames of a dataset, see `read`.

    Raises:
        InputError: As `read`, but for axes before z y x.
    """
    with opened(path) as file:
        dataset = chosen(file, path) if key is None else named_dataset(file, key, path)
        named = f"{path}::{dataset.name.strip('/')}"
        _refuse_promises(dataset, named, path.stat().st_size)
        shape, series = _shape(dataset, named)
        affine, unit = place_of(dataset, named)
        return [
            framed(
                Volume(
                    _Voxels(path, dataset, shape, frame),
                    affine,
                    unit,
                    name=path.name if key is None else f"{path.name}::{key.strip('/')}",
                    metadata={"dataset": dataset.name},
                ),
                number,
                series,
            )
            for number, frame in enumerate(np.ndindex(dataset.shape[:-3]))
        ]


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
    with _created(volume, None, path) as (sink,):
        yield sink


@contextmanager
def create_series(
    volume: Volume, series: Series, path: Path
) -> Iterator[Sequence[Sink]]:
    """Lend a sink for each frame of what becomes one dataset, see `create`.

    Args:
        volume: Any frame.
        series: The axes before z y x; their names are in the attribute `axes`.
        path: The file to create or to replace.

    Raises:
        InputError: As `create`.
    """
    with _created(volume, series, path) as sinks:
        yield sinks


@contextmanager
def _created(
    volume: Volume, series: Series | None, path: Path
) -> Iterator[Sequence[Sink]]:
    if volume.dtype.name not in _TYPES:
        raise InputError(
            f"{path}: grey values in HDF5 cannot be {volume.dtype.name}; convert the "
            f"voxels to one of {', '.join(_TYPES)}"
        )
    count = 1 if series is None else series.count
    layout = Layout(volume.shape, volume.dtype.newbyteorder("="))
    with atomic_path(path, count * layout.voxel_bytes) as temporary:
        # Python's own writing raises when the disk is full
        with temporary.open("wb+") as stream, h5py.File(stream, "w") as file:
            offset = _create_dataset(file, volume, series, layout.dtype)
        layout = replace(layout, offset=offset)
        with writing_series(temporary, layout, count) as sinks:
            yield sinks


def _create_dataset(
    file: h5py.File, volume: Volume, series: Series | None, dtype: np.dtype[Any]
) -> int:
    """Make room for the voxels; where they start in the file."""
    leading = () if series is None else series.shape
    shape = (*leading, *volume.shape)
    dataset = file.create_dataset("data", shape, dtype, fill_time="never")
    dataset.attrs["affine_zyx"] = volume.affine
    dataset.attrs["spacing"] = volume.spacing
    dataset.attrs["unit"] = volume.unit
    if series is not None:
        dataset.attrs["axes"] = [*series.axes, "z", "y", "x"]
        if series.unit == "second":
            dataset.attrs["frame_step_s"] = series.step
    if volume.unit != "pixel":
        in_micrometers = conversion(volume.unit, "micrometer")
        sizes = np.array(volume.spacing) * in_micrometers
        dataset.attrs["element_size_um"] = sizes
    # a place is found for the voxels when the first one is written
    dataset[(-1,) * len(shape)] = 0
    return int(dataset.id.get_offset())


def _shape(dataset: h5py.Dataset, named: str) -> tuple[Shape, Series]:
    """Voxels per axis, and what the axes before them are."""
    sizes = (1,) * (3 - dataset.ndim) + dataset.shape
    *leading, depth, height, width = sizes
    if dataset.ndim < 2 or not 1 <= math.prod(leading) <= MOST_FRAMES:
        raise InputError(
            f"{named}: has shape {dataset.shape}; save one channel or frame of it as a "
            "dataset with three axes (z, y, x)"
        )
    names = axis_names(dataset)[: len(leading)] or ["t"] * len(leading)
    longer = [
        ("c" if name[:1].lower() == "c" else "t", size)
        for name, size in zip(names, leading, strict=True)
        if size > 1
    ]
    seconds = numbers(dataset, "frame_step_s", ())
    step = 0.0 if seconds is None else float(seconds)
    stated = 0 < step < math.inf
    return (depth, height, width), Series(
        "".join(name for name, _ in longer),
        tuple(size for _, size in longer),
        step if stated else 1.0,
        "second" if stated else "pixel",
    )


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
        raise InputError(f"{named}: {ELSEWHERE}")
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


class _Voxels:
    """Voxels z y x of a frame of a dataset, in the byte order of the machine."""

    def __init__(
        self, path: Path, dataset: h5py.Dataset, shape: Shape, frame: tuple[int, ...]
    ) -> None:
        self.shape = shape
        self.dtype = dataset.dtype.newbyteorder("=")
        self._path = path
        self._key = dataset.name
        self._frame = frame
        self._stored = dataset.shape, dataset.dtype

    def __getitem__(self, region: Region) -> NDArray[Any]:
        ranges = [
            range(*part.indices(size))
            for part, size in zip(region, self.shape, strict=True)
        ]
        # HDF5 takes no end before the start
        parts = [slice(r.start, max(r.start, r.stop), r.step) for r in ranges]
        stored_shape, _ = self._stored
        with opened(self._path) as file:
            dataset = named_dataset(file, self._key, self._path)
            if (dataset.shape, dataset.dtype) != self._stored:
                raise InputError(
                    f"{self._path}: has changed since it was opened; open it again"
                )
            voxels = dataset[(*self._frame, *parts[-len(stored_shape) :])]
        voxels = np.asarray(voxels, dtype=self.dtype, order="C")
        return voxels.reshape([len(r) for r in ranges])
