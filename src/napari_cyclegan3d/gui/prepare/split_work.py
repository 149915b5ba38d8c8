"""Subjects for training, validation and test, off the GUI thread."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.prepare.task import Written
from napari_cyclegan3d.gui.source import Source, open_sources
from napari_cyclegan3d.prepare.events import Event, Working
from napari_cyclegan3d.prepare.splitting import (
    Split,
    SplitSettings,
    files_of,
    split,
    write_split,
)

SIDES = ("a", "b")


@dataclass(frozen=True, eq=False)
class SplitTask:
    """What is to be divided.

    Attributes:
        sources: By domain, a and b; b may have none.
        settings: Shares and seed.
        folder: Where the lists go.
        replace: Whether lists that are there are replaced.
    """

    sources: Mapping[str, Sequence[Source]]
    settings: SplitSettings
    folder: Path
    replace: bool = False


@dataclass(frozen=True, eq=False)
class Drawn:
    """The subjects of each part.

    Attributes:
        task: What was asked for.
        result: The parts.
        there: Lists that exist already, for which nothing is written.
    """

    task: SplitTask
    result: Split
    there: tuple[Path, ...]


@dataclass(frozen=True)
class Listed(Written):
    """The lists are in their places.

    Attributes:
        lists: By domain (a, b, validate_a, validate_b), what a training takes.
    """

    lists: Mapping[str, Path]


def divide(task: SplitTask) -> Iterator[Event | Drawn | Listed]:
    """Draw subjects and write the lists, all or none of them.

    Yields:
        Working; Drawn; Listed as the last event, unless lists are there that are not to
        be replaced.

    Raises:
        InputError: A source cannot be used or named in a list, there are too few
            subjects, or the lists could not be written.
    """
    volumes = {}
    for number, side in enumerate(SIDES):
        yield Working(number / 2, f"reading the headers of {side.upper()}")
        volumes[side] = open_sources([_stored(one) for one in task.sources[side]])
    result = split(volumes["a"], volumes["b"], task.settings)
    files = files_of(result, task.folder)
    there = tuple(path for path in files if path.exists() and not task.replace)
    yield Drawn(task, result, there)
    if not there:
        write_split(result, task.folder, task.settings, overwrite=task.replace)
        names = ", ".join(path.name for path in files)
        yield Listed(f"Wrote {task.folder}: {names}", _lists(result, task.folder))


def _lists(result: Split, folder: Path) -> dict[str, Path]:
    """What is trained on, and what is validated on, by the domains of a training."""
    return {
        f"{prefix}{side}": folder / f"{side}.json"
        for part, prefix in (("train", ""), ("validation", "validate_"))
        for side in SIDES
        if result.volumes[part][side]
    }


def _stored(source: Source) -> Source:
    """The same as a file, which a list can name."""
    text = source.text()
    if text is None:
        raise InputError(
            f"{source.name}: is in no file as it is now, and a list names files; save "
            "it and add its file"
        )
    return Source.of(text) if source.is_layer else source
