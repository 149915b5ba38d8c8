"""Volumes in files: `read` and `write`, by suffix."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io import dicom, ome_zarr, slices
from napari_cyclegan3d.io.blocks import Sink
from napari_cyclegan3d.io.formats import FORMATS, Format, format_of

__all__ = [
    "FORMATS",
    "READABLE_SUFFIXES",
    "WRITABLE_SUFFIXES",
    "Format",
    "Sink",
    "can_read",
    "can_write",
    "create",
    "format_of",
    "read",
    "write",
]

READABLE_SUFFIXES = tuple(suffix for row in FORMATS for suffix in row.suffixes)
WRITABLE_SUFFIXES = tuple(
    suffix for row in FORMATS if row.create is not None for suffix in row.suffixes
)


def read(path: str | Path, dataset: str | None = None) -> Volume:
    """Open a file, an OME-Zarr, or a folder of slices (DICOM, TIFF, PNG, …), as z y x.

    Nothing but headers is read now; voxels are read when they are asked for.

    Args:
        path: The file or folder.
        dataset: What to take of several things at `path`: the dataset of an HDF5 file
            (by default the usual one), or the DICOM series of a folder.

    Raises:
        InputError: There is nothing at `path`, its format is unknown, or it cannot be
            read as one 3D volume.
    """
    path = Path(path)
    try:
        if ome_zarr.is_store(path) and dataset is None:
            return ome_zarr.read(path)
        if path.is_dir():
            return _read_folder(path, dataset)
        if not path.exists():
            raise InputError(f"{path}: no such file or folder; check the path")
        row = _known(path, READABLE_SUFFIXES, "read")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty (0 bytes); copy or download it again")
        if dataset is None:
            return row.read(path)
        if not row.inside:
            raise InputError(
                f"{path}::{dataset}: only HDF5 files have datasets to choose from; "
                "give the path alone"
            )
        return row.read(path, dataset)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be opened ({error.strerror or error}); "
            "check the path and its permissions"
        ) from error


def create(
    volume: Volume, path: str | Path, fingerprint: Mapping[str, Any] | None = None
) -> AbstractContextManager[Sink]:
    """Lend a sink; its voxels are in the file when the block ends well.

    The file appears whole or not at all. Only an OME-Zarr with a `fingerprint` is there
    from the start, and the same job goes on with it after an interruption (see
    `ome_zarr.create`).

    Args:
        volume: Geometry, metadata, shape and type of what will be written. Its voxels
            are not read; `Planned` has none.
        path: The file to create or to replace; its suffix decides on the format.
        fingerprint: What makes this job another one than others; for OME-Zarr only.

    Raises:
        InputError: The format is unknown or cannot hold the volume, or the file could
            not be written; what was there before is unchanged.
    """
    path = Path(path)
    row = _known(path, WRITABLE_SUFFIXES, "written")
    if row.create is None or row.create is ome_zarr.create:
        return ome_zarr.create(volume, path, fingerprint=fingerprint)
    return row.create(volume, path)


def write(volume: Volume, path: str | Path) -> None:
    """Write a volume in the format of the suffix, part by part, whole or not at all.

    Raises:
        InputError: The format is unknown or cannot hold the volume, or the file could
            not be written; what was there before is unchanged.
    """
    with create(volume, path) as sink:
        for region in sink.parts():
            sink[region] = volume.read(region)


def can_read(path: str | Path) -> bool:
    """Whether `read` knows the suffix, or the path is an OME-Zarr or has slices."""
    path = Path(path)
    try:
        if path.is_dir():
            return ome_zarr.is_store(path) or _has_slices(path)
    except OSError:
        return False
    return format_of(path) is not None


def can_write(path: str | Path) -> bool:
    """Whether `write` knows the suffix."""
    row = format_of(Path(path))
    return row is not None and row.create is not None


def _read_folder(folder: Path, series: str | None) -> Volume:
    if dicom.is_folder(folder):
        return dicom.read(folder, series)
    if series is not None:
        raise InputError(
            f"{folder}::{series}: only folders of DICOM files have series to choose "
            "from; give the folder alone"
        )
    return slices.read(folder)


def _has_slices(folder: Path) -> bool:
    return bool(slices.slice_files(folder)) or dicom.is_folder(folder)


def _known(path: Path, suffixes: tuple[str, ...], done: str) -> Format:
    row = format_of(path)
    if row is None or row.suffixes[0] not in suffixes:
        raise InputError(
            f"{path}: files of this kind cannot be {done}; known are "
            f"{', '.join(suffixes)}"
        )
    return row
