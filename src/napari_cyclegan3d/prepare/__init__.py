"""What is done to volumes before a training: steps, their records, pairs, splits.

from napari_cyclegan3d import prepare

head = prepare.opened("sub-01_T1w.nii.gz")
head = prepare.run(head, "n4", shrink=4)
prepare.write(head, "sub-01_n4.nii.gz")
"""

from typing import Any

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare.events import (
    Event,
    PrepareDone,
    Saved,
    Warned,
    Working,
)
from napari_cyclegan3d.prepare.records import Record, opened, read_records, records_path
from napari_cyclegan3d.prepare.saving import save, write
from napari_cyclegan3d.prepare.steps import STEPS, Step, prepared

__all__ = [
    "STEPS",
    "Event",
    "PrepareDone",
    "Record",
    "Saved",
    "Step",
    "Warned",
    "Working",
    "opened",
    "prepared",
    "read_records",
    "records_path",
    "run",
    "save",
    "write",
]


def run(
    volume: Volume, step: str, partner: Volume | None = None, **settings: Any
) -> Volume:
    """Do one step and give its result.

    Args:
        volume: The volume; it stays as it is.
        step: Name of the step, see `STEPS`.
        partner: The second volume, where the step takes one.
        settings: Those of the step that differ from its defaults.

    Returns:
        The prepared volume; most steps compute its voxels as they are read.

    Raises:
        InputError: The step, a setting or the volume cannot be used.
    """
    if step not in STEPS:
        raise InputError(f"step {step!r}: there is none; known are {', '.join(STEPS)}")
    events = prepared(volume, step, parse(STEPS[step].settings, settings), partner)
    *_, last = events
    assert isinstance(last, PrepareDone)
    return last.volume
