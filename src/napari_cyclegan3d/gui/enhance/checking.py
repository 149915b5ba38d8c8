"""A result is inspected at once: quickly, by the two volumes alone."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.hallucination.events import (
    InspectDone,
    Working,
)
from napari_cyclegan3d.engine.hallucination.inspection import inspect
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.enhance.task import Result, Task
from napari_cyclegan3d.gui.inspect.opening import open_inspect
from napari_cyclegan3d.gui.inspect.words import suspicious, tally
from napari_cyclegan3d.gui.worker import failure_of
from napari_cyclegan3d.io.origins import without_origin

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_cyclegan3d.gui.enhance.dock import EnhanceDock


def inspected(
    task: Task, result: Result, volumes: Sequence[Volume]
) -> Iterator[Working]:
    """Note in a result what was found, or why it could not be inspected.

    Args:
        task: The enhancement.
        result: It is complete.
        volumes: What was enhanced.
    """
    if len(result.start) > 3:
        result.remark = "a series is not inspected; take one of its frames"
        return
    raw = volumes[0]
    try:
        made = _made(result, raw)
        config = InspectConfig(mode="quick", enhance=task.config)
        with closing(inspect(raw, made, config=config)) as events:  # type: ignore[type-var]
            for event in events:
                if isinstance(event, InspectDone):
                    result.inspected = event.inspected
                elif isinstance(event, Working):
                    yield event
    except Exception as error:  # noqa: BLE001 - the result must not go with it
        result.remark = f"not inspected: {failure_of(error).message}"


def _made(result: Result, raw: Volume) -> Volume:
    """The result as a volume, which has not come from the file of its source."""
    if result.data is None:
        return io.read(result.paths[0])
    made = without_origin(raw.resampled(result.data, result.scale))
    return replace(made, name=f"{raw.name} enhanced")


def found(result: Result) -> str:
    """What is told of the inspection of a result, after a semicolon."""
    if result.inspected is None:
        return f"; {result.remark}" if result.remark else ""
    number = suspicious(result.inspected.inspection)
    return f"; {number} suspicious structures" if number else "; nothing was flagged"


def offer_inspection(dock: "EnhanceDock", result: Result, made: "Image") -> None:
    """Let the user look at what was found in a result.

    Args:
        dock: Where it is offered.
        result: It may have been inspected.
        made: Its layer.
    """
    inspection, raw, viewer = result.inspected, result.layer, dock.viewer
    if inspection is None or raw is None:
        return

    def look() -> None:
        if raw in viewer.layers and made in viewer.layers:
            open_inspect(viewer).show_inspection(inspection, raw, made)

    dock.offer.make(f"{made.name}: {tally(inspection.inspection)}.", "Look", look)
