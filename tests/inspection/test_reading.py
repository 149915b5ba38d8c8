"""A report comes back as it was; decisions are kept at once; junk gets a sentence."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cyclegan3d import inspection, io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import Review

REVIEW = Review(
    decision="hallucination-impactful",
    comment="=no fibre here; <b>sure</b>",
    reviewer="A. Reader",
    time="2026-02-01T10:00:00Z",
)


@pytest.mark.parametrize("name", ["", "inspection.json"])
def test_a_report_comes_back_as_it_was(
    name: str, inspected: Inspected, report: Path
) -> None:
    loaded = inspection.load(report / name)
    assert loaded.inspection == inspected.inspection
    assert loaded.record == report / "inspection.json"
    assert set(loaded.maps) == {"residual", "suspicion"}
    for name, volume in loaded.maps.items():
        assert np.array_equal(volume.read(), inspected.maps[name].read())


def test_a_record_alone_comes_back_without_voxels(
    inspected: Inspected, tmp_path: Path
) -> None:
    record = tmp_path / "remembered.json"
    inspection.save_record(inspected.inspection, record)
    loaded = inspection.load(record)
    assert loaded.inspection == inspected.inspection
    assert (dict(loaded.maps), loaded.labels) == ({}, None)


def without(text: str, **changes: object) -> str:
    return json.dumps({**json.loads(text), **changes})


def finding(text: str, **changes: object) -> str:
    values = json.loads(text)
    values["findings"][0].update(changes)
    return json.dumps(values)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda _: "", "is no inspection that this version can read"),
        (lambda text: text[:-100], "is no inspection"),
        (lambda _: "[]", "is no inspection"),
        (lambda _: "[" * 100_000, "is no inspection"),
        (lambda _: "\x00ÿ", "is no inspection"),
        (lambda text: without(text, format=2), "format"),
        (lambda text: without(text, surprise=1), "surprise"),
        (lambda text: finding(text, power=float("nan")), "power"),
        (lambda text: finding(text, power=10**400), "power"),
        (lambda text: finding(text, verdict="safe"), "verdict"),
        (lambda text: finding(text, id=2), "two findings have one id"),
        (lambda text: finding(text, centre=[3, 4, 99]), "finding 1 lies outside"),
        (lambda text: finding(text, box=[[0, 9**9]] * 3), "finding 1 lies outside"),
    ],
)
def test_what_is_no_inspection_gets_one_sentence(
    spoil: Callable[[str], str], message: str, inspected: Inspected, tmp_path: Path
) -> None:
    record = tmp_path / "inspection.json"
    inspection.save_record(inspected.inspection, record)
    text = record.read_text(encoding="utf-8")
    record.write_bytes(spoil(text).encode("utf-8"))
    with pytest.raises(InputError, match=message) as refused:
        inspection.load(tmp_path)
    assert len(str(refused.value)) < 600
    assert "\n" not in str(refused.value)


def test_what_is_not_there_or_too_large_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        inspection.load(tmp_path)
    huge = tmp_path / "inspection.json"
    with huge.open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(InputError, match="too large"):
        inspection.load(tmp_path)


@pytest.mark.parametrize("name", ["maps/residual.zarr", "suspects.zarr"])
def test_maps_of_another_report_are_refused(
    name: str, inspected: Inspected, report: Path, tmp_path: Path
) -> None:
    smaller = inspected.labels.crop((slice(0, 20), slice(0, 20), slice(0, 20)))
    io.write(smaller, tmp_path / "other.zarr")
    (report / name).rename(tmp_path / "aside")
    (tmp_path / "other.zarr").rename(report / name)
    with pytest.raises(InputError, match="belongs to another report"):
        inspection.load(report)


def test_decisions_are_kept_in_record_table_and_page_and_nothing_else_changes(
    inspected: Inspected, report: Path, reviewed: Callable[..., Any]
) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "None of 6 findings is reviewed yet" in page
    decided = reviewed(inspected.inspection, {3: REVIEW})
    inspection.update_reviews(report, decided.findings)
    assert inspection.load(report).inspection == decided
    line = (report / "findings.csv").read_text(encoding="utf-8").splitlines()[3]
    assert line.endswith(
        "hallucination-impactful,'=no fibre here; <b>sure</b>,A. Reader,"
        "2026-02-01T10:00:00Z"
    )
    after = (report / "report.html").read_text(encoding="utf-8")
    assert "1 of 6 findings are reviewed" in after
    assert "=no fibre here; &lt;b&gt;sure&lt;/b&gt;" in after
    inspection.update_reviews(report, inspected.inspection.findings)
    assert (report / "report.html").read_text(encoding="utf-8") == page


def test_a_decision_leaves_those_about_other_findings_alone(
    inspected: Inspected, report: Path, reviewed: Callable[..., Any]
) -> None:
    for number in (1, 5):
        decided = reviewed(inspected.inspection, {number: REVIEW})
        inspection.update_reviews(report, [decided.findings[number - 1]])
    found = inspection.load(report).inspection.findings
    assert [one.id for one in found if one.review == REVIEW] == [1, 5]


def test_decisions_about_a_record_alone_make_no_other_file(
    inspected: Inspected, tmp_path: Path, reviewed: Callable[..., Any]
) -> None:
    record = tmp_path / "remembered.json"
    inspection.save_record(inspected.inspection, record)
    decided = reviewed(inspected.inspection, {1: REVIEW})
    inspection.update_reviews(record, decided.findings)
    assert inspection.load(record).inspection == decided
    assert list(tmp_path.iterdir()) == [record]


def test_decisions_about_another_inspection_are_refused(
    inspected: Inspected, report: Path
) -> None:
    before = (report / "inspection.json").read_bytes()
    stranger = inspected.inspection.findings[0].model_copy(update={"id": 77})
    with pytest.raises(InputError, match="has no finding 77"):
        inspection.update_reviews(report, [stranger])
    assert (report / "inspection.json").read_bytes() == before


def test_decisions_on_a_full_disk_lose_none_that_were_there(
    inspected: Inspected,
    report: Path,
    reviewed: Callable[..., Any],
    limited: Callable[[int], AbstractContextManager[None]],
) -> None:
    decided = reviewed(inspected.inspection, {1: REVIEW})
    inspection.update_reviews(report, decided.findings)
    more = reviewed(decided, {2: REVIEW})
    with limited(2000), pytest.raises(InputError, match="could not be written"):
        inspection.update_reviews(report, more.findings)
    assert inspection.load(report).inspection == decided
    assert not list(report.glob(".*"))


def test_a_page_that_somebody_has_changed_is_left_as_it_is(
    inspected: Inspected, report: Path, reviewed: Callable[..., Any]
) -> None:
    (report / "report.html").write_text("<p>mine", encoding="utf-8")
    decided = reviewed(inspected.inspection, {1: REVIEW})
    inspection.update_reviews(report, decided.findings)
    assert (report / "report.html").read_text(encoding="utf-8") == "<p>mine"
    assert inspection.load(report).inspection == decided
