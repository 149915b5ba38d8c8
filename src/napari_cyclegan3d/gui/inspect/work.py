"""Inspecting, saving and loading, off the GUI thread. All of these are generators."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_cyclegan3d.engine.checkpoint import Model, load_model
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.events import Warned
from napari_cyclegan3d.engine.hallucination.events import (
    InspectDone,
    Inspected,
    InspectEvent,
    Working,
)
from napari_cyclegan3d.engine.hallucination.facts import model_facts
from napari_cyclegan3d.engine.hallucination.findings import Inspection
from napari_cyclegan3d.engine.hallucination.inspection import Known, inspect
from napari_cyclegan3d.engine.hallucination.passes import networks_of
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.memory import release_memory
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.exchange.importing import can_import, read_foreign
from napari_cyclegan3d.gui.inspect.kept import keep, kept_path, recalled
from napari_cyclegan3d.inspection import load, save, update_reviews


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be inspected.

    Attributes:
        raw: The volume that was enhanced.
        enhanced: What a network made of it.
        model: The model's file; None: only the two volumes are compared.
        sha256: Of the weights that were used; empty: not known.
        truth: The true volume, on the grid of the enhanced one.
        second: Another scan of the same object, on the grid of the raw one.
        config: Settings.
        folder: Where decisions are kept that no report keeps.
    """

    raw: Volume
    enhanced: Volume
    model: Path | None
    sha256: str
    truth: Volume | None
    second: Volume | None
    config: InspectConfig
    folder: Path


@dataclass(frozen=True)
class Saved:
    """A report was written, or what was decided since.

    Attributes:
        folder: Of the report; None: it was the decisions alone.
    """

    folder: Path | None


@dataclass(frozen=True, eq=False)
class Loaded:
    """A report was read: the inspection, and its inspection.json."""

    inspected: Inspected
    path: Path


def run(task: Task) -> Iterator[InspectEvent]:
    """Inspect; what was decided before about the same volumes is in the result.

    Raises:
        InputError: A volume, the model or the settings cannot be used.
        MemoryShortageError: There is too little memory.
    """
    model: Model | None = None
    try:
        if task.model is not None:
            yield Working("reading the model", 0.0)
            model = _model(task.model)
            if task.sha256 and model_facts(model).sha256 != task.sha256:
                yield Warned(
                    f"{task.model.name} has changed since it made "
                    f"{task.enhanced.name}; enhance again, or choose the model that "
                    "made it"
                )
        networks = networks_of(model, task.config.enhance) if model else None
        known = Known(task.truth, task.second)
        events = inspect(task.raw, task.enhanced, networks, known, task.config)
        for event in events:
            if isinstance(event, InspectDone):
                yield from with_decisions(event.inspected, task.folder)
            else:
                yield event
    finally:
        if model is not None:
            for network in model.networks.values():
                network.to("cpu")
        release_memory()


def _model(path: Path) -> Model:
    """A model file, or one of another program, which needs none for an inspection."""
    return read_foreign(path).model if can_import(path) else load_model(path)


def export(
    inspected: Inspected,
    raw: Volume,
    enhanced: Volume,
    truth: Volume | None,
    folder: Path,
) -> Iterator[Saved]:
    """Write a report into a folder that does not exist yet.

    Raises:
        InputError: It could not be written.
    """
    save(inspected, raw, enhanced, folder, truth=truth)
    yield Saved(folder)


def reload(path: Path) -> Iterator[Loaded]:
    """Read a report.

    Args:
        path: Its folder or its inspection.json.

    Raises:
        InputError: It is none.
    """
    report = load(path)
    if report.labels is None:
        raise InputError(
            f"{report.record}: has no regions beside it; open it in the folder of its "
            "report"
        )
    inspected = Inspected(report.inspection, report.maps, report.labels)
    yield Loaded(inspected, report.record)


def write_decisions(
    inspection: Inspection, report: Path | None, folder: Path
) -> Iterator[Saved]:
    """Write down what was decided: into a report, or else into a folder for that.

    Raises:
        InputError: It could not be written.
    """
    if report is not None:
        update_reviews(report, inspection.findings)
    else:
        keep(kept_path(folder, inspection), inspection)
    yield Saved(None)


def with_decisions(inspected: Inspected, folder: Path) -> Iterator[InspectDone]:
    """An inspection with what was decided before about the same volumes."""
    path = kept_path(folder, inspected.inspection)
    yield InspectDone(recalled(path, inspected))
