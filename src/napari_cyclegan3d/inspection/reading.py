"""An inspection that was saved, and what reviewers decide about it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.hallucination.findings import Finding, Inspection
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.inspection.page import with_decisions
from napari_cyclegan3d.inspection.tables import csv_text

PAGE, RECORD, TABLE = "report.html", "inspection.json", "findings.csv"
SUSPECTS, MAPS, SUFFIX = "suspects.zarr", "maps", ".zarr"
# of text: many times what the longest list needs
_LARGEST = 2**26
_REMEDY = f"choose the {RECORD} of a report, or its folder"


@dataclass(frozen=True, eq=False)
class Loaded:
    """A saved inspection; voxels are read when they are asked for.

    Attributes:
        inspection: All that it says, with the decisions of reviewers.
        maps: By name; empty where the record was kept without them.
        labels: The findings by their id, on the enhanced grid; None: not kept.
        record: The file that decisions go to.
    """

    inspection: Inspection
    maps: Mapping[str, Volume]
    labels: Volume | None
    record: Path


def load(path: Path) -> Loaded:
    """Open a report.

    Args:
        path: Its folder, or its inspection.json; a record without maps does, too.

    Raises:
        InputError: It is no inspection, is damaged, or its maps do not fit it.
    """
    record = path / RECORD if path.is_dir() else path
    inspection = load_record(record)
    folder = record.parent
    labels = None
    if record.name == RECORD and (folder / SUSPECTS).is_dir():
        labels = _opened(folder / SUSPECTS)
        _check_shape(labels, inspection.enhanced.shape, folder / SUSPECTS)
    maps = {}
    for file in sorted((folder / MAPS).glob(f"*{SUFFIX}")) if labels else ():
        maps[file.stem] = _opened(file)
        facts = inspection.enhanced if file.stem == "error" else inspection.raw
        _check_shape(maps[file.stem], facts.shape, file)
    return Loaded(inspection, maps, labels, record)


def load_record(record: Path) -> Inspection:
    """What a JSON file says, without any voxels.

    Raises:
        InputError: It cannot be read, or is no inspection.
    """
    try:
        if record.stat().st_size > _LARGEST:
            raise InputError(f"{record}: is too large for an inspection; {_REMEDY}")
        text = record.read_bytes()
    except OSError as error:
        raise InputError(
            f"{record}: cannot be opened ({error.strerror or error}); {_REMEDY}"
        ) from None
    try:
        inspection = Inspection.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, problem["loc"]))[:80]
        at = f" at {place}" if place else ""
        raise InputError(
            f"{record}: is no inspection that this version can read "
            f"({problem['msg'][:120]}{at}); {_REMEDY}"
        ) from None
    _check_places(inspection, record)
    return inspection


def save_record(inspection: Inspection, record: Path) -> None:
    """Write an inspection as JSON, whole or not at all.

    Raises:
        InputError: It could not be written; what was there is unchanged.
    """
    write_text(inspection.model_dump_json(indent=1) + "\n", record)


def update_reviews(path: Path, findings: Iterable[Finding]) -> None:
    """Note what reviewers have decided, in a report or a lone record, at once.

    The record is written first: it is what is loaded again. Then table and page of the
    report follow, where there are any.

    Args:
        path: The folder of a report, or its record.
        findings: Any of them; their `review` replaces the one with the same id.

    Raises:
        InputError: The record cannot be read or written, or has no such finding.
    """
    record = path / RECORD if path.is_dir() else path
    before = load_record(record)
    reviews = {one.id: one.review for one in findings}
    unknown = reviews.keys() - {one.id for one in before.findings}
    if unknown:
        raise InputError(
            f"{record}: has no finding {min(unknown)}; it belongs to another inspection"
        )
    updated = before.model_copy(
        update={
            "findings": tuple(
                one.model_copy(update={"review": reviews.get(one.id, one.review)})
                for one in before.findings
            )
        }
    )
    save_record(updated, record)
    if record.name != RECORD:
        return
    table, page = record.parent / TABLE, record.parent / PAGE
    if table.is_file():
        write_text(csv_text(updated.findings), table)
    if page.is_file():
        write_text(with_decisions(_page_text(page), updated), page)


def write_text(text: str, path: Path) -> None:
    """Write a file whole or not at all.

    Raises:
        InputError: It could not be written; what was there is unchanged.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode())


def _page_text(page: Path) -> str:
    try:
        return page.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        raise InputError(
            f"{page}: cannot be read; the decisions are in {RECORD}; save the report "
            "again"
        ) from None


def _opened(path: Path) -> Volume:
    return replace(io.read(path), name=path.stem)


def _check_places(inspection: Inspection, record: Path) -> None:
    """Findings must be told apart, and lie where the volume is."""
    if len({one.id for one in inspection.findings}) < len(inspection.findings):
        raise InputError(f"{record}: two findings have one id; {_REMEDY}")
    for finding in inspection.findings:
        fits = all(
            0 <= start <= at < stop <= size
            for (start, stop), at, size in zip(
                finding.box, finding.centre, inspection.enhanced.shape, strict=True
            )
        )
        if not fits:
            raise InputError(
                f"{record}: finding {finding.id} lies outside of the volume of shape "
                f"{inspection.enhanced.shape}; {_REMEDY}"
            )


def _check_shape(volume: Volume, shape: tuple[int, int, int], path: Path) -> None:
    if volume.shape != shape:
        raise InputError(
            f"{path}: shape {volume.shape} does not fit the inspection of "
            f"{shape}; it belongs to another report"
        )
