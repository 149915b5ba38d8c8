"""The detector as the detectability card uses it: one list of a part of two volumes."""

import numpy as np
from scipy import ndimage

from napari_cyclegan3d.engine.hallucination.card import Detect, Detection
from napari_cyclegan3d.engine.hallucination.evidence import tests_of
from napari_cyclegan3d.engine.hallucination.filters import Array
from napari_cyclegan3d.engine.hallucination.findings import Triple
from napari_cyclegan3d.engine.hallucination.maps import Constants, Sight, residual_of
from napari_cyclegan3d.engine.hallucination.noise import Noise
from napari_cyclegan3d.engine.hallucination.objects import parted
from napari_cyclegan3d.engine.hallucination.operator import Operator
from napari_cyclegan3d.engine.hallucination.sampling import finite
from napari_cyclegan3d.engine.volume import Volume

# deviations from which a peak is listed at all, and raw voxels that it rules
LISTED, RULED = 3.0, 7


def detector(operator: Operator, noise: Noise, constants: Constants) -> Detect:
    """Lists objects that the raw volume contradicts, and what the enhanced one lacks.

    Args:
        operator: How raw follows from enhanced.
        noise: Of the raw volume.
        constants: Of the whole volume.
    """
    scale = operator.scale

    def on_raw_grid(place: Triple) -> Triple:
        z, y, x = ((at + 0.5) / scale - 0.5 for at in place)
        return z, y, x

    def detect(raw: Volume, enhanced: Volume) -> list[Detection]:
        low, high = finite(raw.read())[0], finite(enhanced.read())[0]
        sight = Sight.of(low, high, operator, noise, constants)
        labels = parted(sight.contrast, constants.threshold, scale)
        objects = tests_of(labels, sight, ()).own
        residual = residual_of(sight)[0]
        return [
            *(Detection(on_raw_grid(one.centroid), -one.z, True) for one in objects),
            *_peaks(residual),
        ]

    return detect


def _peaks(residual: Array) -> list[Detection]:
    """Places where the raw part has most of what the enhanced one lacks."""
    best = ndimage.maximum_filter(residual, RULED)
    return [
        Detection((float(z), float(y), float(x)), float(residual[z, y, x]), False)
        for z, y, x in np.argwhere((residual == best) & (residual > LISTED))
    ]
