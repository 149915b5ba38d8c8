"""What was fitted and measured before anything was judged."""

import math

from napari_cyclegan3d.engine.hallucination.findings import (
    Inspection,
    NoiseFit,
    OperatorFit,
)
from napari_cyclegan3d.inspection.charts import COLOURS, Series, chart
from napari_cyclegan3d.inspection.markup import (
    Safe,
    element,
    facts,
    section,
    table,
)
from napari_cyclegan3d.inspection.words import (
    DASH,
    number,
    share,
    symbol,
    triple,
)

STEGO_ALARM = 1.2


def operator(inspection: Inspection) -> Safe:
    """How the raw volume follows from the enhanced one."""
    fit = inspection.operator
    modality = fit.relation == "modality"
    told = facts(
        {
            "Relation": "another modality: a curve of grey values, then a blur"
            if modality
            else "the same grey values, blurred and noisy",
            "Scale": f"{fit.scale}×",
            "Gain": number(fit.gain, 4),
            "Offset": number(fit.offset, 4),
            "Blur (z, y, x), standard deviation": triple(fit.blur, "raw voxels"),
            "Shift (z, y, x), taken into account": triple(fit.shift, "raw voxels"),
            "Correlation of fit and raw volume": number(fit.correlation, 4),
        }
    )
    return section(
        "From the enhanced volume back to the raw one",
        element(
            "p",
            "All evidence compares the raw volume with what a raw volume of the "
            "enhanced specimen would look like. It is as good as this fit.",
        ),
        told,
        element("figure", _transfer(fit), *([_curve(fit)] if fit.curve else [])),
        name="operator",
    )


def _transfer(fit: OperatorFit) -> Safe:
    frequencies = [n / 50 * 0.5 for n in range(51)]
    series = [
        Series(
            f"along {name}",
            [(f, math.exp(-2 * (math.pi * blur * f) ** 2)) for f in frequencies],
            colour,
            dashed=name == "y",
        )
        for name, blur, colour in zip("zyx", fit.blur, COLOURS, strict=False)
    ]
    return chart(
        "Blur: what the raw volume keeps of detail",
        ("spatial frequency (cycles per raw voxel)", "contrast kept by the blur"),
        series,
        x_range=(0, 0.5),
        y_range=(0, 1.02),
    )


def _curve(fit: OperatorFit) -> Safe:
    return chart(
        "Grey values of the two modalities",
        ("enhanced grey value", "raw grey value"),
        [Series("", fit.curve)],
    )


def noise(inspection: Inspection) -> Safe:
    """How much noise, of which colour, and how it was found."""
    fit = inspection.noise
    power = list(zip(fit.frequency, fit.power, strict=False))
    drawn = chart(
        "Power spectrum of the noise",
        ("spatial frequency (cycles per raw voxel)", "power (mean 1)"),
        [
            Series("measured", power),
            Series("white", [(0, 1), (0.87, 1)], "#999999", dashed=True),
        ],
        x_range=(0, 0.87),
        y_range=(0, max(1.1 * max((y for _, y in power), default=1.0), 1.2)),
    )
    told = facts(
        {
            "Standard deviation": f"{number(fit.sigma)} at raw grey value "
            f"{number(fit.level)}",
            "Variance per grey value above": number(fit.slope) if fit.slope else None,
            "Measured in": fit.how,
            "Whiteness of what remains": f"{number(fit.whiteness)} (1 is white)",
        }
    )
    more = _directions(fit) + _deviations(fit)
    return section("Noise", told, element("figure", drawn, *more), name="noise")


def _directions(fit: NoiseFit) -> list[Safe]:
    """How the noise's spectrum differs along the axes, where it does."""
    if not fit.axes:
        return []
    series = [
        Series(
            f"along {name}",
            [(0.5 * n / max(1, len(one) - 1), y) for n, y in enumerate(one)],
            colour,
            dashed=name == "y",
        )
        for name, one, colour in zip("zyx", fit.axes, COLOURS, strict=False)
    ]
    labels = ("spatial frequency (cycles per raw voxel)", "factor of the power")
    return [chart("Noise along the axes", labels, series, x_range=(0, 0.5))]


def _deviations(fit: NoiseFit) -> list[Safe]:
    """How the noise grows with the grey value, where it does."""
    if not fit.deviations:
        return []
    labels = ("raw grey value", "standard deviation")
    return [chart("Noise over grey values", labels, [Series("", fit.deviations)])]


def numbers(inspection: Inspection) -> Safe:
    """One number each for the whole volume."""
    found, unit = inspection.numbers, inspection.unit
    gap = found.stego_gap
    alarm = (
        ": the reverse network reads a hidden code, so its cycle error is no evidence"
        if gap is not None and gap > STEGO_ALARM
        else ""
    )
    rows = [
        ("Resolution-scaled Pearson correlation (RSP)", number(found.rsp, 4)),
        ("Resolution-scaled error (RSE), raw grey values", number(found.rse)),
        ("Mean squared residual over the noise, 1 as it should be", number(found.chi2)),
        ("Resolution that the enhanced volume shows", _length(found.claimed, unit)),
        ("Resolution that the data confirm", _length(found.confirmed, unit)),
        ("Gap of hidden codes (steganography), alarm above 1.2", number(gap) + alarm),
        ("Fine detail that the raw volume cannot determine", share(found.prior_only)),
    ]
    return section(
        "The volume as a whole",
        table(("Quantity", "Value"), rows, "reading"),
        element(
            "p",
            f"{DASH}: not measured (mode {inspection.config.mode}, "
            f"{'with' if inspection.model else 'without'} a model).",
        ),
        name="numbers",
    )


def _length(value: float | None, unit: str) -> str:
    return DASH if value is None else f"{number(value)} {symbol(unit)}"
