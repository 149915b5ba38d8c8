"""Volumes in files: `read` and `write`, by suffix."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io import hdf5, nifti, ome_zarr, png, slices, tensors, tiff
from napari_cyclegan3d.io.blocks import Sink

__all__ = [
    "READABLE_SUFFIXES",
    "WRITABLE_SUFFIXES",
    "Sink",
    "can_read",
    "can_write",
    "create",
    "read",
    "write",
]

_READERS: dict[str, Callable[[Path], Volume]] = {
    ".tif": tiff.read,
    ".tiff": tiff.read,
    ".nii": nifti.read,
    ".nii.gz": nifti.read,
    ".h5": hdf5.read,
    ".hdf5": hdf5.read,
    ".nxs": hdf5.read,
    ".png": png.read,
    ".pt": tensors.read,
    ".zarr": ome_zarr.read,
}
_WRITERS: dict[str, Callable[[Volume, Path], AbstractContextManager[Sink]]] = {
    ".tif": tiff.create,
    ".tiff": tiff.create,
    ".nii": nifti.create,
    ".nii.gz": nifti.create,
    ".h5": hdf5.create,
    ".hdf5": hdf5.create,
    ".zarr": ome_zarr.create,
}

_Function = TypeVar("_Function")

READABLE_SUFFIXES = tuple(_READERS)
WRITABLE_SUFFIXES = tuple(_WRITERS)


def read(path: str | Path, dataset: str | None = None) -> Volume:
    """Open a file, an OME-Zarr, or a folder of slices (TIFF, PNG, .pt), as z y x.

    Nothing but headers is read now; voxels are read when they are asked for.

    Args:
        path: The file or folder.
        dataset: Path of the voxels inside an HDF5 file; by default the usual ones.

    Raises:
        InputError: There is nothing at `path`, its format is unknown, or it cannot be
            read as one 3D volume.
    """
    path = Path(path)
    try:
        if ome_zarr.is_store(path) and dataset is None:
            return ome_zarr.read(path)
        if path.is_dir():
            return slices.read(path)
        if not path.exists():
            raise InputError(f"{path}: no such file or folder; check the path")
        reader = _for_suffix(path, _READERS, "read")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty (0 bytes); copy or download it again")
        if dataset is None:
            return reader(path)
        if reader is not hdf5.read:
            raise InputError(
                f"{path}::{dataset}: only HDF5 files have datasets to choose from; "
                "give the path alone"
            )
        return hdf5.read(path, dataset)
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
    creator = _for_suffix(path, _WRITERS, "written")
    if creator is ome_zarr.create:
        return ome_zarr.create(volume, path, fingerprint=fingerprint)
    return creator(volume, path)


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
            return ome_zarr.is_store(path) or bool(slices.slice_files(path))
    except OSError:
        return False
    return _suffix(path, READABLE_SUFFIXES) is not None


def can_write(path: str | Path) -> bool:
    """Whether `write` knows the suffix."""
    return _suffix(Path(path), WRITABLE_SUFFIXES) is not None


def _suffix(path: Path, suffixes: tuple[str, ...]) -> str | None:
    name = path.name.lower()
    return next((suffix for suffix in suffixes if name.endswith(suffix)), None)


def _for_suffix(path: Path, functions: dict[str, _Function], done: str) -> _Function:
    suffix = _suffix(path, tuple(functions))
    if suffix is None:
        raise InputError(
            f"{path}: files of this kind cannot be {done}; known are "
            f"{', '.join(functions)}"
        )
    return functions[suffix]
