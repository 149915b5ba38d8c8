"""A domain: the volumes to train on, from what a user names.

Each text is one of
    FILE, FILE[z0:z1,y0:y1,x0:x1]   a volume or a part of it
    FILE.h5::group/dataset          a dataset of an HDF5 file
    FILE::3, FILE.h5::dataset::3    a frame of a 4D file; in a domain, without a number
                                    all frames
    FOLDER.zarr                     an OME-Zarr, or a part of it as above
    FOLDER                          slices, volumes, or one folder per subject
    a pattern such as DIR/**/*_T1w.nii.gz
    bids:DIR?suffix=T1w             images of a BIDS folder, see `io.bids`
    LIST.json                       the lists of 3DCycleGaN
with a region behind any of them but the last.
"""

import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from tifffile import natural_sorted

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region, Volume
from napari_cyclegan3d.io.bids import bids_file, bids_files, is_bids, parse_bids
from napari_cyclegan3d.io.dataset_json import Part, read_entries
from napari_cyclegan3d.io.partition import overlaps, split
from napari_cyclegan3d.io.series import open_frames as frames_of
from napari_cyclegan3d.io.series import volume_of
from napari_cyclegan3d.io.trees import is_image, open_files, open_folder, open_one

__all__ = [
    "absolute",
    "open_domain",
    "open_frames",
    "open_volume",
    "overlaps",
    "split",
    "split_region",
]

_REGION = re.compile(r"(?P<base>.+)\[(?P<region>[\d,\s-]*:[\d:,\s-]*)\]$")
_RANGE = re.compile(r"(-?\d+)?:(-?\d+)?")


def open_volume(text: str) -> Volume:
    """A volume from `FILE`, `FILE[z0:z1,y0:y1,x0:x1]` or `FILE.h5::dataset`.

    `FILE` may be a folder of slices. Where the file comes from, and which part of it
    the volume is, stays in its metadata: `files`, `dataset`, `region`.

    Raises:
        InputError: The file or the region cannot be used.
    """
    with _in_sentences():
        base, region = split_region(text)
        return _cropped(_open_file(base), region, text)


def open_frames(text: str, *, channels: bool = False) -> list[Volume]:
    """The volumes of a series, from what `open_volume` takes; a 3D file has one.

    Args:
        text: See the top of this module.
        channels: Whether its frames may be channels, which are of several kinds.

    Raises:
        InputError: The file or the region cannot be used.
    """
    with _in_sentences():
        base, region = split_region(text)
        return [_cropped(volume, region, text) for volume in _open_all(base, channels)]


def open_domain(texts: Sequence[str], part: Part = "train") -> list[Volume]:
    """The volumes that some texts name, in the order of the texts.

    Files that a shell has made of a pattern count as the pattern: single slices of one
    folder become one volume.

    Args:
        texts: See the top of this module.
        part: Which list of a JSON file; all other texts mean the same for both.

    Raises:
        InputError: A text names nothing, or something that cannot be used.
    """
    volumes: list[Volume] = []
    with _in_sentences():
        for is_file, group in groupby(texts, _is_image_file):
            if is_file:
                volumes += open_files([Path(text) for text in group])
                continue
            for text in group:
                volumes += _open_text(text, part)
    return volumes


def _is_image_file(text: str) -> bool:
    return Path(text).is_file() and not _is_list(text)


def _is_list(text: str) -> bool:
    return text.lower().endswith(".json")


def _open_text(text: str, part: Part) -> list[Volume]:
    if _is_list(text) and Path(text).is_file():
        return _open_list(Path(text), part)
    base, region = split_region(text)
    if is_bids(base):
        files = bids_files(parse_bids(base))
        volumes = [frame for file in files for frame in frames_of(file.path)]
    elif Path(base).is_dir():
        volumes = open_folder(Path(base))
    elif glob.has_magic(base) and not Path(base).exists():
        volumes = open_files(_matches(base))
    else:
        volumes = _open_all(base, channels=False)
    return [_cropped(volume, region, text) for volume in volumes]


def _open_list(path: Path, part: Part) -> list[Volume]:
    volumes = []
    for entry in read_entries(path, part):
        try:
            volume = open_one(entry.path, entry.dataset)
            volumes.append(_cropped(volume, entry.region, str(entry.path)))
        except InputError as error:
            raise InputError(f"{entry.named}: {error}") from error
    return volumes


def _open_file(text: str) -> Volume:
    if is_bids(text):
        return open_one(bids_file(parse_bids(text)).path)
    path, separator, dataset = text.rpartition("::")
    if not separator or Path(text).exists():
        return open_one(Path(text))
    if dataset.isdecimal():
        return volume_of(text)
    return open_one(Path(path), dataset)


def absolute(text: str) -> str:
    """The same text (without a region), that means the same in any current folder.

    Raises:
        InputError: It begins with `bids:` and cannot be understood.
    """
    if is_bids(text):
        query = parse_bids(text)
        return str(replace(query, root=query.root.absolute()))
    return str(Path(text).expanduser().absolute())


def _open_all(text: str, channels: bool) -> list[Volume]:
    """All frames of what is named without a number, else the frame named."""
    if is_bids(text):
        return frames_of(bids_file(parse_bids(text)).path, channels=channels)
    path, separator, dataset = text.rpartition("::")
    if not separator or Path(text).exists():
        return frames_of(Path(text), channels=channels)
    if dataset.isdecimal():
        return [volume_of(text)]
    return frames_of(Path(path), dataset, channels=channels)


def _matches(pattern: str) -> list[Path]:
    """The images that a pattern matches, or the folders if there are none."""
    # Path.glob descends into hidden folders, where editors keep copies
    texts = glob.glob(pattern, recursive=True)  # noqa: PTH207
    found = [Path(text) for text in natural_sorted(texts)]
    files = [path for path in found if is_image(path)]
    folders = [path for path in found if path.is_dir()]
    if not files and not folders:
        raise InputError(
            f"{pattern}: matches no image and no folder; correct the pattern (known "
            f"files are {', '.join(io.READABLE_SUFFIXES)})"
        )
    return files or folders


def split_region(text: str) -> tuple[str, Region]:
    """A text without its region, and the region (everything, if it has none).

    Raises:
        InputError: The text is empty, or its region has not three ranges.
    """
    if not text:  # as a path it would be the current folder
        raise InputError("'': an empty name is no volume; give a file or a folder")
    match = _REGION.match(text)
    if match is None or Path(text).exists():
        return text, (slice(None),) * 3
    parts = match["region"].replace(" ", "").split(",")
    ranges = [found for part in parts if (found := _RANGE.fullmatch(part))]
    if len(parts) != 3 or len(ranges) != 3:
        raise InputError(
            f"{text}: a region has three ranges, as in volume.tif[0:64,:,100:200]"
        )
    z, y, x = (slice(*(int(n) if n else None for n in one.groups())) for one in ranges)
    return match["base"], (z, y, x)


def _cropped(volume: Volume, region: Region, named: str) -> Volume:
    if region == (slice(None),) * 3:
        return volume
    for axis, part, size in zip("zyx", region, volume.shape, strict=True):
        if max(abs(end) for end in (part.start or 0, part.stop or 0)) > size:
            raise InputError(
                f"{named}: goes beyond the volume of shape {volume.shape}: "
                f"{part.start or 0}:{part.stop or ''} along {axis}; correct it"
            )
    bounds = [
        part.indices(size)[:2] for part, size in zip(region, volume.shape, strict=True)
    ]
    metadata = {**volume.metadata, "region": tuple(bounds)}
    return replace(volume.crop(region), metadata=metadata)


@contextmanager
def _in_sentences() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{error.filename or 'file'}: cannot be opened "
            f"({error.strerror or error}); check the path and its permissions"
        ) from error
