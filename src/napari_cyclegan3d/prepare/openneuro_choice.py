"""Which files of a dataset are fetched: images, and what describes them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tifffile import natural_sorted

from napari_cyclegan3d.engine.bids import BidsName, bids_name
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.io import can_read
from napari_cyclegan3d.prepare.openneuro_files import Catalogue, RemoteFile

# what tells about a whole dataset
_ABOUT = (
    *("dataset_description.json", "participants.tsv", "participants.json"),
    *("README", "README.md", "README.txt", "README.rst", "CHANGES", "LICENSE"),
)
_MOST_LISTED = 12


class Wanted(Protocol):
    """What is asked for; the settings of `openneuro.Request`."""

    @property
    def dataset(self) -> str:
        """Number of the dataset."""

    @property
    def suffix(self) -> tuple[str, ...]:
        """Kinds of images, all of which a subject must have."""

    @property
    def subjects(self) -> int | None:
        """How many subjects; None: all."""

    @property
    def subject(self) -> tuple[str, ...]:
        """Labels of subjects; none: any."""

    @property
    def session(self) -> tuple[str, ...]:
        """Labels of sessions; none: any."""


@dataclass
class Chosen:
    """The choice.

    Attributes:
        subjects: Whose images are fetched: `sub-01` …
        incomplete: Subjects that lack one of the kinds.
        files: All files to have.
    """

    subjects: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    files: list[RemoteFile] = field(default_factory=list)


def chosen(catalogue: Catalogue, wanted: Wanted) -> Chosen:
    """Choose, subject by subject in natural order, until there are enough.

    Raises:
        InputError: There is no such subject, or none has what is wanted.
    """
    folders, top = catalogue.top()
    choice = Chosen()
    seen: Counter[str] = Counter()
    for subject in _candidates(folders, wanted):
        files = catalogue.inside(subject)
        images = list(_images(files, wanted))
        seen.update(name.suffix for _, name in _readable(files))
        if not {name.suffix for _, name in images} >= set(wanted.suffix):
            choice.incomplete.append(subject)
            continue
        choice.subjects.append(subject)
        choice.files += [file for file, _ in images]
        choice.files += _describing(files, [name for _, name in images])
        if len(choice.subjects) == wanted.subjects:
            break
    if not choice.subjects:
        raise _nobody(choice, wanted, seen)
    about = [file for file in top if file.path in _ABOUT]
    images_names = [one for file in choice.files if (one := bids_name(file.name))]
    choice.files[:0] = [*about, *_describing(top, images_names)]
    return choice


def _candidates(folders: Sequence[str], wanted: Wanted) -> list[str]:
    there = natural_sorted(one for one in folders if one.startswith("sub-"))
    if not there:
        raise InputError(
            f"{wanted.dataset}: has no folder of a subject, so it holds no images to "
            "choose from"
        )
    asked = [f"sub-{label.removeprefix('sub-')}" for label in wanted.subject]
    absent = [one for one in asked if one not in there]
    if absent:
        raise InputError(
            f"{wanted.dataset}: has no subject {_listed(absent)}; there are "
            f"{_listed(there)}"
        )
    return asked or list(there)


def _readable(files: Sequence[RemoteFile]) -> Iterator[tuple[RemoteFile, BidsName]]:
    for file in files:
        name = bids_name(file.name) if can_read(file.name) else None
        if name is not None and "sub" in name.entities:
            yield file, name


def _images(
    files: Sequence[RemoteFile], wanted: Wanted
) -> Iterator[tuple[RemoteFile, BidsName]]:
    for file, name in _readable(files):
        session = name.entities.get("ses")
        if name.suffix in wanted.suffix and (
            not wanted.session or session in wanted.session
        ):
            yield file, name


def _describing(
    files: Sequence[RemoteFile], images: Sequence[BidsName]
) -> list[RemoteFile]:
    """The JSON files that count for one of the images."""
    found = []
    for file in files:
        name = bids_name(file.name) if file.name.endswith(".json") else None
        if name is not None and any(
            name.suffix == image.suffix
            and name.entities.items() <= image.entities.items()
            for image in images
        ):
            found.append(file)
    return found


def _nobody(choice: Chosen, wanted: Wanted, seen: Counter[str]) -> InputError:
    there = ", ".join(f"{name} ({seen[name]})" for name in natural_sorted(seen))
    session = f" in session {', '.join(wanted.session)}" if wanted.session else ""
    return InputError(
        f"{wanted.dataset}: none of {len(choice.incomplete)} subjects has "
        f"{' and '.join(wanted.suffix)}{session}; their images are {there or 'none'}"
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_LISTED
    return ", ".join(names[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
