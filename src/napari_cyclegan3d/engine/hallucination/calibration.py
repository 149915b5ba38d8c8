"""What p-values and thresholds rest on: the best rung of a ladder that can be reached.

1 registered pairs; 2 clean volumes of domain B, degraded by the fitted operator and
noise and enhanced again; 3 the same with the inspected result itself in place of domain
B; 4 pieces inserted and deleted in the result, without a network; 5 nothing: robust
deviations.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from napari_cyclegan3d.engine.hallucination.alarms import CUBE, Alarms, region_peaks
from napari_cyclegan3d.engine.hallucination.conformal import Controlled
from napari_cyclegan3d.engine.hallucination.findings import CalibrationFit
from napari_cyclegan3d.engine.hallucination.fusion import Fusion
from napari_cyclegan3d.engine.hallucination.likeness import likeness
from napari_cyclegan3d.engine.hallucination.measured import (
    Judged,
    Maps,
    Measured,
    confirmation,
    fitted_fusion,
    measured,
    pooled,
    trusted,
    widened,
)
from napari_cyclegan3d.engine.hallucination.nulls import Normal, Null, Tail
from napari_cyclegan3d.engine.hallucination.sampling import finite
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.hallucination.store import finer
from napari_cyclegan3d.engine.hallucination.suspicion import MOST, scores, suspicion
from napari_cyclegan3d.engine.hallucination.trials import (
    SIDE,
    Material,
    Model,
    Rung,
    regions,
    trials,
)
from napari_cyclegan3d.engine.volume import Volume

MakeMaps = Callable[[Volume, Volume], Maps]
# confirmations and true shares of the objects of a raw and an enhanced volume and truth
Judge = Callable[[Volume, Volume, Volume], Judged]

# parts of the inspected volume to compare the trials with
REAL = 4
# of the work, before the maps are made
SHARE = 0.5
# least sides of a volume that parts can be taken of, in raw voxels
LEAST_SIDE = 24
# suspicion that makes a region, and from which one is reported without calibration
LOW, HIGH = 2.0, 4.0

RUNGS = {
    1: "{n} parts of {volumes} volumes with a known truth",
    2: "{n} parts of {volumes} clean volumes, degraded by the fitted operator and "
    "noise and enhanced again; it holds as far as these are like the raw volume",
    3: "{n} parts of the enhanced volume itself, degraded by the fitted operator and "
    "noise and enhanced again; it holds as far as the enhanced volume is like domain B",
    4: "{n} parts of the enhanced volume, degraded by the fitted operator and noise, "
    "with pieces inserted and deleted; this says nothing about what a network makes of "
    "noise",
    5: "uncalibrated: p-values assume that the maps are normal but for few voxels",
}


@dataclass(frozen=True, eq=False)
class Calibration:
    """How maps become p-values, and from where on something is reported.

    Attributes:
        fit: What is told about it.
        nulls: Of the scores of maps, by name.
        fusion: Learnt from known errors, if there were enough.
        high: Suspicion at which the false alarms are as many as the settings allow.
        trust: Suspicion below which no more than a tenth of what is wrong is missed.
        warnings: What the user should know.
    """

    fit: CalibrationFit
    nulls: Mapping[str, Tail]
    fusion: Fusion | None = None
    high: float = HIGH
    trust: Controlled | None = None
    warnings: tuple[str, ...] = ()

    def suspicion(self, maps: Maps) -> NDArray[np.float32]:
        """−log10 p of each voxel that nothing is wrong there, 0 to 6."""
        return suspicion(maps, self.nulls, self.fusion)


def calibrate(
    material: Material,
    model: Model,
    make_maps: MakeMaps,
    config: InspectConfig,
    random: np.random.Generator,
    judge: Judge | None = None,
) -> Generator[float, None, Calibration]:
    """Calibrate by the best rung that can be reached.

    Args:
        material: The inspected volumes, and what else there is.
        model: Operator, noise and what a structure is.
        make_maps: The maps of a raw and an enhanced volume, as in the inspection.
        config: Error rates to keep.
        random: Source of parts, noise and plants.
        judge: Confirms objects where there is a network.

    Yields:
        The share that is done.
    """
    raw, enhanced = material.raw, material.enhanced
    real = [
        (raw.crop(part), enhanced.crop(finer(part, model.operator.scale)))
        for part in regions(raw, SIDE, REAL, random)
    ]
    sample = pooled([scores(make_maps(*parts)) for parts in real])
    if min(raw.shape) < LEAST_SIDE:
        return uncalibrated(sample, config)
    made = yield from trials(model, material, random)
    parts = []
    for number, one in enumerate(made):
        yield SHARE + (1 - SHARE) * number / len(made)
        parts.append(measured(one, model, make_maps(one.raw, one.enhanced)))
    if not any(one.right.any() for one in parts):
        return uncalibrated(sample, config)
    judged = [
        judge(one.raw, one.enhanced, one.truth)
        for one in made
        if judge is not None and material.translate is not None
    ]
    unlike = likeness(
        [finite(one.raw.read())[0] for one in made],
        [finite(low.read())[0] for low, _ in real],
    )
    warnings = tuple(unlike.warnings) if material.rung > 1 else ()
    found = _calibrated(parts, sample, judged, material.rung, config, random)
    remarks = (*found.fit.remarks, *warnings)
    fit = found.fit.model_copy(update={"remarks": remarks})
    return replace(found, fit=fit, warnings=warnings)


def _calibrated(
    parts: Sequence[Measured],
    sample: Maps,
    judged: Sequence[Judged],
    rung: Rung,
    config: InspectConfig,
    random: np.random.Generator,
) -> Calibration:
    values = pooled([one.scores for one in parts], [one.right for one in parts])
    nulls = {name: Null.of(one, random) for name, one in values.items()}
    fusion = fitted_fusion(parts, nulls, random)
    maps = [suspicion(one.scores, nulls, fusion, most=2 * MOST) for one in parts]
    alarms = _alarms(maps, parts)
    rate = config.false_alarms / CUBE
    reached = alarms.realised(rate)
    trust, about = trusted(maps, parts)
    threshold, realised, doubt = confirmation(judged, config.alpha)
    as_wide, wider = widened(nulls, pooled([one.scores for one in parts]), sample)
    volumes = len({one.volume for one in parts})
    basis = RUNGS[rung].format(n=len(parts), volumes=volumes)
    fit = CalibrationFit(
        rung=rung,
        alpha=config.alpha,
        threshold=threshold,
        n=len(parts),
        nulls=max(one.values.size for one in nulls.values()),
        realised=realised,
        false_alarms=None if reached is None else 1e6 * reached,
        remarks=tuple(one for one in (basis, about, doubt, wider) if one),
    )
    high = float(np.clip(alarms.threshold(rate), LOW, MOST))
    return Calibration(fit, as_wide, fusion, high, trust)


def _alarms(maps: Sequence[NDArray[np.float32]], parts: Sequence[Measured]) -> Alarms:
    return Alarms(
        tuple(
            region_peaks(one, part.right, LOW)
            for one, part in zip(maps, parts, strict=True)
        ),
        tuple(int(part.right.sum()) for part in parts),
    )


def uncalibrated(sample: Maps, config: InspectConfig) -> Calibration:
    """Robust deviations of the inspected volume itself."""
    fit = CalibrationFit(
        rung=5,
        alpha=config.alpha,
        threshold=float(stats.norm.isf(config.alpha)),
        remarks=(RUNGS[5],),
    )
    return Calibration(
        fit,
        {name: Normal.of(one, name == "residual") for name, one in sample.items()},
        warnings=(
            "the suspicion is not calibrated: no part of the volume can be tried",
        ),
    )
