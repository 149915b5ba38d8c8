"""Folders and lists of files: which of them are volumes, and what they are called.

Two rules decide by content. Images of a single slice (PNG, `.pt`, TIFF of one page)
that lie in one folder are the slices of one volume; tensors whose names state a subject
are one volume per subject. Any other file is a volume of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tifffile import natural_sorted

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io import dicom, ome_zarr, slices
from napari_cyclegan3d.io.series import open_frames, read_series

Kind = tuple[str, ...]

_KINDS: tuple[Kind, ...] = (
    *slices.KINDS,
    *(row.suffixes for row in io.FORMATS if row.suffixes not in slices.KINDS),
)
_TIFF = slices.KINDS[0]
_MOST_LISTED = 4


def open_one(path: Path, dataset: str | None = None) -> Volume:
    """A file or a folder of slices as one volume that remembers its files.

    Raises:
        InputError: It cannot be read as one volume.
    """
    volume = io.read(path, dataset)
    files = {"files": (str(path.resolve()),)}
    return replace(volume, metadata={**files, **volume.metadata})


def open_folder(folder: Path) -> list[Volume]:
    """The volumes of a folder, in natural order.

    A folder with files of one kind gives them by the rules of this module. A folder of
    folders gives what is in each of these: its slices, or its only volume, named by the
    folder (a subject).

    Raises:
        InputError: It holds no volumes, files of several kinds, or folders with several
            volumes each.
    """
    if ome_zarr.is_store(folder):
        return open_frames(folder)
    if dicom.is_folder(folder):
        return [open_one(folder)]
    files = _readable(folder, f"{folder}/*")
    if files:
        return open_files(files)
    volumes = []
    for path in _sorted(folder.iterdir()):
        if path.is_dir() and path.name[0] != ".":
            volumes += _open_subject(path)
    if not volumes:
        raise InputError(
            f"{folder}: holds no volumes and no slices; for files deeper inside give a "
            f"pattern, as in {folder}/**/*.nii.gz, or bids:{folder}?suffix=T1w if it "
            "is a BIDS dataset"
        )
    return volumes


def open_files(paths: Sequence[Path]) -> list[Volume]:
    """The volumes in some files and folders, by the rules of this module.

    Where files have the same name, their volumes are named by their folders, and where
    these are the same, by their paths.

    Raises:
        InputError: One of them cannot be read.
    """
    groups: dict[tuple[Path, Kind], list[Path]] = {}
    volumes: list[Volume] = []
    stacked: dict[Path, bool] = {}
    for path in paths:
        kind = _kind(path)
        if kind == _TIFF and path.parent not in stacked:
            frames = read_series(path)
            stacked[path.parent] = len(frames) == frames[0].shape[0] == 1
        is_slice = kind in slices.KINDS and (kind != _TIFF or stacked[path.parent])
        # any file of a DICOM series stands for its folder
        alone = path.parent if kind == dicom.SUFFIXES else path
        key = (path.parent, kind) if is_slice else (alone, ())
        groups.setdefault(key, []).append(path)
    for (place, kind), group in groups.items():
        if kind:
            folder = place.resolve().name
            volumes += slices.stacks(group, folder if group[1:] else group[0].name)
        elif place.is_dir():
            volumes += open_folder(place)
        else:
            volumes += open_frames(place)
    return _named_apart(volumes)


def _open_subject(folder: Path) -> list[Volume]:
    whole = dicom.is_folder(folder)
    files = [folder] if whole else _readable(folder, f"{folder.parent}/*/*")
    volumes = open_files(files) if files else []
    kinds = {_kind(path) for path in files}
    one_series = len({volume.metadata["files"] for volume in volumes}) == 1
    if len(volumes) > 1 and not one_series and kinds != {(slices.TENSORS,)}:
        names = [path.name for path in files]
        shown = ", ".join(names[:_MOST_LISTED]) + (", …" * (len(names) > _MOST_LISTED))
        raise InputError(
            f"{folder}: holds several volumes ({shown}); choose one per folder with a "
            f"pattern, as in {folder.parent}/*/{names[0]}"
        )
    if len(volumes) == 1:
        return [replace(volumes[0], name=folder.name)]
    return volumes


def _readable(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder that are images, all of one kind."""
    paths = [
        path
        for path in _sorted(folder.iterdir())
        if path.name[0] != "." and is_image(path)
    ]
    suffixes = sorted({_kind(path)[0] for path in paths})
    if len(suffixes) > 1:
        raise InputError(
            f"{folder}: holds images of several kinds ({', '.join(suffixes)}); choose "
            f"one with a pattern, as in {pattern}{suffixes[0]}"
        )
    return paths


def is_image(path: Path) -> bool:
    """Whether a path is one readable file, or a folder named as an OME-Zarr."""
    return (path.is_file() or ome_zarr.is_named_store(path)) and io.can_read(path)


def _sorted(paths: Iterable[Path]) -> list[Path]:
    return [Path(text) for text in natural_sorted(str(path) for path in paths)]


def _kind(path: Path) -> Kind:
    name = path.name.lower()
    return next((kind for kind in _KINDS if name.endswith(kind)), ())


def _named_apart(volumes: list[Volume]) -> list[Volume]:
    paths = [Path(volume.metadata["files"][0]) for volume in volumes]
    frames = [
        f"::{volume.metadata['frame']}" if "frame" in volume.metadata else ""
        for volume in volumes
    ]
    for names in (
        [volume.name for volume in volumes],
        [path.parent.name + one for path, one in zip(paths, frames, strict=True)],
        [f"{path}{one}" for path, one in zip(paths, frames, strict=True)],
    ):
        if len(set(names)) == len(names):
            return [
                replace(volume, name=name)
                for volume, name in zip(volumes, names, strict=True)
            ]
    return volumes
