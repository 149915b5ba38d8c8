"""Volumes in files: `read` and `write`, by suffix."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io import hdf5, nifti, png, slices, tensors, tiff

__all__ = [
    "READABLE_SUFFIXES",
    "WRITABLE_SUFFIXES",
    "can_read",
    "can_write",
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
}
_WRITERS: dict[str, Callable[[Volume, Path], None]] = {
    ".tif": tiff.write,
    ".tiff": tiff.write,
    ".nii": nifti.write,
    ".nii.gz": nifti.write,
    ".h5": hdf5.write,
    ".hdf5": hdf5.write,
}

_Function = TypeVar("_Function")

READABLE_SUFFIXES = tuple(_READERS)
WRITABLE_SUFFIXES = tuple(_WRITERS)


def read(path: str | Path, dataset: str | None = None) -> Volume:
    """Open a file, or a folder of slices (TIFF, PNG, .pt), as a volume (z, y, x).

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


def write(volume: Volume, path: str | Path) -> None:
    """Write a volume in the format of the suffix, whole or not at all.

    Raises:
        InputError: The format is unknown or cannot hold the volume, or the file could
            not be written; what was there before is unchanged.
    """
    path = Path(path)
    _for_suffix(path, _WRITERS, "written")(volume, path)


def can_read(path: str | Path) -> bool:
    """Whether `read` knows the suffix, or the path is a folder with slices."""
    path = Path(path)
    try:
        if path.is_dir():
            return bool(slices.slice_files(path))
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
