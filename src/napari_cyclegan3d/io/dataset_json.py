"""Lists of volumes in a JSON file, as 3DCycleGaN keeps them.

The file has the lists `train` and `validate`. An entry is a file, a dataset in it, and
a region of interest: `ROI0`, `ROI1` and `ROI2` are [start, stop) along z, y and x;
negative numbers count from the end. Of an axis without a region 3DCycleGaN leaves the
last plane out; here it is the whole axis. An explicit [0, -1] means the same in both.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import Settings, parse
from napari_cyclegan3d.engine.volume import Region

Part = Literal["train", "validate"]

_PARTS: tuple[Part, Part] = ("train", "validate")
_LARGEST = 2**24
_EXAMPLE = '{"train": [{"path": "scan.h5", "ROI0": [0, 200]}], "validate": []}'


class _Entry(Settings):
    path: str
    dset: str | None = None
    ROI0: tuple[int, int] | None = None
    ROI1: tuple[int, int] | None = None
    ROI2: tuple[int, int] | None = None


@dataclass(frozen=True)
class Entry:
    """One volume of a list.

    Attributes:
        path: File or folder of the voxels.
        dataset: Dataset inside an HDF5 file; None: the usual one.
        region: The part to use; its ends may be negative.
        named: File, list and number of the entry, for messages.
    """

    path: Path
    dataset: str | None
    region: Region
    named: str


def read_entries(path: Path, part: Part) -> list[Entry]:
    """The entries of one list.

    Where one list is missing or empty, the other one is for training only: the same
    voxels never become both.

    Args:
        path: The JSON file. Paths in it count from its folder, else from the current
            one.
        part: Which list.

    Raises:
        InputError: The file is no such JSON, or an entry has an unknown key, an
            impossible value or a file that is not there.
    """
    lists = _lists(path)
    if not any(lists.values()):
        raise InputError(f"{path}: lists no volume; write it like {_EXAMPLE}")
    chosen = part
    if not all(lists.values()):
        if part == "validate":
            return []
        chosen = "train" if lists["train"] else "validate"
    return [
        _entry(path, f"{path}: {chosen}[{index}]", values)
        for index, values in enumerate(lists[chosen])
    ]


def _lists(path: Path) -> dict[str, list[Any]]:
    content = _load(path)
    if not isinstance(content, dict) or not content or set(content) - set(_PARTS):
        keys = ", ".join(map(repr, content)) if isinstance(content, dict) else ""
        raise InputError(
            f"{path}: has {keys[:80] or 'something else'} where only the lists 'train' "
            f"and 'validate' belong; write it like {_EXAMPLE}"
        )
    for part, entries in content.items():
        if not isinstance(entries, list):
            raise InputError(f"{path}: {part} is no list; write it like {_EXAMPLE}")
    return {part: content.get(part, []) for part in _PARTS}


def _load(path: Path) -> object:
    if path.stat().st_size > _LARGEST:
        raise InputError(f"{path}: is too large for a list of volumes; choose another")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        reason = error.msg[0].lower() + error.msg[1:]
        raise InputError(
            f"{path}: is no valid JSON: line {error.lineno}, column {error.colno}: "
            f"{reason}; correct it there"
        ) from None
    # bytes that are no text, numbers of thousands of digits: ValueError
    except (ValueError, RecursionError):
        raise InputError(
            f"{path}: is no valid JSON; write it like {_EXAMPLE}"
        ) from None


def _entry(path: Path, named: str, values: object) -> Entry:
    if not isinstance(values, dict):
        raise InputError(f"{named} is no entry; write it like {_EXAMPLE}")
    try:
        entry = parse(_Entry, values)
    except InputError as error:
        raise InputError(f"{named}: {error}") from None
    places = [path.parent / entry.path, Path(entry.path)]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise InputError(
            f"{named}: {entry.path} is neither in {path.parent} nor in the current "
            "folder; correct the path"
        )
    z, y, x = (slice(*(roi or (None,))) for roi in (entry.ROI0, entry.ROI1, entry.ROI2))
    return Entry(found, entry.dset, (z, y, x), named)
