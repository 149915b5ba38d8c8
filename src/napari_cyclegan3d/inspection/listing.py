"""The findings: the first ones with pictures, and all that fit as a table."""

from collections.abc import Callable

from napari_cyclegan3d.engine.hallucination.findings import Finding, Inspection
from napari_cyclegan3d.inspection.crops import Volumes
from napari_cyclegan3d.inspection.figures import planes, scale_bar
from napari_cyclegan3d.inspection.markup import Safe, element, facts, section, table
from napari_cyclegan3d.inspection.overview import chip
from napari_cyclegan3d.inspection.profiles import profile
from napari_cyclegan3d.inspection.words import (
    KINDS,
    number,
    probability,
    share,
    symbol,
    triple,
)

# findings with pictures; missing structures among them, wherever they rank
PICTURED, PICTURED_MISSING = 20, 5
# rows of the table; all of them are in the CSV file
MOST_ROWS = 500
COLUMNS: dict[str, Callable[[Finding], object]] = {
    "Rank": lambda one: one.rank,
    "Id": lambda one: one.id,
    "Kind": lambda one: one.kind,
    "Verdict": lambda one: chip(one.verdict),
    "Suspicion": lambda one: number(one.suspicion),
    "q": lambda one: probability(one.q),
    "Power": lambda one: number(one.power),
    "Confirmation": lambda one: number(one.confirmation),
    "Residual": lambda one: number(one.residual_z),
    "Prior only": lambda one: share(one.prior_only),
    "Diameter": lambda one: number(one.diameter),
    "Voxel z, y, x": lambda one: triple(one.centre),
    "World z, y, x": lambda one: triple(one.world),
}


def pictured(inspection: Inspection) -> list[Finding]:
    """The findings that are shown with pictures, by rank."""
    ranked = sorted(inspection.findings, key=lambda one: one.rank)
    missing = [one for one in ranked if one.verdict == "missing"]
    chosen = {one.id for one in (*ranked[:PICTURED], *missing[:PICTURED_MISSING])}
    return [one for one in ranked if one.id in chosen]


def first(inspection: Inspection, volumes: Volumes) -> Safe:
    """The most suspicious findings with pictures, values and a profile."""
    shown = pictured(inspection)
    if not shown:
        text = "No structure is in the list."
        return section("First findings", element("p", text), name="first")
    modality = inspection.operator.relation == "modality"
    shades = (
        "Raw and enhanced volume have shades of their own, as modalities do."
        if modality
        else "Raw and enhanced volume are shown with matched shades."
    )
    return section(
        "First findings",
        element(
            "p",
            f"Three planes through each, with its outline. {shades} Residual: ",
            element("span", "orange", class_="darker"),
            " where the raw volume is darker than the enhanced one makes expect (a "
            "bright structure is invented, or a dark one missing), ",
            element("span", "blue", class_="brighter"),
            " where it is brighter (a bright one is missing, or a dark one invented), "
            "full at so many standard deviations as stand beside it. The chart shows "
            "grey values along a line through the centre: the raw ones, and those that "
            "a raw volume would have if the enhanced one were right.",
        ),
        *(_one(finding, inspection, volumes) for finding in shown),
        name="first",
    )


def _one(finding: Finding, inspection: Inspection, volumes: Volumes) -> Safe:
    crop = volumes.crop(finding)
    title = element(
        "h3",
        f"{finding.rank}. ",
        chip(finding.verdict),
        f" {finding.kind}, {number(finding.diameter)} {symbol(inspection.unit)}",
    )
    return element(
        "article",
        title,
        element(
            "div",
            element("div", planes(crop), scale_bar(crop, inspection.unit)),
            element(
                "div",
                profile(crop, finding, inspection),
                _values(finding, inspection),
                class_="values",
            ),
            class_="finding",
        ),
        id=f"finding-{finding.id}",
    )


def _values(finding: Finding, inspection: Inspection) -> Safe:
    unit = symbol(inspection.unit)
    support = number(finding.support)
    if finding.support_low is not None and finding.support_high is not None:
        low, high = number(finding.support_low), number(finding.support_high)
        support = f"{support} (95 %: {low} to {high})"
    values = {
        "Id": finding.id,
        "Kind": KINDS[finding.kind],
        "Suspicion, 0 to 6": number(finding.suspicion),
        "p": probability(finding.p),
        "False-discovery rate q": probability(finding.q),
        "Power d′": number(finding.power),
        "Confirmation e": number(finding.confirmation),
        "Support e/d′, 1: wholly there": support,
        "Residual": number(finding.residual_z),
        "Local error, in noise": number(finding.rse),
        "Cannot be determined": share(finding.prior_only),
        "Instability, 0 to 1": _measured(finding.instability),
        "Cycle error, in noise": _measured(finding.cycle),
        "Unlike domain B (artefact)": _measured(finding.realism),
        "Contrast enhanced; raw": f"{number(finding.contrast_enhanced)}; "
        f"{number(finding.contrast_raw)}",
        "Voxels; volume": f"{finding.voxels}; {number(finding.volume)} {unit}³",
        "Elongation": number(finding.elongation),
        "Voxel (z, y, x)": triple(finding.centre),
        "World (z, y, x)": triple(finding.world, inspection.unit),
        "Cut by the border": "yes" if finding.touches_border else None,
        "Truly there": None if finding.truth is None else share(finding.truth),
    }
    return facts(values)


def _measured(value: float | None) -> str | None:
    return None if value is None else number(value)


def everything(inspection: Inspection) -> Safe:
    """The table, by rank."""
    ranked = sorted(inspection.findings, key=lambda one: one.rank)
    rest = len(ranked) - MOST_ROWS
    cut = f" The other {rest} are in findings.csv." if rest > 0 else ""
    return section(
        "All findings",
        element(
            "p",
            f"Lengths in {symbol(inspection.unit)}; voxels are those of the enhanced "
            f"volume; q is the false-discovery rate of the list down to a row.{cut}",
        ),
        table(
            tuple(COLUMNS),
            [[cell(one) for cell in COLUMNS.values()] for one in ranked[:MOST_ROWS]],
        ),
        name="findings",
    )
