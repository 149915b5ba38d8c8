"""All frames of a file prepared into one file, with one history beside it."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.settings import Settings
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.series import check_series, create_series
from napari_cyclegan3d.prepare.events import (
    Event,
    PrepareDone,
    Saved,
    Warned,
    Working,
)
from napari_cyclegan3d.prepare.records import Record, records_path, to_json
from napari_cyclegan3d.prepare.saving import check_new
from napari_cyclegan3d.prepare.steps import prepared

PLACE = ("files", "dataset", "region")


def is_whole_series(volumes: Sequence[Volume]) -> bool:
    """Whether volumes are all frames of one file, or one part of all of them."""
    told = [volume.metadata for volume in volumes]
    same = all(one.get(key) == told[0].get(key) for one in told[1:] for key in PLACE)
    count = told[0]["series"].count if "series" in told[0] else 1
    return same and count > 1 and [one.get("frame") for one in told] == [*range(count)]


def prepared_series(
    frames: Sequence[Volume],
    step: str,
    settings: Settings,
    partners: Sequence[Volume | None],
    path: Path,
    *,
    overwrite: bool = False,
) -> Iterator[Event]:
    """Do one step with each frame and write all into one file, one after the other.

    Args:
        frames: All frames of a file.
        step: Name of the step.
        settings: Of the step's own class.
        partners: The second volume for each frame, where the step takes one.
        path: The file; its suffix decides on the format.
        overwrite: Replace what is there.

    Yields:
        Working and Warned; Saved as the last event.

    Raises:
        InputError: As `prepared` and `save`, or the frames become different; what was
            at the path is unchanged.
    """
    check_new(path, overwrite=overwrite)
    check_series(path, len(frames))
    work = _Work(frames, step, settings, partners)
    first = yield from work.done(0)
    told = {"series": frames[0].metadata["series"]}
    planned = replace(first, metadata={**first.metadata, **told})
    beside = records_path(path)
    with (
        atomic_path(beside) as temporary,
        create_series(planned, len(frames), path) as sinks,
    ):
        for number, sink in enumerate(sinks):
            result = first
            if number:
                result = yield from work.done(number)
                _check_alike(first, result, frames[number])
            for region in sink.parts():
                yield Working((number + 0.5) / len(frames), f"writing {path.name}")
                sink[region] = result.read(region)
        records = work.records_of_all(first.metadata["prepared"])
        temporary.write_text(to_json(records), encoding="utf-8")
    yield Saved(path, beside)


@dataclass(frozen=True)
class _Work:
    """What is done with each frame, and what was warned of."""

    frames: Sequence[Volume]
    step: str
    settings: Settings
    partners: Sequence[Volume | None]
    said: list[str] = field(default_factory=list)

    def done(self, number: int) -> Generator[Event, None, Volume]:
        """The prepared frame; this is the first half of the work on it."""
        events = prepared(
            self.frames[number], self.step, self.settings, self.partners[number]
        )
        with closing(events):  # type: ignore[type-var]
            for event in events:
                match event:
                    case PrepareDone():
                        return event.volume
                    case Working():
                        done = number + event.fraction / 2
                        yield Working(done / len(self.frames), event.text)
                    case Warned():
                        self.said.append(event.message)
                        yield event
        raise AssertionError("a step ends with its volume")

    def records_of_all(self, records: tuple[Record, ...]) -> tuple[Record, ...]:
        """Those of the first frame as those of its file."""
        *before, last = records
        source = last.source.model_copy(update={"name": _file(self.frames[0])})
        changes: dict[str, Any] = {"source": source, "remarks": tuple(self.said)}
        partner = self.partners[0]
        if last.partner and partner and partner is not self.partners[-1]:
            name = {"name": _file(partner)}
            changes["partner"] = last.partner.model_copy(update=name)
        return *before, last.model_copy(update=changes)


def _check_alike(first: Volume, result: Volume, frame: Volume) -> None:
    """Refuse frames that can be in no file together, or share no history.

    Raises:
        InputError: They differ in shape, place, type or in the slices that were kept.
    """
    kept = [one.metadata["prepared"][-1].kept for one in (first, result)]
    if (
        (first.shape, first.dtype) != (result.shape, result.dtype)
        or not np.allclose(first.affine, result.affine)
        or kept[0] != kept[1]
    ):
        raise InputError(
            f"{frame.name}: becomes {result.shape} and frame 0 {first.shape} voxels, "
            "or they come from other places; give a folder for files of their own, or "
            f"prepare one, as in {frame.name}"
        )


def _file(frame: Volume) -> str:
    """The name of the file that a frame is in."""
    return frame.name.rpartition("::")[0] or frame.name
