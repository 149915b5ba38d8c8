"""What an inspection tells its caller, in order of time."""

from collections.abc import Mapping
from dataclasses import dataclass

from napari_cyclegan3d.engine.events import Warned
from napari_cyclegan3d.engine.hallucination.findings import Inspection
from napari_cyclegan3d.engine.volume import Volume

__all__ = ["InspectDone", "InspectEvent", "InspectStarted", "Inspected", "Working"]


@dataclass(frozen=True)
class InspectStarted:
    """The plan: passes of networks, and about how long it takes.

    Attributes:
        passes: Beyond the enhancement itself.
        seconds: A rough guess from a short trial; None: not known.
    """

    passes: int
    seconds: float | None


@dataclass(frozen=True)
class Working:
    """`share` (0 to 1) of everything is done; `stage` says what is being done."""

    stage: str
    share: float


@dataclass(frozen=True, eq=False)
class Inspected:
    """An inspection with its voxels.

    Attributes:
        inspection: All that it says.
        maps: By name, on the grid of the raw volume: suspicion (0 to 6), residual
            (signed z; negative: invented, positive: missing), difference (what the raw
            volume has more, in grey values of the enhanced one), rse, prior_only (0 to
            1), support (0 to 1.5), power (d′ in a moving window), instability, cycle,
            realism; the last three need passes of networks. With ground truth also
            error (enhanced − truth, in grey values of the enhanced volume, on its
            grid).
        labels: The findings, by their id, on the grid of the enhanced volume; int32.
    """

    inspection: Inspection
    maps: Mapping[str, Volume]
    labels: Volume


@dataclass(frozen=True, eq=False)
class InspectDone:
    """The end."""

    inspected: Inspected


InspectEvent = InspectStarted | Warned | Working | InspectDone
