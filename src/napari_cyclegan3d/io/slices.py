"""A folder with one TIFF file per slice."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import natural_sorted

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import ArraySource, Region, Volume
from napari_cyclegan3d.io import tiff
from napari_cyclegan3d.io.blocks import Mapped

SUFFIXES = (".tif", ".tiff")


def slice_files(folder: Path) -> list[Path]:
    """The TIFF files of a folder in natural order (s2 before s10), hidden ones apart.

    Raises:
        OSError: The folder cannot be listed.
    """
    names = [
        path.name
        for path in folder.iterdir()
        if path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")
    ]
    return [folder / name for name in natural_sorted(names)]


def read(folder: Path) -> Volume:
    """Open the slices of a folder as one volume; pixels are read when asked for.

    The size of pixels comes from the first slice; slices are taken to be as far apart
    as rows, unless the first slice states another distance.

    Raises:
        InputError: The folder holds no TIFF file, or not slices of one size and type.
    """
    paths = slice_files(folder)
    if not paths:
        raise InputError(
            f"{folder}: holds no .tif or .tiff file; choose the folder of the slices"
        )
    first = _read_slice(paths[0])
    slices: list[ArraySource] = []
    for path in paths:
        volume = _read_slice(path)
        if (volume.shape, volume.dtype) != (first.shape, first.dtype):
            raise InputError(
                f"{path}: is {_describe(volume)}, but the first slice {paths[0].name} "
                f"is {_describe(first)}; keep only slices of one size and type there"
            )
        # a map needs no open file, a decoder does: thousands would be too many
        slices.append(
            volume.array
            if isinstance(volume.array, Mapped)
            else _Reopened(path, volume)
        )
    return Volume(
        _Stacked(slices, first), first.affine, first.unit, name=folder.resolve().name
    )


def _read_slice(path: Path) -> Volume:
    volume = tiff.read(path)
    if volume.shape[0] > 1:
        raise InputError(
            f"{path}: holds {volume.shape[0]} slices; open this file itself, or keep "
            "one slice per file in the folder"
        )
    return volume


def _describe(volume: Volume) -> str:
    _, height, width = volume.shape
    return f"{height} × {width} {volume.dtype}"


class _Reopened:
    """One compressed slice, opened anew for each reading."""

    def __init__(self, path: Path, volume: Volume) -> None:
        self._path = path
        self.shape = volume.shape
        self.dtype = volume.dtype

    def __getitem__(self, region: Region) -> NDArray[Any]:
        volume = _read_slice(self._path)
        if (volume.shape, volume.dtype) != (self.shape, self.dtype):
            raise InputError(
                f"{self._path}: has changed since its folder was opened; "
                "open the folder again"
            )
        return volume.read(region)


class _Stacked:
    """Slices as one array source."""

    def __init__(self, slices: list[ArraySource], first: Volume) -> None:
        self._slices = slices
        self.shape = (len(slices), *first.shape[1:])
        self.dtype = first.dtype

    def __getitem__(self, region: Region) -> NDArray[Any]:
        depth, *rest = region
        rows, columns = (
            len(range(*part.indices(size)))
            for part, size in zip(rest, self.shape[1:], strict=True)
        )
        chosen = self._slices[depth]
        block = np.empty((len(chosen), rows, columns), self.dtype)
        for index, source in enumerate(chosen):
            block[index] = source[(slice(None), *rest)][0]
        return block
