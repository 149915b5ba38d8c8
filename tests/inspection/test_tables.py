"""The table of findings, for spreadsheets and statistics."""

import csv
from io import StringIO

import pytest

from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import Review
from napari_cyclegan3d.inspection.tables import COLUMNS, csv_text


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text, newline="")))


def test_every_finding_is_a_line_by_rank_with_its_numbers(inspected: Inspected) -> None:
    findings = inspected.inspection.findings
    table = rows(csv_text(reversed(findings)))
    assert list(table[0]) == list(COLUMNS)
    for line, one in zip(table, findings, strict=True):
        assert float(line["suspicion"]) == one.suspicion
        assert float(line["q"]) == one.q
        assert tuple(int(line[axis]) for axis in "zyx") == one.centre
        assert tuple(float(line[f"world_{axis}"]) for axis in "zyx") == one.world
        ends = [(int(line[f"{a}_first"]), int(line[f"{a}_end"])) for a in "zyx"]
        assert tuple(ends) == one.box


def test_what_was_not_measured_or_decided_is_an_empty_cell(
    inspected: Inspected,
) -> None:
    line = rows(csv_text(inspected.inspection.findings))[0]
    for name in ("instability", "cycle", "truth", "reviewer_verdict", "comment"):
        assert line[name] == ""


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_comment_is_never_a_formula(text: str, inspected: Inspected) -> None:
    review = Review(decision="unsure", comment=text, reviewer=text)
    one = inspected.inspection.findings[0].model_copy(update={"review": review})
    line = rows(csv_text([one]))[0]
    assert line["comment"] == line["reviewer"] == f"'{text}"
    assert line["reviewer_verdict"] == "unsure"


def test_a_comment_may_hold_anything_else(inspected: Inspected) -> None:
    text = 'two, "cells";\nand lines – ü'
    review = Review(decision="real", comment=text)
    one = inspected.inspection.findings[0].model_copy(update={"review": review})
    assert rows(csv_text([one]))[0]["comment"] == text
