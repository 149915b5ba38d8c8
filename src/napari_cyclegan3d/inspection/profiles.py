"""Grey values along a line across a finding."""

import numpy as np

from napari_cyclegan3d.engine.hallucination.findings import Finding, Inspection
from napari_cyclegan3d.engine.hallucination.noise import Noise
from napari_cyclegan3d.engine.hallucination.operator import Operator
from napari_cyclegan3d.inspection.charts import Area, Point, Series, chart
from napari_cyclegan3d.inspection.crops import Block, Crop, in_raw_grey
from napari_cyclegan3d.inspection.markup import Safe
from napari_cyclegan3d.inspection.words import symbol

RAW, EXPECTED, ENHANCED, TRUTH = "#222222", "#0072b2", "#e69f00", "#cc79a7"


def profile(crop: Crop, finding: Finding, inspection: Inspection) -> Safe:
    """A chart of the line through the centre along the finding's shortest side.

    All grey values are those of the raw volume. Beside what was measured and what the
    network made of it stands what a raw volume of the latter would show, with twice
    the standard deviation of its noise on both sides: where the measured line leaves
    this band, the two contradict each other.
    """
    fit = inspection.operator
    axis = across(finding, crop.spacing)
    expected = _points(crop, _expected(crop, inspection), axis)
    grey = np.array([value for _, value in expected], np.float32)
    band = (2 * Noise(inspection.noise).deviation(grey)).tolist()
    area = Area(
        "± 2 σ of the noise",
        [(x, y - half) for (x, y), half in zip(expected, band, strict=True)],
        [(x, y + half) for (x, y), half in zip(expected, band, strict=True)],
        EXPECTED,
    )
    series = [
        Series("expected raw", expected, EXPECTED),
        Series(
            "enhanced",
            _points(crop, in_raw_grey(crop.enhanced, fit), axis),
            ENHANCED,
            dashed=True,
        ),
        Series("raw", _points(crop, crop.raw, axis), RAW, width=2.2),
    ]
    if crop.truth is not None:
        true = in_raw_grey(crop.truth, fit)
        series.insert(0, Series("truth", _points(crop, true, axis), TRUTH))
    name = "zyx"[axis]
    return chart(
        f"Grey values along {name} through finding {finding.id}",
        (f"along {name} from its centre ({symbol(inspection.unit)})", "raw grey value"),
        series,
        areas=[area],
    )


def across(finding: Finding, spacing: tuple[float, float, float]) -> int:
    """The axis along which a finding is shortest."""
    sides = [
        (stop - start) * side
        for (start, stop), side in zip(finding.box, spacing, strict=True)
    ]
    # x where all are equal, as images are read from left to right
    return 2 - int(np.argmin(sides[::-1]))


def _expected(crop: Crop, inspection: Inspection) -> Block:
    """What a raw volume of the enhanced crop would show, without noise."""
    fit = inspection.operator
    return np.asarray(Operator(fit).apply(crop.enhanced), dtype=np.float32)


def _points(crop: Crop, block: Block, axis: int) -> list[Point]:
    """Distance from the finding's centre, in unit, and grey value, on either grid."""
    place = [
        at * size // whole
        for at, size, whole in zip(
            crop.centre, block.shape, crop.enhanced.shape, strict=True
        )
    ]
    index: list[int | slice] = list(place)
    index[axis] = slice(None)
    values = block[tuple(index)]
    step = crop.enhanced.shape[axis] / block.shape[axis]
    centres = (np.arange(len(values)) + 0.5) * step - 0.5 - crop.centre[axis]
    distances = centres * crop.spacing[axis]
    return list(zip(distances.tolist(), values.tolist(), strict=True))
