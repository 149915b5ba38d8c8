"""The list of findings, and what a person decides about them, without a viewer."""

from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QWidget

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import Finding, Review
from napari_cyclegan3d.gui.inspect.findings_page import FindingsPage
from napari_cyclegan3d.gui.inspect.kept import keep, kept_path, recalled
from napari_cyclegan3d.gui.inspect.look import CHOICES, LOOKS
from napari_cyclegan3d.gui.inspect.table import COLUMNS, FindingsModel
from napari_cyclegan3d.gui.inspect.words import suspicious, tally

DOWN, UP = Qt.SortOrder.DescendingOrder, Qt.SortOrder.AscendingOrder
REVIEW = Review(decision="artefact", comment="a ring", reviewer="ann", time="now")


@pytest.fixture
def page(qtbot: QtBot, inspected: Inspected) -> FindingsPage:
    page = FindingsPage(QWidget())
    qtbot.addWidget(page)
    page.show_inspection(inspected.inspection)
    return page


def shown(page: FindingsPage) -> list[int]:
    return [one.id for one in page.model.shown]


def column(title: str) -> int:
    return [one.title for one in COLUMNS].index(title)


def reviewed(inspected: Inspected, number: int) -> Inspected:
    """The same with a decision about one of its findings."""
    findings = tuple(
        one.model_copy(update={"review": REVIEW}) if one.id == number else one
        for one in inspected.inspection.findings
    )
    changes = {"findings": findings}
    return replace(
        inspected, inspection=inspected.inspection.model_copy(update=changes)
    )


def test_each_column_sorts_both_ways_and_what_is_unknown_is_last(
    inspected: Inspected,
) -> None:
    findings = list(inspected.inspection.findings)
    findings[2] = findings[2].model_copy(update={"power": None})
    model = FindingsModel()
    model.set_findings(findings)
    for index, one in enumerate(COLUMNS):
        for order in (UP, DOWN):
            model.sort(index, order)
            values = [one.value(finding) for finding in model.shown]
            known = [value for value in values if value is not None]
            assert known == sorted(known, reverse=order == DOWN)
            assert values[: len(known)] == known
    assert {finding.id for finding in model.shown} == {1, 2, 3, 4, 5, 6}


def test_a_click_on_a_title_keeps_what_is_chosen(page: FindingsPage) -> None:
    assert page.select(4)
    page.table.sortByColumn(column("S"), UP)
    assert shown(page) == [6, 5, 4, 3, 2, 1]
    assert page.current is not None
    assert page.current.id == 4


def test_filters_narrow_the_list_together(
    qtbot: QtBot, inspected: Inspected, page: FindingsPage
) -> None:
    page.show_inspection(reviewed(inspected, 4).inspection)
    page.verdict.setCurrentText("contradicted")
    assert shown(page) == [1, 4]
    page.kind.setCurrentText("changed")
    assert shown(page) == [4]
    page.kind.setCurrentIndex(0)
    page.reviewed.setCurrentText("to do")
    assert shown(page) == [1]
    page.verdict.setCurrentIndex(0)
    page.reviewed.setCurrentIndex(0)
    qtbot.keyClicks(page.search, "ring ANN")
    assert shown(page) == [4]
    page.search.setText("#2")
    assert shown(page) == [2]
    page.search.clear()
    assert shown(page) == [1, 2, 3, 4, 5, 6]


def test_what_the_filters_leave_out_is_not_chosen(page: FindingsPage) -> None:
    assert page.select(2)
    page.verdict.setCurrentText("contradicted")
    assert page.current is None
    assert not page.select(2)
    assert not page.comment.isEnabled()


def test_stepping_follows_the_order_of_the_list_and_stops_at_its_ends(
    page: FindingsPage, qtbot: QtBot
) -> None:
    page.table.sortByColumn(0, DOWN)
    seen: list[int] = []
    page.chosen.connect(seen.append)
    for _ in range(7):
        page.next_button.click()
    for _ in range(6):
        page.previous_button.click()
    assert seen == [6, 5, 4, 3, 2, 1, 2, 3, 4, 5, 6]


def test_a_comment_belongs_to_the_finding_it_was_typed_for(
    page: FindingsPage, qtbot: QtBot
) -> None:
    page.step(1)
    told: list[tuple[int, str]] = []

    def note(text: str) -> None:
        assert page.current is not None
        told.append((page.current.id, text))

    page.commented.connect(note)
    qtbot.keyClicks(page.comment, "a crack")
    page.step(1)
    assert told == [(1, "a crack")]
    assert page.comment.text() == ""


def test_red_is_for_contradicted_alone_and_nothing_is_green() -> None:
    for verdict, look in LOOKS.items():
        colour = QColor(look.colour)
        red = colour.red() > 1.5 * max(colour.green(), colour.blue())
        assert red == (verdict == "contradicted")
        assert colour.green() <= 1.01 * max(colour.red(), colour.blue())
        hatched = look.brush().style() != Qt.BrushStyle.SolidPattern
        assert hatched == (verdict == "unverifiable")
    assert LOOKS["supported"] == LOOKS["uncontradicted"]


def test_each_decision_has_a_key_of_its_own() -> None:
    assert [one.key for one in CHOICES.values()] == ["1", "2", "3", "4", "0"]


def test_the_count_of_the_suspicious_leaves_out_what_nothing_speaks_against(
    inspected: Inspected,
) -> None:
    assert suspicious(inspected.inspection) == 4
    assert tally(inspected.inspection).startswith("2 contradicted, 1 missing")


def test_decisions_are_found_again_in_another_inspection_of_the_same_volumes(
    inspected: Inspected, tmp_path: Path
) -> None:
    path = kept_path(tmp_path, inspected.inspection)
    keep(path, reviewed(inspected, 2).inspection)
    numbers = {one.id: 10 + one.id for one in inspected.inspection.findings}
    findings = tuple(
        one.model_copy(update={"id": numbers[one.id]})
        for one in inspected.inspection.findings
    )
    again = inspected.inspection.model_copy(update={"findings": findings})
    found = recalled(path, replace(inspected, inspection=again)).inspection.findings
    assert {one.id: one.review for one in found if one.review} == {12: REVIEW}


@pytest.mark.parametrize("content", ["", "{", '{"format": 2}', "\0"])
def test_a_damaged_file_of_decisions_is_as_none(
    content: str, inspected: Inspected, tmp_path: Path
) -> None:
    path = tmp_path / "kept.json"
    path.write_text(content, encoding="utf-8")
    assert recalled(path, inspected) is inspected


def test_decisions_that_cannot_be_written_are_refused_with_a_remedy(
    inspected: Inspected, tmp_path: Path
) -> None:
    (tmp_path / "inspections").write_text("in the way", encoding="utf-8")
    with pytest.raises(InputError, match="export a report"):
        keep(kept_path(tmp_path, inspected.inspection), inspected.inspection)


def test_five_thousand_findings_are_sorted_and_filtered_at_once(
    page: FindingsPage, inspected: Inspected
) -> None:
    first = inspected.inspection.findings[0]
    many: list[Finding] = [
        first.model_copy(update={"id": n, "rank": n, "suspicion": n % 7 / 2})
        for n in range(1, 5001)
    ]
    changes = {"findings": tuple(many)}
    page.show_inspection(inspected.inspection.model_copy(update=changes))
    page.table.sortByColumn(column("S"), DOWN)
    assert shown(page)[0] == 6
    page.search.setText("#4999")
    assert shown(page) == [4999]
