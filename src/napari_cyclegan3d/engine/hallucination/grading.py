"""How well a detector did where the truth is known."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination.candidates import Candidates
from napari_cyclegan3d.engine.hallucination.findings import Finding, TruthScores

# share of an object that the truth has: below it is invented, above it is real
INVENTED, REAL = 0.3, 0.6
FIRST = 20

Numbers = NDArray[np.float64]


def areas(wrong: Numbers, right: Numbers) -> tuple[float | None, float | None]:
    """Areas under the receiver operating characteristic and under precision-recall.

    Args:
        wrong: How many are wrong at each score, from the highest score on.
        right: How many are right.

    Returns:
        None where one kind is missing.
    """
    if not wrong.sum() or not right.sum():
        return None, None
    found, alarms = np.cumsum(wrong), np.cumsum(right)
    auroc = np.vdot(right, found - wrong / 2) / (found[-1] * alarms[-1])
    precision = found / np.maximum(found + alarms, 1)
    return float(auroc), float(np.vdot(wrong, precision) / found[-1])


def score(
    objects: Candidates, findings: Sequence[Finding], voxel_auroc: float | None
) -> TruthScores:
    """Compare verdicts with the truth.

    Args:
        objects: With the column "truth".
        findings: By rank, with their truth.
        voxel_auroc: Of the suspicion map.
    """
    there = objects.columns["truth"]
    invented, real = there < INVENTED, there > REAL
    _, rows = np.unique(-objects.odds, return_inverse=True)
    auroc, auprc = areas(
        *(np.bincount(rows, mask).astype(np.float64) for mask in (invented, real))
    )
    supported = objects.verdict == "supported"
    return TruthScores(
        auroc=auroc,
        auprc=auprc,
        invented=int(invented.sum()),
        real=int(real.sum()),
        wrongly_supported=_share(supported, invented),
        supported=_share(supported, real),
        voxel_auroc=voxel_auroc,
        true_share=true_share(findings),
    )


def true_share(findings: Sequence[Finding]) -> float | None:
    """Of the first findings, the share that is truly wrong.

    What was called missing must be there; what was called changed or an artefact must
    not be wholly there; what was called inserted must hardly be there.
    """
    limits = {"inserted": INVENTED, "changed": REAL, "artefact": REAL}
    wrong = [
        one.truth >= INVENTED if one.kind == "deleted" else one.truth < limits[one.kind]
        for one in findings[:FIRST]
        if one.truth is not None
    ]
    return sum(wrong) / len(wrong) if wrong else None


def _share(some: NDArray[np.bool_], of: NDArray[np.bool_]) -> float | None:
    return float(some[of].mean()) if of.any() else None
