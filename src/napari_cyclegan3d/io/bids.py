"""BIDS folders: their images, and which of them a text means (see `bids_query`).

Layout of the folders: Gorgolewski et al. 2016, doi:10.1038/sdata.2016.44.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tifffile import natural_sorted

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.bids import BidsName, bids_name
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.io.bids_query import Query, is_bids, parse_bids
from napari_cyclegan3d.io.bids_sidecars import Sidecars

__all__ = [
    "BidsFile",
    "Query",
    "bids_file",
    "bids_files",
    "is_bids",
    "parse_bids",
]

# entities that count, so that run 01 is run 1
_NUMBERS = ("run", "echo", "flip", "inv", "split", "chunk")
_MOST_LISTED = 8


@dataclass(frozen=True)
class BidsFile:
    """An image of a BIDS folder.

    Attributes:
        path: The file; it may be a link to content that is not there.
        name: What its name says.
        datatype: Name of the folder that it lies in: anat, func …
    """

    path: Path
    name: BidsName
    datatype: str


def bids_files(query: Query) -> list[BidsFile]:
    """The files that a query means, subject by subject in natural order.

    Raises:
        InputError: The folder is no BIDS folder, nothing fulfils the conditions, one of
            the values occurs nowhere, or the suffix is left open where there are some.
    """
    files = list(_scan(query.root))
    if not files:
        raise InputError(
            f"{query.root}: its folders sub-… hold no image that can be read; known "
            f"files are {', '.join(io.READABLE_SUFFIXES)}"
        )
    sidecars = Sidecars(query.root)
    chosen = files
    for key, patterns in query.conditions.items():
        if key == "with":
            chosen = _accompanied(query, files, chosen)
            continue
        value = _reader(key, sidecars)
        values = {id(one): value(one) for one in files}
        for pattern in patterns:
            if not any(_fits(key, found, pattern) for found in values.values()):
                raise _absent(query, key, pattern, values.values())
        chosen = [
            one
            for one in chosen
            if any(_fits(key, values[id(one)], some) for some in patterns)
        ]
    _check(query, files, chosen)
    return chosen


def bids_file(query: Query) -> BidsFile:
    """The one file that a query means.

    Raises:
        InputError: It means several; else as `bids_files`.
    """
    files = bids_files(query)
    if len(files) > 1:
        raise InputError(
            f"{query}: means {len(files)} images ({files[0].path.name}, "
            f"{files[1].path.name} …) where one is needed; choose it with &subject=…"
        )
    return files[0]


def _scan(root: Path) -> Iterator[BidsFile]:
    """The images of all subjects; derivatives and sourcedata are folders of their own.

    Raises:
        InputError: There is no folder of a subject.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; correct the path behind bids:")
    people = _folders(root, "sub-")
    if not people:
        raise InputError(
            f"{root}: holds no folder sub-…, as the root of a BIDS dataset does; give "
            "that folder behind bids:, or a pattern such as DIR/**/*.nii.gz"
        )
    for person in people:
        for place in (person, *_folders(person, "ses-")):
            for datatype in _folders(place):
                if not datatype.name.startswith("ses-"):
                    yield from _images(datatype, person.name)


def _images(folder: Path, subject: str) -> Iterator[BidsFile]:
    for path in _sorted(folder.iterdir()):
        name = bids_name(path.name) if io.can_read(path) else None
        # other names are no data of BIDS: previews, copies of editors
        if name is not None and name.entities.get("sub") == subject[len("sub-") :]:
            yield BidsFile(path, name, folder.name)


def _folders(place: Path, prefix: str = "") -> list[Path]:
    inside = (one for one in place.iterdir() if one.name.startswith(prefix))
    return _sorted(one for one in inside if one.is_dir() and one.name[0] != ".")


def _sorted(paths: Iterable[Path]) -> list[Path]:
    return [Path(text) for text in natural_sorted(str(path) for path in paths)]


def _reader(key: str, sidecars: Sidecars) -> Callable[[BidsFile], str | None]:
    """What gives the value of a file for a key; None where it has none."""
    if key == "suffix":
        return lambda file: file.name.suffix
    if key == "datatype":
        return lambda file: file.datatype
    if key[0].isupper():
        return lambda file: sidecars.field(file.path, key)
    return lambda file: file.name.entities.get(key)


def _fits(key: str, value: str | None, pattern: str) -> bool:
    if value is None:
        return False
    if fnmatchcase(value, pattern):
        return True
    try:  # sub-1 and sub-01 may be two; run 1 and run 01, 3 T and 3.0 T are one
        as_number = key in _NUMBERS or key[0].isupper()
        return as_number and float(value) == float(pattern)
    except ValueError:
        return False


def _accompanied(
    query: Query, files: Sequence[BidsFile], chosen: Sequence[BidsFile]
) -> list[BidsFile]:
    """The files beside which each suffix of `with` was taken."""
    left = list(chosen)
    for suffix in query.conditions["with"]:
        there = {
            one.name.visit for one in files if fnmatchcase(one.name.suffix, suffix)
        }
        if not there:
            raise _absent(query, "suffix", suffix, [one.name.suffix for one in files])
        left = [one for one in left if one.name.visit in there]
    return left


def _absent(
    query: Query, key: str, pattern: str, values: Iterable[str | None]
) -> InputError:
    there = _counted(value for value in values if value is not None)
    return InputError(
        f"{query}: no image has {key}={pattern}; there are {there or 'none with it'}"
    )


def _counted(values: Iterable[str]) -> str:
    counts = Counter(values)
    names = natural_sorted(counts)
    shown = ", ".join(f"{name} ({counts[name]})" for name in names[:_MOST_LISTED])
    more = len(names) - _MOST_LISTED
    return shown + (f" and {more} more" if more > 0 else "")


def _check(query: Query, files: Sequence[BidsFile], chosen: Sequence[BidsFile]) -> None:
    suffixes = _counted(one.name.suffix for one in chosen)
    if not chosen:
        raise InputError(
            f"{query}: no image fulfils all conditions; without them there are "
            f"{_counted(one.name.suffix for one in files)}"
        )
    if "suffix" not in query.conditions and len({o.name.suffix for o in chosen}) > 1:
        raise InputError(
            f"{query}: holds {suffixes}; choose with suffix=, as in "
            f"bids:{query.root}?suffix={chosen[0].name.suffix}"
        )
    empty = [one.path for one in chosen if not one.path.exists()]
    if empty:
        raise InputError(
            f"{empty[0]}: is a link to content that is not there, as {len(empty)} of "
            f"{len(chosen)} are; fetch it first, with `datalad get` or `git annex get`"
        )
