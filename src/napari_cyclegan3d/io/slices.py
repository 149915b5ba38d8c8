"""A folder with one file per slice: TIFF, PNG, BMP, JPEG, or tensors of PyTorch."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import natural_sorted

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import ArraySource, Region, Volume
from napari_cyclegan3d.io import bitmaps, png, tensors, tiff
from napari_cyclegan3d.io.flat import Mapped

TENSORS = ".pt"
# in a folder with several kinds, the others are previews of the first one
KINDS = ((".tif", ".tiff"), (".png",), (".bmp",), (TENSORS,), (".jpg", ".jpeg"))
_READERS: dict[str, Callable[[Path], Volume]] = {
    ".tif": tiff.read,
    ".tiff": tiff.read,
    ".png": png.read,
    ".bmp": bitmaps.read,
    TENSORS: tensors.read,
    ".jpg": bitmaps.read,
    ".jpeg": bitmaps.read,
}


def slice_files(folder: Path) -> list[Path]:
    """The slices of a folder in natural order (s2 before s10), hidden files apart.

    Files of one kind: TIFF, where there is none PNG, then BMP, `.pt` and JPEG.

    Raises:
        OSError: The folder cannot be listed.
    """
    names = [path.name for path in folder.iterdir() if path.name[0] != "."]
    for suffixes in KINDS:
        chosen = [name for name in names if name.lower().endswith(suffixes)]
        if chosen:
            return [folder / name for name in natural_sorted(chosen)]
    return []


def read(folder: Path) -> Volume:
    """Open the slices of a folder as one volume; pixels are read when asked for.

    The size of pixels comes from the first slice; slices are taken to be as far apart
    as rows, unless the first slice states another distance.

    Raises:
        InputError: The folder holds no slices, not slices of one size and type, or
            tensors of several subjects.
    """
    volumes = stacks(slice_files(folder), folder.resolve().name)
    if not volumes:
        raise InputError(
            f"{folder}: holds no .tif or .tiff file, no DICOM file, and no .png, .bmp, "
            ".jpg or .pt either; choose the folder of the slices"
        )
    if len(volumes) > 1:
        raise InputError(
            f"{folder}: holds slices of {len(volumes)} subjects; choose one with a "
            f"pattern, as in {folder}/{volumes[0].name}_*.pt"
        )
    return volumes[0]


def stacks(paths: Sequence[Path], name: str) -> list[Volume]:
    """Volumes of slices of one kind: one, or of tensors one per subject named by it.

    Their metadata have the files of the slices, as `files`, and the `subject`.

    Args:
        paths: The slices in their order.
        name: Name of the volume where the slices name no subject.

    Raises:
        InputError: The slices of a volume differ in size or type.
    """
    if not paths:
        return []
    if paths[0].suffix.lower() != TENSORS:
        return [_stack(paths, name)]
    subjects = tensors.by_subject(paths)
    if list(subjects) == [""]:
        return [_stack(paths, name)]
    return [
        _stack(group, subject, {"subject": subject})
        for subject, group in subjects.items()
    ]


def _stack(
    paths: Sequence[Path], name: str, stated: Mapping[str, str] | None = None
) -> Volume:
    first = _read_slice(paths[0])
    slices: list[ArraySource] = []
    for path in paths:
        volume = _read_slice(path)
        if (volume.shape, volume.dtype) != (first.shape, first.dtype):
            raise InputError(
                f"{path}: is {_describe(volume)}, but the first slice {paths[0].name} "
                f"is {_describe(first)}; keep only slices of one size and type there"
            )
        # a decoder keeps its file open: thousands would be too many
        slices.append(
            volume.array
            if isinstance(volume.array, Mapped)
            else _Reopened(path, volume)
        )
    files = tuple(str(path.resolve()) for path in paths)
    return Volume(
        _Stacked(slices, first),
        first.affine,
        first.unit,
        name=name,
        metadata={"files": files, **(stated or {})},
    )


def _read_slice(path: Path) -> Volume:
    volume = _READERS[path.suffix.lower()](path)
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
    """One slice that cannot be mapped, opened anew for each reading."""

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
