"""A report in a folder: it appears whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.inspection.crops import Volumes
from napari_cyclegan3d.inspection.page import page
from napari_cyclegan3d.inspection.reading import (
    MAPS,
    PAGE,
    RECORD,
    SUFFIX,
    SUSPECTS,
    TABLE,
    load_record,
    save_record,
    write_text,
)
from napari_cyclegan3d.inspection.tables import csv_text
from napari_cyclegan3d.inspection.words import plural

_OURS = {PAGE, RECORD, TABLE, SUSPECTS, MAPS}


@dataclass(frozen=True)
class Saved:
    """Where the parts of a report are.

    Attributes:
        folder: Holds all of them.
        page: For people: everything on one page.
        record: For programs: everything but voxels; reviews go here, too.
        table: The findings for spreadsheets.
        labels: The findings by their id, on the enhanced grid.
        maps: Folder of the maps, by their names.
    """

    folder: Path
    page: Path
    record: Path
    table: Path
    labels: Path
    maps: Path


def save(
    inspected: Inspected,
    raw: Volume,
    enhanced: Volume,
    folder: Path,
    *,
    truth: Volume | None = None,
    overwrite: bool = False,
) -> Saved:
    """Write a report.

    Args:
        inspected: The result.
        raw: The volume that was enhanced.
        enhanced: What became of it.
        folder: Where to; not there, or empty.
        truth: What it should be, for the pictures; on the enhanced grid.
        overwrite: Replace an earlier report there.

    Raises:
        InputError: Something else is there, decisions of reviewers would be lost, or
            the report could not be written; what was there is unchanged.
    """
    final = folder.resolve()
    reviewed = {one.id for one in inspected.inspection.findings if one.review}
    check_folder(folder, overwrite=overwrite, reviewed=reviewed)
    volumes = Volumes(inspected, raw, enhanced, truth)
    with _replacing(final) as new:
        write_text(page(volumes), new / PAGE)
        write_text(csv_text(inspected.inspection.findings), new / TABLE)
        save_record(inspected.inspection, new / RECORD)
        io.write(inspected.labels, new / SUSPECTS)
        (new / MAPS).mkdir()
        for name, volume in inspected.maps.items():
            io.write(volume, new / MAPS / f"{name}{SUFFIX}")
    parts = (final / name for name in (PAGE, RECORD, TABLE, SUSPECTS, MAPS))
    return Saved(final, *parts)


def check_folder(
    folder: Path, *, overwrite: bool, reviewed: Set[int] = frozenset()
) -> None:
    """Refuse before long work what could not be written after it.

    Args:
        folder: Where a report is to go.
        overwrite: Whether it may replace an earlier one.
        reviewed: Ids of its findings that have a decision; a new inspection has none.

    Raises:
        InputError: The folder holds something that is no report, or a report that is
            not to be replaced or has more decisions, or it cannot be made.
    """
    try:
        final = folder.resolve()
        _check_empty(folder, final, overwrite=overwrite)
        _refuse_lost_reviews(folder, final / RECORD, reviewed)
        parent = final.parent
        while not parent.exists():
            parent = parent.parent
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise InputError(
                f"{folder}: no folder can be made in {parent}; choose another place"
            )
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be used ({error.strerror or error}); choose another "
            "folder"
        ) from error


def _check_empty(folder: Path, final: Path, *, overwrite: bool) -> None:
    if not final.exists():
        return
    if not final.is_dir():
        raise InputError(f"{folder}: is a file; give a folder to write to")
    names = {path.name for path in final.iterdir()}
    maps = final / MAPS
    inner = {path.name for path in maps.iterdir()} if maps.is_dir() else set()
    foreign = names - _OURS | {one for one in inner if not one.endswith(SUFFIX)}
    if foreign:
        raise InputError(
            f"{folder}: holds {min(foreign)}, which is no part of a report; choose "
            "another folder"
        )
    if names and not overwrite:
        raise InputError(
            f"{folder}: holds a report already; choose another folder, or replace it "
            "with --overwrite"
        )


def _refuse_lost_reviews(folder: Path, record: Path, reviewed: Set[int]) -> None:
    """A person's work is not replaced by an inspection that knows nothing of it."""
    if not record.is_file():
        return
    before = {one.id for one in load_record(record).findings if one.review}
    if lost := len(before - reviewed):
        raise InputError(
            f"{folder}: holds decisions of a reviewer about {plural(lost, 'finding')}, "
            "which would be lost; move that report away, or choose another folder"
        )


@contextmanager
def _replacing(final: Path) -> Iterator[Path]:
    """Lend an empty folder that becomes `final` when the block ends well.

    What was there goes aside until then, and comes back if the new one cannot take its
    place.
    """
    key = secrets.token_hex(8)
    new, old = (final.with_name(f".{key}.{end}") for end in ("part", "old"))
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        new.mkdir()
        yield new
        if final.exists():
            final.rename(old)
        try:
            new.rename(final)
        except OSError:
            if old.exists():
                old.rename(final)
            raise
    except OSError as error:
        raise InputError(
            f"{final}: could not be written ({error.strerror or error}); free space or "
            "choose another folder; nothing was changed"
        ) from error
    finally:
        for left in (new, old):
            with suppress(OSError):
                if left.exists():
                    shutil.rmtree(left)
