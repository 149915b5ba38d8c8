"""The findings as a table for spreadsheets and statistics."""

import csv
from collections.abc import Iterable
from io import StringIO

from napari_cyclegan3d.engine.hallucination.findings import Finding, Review

_SPLIT = {"centre", "world", "box", "review"}
# by which spreadsheets know a formula
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
COLUMNS = (
    *(name for name in Finding.model_fields if name not in _SPLIT),
    *("z", "y", "x"),
    *("world_z", "world_y", "world_x"),
    *("z_first", "z_end", "y_first", "y_end", "x_first", "x_end"),
    *("reviewer_verdict", "comment", "reviewer", "time"),
)


def csv_text(findings: Iterable[Finding]) -> str:
    """A line for each finding, by rank; empty cells were not measured.

    Ends of boxes count the first voxel and the first one beyond.
    """
    file = StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for one in sorted(findings, key=lambda finding: finding.rank):
        writer.writerow(_cells(one))
    return file.getvalue()


def _cells(finding: Finding) -> list[object]:
    plain = [
        getattr(finding, name) for name in Finding.model_fields if name not in _SPLIT
    ]
    ends = [end for side in finding.box for end in side]
    review = finding.review or Review(decision="unsure")
    words = (review.comment, review.reviewer, review.time)
    decided = review.decision if finding.review else ""
    return [*plain, *finding.centre, *finding.world, *ends, decided, *map(_text, words)]


def _text(words: str) -> str:
    """Text from outside, which a spreadsheet must not take for a formula."""
    return f"'{words}" if words.startswith(_FORMULA) else words
