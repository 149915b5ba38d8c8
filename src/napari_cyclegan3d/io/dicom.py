"""DICOM series: a folder with a file per slice, in any order and under any name.

A volume lies z y x, each axis along the nearest of the directions right, anterior and
superior, as NIfTI images are given; lengths are in millimetres. Slices are decoded
where they are read. SimpleITK does this, from the extra `mri`. Nothing is written as
DICOM: a series is a record about a patient, which an enhanced image must not pretend.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.extras import needed
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.dicom_grid import Slice, Voxels, grid

SUFFIXES = (".dcm", ".dicom", ".ima")
_MAGIC_AT, _MAGIC = 128, b"DICM"
_INDEX = "DICOMDIR"
_LOOKED_AT = 8
_MOST_LISTED = 6
_SERIES, _DESCRIPTION, _MODALITY = "0020|000e", "0008|103e", "0008|0060"
_REMEDY = (
    "is no DICOM image that can be read (damaged, cut off, or another format under "
    "this name); export the series again"
)


@dataclass(frozen=True)
class Series:
    """What belongs together in a folder.

    Attributes:
        uid: Its number, unique in the world.
        description: What the scanner called it; may be empty.
        modality: CT, MR, …
        files: Its files.
    """

    uid: str
    description: str
    modality: str
    files: tuple[Path, ...]


def is_folder(folder: Path) -> bool:
    """Whether a folder has files named as DICOM, or nameless ones that start so.

    Raises:
        OSError: The folder may not be looked into.
    """
    names = sorted(path for path in folder.iterdir() if path.name[0] != ".")
    if any(path.name.lower().endswith(SUFFIXES) for path in names):
        return True
    # scanners name files IM0001, or by numbers with dots
    bare = (path for path in names if not re.search(r"\.[A-Za-z]\w*$", path.name))
    return any(_starts_as_dicom(path) for path in islice(bare, _LOOKED_AT))


def read(path: Path, series: str | None = None) -> Volume:
    """Open a series; voxels are read when they are asked for.

    Grey values are those that slope and intercept of the files make of the stored ones.

    Args:
        path: A folder, or one file of a series: all of it is opened.
        series: Number or description of the series to take; needed where a folder has
            several.

    Raises:
        InputError: SimpleITK is missing, there is no series or a choice of several, or
            it is something else than one grey-valued volume of evenly spaced slices.
    """
    folder = path if path.is_dir() else path.parent
    if series is None and path.is_file():
        # what the system says is better than what ITK makes of it
        path.open("rb").close()
        series = _header(path, path)[1].get(_SERIES, "")
        if not series:
            raise InputError(f"{path}: {_REMEDY}")
    found = find_series(folder)
    chosen = _choose(found, series, path)
    slices = [_header(one, path)[0] for one in chosen.files]
    layout, ordered, affine = grid(slices, path)
    told: dict[str, Any] = {"files": (str(folder.resolve()),)}
    if len(found) > 1:
        told["dataset"] = chosen.uid
    return Volume(
        Voxels(layout, tuple(one.path for one in ordered)),
        affine,
        "millimeter",
        name=folder.resolve().name,
        metadata=told,
    )


def find_series(folder: Path) -> list[Series]:
    """The series in a folder, by their numbers; folders in it are not looked into.

    Raises:
        InputError: SimpleITK is missing, no file is an image of DICOM, or one that
            should be cannot be read.
    """
    reader = _library().ImageSeriesReader
    found = []
    for uid in reader.GetGDCMSeriesIDs(str(folder)):
        names = reader.GetGDCMSeriesFileNames(str(folder), uid)
        files = tuple(Path(name) for name in names)
        _, texts = _header(files[0], folder)
        described = texts.get(_DESCRIPTION, ""), texts.get(_MODALITY, "")
        found.append(Series(texts.get(_SERIES, uid), *described, files))
    _refuse_lost(folder, {one.name for series in found for one in series.files})
    if not found:
        raise InputError(
            f"{folder}: no file in it is a DICOM image that can be read; choose the "
            "folder of one series"
        )
    return found


def _refuse_lost(folder: Path, read: set[str]) -> None:
    """Refuse what is left out for its damage: a series would miss slices silently."""
    for path in sorted(folder.iterdir()):
        if path.name in read or path.name[0] == "." or path.name == _INDEX:
            continue
        named = path.name.lower().endswith(SUFFIXES)
        if named or (path.is_file() and _starts_as_dicom(path)):
            raise InputError(f"{path}: {_REMEDY}, or move it out of the folder")


def _choose(found: Sequence[Series], series: str | None, path: Path) -> Series:
    if series is None and len(found) == 1:
        return found[0]
    matching = [one for one in found if series in (one.uid, one.description)]
    if len(matching) == 1:
        return matching[0]
    listed = ", ".join(
        f"{one.uid} ({one.modality} {one.description!r}, {len(one.files)} files)"
        for one in found[:_MOST_LISTED]
    )
    more = ", …" if len(found) > _MOST_LISTED else ""
    wanted = "" if series is None else f", none or several of them are {series!r}"
    raise InputError(
        f"{path}: holds {len(found)} series{wanted}; choose one, as in "
        f"{path}::{found[0].uid}: {listed}{more}"
    )


def _header(file: Path, named: Path) -> tuple[Slice, dict[str, str]]:
    """What the header of a file says: its place and type, and some of its texts."""
    reader = _library().ImageFileReader()
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        shown = file if named.is_dir() else named
        raise InputError(f"{shown}: {_REMEDY}") from error
    texts = {
        key: reader.GetMetaData(key).strip("\0 ")
        for key in (_SERIES, _DESCRIPTION, _MODALITY)
        if reader.HasMetaDataKey(key)
    }
    return Slice.of(reader, file), texts


def _starts_as_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:] == _MAGIC
    except OSError:
        return False


def _library() -> Any:
    library = needed("SimpleITK", "mri", "DICOM")
    # what ITK remarks about a file would go straight to the user's terminal
    library.ProcessObject.SetGlobalWarningDisplay(False)
    return library
