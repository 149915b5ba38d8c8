"""One volume of the natural track with a trained network."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, maximum, sum_labels

from hallucination_tracks.natural import FALSE, TRUE
from hallucination_tracks.objects import Case, NaturalTrial, judged
from hallucination_tracks.scores import Found
from hallucination_tracks.tools import found, peaks
from hallucination_tracks.trained import BLUR, generator, scans, ways
from napari_cyclegan3d.engine.checkpoint import Model, load_model
from napari_cyclegan3d.engine.hallucination.cycle import fill_cycle
from napari_cyclegan3d.engine.hallucination.evidence import evidence
from napari_cyclegan3d.engine.hallucination.maps import block_maps
from napari_cyclegan3d.engine.hallucination.objects import segment
from napari_cyclegan3d.engine.hallucination.passes import run_through
from napari_cyclegan3d.engine.hallucination.store import new_map
from napari_cyclegan3d.engine.volume import Volume

STRUCTURE = 0.3  # of the contrast: what is fainter in the truth is no structure


@dataclass(frozen=True, eq=False)
class TrainedTrial:
    """What a trained network did to a volume, and what was found of it.

    Attributes:
        objects: Of the result.
        lost: Structures of the truth that the result hardly has, and the findings of
            the search for what is missing.
        lost_share: Of the truth's structures, the share that is lost.
        contrast: Of the result's structures over that of the truth, where both are.
        gap: Hardened over plain cycle error.
        copied: Correlation of the cycle's detail with the scan's noise: 0 where nothing
            of it is carried through.
    """

    objects: NaturalTrial
    lost: Found
    lost_share: float
    contrast: float
    gap: float
    copied: float


@lru_cache(maxsize=2)
def _loaded(path: Path) -> Model:
    return load_model(path)


def on_trained(seed: int, path: Path) -> TrainedTrial:
    """One volume that the model at `path` has not seen."""
    model = _loaded(path)
    case = Case.of(scans(seed), generator(model))
    contrast = _contrast(case)
    lost, share = _lost(case, contrast)
    gap, copied = _cycled(case, model)
    objects = judged(case, seed)
    return TrainedTrial(objects, lost, share, contrast, gap, copied)


def _contrast(case: Case) -> float:
    there = case.truth > 0.9
    above = case.enhanced[there] - np.median(case.enhanced)
    return float(np.percentile(above, 75))


def _lost(case: Case, contrast: float) -> tuple[Found, float]:
    """What the result lacks, as the search for it finds it, and how much that is."""
    tools = case.tools
    fits = (tools.operator, tools.noise, tools.constants)
    labels = segment(case.truth, replace(tools.constants, threshold=STRUCTURE))
    numbers = np.arange(1, labels.max() + 1)
    shown = case.truth * (case.enhanced - np.median(case.enhanced))
    share = sum_labels(shown, labels, numbers) / contrast
    share = share / sum_labels(case.truth**2, labels, numbers)
    lost = share < FALSE
    tests = evidence(labels, case.truth * np.float32(contrast), case.raw, *fits)
    powers = [test.power for test, gone in zip(tests, lost, strict=True) if gone]
    # what is partly there counts as neither: its number is none of those that are lost
    names = np.where(lost, np.cumsum(lost), np.where(share < TRUE, len(powers) + 1, 0))
    named = np.concatenate([[0], names])[labels].astype(np.int32)
    residual = block_maps(case.raw, case.enhanced, *fits)["residual"]
    alarms = peaks(residual, named, []).alarms()
    numbers = np.arange(1, len(powers) + 1)
    best = maximum(residual, named, numbers) if powers else np.zeros(0)
    # whatever the map shows within a lost structure, next to others that lack as well
    scores = np.concatenate([alarms, best])
    hits = np.concatenate([np.full(len(alarms), -1), numbers])
    return found(scores, hits, powers), float(np.mean(lost))


def _cycled(case: Case, model: Model) -> tuple[float, float]:
    """The alarm's ratio, and how much of the scan's noise the cycle carries through."""
    back = ways(model)[1]
    raw, enhanced = Volume(case.raw), Volume(case.enhanced)
    side = max(case.raw.shape)
    steps = fill_cycle(new_map(raw.shape), raw, enhanced, back, case.tools.noise, side)
    gap = run_through(steps)
    detail = run_through(back(enhanced)).read() - case.tools.operator.apply(
        case.enhanced
    )
    noise = case.raw - gaussian_filter(case.truth, BLUR)
    return gap, float(np.corrcoef(detail.ravel(), noise.ravel())[0, 1])
