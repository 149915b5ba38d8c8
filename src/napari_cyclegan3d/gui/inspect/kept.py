"""Decisions about the findings of two volumes, kept where no report keeps them."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import (
    Box,
    Finding,
    Inspection,
    Kind,
    Review,
)
from napari_cyclegan3d.engine.settings import Settings

LARGEST = 2**25
LETTERS = 12  # of a hash


class KeptReview(Settings):
    """A decision, and about what: findings get other numbers in another inspection."""

    kind: Kind
    centre: tuple[int, int, int]
    box: Box
    review: Review


class KeptReviews(Settings):
    """All decisions about two volumes."""

    format: Literal[1] = 1
    reviews: tuple[KeptReview, ...]


def kept_path(folder: Path, inspection: Inspection) -> Path:
    """Where the decisions about the volumes of an inspection are kept."""
    raw, enhanced = (
        facts.sha256[:LETTERS] for facts in (inspection.raw, inspection.enhanced)
    )
    return folder / "inspections" / f"{raw}-{enhanced}.json"


def keep(path: Path, inspection: Inspection) -> None:
    """Write the decisions down.

    Raises:
        InputError: The file could not be written; what was there stays.
    """
    reviews = tuple(
        KeptReview(kind=one.kind, centre=one.centre, box=one.box, review=one.review)
        for one in inspection.findings
        if one.review is not None
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path.parent}: cannot be made ({error.strerror or error}); export a "
            "report to keep your decisions in its folder"
        ) from error
    with atomic_path(path) as temporary:
        text = KeptReviews(reviews=reviews).model_dump_json(indent=1)
        temporary.write_text(text, encoding="utf-8")


def recalled(path: Path, inspected: Inspected) -> Inspected:
    """The same inspection with the decisions that are kept about its findings.

    A damaged file has none.
    """
    try:
        if path.stat().st_size > LARGEST:
            return inspected
        text = path.read_text(encoding="utf-8")
        kept = KeptReviews.model_validate_json(text).reviews
    except (OSError, ValueError, ValidationError):
        return inspected
    inspection = inspected.inspection
    findings = tuple(_with_review(one, kept) for one in inspection.findings)
    return replace(
        inspected, inspection=inspection.model_copy(update={"findings": findings})
    )


def _with_review(finding: Finding, kept: tuple[KeptReview, ...]) -> Finding:
    """A finding with the decision about the same kind of thing at the same place."""
    for one in kept:
        here = all(
            start <= place < stop
            for place, (start, stop) in zip(one.centre, finding.box, strict=True)
        )
        if finding.review is None and here and one.kind == finding.kind:
            return finding.model_copy(update={"review": one.review})
    return finding
