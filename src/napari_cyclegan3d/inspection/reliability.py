"""How far the verdicts can be trusted: calibration, detectability and the truth."""

import math

from napari_cyclegan3d.engine.hallucination.findings import (
    LEAST_POWER,
    CardRow,
    Inspection,
)
from napari_cyclegan3d.inspection.charts import COLOURS, Series, chart
from napari_cyclegan3d.inspection.markup import (
    Safe,
    element,
    facts,
    listed,
    section,
    table,
)
from napari_cyclegan3d.inspection.words import (
    RUNGS,
    number,
    plural,
    share,
    symbol,
)


def calibration(inspection: Inspection) -> Safe:
    """Where the thresholds come from, and how far they can be trusted."""
    fit = inspection.calibration
    alarms = fit.false_alarms
    if alarms is not None:
        alarms *= math.prod(inspection.raw.shape) / 1e6
    told = facts(
        {
            "Rung of the ladder (1 best, 5 none)": f"{fit.rung}: {RUNGS[fit.rung]}",
            "Invented structures that may be called supported": share(fit.alpha),
            "Rate reached on what it was calibrated with": share(fit.realised),
            "Confirmation that a supported structure needs": number(fit.threshold),
            "Volumes or blocks behind it": fit.n,
            "Null values behind it": fit.nulls,
            "Expected false alarms per million raw voxels": number(fit.false_alarms),
            "Expected false alarms in this volume": number(alarms),
        }
    )
    remarks = listed(fit.remarks) if fit.remarks else ""
    return section("Calibration", told, remarks, name="calibration")


def card(inspection: Inspection) -> Safe:
    """What would have been found: the detectability card."""
    if not inspection.card:
        text = "Not measured: what would have been found in this volume is unknown."
        return section("Detectability card", element("p", text), name="card")
    rows = [
        (
            row.shape,
            f"{number(row.diameter)} {symbol(inspection.unit)}",
            share(row.contrast),
            number(row.power),
            share(row.inserted),
            share(row.deleted),
            row.count,
        )
        for row in inspection.card
    ]
    heads = ("Shape", "Diameter", "Contrast", "Power d′", "Invented ones found")
    rate = inspection.card[0].false_alarms
    alarms = f"{number(rate)} false alarm{'' if rate == 1 else 's'}"
    return section(
        "Detectability card",
        element(
            "p",
            "Objects were planted in copies of the enhanced volume, and real ones "
            f"removed, to see how many are found at {alarms} per 64³ raw voxels. "
            "Contrast counts in that of the volume's own structures. Below a "
            f"power of {LEAST_POWER:g} nothing can be said. Planted objects contradict "
            "the raw volume; they do not test structure that was made of its noise.",
        ),
        element("figure", *_recalls(inspection)),
        table((*heads, "Missing ones found", "Planted"), rows),
        name="card",
    )


def _recalls(inspection: Inspection) -> list[Safe]:
    """Share found over diameter, a chart for each shape."""
    shapes = sorted({row.shape for row in inspection.card}, reverse=True)
    return [
        _recall([row for row in inspection.card if row.shape == shape], inspection.unit)
        for shape in shapes
    ]


def _recall(rows: list[CardRow], unit: str) -> Safe:
    series = []
    for colour, contrast in zip(
        COLOURS * 3, sorted({row.contrast for row in rows}, reverse=True), strict=False
    ):
        these = sorted(
            (row for row in rows if row.contrast == contrast),
            key=lambda row: row.diameter,
        )
        for what, word in (("inserted", "invented"), ("deleted", "missing")):
            points = [
                (row.diameter, found)
                for row in these
                if (found := getattr(row, what)) is not None
            ]
            name = f"{word}, contrast {share(contrast)}"
            dashed = what == "deleted"
            series.append(Series(name, points, colour, dashed=dashed))
            if len(points) == 1:
                series.append(Series("", points, colour, dots=True))
    what = f"{rows[0].shape}s found"
    return chart(
        what,
        (f"diameter ({symbol(unit)})", f"share of {what}"),
        series,
        y_range=(0, 1.02),
    )


def truth(inspection: Inspection) -> Safe | str:
    """How well the detector did, where the truth is known."""
    scores = inspection.scores
    if scores is None:
        return ""
    first = min(20, len(inspection.findings))
    told = facts(
        {
            "Structures that are not in the truth": scores.invented,
            "Structures that are": scores.real,
            "Invented ones called supported": share(scores.wrongly_supported),
            "Real ones called supported": share(scores.supported),
            "Area under ROC, structures": number(scores.auroc),
            "Area under precision and recall, structures": number(scores.auprc),
            "Area under ROC, voxels": number(scores.voxel_auroc),
            f"Truly wrong among the first {plural(first, 'finding')}": share(
                scores.true_share
            ),
        }
    )
    return section("Judged by the truth", told, name="truth")
