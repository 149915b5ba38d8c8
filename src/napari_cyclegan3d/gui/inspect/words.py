"""What an inspection says, in sentences."""

from html import escape

from napari_cyclegan3d.engine.hallucination.findings import (
    Finding,
    Inspection,
    OperatorFit,
)
from napari_cyclegan3d.gui.labels import UNITS
from napari_cyclegan3d.inspection.words import RUNGS, VERDICTS, number


def tally(inspection: Inspection) -> str:
    """How many structures of which verdict: `2 contradicted, 1 missing, …`."""
    counts = [
        f"{inspection.counts[verdict]} {verdict}"
        for verdict in VERDICTS
        if inspection.counts.get(verdict)
    ]
    return ", ".join(counts) or "no structures were found"


def suspicious(inspection: Inspection) -> int:
    """How many structures are contradicted, missing or unverifiable."""
    harmless = ("supported", "uncontradicted")
    return sum(n for verdict, n in inspection.counts.items() if verdict not in harmless)


def headline(inspection: Inspection) -> str:
    """What was found, and how far it can be trusted."""
    fit = inspection.calibration
    rung = f"calibration rung {fit.rung} of 5{', uncalibrated' * (fit.rung == 5)}"
    return f"{tally(inspection)} ({inspection.config.mode} mode, {rung})"


def details(finding: Finding, unit: str) -> str:
    """What is known of a finding, as rich text."""
    short = UNITS.get(unit, unit)
    place = ", ".join(f"{one:.4g}" for one in finding.world)
    lines = [
        f"<b>#{finding.rank} {finding.kind}, {finding.verdict}</b>: "
        f"{escape(VERDICTS[finding.verdict])}",
        f"suspicion {finding.suspicion:.1f}, p {finding.p:.2g}, q {finding.q:.2g}, "
        f"residual {number(finding.residual_z)} σ",
        f"⌀ {finding.diameter:.3g} {short}, {finding.voxels} voxels; "
        f"z y x {place} {short}",
    ]
    if finding.power is not None:
        lines.insert(
            1,
            f"Raw would show it at {number(finding.power)} σ, shows "
            f"{number(finding.confirmation)} σ: support {number(finding.support)}"
            f"{_interval(finding)}",
        )
    if finding.touches_border:
        lines.append("cut by the volume's border")
    if finding.truth is not None:
        lines.append(f"share of it that is in the truth: {finding.truth:.2f}")
    review = finding.review
    if review is not None:
        lines.append(escape(f"{review.decision}: {review.reviewer} {review.time[:10]}"))
    return "<br>".join(lines)


def about(inspection: Inspection) -> str:
    """The fits, the global numbers and what was not checked, as rich text."""
    numbers, noise = inspection.numbers, inspection.noise
    short = UNITS.get(inspection.unit, inspection.unit)
    lines = [
        _relation(inspection.operator),
        f"noise {noise.sigma:.4g} ({noise.how}), whiteness {noise.whiteness:.2f}",
        f"RSP {numbers.rsp:.3f}, RSE {numbers.rse:.4g}, chi² {numbers.chi2:.2f}",
    ]
    if numbers.claimed is not None and numbers.confirmed is not None:
        lines.append(
            f"resolution: claims {numbers.claimed:.3g} {short}, "
            f"the data confirm {numbers.confirmed:.3g} {short}"
        )
    if numbers.stego_gap is not None:
        lines.append(f"hardened over plain cycle error: {numbers.stego_gap:.2f}")
    lines += [_row(inspection, index) for index in range(len(inspection.card))]
    lines += [f"⚠ {one}" for one in inspection.warnings]
    fit = inspection.calibration
    lines.append(f"calibration, rung {fit.rung} of 5: {RUNGS[fit.rung]}")
    lines += [f"calibration: {one}" for one in fit.remarks]
    if inspection.not_checked:
        lines.append(f"not checked: {'; '.join(inspection.not_checked)}")
    return "<br>".join(escape(one) for one in lines)


def _interval(finding: Finding) -> str:
    if finding.support_low is None or finding.support_high is None:
        return ""
    low, high = number(finding.support_low), number(finding.support_high)
    return f" ({low} to {high})"


def _relation(fit: OperatorFit) -> str:
    blur = " × ".join(f"{one:.2f}" for one in fit.blur)
    how = (
        f"raw ≈ {fit.gain:.3g} · enhanced {fit.offset:+.3g}"
        if fit.relation == "degraded"
        else "raw grey values follow a curve of the enhanced ones"
    )
    return f"{how}, blurred by {blur} voxels; correlation {fit.correlation:.3f}"


def _row(inspection: Inspection, index: int) -> str:
    """A line of the detectability card."""
    row = inspection.card[index]
    short = UNITS.get(inspection.unit, inspection.unit)
    inserted, deleted = (
        "–" if one is None else f"{one:.0%}" for one in (row.inserted, row.deleted)
    )
    return (
        f"a {row.shape} of {row.diameter:.3g} {short} and contrast {row.contrast:g} is "
        f"found: inserted {inserted}, deleted {deleted}"
    )
