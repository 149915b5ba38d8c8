"""What was done to a volume before, as lines."""

from typing import Any

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.layers import to_volume
from napari_cyclegan3d.gui.prepare.task import Grey
from napari_cyclegan3d.prepare.records import Record
from napari_cyclegan3d.prepare.steps import STEPS


def records_of(layer: Grey | None) -> tuple[Record, ...]:
    """The records of a layer's volume, the first step first; no file is read."""
    if layer is None:
        return ()
    try:
        volume = to_volume(layer, 0)
    except InputError:
        return ()
    records: tuple[Record, ...] = volume.metadata.get("prepared", ())
    return records


def lines(records: tuple[Record, ...]) -> str:
    """One line for each step, and below it what it remarked."""
    told = []
    for number, record in enumerate(records, 1):
        title = STEPS[record.step].title if record.step in STEPS else record.step
        changed = _changed(record)
        told.append(f"{number}. {title}{f' ({changed})' if changed else ''}")
        told += [f"    {remark}" for remark in record.remarks]
    return "\n".join(told)


def _changed(record: Record) -> str:
    """The settings that are not as they are by default; the new shape."""
    kind = STEPS[record.step].settings if record.step in STEPS else None
    usual: dict[str, Any] = kind().model_dump(mode="json") if kind else {}
    parts = [
        f"{name} {_short(value)}"
        for name, value in record.settings.items()
        if name not in usual or value != usual[name]
    ]
    if record.before.shape != record.after.shape:
        parts.append(" × ".join(map(str, record.after.shape)))
    return ", ".join(parts)


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " × ".join(_short(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
