"""The page: complete, self-contained, and text from outside stays text."""

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import (
    HONESTY,
    Inspection,
    ModelFacts,
    Review,
    TruthScores,
)
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.inspection import words
from napari_cyclegan3d.inspection.charts import Area, Series, chart
from napari_cyclegan3d.inspection.crops import Volumes
from napari_cyclegan3d.inspection.listing import MOST_ROWS, PICTURED, pictured
from napari_cyclegan3d.inspection.page import page, with_decisions

Pair = tuple[Volume, Volume]
VOID = {"meta", "image", "path", "line", "rect", "circle", "polyline", "br"}


class Reader(HTMLParser):
    """Reads a page, and fails where an element is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.comments: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def changed(inspected: Inspected, **update: object) -> Inspected:
    return replace(inspected, inspection=inspected.inspection.model_copy(update=update))


def many(inspection: Inspection, count: int) -> tuple[Any, ...]:
    """Contradicted findings, and missing ones at the very end."""
    first, missing = inspection.findings[:2]
    return tuple(
        (missing if number > count - 3 else first).model_copy(
            update={"id": number, "rank": number}
        )
        for number in range(1, count + 1)
    )


def test_a_page_says_all_that_a_reader_must_know(
    inspected: Inspected, pair: Pair
) -> None:
    told = inspected.inspection
    text = Reader(page(Volumes(inspected, *pair))).text
    assert HONESTY in text
    for part in (*told.warnings, *told.not_checked, *told.calibration.remarks):
        assert part in text
    for verdict, count in told.counts.items():
        assert f"{verdict}{count}{words.VERDICTS[verdict]}" in text
    assert "2 structures contradicted by the raw volume, 1 missing" in text
    assert told.raw.sha256 in text
    assert words.RUNGS[5] in text
    assert "alpha: 0.01" in text
    assert "fast scan enhanced: 24 × 32 × 32 voxels of 2 × 2 × 2 µm" in text
    assert "No model was given" in text
    assert told.noise.how in text


def test_a_page_needs_no_network_and_runs_nothing(
    inspected: Inspected, pair: Pair
) -> None:
    text = page(Volumes(inspected, *pair))
    read = Reader(text)
    assert not {"script", "link", "iframe", "img", "object"} & set(read.names)
    links = [value for name, value in read.attributes if name in ("href", "src")]
    assert links
    assert all(str(one).startswith("data:image/png;base64,") for one in links)
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert "http" not in re.sub("http-equiv", "", text)
    assert "url(" not in text
    assert ("http-equiv", "Content-Security-Policy") in read.attributes
    policies = [value for name, value in read.attributes if name == "content"]
    assert str(policies[0]).startswith("default-src 'none'; img-src data:;")


EVIL = "</title><script>alert(1)</script><!--decisions-->\x00\x07\"'&\ud800"


def test_text_from_outside_is_shown_and_never_becomes_markup(
    inspected: Inspected, pair: Pair, reviewed: Callable[..., Any]
) -> None:
    told = inspected.inspection
    facts = told.raw.model_copy(update={"name": EVIL, "source": EVIL, "dtype": EVIL})
    model = ModelFacts(
        name=EVIL, sha256=EVIL, steps=1, date=EVIL, volumes_a=(EVIL,), volumes_b=()
    )
    review = Review.model_construct(
        decision="real", comment=EVIL, reviewer=EVIL, time=EVIL
    )
    evil = changed(
        inspected,
        raw=facts,
        enhanced=facts,
        model=model,
        unit=EVIL,
        warnings=(EVIL,),
        not_checked=(EVIL,),
        versions={EVIL: EVIL},
        noise=told.noise.model_copy(update={"how": EVIL}),
        calibration=told.calibration.model_copy(update={"remarks": (EVIL,)}),
        findings=reviewed(told, {1: review}).findings,
    )
    text = page(Volumes(evil, *pair))
    text.encode()
    read = Reader(text)
    assert "script" not in read.names
    assert read.comments == ["decisions", "/decisions"]
    assert read.text.count("<script>alert(1)</script>") >= 12
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", text)
    assert with_decisions(text, evil.inspection) == text


def test_decisions_are_exchanged_and_all_else_stays(
    inspected: Inspected, pair: Pair, reviewed: Callable[..., Any]
) -> None:
    before = page(Volumes(inspected, *pair))
    review = Review(decision="hallucination-benign", reviewer="A", time="2026-02-01")
    decided = reviewed(inspected.inspection, {2: review, 4: review})
    after = with_decisions(before, decided)
    assert after == page(Volumes(replace(inspected, inspection=decided), *pair))
    assert "2 of 6 findings are reviewed; the last decision is of 2026-02-01" in after


def test_the_first_findings_have_pictures_of_every_volume(
    inspected: Inspected, pair: Pair
) -> None:
    def sizes(text: str) -> list[tuple[int, int]]:
        found = re.findall('data:image/png;base64,([^"]+)', text)
        return [Image.open(BytesIO(base64.b64decode(one))).size for one in found]

    shown = len(inspected.inspection.findings)
    pictures = sizes(page(Volumes(inspected, *pair)))
    assert len(pictures) == shown * 3 * 3
    assert set(pictures) == {(24, 24)}
    with_truth = page(Volumes(inspected, *pair, truth=pair[1]))
    assert len(sizes(with_truth)) == shown * 3 * 4


@pytest.mark.parametrize("scale", [2, 4])
def test_volumes_on_a_finer_grid_are_pictured_voxel_by_voxel(
    scale: int, inspected: Inspected, pair: Pair
) -> None:
    fit = inspected.inspection.operator.model_copy(update={"scale": scale})
    raw = pair[0]
    fine = pair[1].read().repeat(scale, 0).repeat(scale, 1).repeat(scale, 2)
    labels = inspected.labels.read()
    labels = labels.repeat(scale, 0).repeat(scale, 1).repeat(scale, 2)
    result = replace(
        changed(inspected, operator=fit), labels=raw.resampled(labels, scale)
    )
    text = page(Volumes(result, raw, raw.resampled(fine, scale)))
    found = re.findall('data:image/png;base64,([^"]+)', text)
    raws, enhanced = (
        Image.open(BytesIO(base64.b64decode(found[number]))) for number in (0, 3)
    )
    assert enhanced.size == tuple(scale * side for side in raws.size)


def test_missing_structures_are_pictured_wherever_they_rank(
    inspected: Inspected,
) -> None:
    findings = many(inspected.inspection, 90)
    shown = pictured(inspected.inspection.model_copy(update={"findings": findings}))
    assert [one.rank for one in shown] == [*range(1, PICTURED + 1), 88, 89, 90]


def test_a_long_list_is_cut_and_says_so(inspected: Inspected, pair: Pair) -> None:
    long = changed(inspected, findings=many(inspected.inspection, 3000))
    text = page(Volumes(long, *pair))
    assert f"The other {3000 - MOST_ROWS} are in findings.csv" in text
    assert len(text) < 4_000_000
    Reader(text)


def test_a_page_without_findings_card_or_calibration_says_what_is_missing(
    inspected: Inspected, pair: Pair
) -> None:
    bare = changed(inspected, findings=(), card=(), warnings=(), counts={})
    text = Reader(page(Volumes(replace(bare, maps={}), *pair))).text
    assert HONESTY in text
    assert "No structure is in the list" in text
    assert "0 structures judged" in text
    assert "what would have been found in this volume is unknown" in text


def test_modalities_a_truth_and_a_loud_cycle_are_said(
    inspected: Inspected, pair: Pair
) -> None:
    told = inspected.inspection
    scores = TruthScores(
        auroc=0.97,
        auprc=None,
        invented=12,
        real=40,
        wrongly_supported=0.015,
        supported=0.9,
        voxel_auroc=0.9,
        true_share=0.8,
    )
    other = changed(
        inspected,
        scores=scores,
        operator=told.operator.model_copy(
            update={"relation": "modality", "curve": ((0.0, 80.0), (100.0, 20.0))}
        ),
        numbers=told.numbers.model_copy(update={"stego_gap": 1.3}),
        noise=told.noise.model_copy(
            update={
                "axes": ((1.0, 0.9), (1.0, 1.1), (1.0, 1.2)),
                "deviations": ((0.0, 10.0), (100.0, 30.0)),
            }
        ),
    )
    text = Reader(page(Volumes(other, *pair))).text
    assert "another modality" in text
    assert "Invented ones called supported1.5 %" in text
    assert "Area under precision and recall, structures–" in text
    assert "reads a hidden code" in text
    assert "Noise over grey values" in text


def test_nothing_looks_safe_and_only_what_is_contradicted_is_red() -> None:
    for verdict, colour in words.VERDICT_COLOURS.items():
        red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
        assert green <= max(red, blue)
        assert (red > 1.5 * max(green, blue)) == (verdict == "contradicted")


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(1.0, 2.0)],
        [(0.0, 5.0), (1.0, 5.0)],
        [(0.0, 1e-12), (1e9, 3e-12), (float("nan"), 1.0), (1.0, float("inf"))],
        [(-3.0, -1e6), (4.0, 1e6)],
    ],
)
def test_charts_of_any_points_have_a_few_round_ticks(
    points: list[tuple[float, float]],
) -> None:
    series = [Series("line", points), Series("dots", points, dots=True)]
    area = Area("band", [(0.0, 0.0)], [(0.0, 1.0)]) if points else None
    drawn = chart("t", ("x", "y"), series, areas=[area] if area else [])
    read = Reader(drawn)
    assert "nan" not in drawn
    assert "inf" not in drawn
    ticks = re.findall(r'text-anchor="middle">([-\d.e+]+)<', drawn)
    assert 2 <= len(ticks) <= 8
    assert all(np.isfinite(float(one)) for one in ticks)
    assert read.names[0] == "svg"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (-5.0, "−5"),
        (3.16e-6, "3.16 × 10⁻⁶"),
        (-1.5e12, "−1.5 × 10¹²"),
        (1304.4, "1300"),
        (0.123456, "0.123"),
    ],
)
def test_numbers_are_short_and_have_real_signs(value: float | None, text: str) -> None:
    assert words.number(value) == text
