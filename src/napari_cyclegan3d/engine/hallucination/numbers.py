"""What an inspection says of the whole volume, in one number each."""

import numpy as np

from napari_cyclegan3d.engine.hallucination.findings import GlobalNumbers
from napari_cyclegan3d.engine.hallucination.repeats import Repeats
from napari_cyclegan3d.engine.hallucination.resolution import (
    claimed_resolution,
    confirmed_resolution,
)
from napari_cyclegan3d.engine.hallucination.store import blocks
from napari_cyclegan3d.engine.hallucination.survey import Survey
from napari_cyclegan3d.engine.volume import Volume


def numbers_of(
    enhanced: Volume, swept: Survey, repeats: Repeats, side: int
) -> GlobalNumbers:
    """Agreement, claimed and confirmed resolution, and what only the prior says.

    Args:
        enhanced: The enhanced volume.
        swept: What the sweep over both volumes found.
        repeats: Repeated enhancements.
        side: Longest side of a block, in raw voxels.
    """
    prior = swept.maps["prior_only"]
    confirmed = None
    if repeats.repeated:
        test, scale = repeats.repeated[0], enhanced.shape[0] // prior.shape[0]
        confirmed = confirmed_resolution(test.enhanced, test.against, scale)
    means = [
        float(prior[one.core].mean(dtype=np.float64))
        for one in blocks(prior.shape, side, 0)
    ]
    return GlobalNumbers(
        rsp=swept.sums.correlation,
        rse=swept.sums.error,
        chi2=swept.sums.chi2,
        claimed=_finite(claimed_resolution(enhanced)),
        confirmed=_finite(confirmed),
        stego_gap=repeats.gap,
        prior_only=float(np.mean(means)),
    )


def _finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return value if value is not None and np.isfinite(value) else None
