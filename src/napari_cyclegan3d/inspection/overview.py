"""The first things a reader sees: what was inspected, how it ended, who has looked."""

from collections import Counter

from napari_cyclegan3d.engine.hallucination.findings import (
    HONESTY,
    LEAST_POWER,
    Finding,
    Inspection,
    VolumeFacts,
)
from napari_cyclegan3d.inspection.charts import Area, Series, chart
from napari_cyclegan3d.inspection.markup import (
    Safe,
    element,
    facts,
    listed,
    section,
    table,
)
from napari_cyclegan3d.inspection.words import (
    DASH,
    DECISIONS,
    KINDS,
    RUNGS,
    VERDICT_COLOURS,
    VERDICTS,
    plural,
    sides,
)

TITLE = "Inspection of an enhanced volume"


def heading(inspection: Inspection) -> Safe:
    """Title, the volumes in short, and the sentence that must not be missed."""
    counts = inspection.counts
    invented, missing = counts.get("contradicted", 0), counts.get("missing", 0)
    open_ones = counts.get("unverifiable", 0)
    return element(
        "header",
        element("h1", TITLE),
        facts(
            {
                "Raw": _volume(inspection.raw),
                "Enhanced": _volume(inspection.enhanced),
                "Model": inspection.model and inspection.model.name,
                "Truth": inspection.truth and _volume(inspection.truth),
                "Second scan": inspection.second and _volume(inspection.second),
                "Inspected": f"{inspection.date}, mode {inspection.config.mode}",
                "Calibration": RUNGS[inspection.calibration.rung],
            }
        ),
        element(
            "p",
            f"{plural(invented, 'structure')} contradicted by the raw volume, "
            f"{missing} missing from the enhanced one, {open_ones} that the raw volume "
            "could not show even if they were real.",
            class_="result",
        ),
        element("p", HONESTY, class_="honesty"),
        *_warnings(inspection),
    )


def _warnings(inspection: Inspection) -> list[Safe]:
    if not inspection.warnings:
        return []
    return [element("p", "Know before reading on:"), listed(inspection.warnings)]


def _volume(facts: VolumeFacts) -> str:
    voxel = sides(facts.spacing, facts.unit)
    return f"{facts.name}: {sides(facts.shape)} voxels of {voxel}"


def chip(verdict: str) -> Safe:
    """A verdict with the colour that it has everywhere."""
    return element("span", verdict, class_=f"chip {verdict}")


def counts(inspection: Inspection) -> Safe:
    """How many structures have each verdict, and what it means."""
    total = sum(inspection.counts.values())
    rows = [
        (chip(verdict), inspection.counts.get(verdict, 0), meaning)
        for verdict, meaning in VERDICTS.items()
    ]
    listed_ones = Counter(one.kind for one in inspection.findings)
    kinds = "; ".join(f"{kind}: {KINDS[kind]}" for kind in KINDS if listed_ones[kind])
    return section(
        "Verdicts",
        table(("Verdict", "Structures", "It means"), rows, "reading"),
        element(
            "p",
            f"{plural(total, 'structure')} judged; {len(inspection.findings)} of them "
            f"in the list. Kinds: {kinds}."
            if kinds
            else f"{plural(total, 'structure')} judged; none is in the list.",
        ),
        _evidence(inspection),
        name="verdicts",
    )


def _evidence(inspection: Inspection) -> Safe | str:
    """Findings by what the raw volume could show and what it does show."""
    measured = [one for one in inspection.findings if one.power is not None]
    if not measured:
        return ""
    most = 1.05 * max(one.power or 0 for one in measured) or 1.0
    points = [
        Series(
            verdict,
            [
                (one.power or 0, one.confirmation or 0)
                for one in measured
                if one.verdict == verdict and one.confirmation is not None
            ],
            VERDICT_COLOURS[verdict],
            dots=True,
        )
        for verdict in VERDICTS
        if any(one.verdict == verdict for one in measured)
    ]
    ys = [y for one in points for _, y in one.points]
    ends = min(0.0, *ys) - 0.04 * most, 1.05 * max(most, *ys)
    undecidable = Area(
        f"below {LEAST_POWER:g}: undecidable",
        [(0, ends[0]), (LEAST_POWER, ends[0])],
        [(0, ends[1]), (LEAST_POWER, ends[1])],
        VERDICT_COLOURS["unverifiable"],
    )
    lines = [
        Series("wholly there", [(0, 0), (most, most)], "#999999"),
        Series("not there", [(0, 0), (most, 0)], "#999999", dashed=True),
    ]
    drawn = chart(
        "Power and confirmation of the findings",
        ("power d′: how clearly it could be seen", "confirmation e: how clearly it is"),
        [*lines, *points],
        areas=[undecidable],
        x_range=(0, most),
        y_range=ends,
    )
    caption = (
        "Each listed structure: how clearly the raw volume could show it, and how "
        "clearly it does, in standard deviations of the noise."
    )
    return element("figure", drawn, element("figcaption", caption))


def decisions(inspection: Inspection) -> Safe:
    """What people have decided so far, by reviewer and one by one."""
    reviewed = [one for one in inspection.findings if one.review is not None]
    if not reviewed:
        text = f"None of {plural(len(inspection.findings), 'finding')} is reviewed yet."
        return section("Decisions of reviewers", element("p", text), name="decisions")
    rows = [_decision(one) for one in reviewed]
    last = max(one.review.time for one in reviewed if one.review)
    done = f"{len(reviewed)} of {len(inspection.findings)} findings are reviewed"
    heads = ("Finding", "Verdict", "Decision", "Comment", "Reviewer", "Time")
    return section(
        "Decisions of reviewers",
        element("p", f"{done}; the last decision is of {last or DASH}."),
        _by_reviewer(reviewed),
        table(heads, rows, "reading"),
        name="decisions",
    )


def _by_reviewer(reviewed: list[Finding]) -> Safe:
    counted = Counter(
        (one.review.reviewer or DASH, one.review.decision)
        for one in reviewed
        if one.review
    )
    rows = [
        (who, *(counted[who, decision] for decision in DECISIONS))
        for who in sorted({who for who, _ in counted})
    ]
    return table(("Reviewer", *DECISIONS.values()), rows)


def _decision(finding: Finding) -> tuple[object, ...]:
    review = finding.review
    assert review is not None
    return (
        finding.id,
        chip(finding.verdict),
        DECISIONS[review.decision],
        review.comment,
        review.reviewer or DASH,
        review.time or DASH,
    )
