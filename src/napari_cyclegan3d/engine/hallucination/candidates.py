"""What may come onto the list: objects, what is missing, other suspicious places."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination.findings import Kind, Verdict
from napari_cyclegan3d.engine.hallucination.gathering import Objects
from napari_cyclegan3d.engine.hallucination.nulls import Tail
from napari_cyclegan3d.engine.hallucination.regions import Regions
from napari_cyclegan3d.engine.hallucination.tally import Tally
from napari_cyclegan3d.engine.hallucination.verdicts import Judgement

# deviations of the discriminator's verdict that make an artefact, where the residual
# has none
UNREAL, QUIET = 3.0, 3.0
LEAST_P = 1e-300
# of the contrast of structures: what differs by less is no structure
SLIGHT = 0.3
# odds for each unit of height, where p has come to its end
TIES = 1e-6

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Parts of the volume of one sort; rows are by label − 1.

    Attributes:
        labels: On the raw grid or the enhanced one.
        tally: Sums of maps over them, on the grid of `labels`.
        times: Enhanced voxels per voxel of that grid, along an axis.
        centre: A voxel (z, y, x) of the enhanced grid in each.
        kind: A `Kind` each.
        verdict: A `Verdict` each.
        p: Of the hypothesis that nothing is wrong.
        tests: How many such hypotheses were looked at.
        odds: log10 of how much better it explains the data that something is wrong.
        columns: Further values by the name of their field of `Finding`.
    """

    labels: NDArray[np.int32]
    tally: Tally
    times: int
    centre: NDArray[np.int64]
    kind: NDArray[Any]
    verdict: NDArray[Any]
    p: Numbers
    tests: float
    odds: Numbers
    columns: Mapping[str, Numbers] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.p)


def of_objects(objects: Objects, judgement: Judgement, tally: Tally) -> Candidates:
    """Objects of the enhanced volume; each may be invented.

    Args:
        objects: All of them.
        judgement: On them.
        tally: Of all maps over them, as from `tally_objects`.
    """
    evidence = judgement.evidence
    own = objects.score / np.maximum(objects.energy, 1e-12)
    return Candidates(
        labels=objects.labels,
        tally=tally,
        times=1,
        centre=objects.centre.astype(np.int64),
        kind=_same("inserted", len(objects)),
        verdict=judgement.verdict,
        p=judgement.p,
        tests=len(objects),
        odds=judgement.odds,
        columns={
            "power": evidence.power,
            "confirmation": evidence.confirmation,
            "support": evidence.support,
            "support_low": evidence.support - evidence.margin,
            "support_high": evidence.support + evidence.margin,
            "contrast_enhanced": objects.contrast,
            "contrast_raw": objects.contrast * own,
        },
    )


@dataclass(frozen=True)
class Looked:
    """Where regions were looked for.

    Attributes:
        scale: Enhanced size over raw size.
        tests: Places of the volume at which there could be one.
        typical: Contrast of the enhanced volume's structures: what is far fainter is
            no structure, but a grey value that was changed. 0: there are none.
    """

    scale: int
    tests: float
    typical: float

    def slight(self, found: Regions) -> NDArray[np.bool_]:
        """Which regions differ by less than structures do, by the map "difference"."""
        contrast = _contrast(found)
        if contrast is None:
            return np.zeros(found.tally.count, np.bool_)
        return np.asarray(np.abs(contrast) < SLIGHT * self.typical)


def of_missing(missing: Regions, tail: Tail, looked: Looked) -> Candidates:
    """What the raw volume has and the enhanced one lacks.

    Args:
        missing: Regions of the residual, where it is positive.
        tail: Of the residual's magnitude where nothing is wrong.
        looked: Where.
    """
    count = missing.tally.count
    p = tail.p(_highest(missing))
    kind, verdict = _same("deleted", count), _same("missing", count)
    return _of_regions(missing, p, kind, verdict, looked)


def of_suspects(suspects: Regions, threshold: float, looked: Looked) -> Candidates:
    """Other places that are suspicious.

    Args:
        suspects: Regions of the suspicion; with "residual", and "realism" if there is.
        threshold: Magnitude of the residual that contradicts the enhanced volume.
        looked: Where.
    """
    tally = suspects.tally
    count = tally.count
    residual = extreme(tally, "residual") if count else np.zeros(0)
    unreal = tally.largest.get("realism", np.zeros(count)) >= UNREAL
    kind = np.where(
        unreal & (np.abs(residual) < QUIET),
        _same("artefact", count),
        _same("changed", count),
    )
    verdict = np.where(
        np.abs(residual) >= threshold,
        _same("contradicted", count),
        _same("uncontradicted", count),
    )
    return _of_regions(suspects, 10.0 ** -_highest(suspects), kind, verdict, looked)


def extreme(tally: Tally, name: str) -> Numbers:
    """The value of a signed map that is farthest from 0, in each part."""
    low, high = tally.smallest[name], tally.largest[name]
    return np.asarray(np.where(-low > high, low, high), np.float64)


def _of_regions(
    found: Regions,
    p: Numbers,
    kind: NDArray[Any],
    verdict: NDArray[Any],
    looked: Looked,
) -> Candidates:
    # a peak was looked for everywhere
    odds = -np.log10(np.maximum(p * looked.tests, LEAST_P))
    contrast = _contrast(found)
    # certain perhaps, but a structure neither came nor went: it is a little stronger
    slight = looked.slight(found)
    return Candidates(
        labels=found.labels,
        tally=found.tally,
        times=looked.scale,
        centre=found.peak.astype(np.int64) * looked.scale + looked.scale // 2,
        kind=np.where(slight, "changed", kind),
        verdict=np.where(slight, "uncontradicted", verdict),
        p=p,
        tests=looked.tests,
        odds=np.where(slight, np.minimum(odds, 0), odds),
        columns={} if contrast is None else {"contrast_raw": contrast},
    )


def _contrast(found: Regions) -> Numbers | None:
    """What the raw volume has more where it is most, in enhanced grey values."""
    known = "difference" in found.tally.total
    return extreme(found.tally, "difference") if known else None


def _highest(found: Regions) -> Numbers:
    return np.asarray(found.tally.largest.get("height", np.zeros(0)), np.float64)


def _same(name: Kind | Verdict, count: int) -> NDArray[Any]:
    return np.full(count, name, dtype="U16")
