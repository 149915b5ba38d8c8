"""From maps and tests to the list of findings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from napari_cyclegan3d.engine.hallucination.calibration import LOW, Calibration
from napari_cyclegan3d.engine.hallucination.candidates import (
    Candidates,
    Looked,
    of_missing,
    of_objects,
    of_suspects,
)
from napari_cyclegan3d.engine.hallucination.findings import TruthScores
from napari_cyclegan3d.engine.hallucination.gathering import Objects
from napari_cyclegan3d.engine.hallucination.grading import score
from napari_cyclegan3d.engine.hallucination.odds import LEAST_SUPPORT
from napari_cyclegan3d.engine.hallucination.regions import regions, smallest_region
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.hallucination.store import blocks, forget_pages, new_map
from napari_cyclegan3d.engine.hallucination.survey import Fitted, Survey
from napari_cyclegan3d.engine.hallucination.suspicion import MOST, cauchy
from napari_cyclegan3d.engine.hallucination.table import Table, assemble
from napari_cyclegan3d.engine.hallucination.tally import paint, tally_objects
from napari_cyclegan3d.engine.hallucination.truth import (
    Truth,
    compared,
    typical_contrast,
)
from napari_cyclegan3d.engine.hallucination.verdicts import Judgement, Tested, judge
from napari_cyclegan3d.engine.volume import Volume

Map = NDArray[Any]

CUBE = 64**3
# heights of the residual among which its threshold is looked for
HEIGHTS = np.linspace(2.5, 15, 126)
# of the signed map: how much of its peak belongs to a part that is missing
HALF = 0.5
FRAGILE = (
    "the network does not stand the noise that was added for an independent test: it "
    "makes less of what is clear. That test can support structures, but not speak "
    "against any; a second scan would tell more"
)


@dataclass(frozen=True, eq=False)
class Judged:
    """What is said about the volume.

    Attributes:
        table: Findings, labels and counts.
        suspicion: A map on the raw grid, 0 to 6.
        scores: Where the truth is known.
        error: Where the truth is known: enhanced − truth, on the enhanced grid.
        warnings: What the user should know.
    """

    table: Table
    suspicion: Map
    scores: TruthScores | None
    error: Map | None
    warnings: tuple[str, ...]


def judged(
    enhanced: Volume,
    fitted: Fitted,
    found: Survey,
    calibration: Calibration,
    config: InspectConfig,
    truth: Volume | None,
) -> Judged:
    """Rank and label everything that is suspicious.

    Args:
        enhanced: The enhanced volume, placed over the raw one.
        fitted: How the volumes belong together.
        found: All maps, those of repetitions included, and objects.
        calibration: How maps become p-values.
        config: False alarms to allow, and the side of the blocks.
        truth: What the enhanced volume should be, on its grid.
    """
    scale, objects = fitted.operator.scale, found.objects
    first = tally_objects(
        objects.labels, len(objects), {"prior_only": found.maps["prior_only"]}, scale
    )
    smallest = smallest_region(fitted.operator.fit.blur)
    places = found.maps["residual"].size / smallest
    tested = Tested(calibration.fit.threshold, places, found.fresh)
    judgement = judge(objects, first.mean("prior_only"), tested)
    maps = dict(found.maps)
    suspicion = _suspicion(maps, found, judgement, calibration, config.tile, scale)
    maps["suspicion"] = suspicion
    tally = tally_objects(objects.labels, len(objects), maps, scale)
    sorts = (
        of_objects(objects, judgement, tally),
        *_regions(maps, fitted, calibration, config, _typical(objects)),
    )
    scores = error = None
    if truth is not None:
        known = Truth.of(enhanced, truth, scale)
        sorts = compared(known, *sorts, fitted.constants.threshold)
        error = new_map(enhanced.shape)
        known.fill_error(error)
    table = assemble(*sorts, enhanced)
    if truth is not None:
        auroc = known.voxel_auroc(suspicion, typical_contrast(sorts[0]))
        scores = score(sorts[0], table.findings, auroc)
    said = table.warnings if judgement.stands else (*table.warnings, FRAGILE)
    return Judged(table, suspicion, scores, error, said)


def _suspicion(
    maps: Mapping[str, Map],
    found: Survey,
    judgement: Judgement,
    calibration: Calibration,
    side: int,
    scale: int,
) -> Map:
    """By the maps, and by the tests of the objects where there are some."""
    shape = found.maps["residual"].shape
    out, tested = new_map(shape), new_map(shape)
    objects = found.objects
    # a significant shortfall may be a slight one: half of it missing is what counts
    evidence = judgement.evidence
    p = norm.cdf(evidence.confirmation - LEAST_SUPPORT * evidence.power)
    paint(tested, objects.labels, -np.log10(np.maximum(p, 10.0**-MOST)), scale)
    for block in blocks(shape, side, 0):
        values = {name: one[block.core] for name, one in maps.items()}
        by_maps = calibration.suspicion(values)
        by_tests = tested[block.core].astype(np.float32)
        both = cauchy([10.0**-by_maps, 10.0**-by_tests], [1.0, 1.0])
        combined = np.where(by_tests > 0, -np.log10(both), by_maps)
        out[block.core] = np.clip(combined, 0, MOST)
        forget_pages()
    return out


def _regions(
    maps: Mapping[str, Map],
    fitted: Fitted,
    calibration: Calibration,
    config: InspectConfig,
    typical: float,
) -> tuple[Candidates, Candidates]:
    """What is missing, and other suspicious places."""
    scale, residual = fitted.operator.scale, maps["residual"]
    parts = list(blocks(residual.shape, config.tile, 0))
    smallest = smallest_region(fitted.operator.fit.blur)
    tests = residual.size / smallest
    looked = Looked(scale, tests, typical)
    tail = calibration.nulls["residual"]
    allowed = config.false_alarms * residual.size / CUBE
    enough = tail.p(HEIGHTS) * tests <= allowed
    high = float(HEIGHTS[int(np.argmax(enough))] if enough.any() else HEIGHTS[-1])
    missing = regions(residual, maps, parts, high, HALF * high, smallest)
    suspects = regions(maps["suspicion"], maps, parts, calibration.high, LOW, smallest)
    return (
        of_missing(missing, tail, looked),
        of_suspects(suspects, high, looked),
    )


def _typical(objects: Objects) -> float:
    """Contrast of the enhanced volume's structures; 0: there are none."""
    return float(np.median(np.abs(objects.contrast))) if len(objects) else 0.0
