"""From the values of the maps to one p-value per voxel that something is wrong there.

Each map gets a right-tail p-value from its null, the values that it has where nothing
is wrong. The Cauchy rule combines them: it holds however the maps depend on each other
(Liu & Xie 2020, doi 10.1080/01621459.2018.1554485).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination.fusion import Fusion
from napari_cyclegan3d.engine.hallucination.nulls import Normal, Null, Tail, voxel_p

__all__ = ["WEIGHTS", "Normal", "Null", "Tail", "cauchy", "scores", "suspicion"]

Values = NDArray[Any]
Numbers = NDArray[np.float64]

# prior_only says what the raw volume cannot tell; alone it raises no suspicion
WEIGHTS = {
    "evidence": 3.0,
    "residual": 2.0,
    "instability": 2.0,
    "rse": 1.0,
    "cycle": 1.0,
    "realism": 0.5,
}
MOST = 6.0
# a p of 1, as where a map has not been painted, must not outweigh all other maps
MOST_P = 0.99


def cauchy(ps: Sequence[Values], weights: Sequence[float]) -> Numbers:
    """Combine p-values by the Cauchy rule.

    Args:
        ps: Of equal shapes, 0 to 1; the tests may depend on each other.
        weights: Of each, positive.
    """
    total = float(sum(weights))
    statistic = sum(
        weight / total / np.tan(np.pi * np.clip(p, 1e-300, MOST_P))
        for p, weight in zip(ps, weights, strict=True)
    )
    # equals 0.5 − atan(statistic) / π, and keeps its digits where p is tiny
    combined: Numbers = np.arctan2(1.0, statistic) / np.pi
    return combined


def scores(maps: Mapping[str, Values]) -> dict[str, Values]:
    """The maps that raise suspicion, each so that larger is more suspicious.

    Args:
        maps: By name. `residual` is signed. Where no `evidence` is given, it follows
            from `support` and `power`: deviations that an object falls short of what
            it would show if it were real.
    """
    found = {name: maps[name] for name in WEIGHTS if name in maps}
    if "residual" in found:
        found["residual"] = np.abs(found["residual"])
    if "evidence" not in found and "support" in maps and "power" in maps:
        found["evidence"] = maps["power"] * (1 - maps["support"])
    return found


def suspicion(
    maps: Mapping[str, Values],
    nulls: Mapping[str, Tail],
    fusion: Fusion | None = None,
    most: float = MOST,
) -> NDArray[np.float32]:
    """−log10 of the p-value that nothing is wrong at a voxel, 0 to `most`.

    Args:
        maps: By name, of equal shapes; see `scores`.
        nulls: Of the scores, by name; maps that have none are left out.
        fusion: What was learnt from known errors; it takes the place of its maps in the
            Cauchy rule.
        most: Where to end.

    Raises:
        ValueError: No map has a null.
    """
    given = {
        name: voxel_p(nulls[name], values)
        for name, values in scores(maps).items()
        if name in nulls
    }
    if not given:
        raise ValueError(f"none of the maps {', '.join(maps)} has a null")
    ps = dict(given)
    weights = {name: WEIGHTS[name] for name in given}
    if fusion is not None and fusion.names <= given.keys():
        # maps that the fusion does not know, as those of repetitions, still count
        for name in fusion.names:
            del ps[name]
        ps["fused"] = fusion.p(given)
        weights["fused"] = sum(WEIGHTS[name] for name in fusion.names)
    p = cauchy(list(ps.values()), [weights[name] for name in ps])
    return np.clip(-np.log10(p), 0.0, most).astype(np.float32)
