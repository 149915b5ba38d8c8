"""The steps before a training, by name: what they take and what they do.

`prepared` runs one of them and writes down what was done. A step gets a volume, its
settings and, where it needs one, a second volume; it yields what it is at and returns
the prepared volume. Geometry stays right in the world, and every grid can be gone back
to by the step `undo`.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Literal

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import Settings
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.origins import without_origin
from napari_cyclegan3d.prepare import (
    bias,
    degrading,
    grids,
    margins,
    masks,
    matching,
    options,
    slicing,
    undoing,
)
from napari_cyclegan3d.prepare.events import (
    Applied,
    Event,
    Noted,
    PrepareDone,
    Warned,
)
from napari_cyclegan3d.prepare.records import Kept, record_of


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: As in commands and records.
        title: As in menus.
        help: One sentence.
        settings: Its settings; all of them have defaults.
        partner: Whether it takes a second volume.
        partner_is: What the second volume is; empty if there is none.
        apply: Does it: yields what it is at, returns the prepared volume.
    """

    name: str
    title: str
    help: str
    settings: type[Settings]
    apply: Callable[[Volume, Any, Volume | None], Applied]
    partner: Literal["none", "optional", "required"] = "none"
    partner_is: str = ""


_ALL = (
    Step(
        "n4",
        "Correct the bias field (N4)",
        "Remove slow changes of brightness that come from the coil, not the patient.",
        options.N4Settings,
        bias.n4,
        "optional",
        "mask",
    ),
    Step(
        "brain-mask",
        "Find the brain (mask)",
        "Make a mask of the brain with HD-BET, or a rough one by a threshold.",
        options.BrainMaskSettings,
        masks.brain_mask,
    ),
    Step(
        "mask",
        "Apply a mask",
        "Set what is outside of a mask, on the same or another grid, to one value.",
        options.MaskSettings,
        masks.mask,
        "required",
        "mask",
    ),
    Step(
        "resample",
        "Resample to a spacing",
        "Give the voxels another size, on the same field of view.",
        options.ResampleSettings,
        grids.resample,
    ),
    Step(
        "to-grid",
        "Resample to another volume's grid",
        "Bring the volume onto the grid of another one in the same world.",
        options.GridSettings,
        grids.to_grid,
        "required",
        "grid",
    ),
    Step(
        "pad",
        "Pad",
        "Add room around the volume, up to a multiple of a size.",
        options.PadSettings,
        margins.pad,
    ),
    Step(
        "crop",
        "Crop to content",
        "Cut off the background around the content of the volume, or of a mask.",
        options.CropSettings,
        margins.crop,
        "optional",
        "mask",
    ),
    Step(
        "slices",
        "Select slices",
        "Leave out slices that show mostly background.",
        options.SlicesSettings,
        slicing.slices,
        "optional",
        "reference",
    ),
    Step(
        "match",
        "Match grey values",
        "Change the grey values to those of a reference, in order.",
        options.MatchSettings,
        matching.match,
        "required",
        "reference",
    ),
    Step(
        "degrade",
        "Degrade",
        "Make a low-quality volume from a clean one.",
        options.DegradeSettings,
        degrading.degrade,
    ),
    Step(
        "undo",
        "Go back to an earlier grid",
        "Bring a volume back onto the grid that it, or a prepared volume, had before.",
        options.UndoSettings,
        undoing.undo,
        "optional",
        "prepared volume",
    ),
)
STEPS: dict[str, Step] = {step.name: step for step in _ALL}


def prepared(
    volume: Volume, step: str, settings: Settings, partner: Volume | None = None
) -> Iterator[Event]:
    """Do one step and write down what was done.

    Args:
        volume: The volume; it stays as it is.
        step: Name of the step.
        settings: Of the step's own class.
        partner: The second volume, where the step takes one.

    Yields:
        Working and Warned; PrepareDone as the last event.

    Raises:
        InputError: There is no such step, it needs another partner, or the volume
            cannot be used.
    """
    chosen = _chosen(step, partner)
    remarks: list[str] = []
    kept: Kept | None = None
    with closing(chosen.apply(volume, settings, partner)) as applied:
        outcome = _Outcome(applied)
        for event in outcome:
            if isinstance(event, Noted):
                kept = event.kept
                continue
            if isinstance(event, Warned):
                remarks.append(event.message)
            yield event
    result = without_origin(outcome.volume)
    record = record_of(
        step, settings, volume, result, partner, kept=kept, remarks=tuple(remarks)
    )
    history = (*volume.metadata.get("prepared", ()), record)
    metadata = {**result.metadata, "prepared": history}
    yield PrepareDone(replace(result, metadata=metadata), record)


def _chosen(name: str, partner: Volume | None) -> Step:
    """The step of a name, which the partner suits."""
    step = STEPS.get(name)
    if step is None:
        raise InputError(f"step {name!r}: there is none; known are {', '.join(STEPS)}")
    if step.partner == "required" and partner is None:
        raise InputError(
            f"{name}: needs a second volume, the {step.partner_is}; give one"
        )
    if step.partner == "none" and partner is not None:
        raise InputError(f"{name}: takes no second volume; leave out {partner.name}")
    return step


class _Outcome:
    """The events of a step, and after them the volume that it returned."""

    volume: Volume

    def __init__(self, applied: Applied) -> None:
        self._applied = applied

    def __iter__(self) -> Iterator[Event]:
        self.volume = yield from self._applied
