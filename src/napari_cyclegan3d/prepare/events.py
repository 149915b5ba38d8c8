"""What a preparation tells its caller, in order of time."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_cyclegan3d.engine.events import Warned
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare.records import Kept, Record

__all__ = ["Applied", "Event", "Noted", "PrepareDone", "Saved", "Warned", "Working"]


@dataclass(frozen=True)
class Working:
    """So much of the work is done, from 0 to 1; `text` says what is being done."""

    fraction: float
    text: str


@dataclass(frozen=True)
class Noted:
    """Which slices a step has kept; `prepared` writes it down and passes it to nobody.

    Attributes:
        kept: The slices.
    """

    kept: Kept


@dataclass(frozen=True, eq=False)
class PrepareDone:
    """The step is done, the last event of `prepared`.

    Attributes:
        volume: The prepared volume; `metadata["prepared"]` holds all its records.
            Most steps compute its voxels as they are read.
        record: What was done in this step.
    """

    volume: Volume
    record: Record


@dataclass(frozen=True)
class Saved:
    """The volume is in its file, and its records beside it: the last event of `save`.

    Attributes:
        path: The file of the volume.
        records: The file of its records.
    """

    path: Path
    records: Path


Event = Working | Warned | Noted | PrepareDone | Saved
Applied = Generator[Event, None, Volume]
Partner = Literal["none", "optional", "required"]
