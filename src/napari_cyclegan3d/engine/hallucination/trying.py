"""Calibration and card of an inspection, by the inspection's own maps and tests."""

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination.calibration import (
    Calibration,
    Judge,
    MakeMaps,
    calibrate,
    uncalibrated,
)
from napari_cyclegan3d.engine.hallucination.card import card
from napari_cyclegan3d.engine.hallucination.detection import detector
from napari_cyclegan3d.engine.hallucination.findings import CardRow
from napari_cyclegan3d.engine.hallucination.maps import block_maps
from napari_cyclegan3d.engine.hallucination.measured import Judged, pooled
from napari_cyclegan3d.engine.hallucination.nulls import Normal
from napari_cyclegan3d.engine.hallucination.passes import Translate, run_through
from napari_cyclegan3d.engine.hallucination.sampling import finite
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.hallucination.splitting import split
from napari_cyclegan3d.engine.hallucination.store import blocks, finer
from napari_cyclegan3d.engine.hallucination.survey import (
    Fitted,
    Repeated,
    objects_of,
)
from napari_cyclegan3d.engine.hallucination.suspicion import scores
from napari_cyclegan3d.engine.hallucination.trials import Material, Model, regions
from napari_cyclegan3d.engine.hallucination.truth import Truth
from napari_cyclegan3d.engine.hallucination.verdicts import Tested, judge
from napari_cyclegan3d.engine.volume import Volume

Map = NDArray[Any]
# of a map of repetitions, voxels that its null is fitted to
SIDE, SAMPLES = 32, 64
# in quick mode: side and number of the parts that nulls are fitted to
PART, PARTS = 48, 4
UNTRIED = (
    "quick mode calibrates nothing: how suspicious a place is rests on the residual "
    "alone, as if it were normal"
)


def calibrated(
    material: Material,
    fitted: Fitted,
    splits: int,
    extra: Mapping[str, Map],
    config: InspectConfig,
    random: np.random.Generator,
) -> Generator[float, None, Calibration]:
    """Calibrate by the best rung that can be reached; in quick mode by none.

    Args:
        material: The volumes, and what there is to calibrate with.
        fitted: How the inspected volumes belong together.
        splits: Independent enhancements that objects are tested by; 0: none, or a
            second scan, which needs no calibration.
        extra: Maps of repetitions, of which the trials have none.
        config: Error rates to keep.
        random: Source of parts, noise and plants.

    Yields:
        The share that is done.
    """
    if config.mode == "quick":
        sample = _residuals(material, fitted, random)
        return replace(uncalibrated(sample, config), warnings=(UNTRIED,))
    found = yield from calibrate(
        material,
        Model(fitted.operator, fitted.noise, fitted.constants.threshold),
        maker(fitted),
        config,
        random,
        _judge(material.translate, fitted, splits, config),
    )
    more = {name: Normal.of(_sample(one, random)) for name, one in extra.items()}
    return replace(found, nulls={**more, **found.nulls})


def carded(
    raw: Volume,
    enhanced: Volume,
    fitted: Fitted,
    config: InspectConfig,
    random: np.random.Generator,
) -> Generator[float, None, tuple[CardRow, ...]]:
    """What would be found of planted objects; see `card`."""
    model = Model(fitted.operator, fitted.noise, fitted.constants.threshold)
    detect = detector(fitted.operator, fitted.noise, fitted.constants)
    return (yield from card(raw, enhanced, model, detect, config, random))


def maker(fitted: Fitted) -> MakeMaps:
    """The maps of a raw and an enhanced part, as the inspection makes them."""

    def make(raw: Volume, enhanced: Volume) -> dict[str, Map]:
        low, high = finite(raw.read())[0], finite(enhanced.read())[0]
        return block_maps(low, high, fitted.operator, fitted.noise, fitted.constants)

    return make


def _judge(
    translate: Translate | None, fitted: Fitted, splits: int, config: InspectConfig
) -> Judge | None:
    """Confirmations of the objects of a trial, as those of the inspection are made."""
    if translate is None or not splits:
        return None

    def confirmed(raw: Volume, enhanced: Volume, truth: Volume) -> Judged:
        first = split(raw, fitted.noise, fitted.operator, enhanced, config.seed)
        parts = [first, first.swapped()][:splits]
        repeated = [
            Repeated.of(part, run_through(translate(part.first))) for part in parts
        ]
        objects = run_through(objects_of(raw, enhanced, fitted, repeated, config.tile))
        known = Truth.of(enhanced, truth, fitted.operator.scale)
        labels = [(objects.labels, len(objects))]
        (overlap,) = known.overlaps(labels, fitted.constants.threshold)
        judgement = judge(objects, np.zeros(len(objects)), Tested(0.0, 1.0))
        return judgement.confirmation, overlap.there

    return confirmed


def _residuals(
    material: Material, fitted: Fitted, random: np.random.Generator
) -> dict[str, Map]:
    """The residual in a few parts of the inspected volume, as `scores` gives it.

    It alone is standard normal where only noise is left; how the other maps vary where
    nothing is wrong takes trials to tell.
    """
    scale, make = fitted.operator.scale, maker(fitted)
    parts = regions(material.raw, PART, PARTS, random)
    found = [
        make(material.raw.crop(part), material.enhanced.crop(finer(part, scale)))
        for part in parts
    ]
    return pooled([{"residual": scores(one)["residual"]} for one in found])


def _sample(values: Map, random: np.random.Generator) -> Map:
    """Voxels of random blocks of a map."""
    z, y, x = values.shape
    parts = list(blocks((z, y, x), SIDE, 0))
    chosen = random.choice(len(parts), min(SAMPLES, len(parts)), replace=False)
    return np.concatenate([values[parts[one].core].ravel() for one in chosen])
