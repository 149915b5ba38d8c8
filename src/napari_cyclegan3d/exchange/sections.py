"""The parts of a model card, as Markdown."""

import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from napari_cyclegan3d.engine.checkpoint import Direction, Model
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.settings import to_yaml
from napari_cyclegan3d.exchange.graph import Outgoing
from napari_cyclegan3d.exchange.runs import Rows, Run
from napari_cyclegan3d.exchange.sizes import sizes_of

MOST_NAMES = 20
WAYS: dict[Direction, str] = {"a_to_b": "A → B", "b_to_a": "B → A"}


def plain(text: str) -> str:
    """A text of a stranger's file as one line without the signs of Markdown."""
    kept = "".join(sign if sign.isprintable() else " " for sign in text)
    return "".join(f"\\{sign}" if sign in "\\`*[]<>|#!" else sign for sign in kept)


def overview(model: Model, outgoing: Outgoing | None) -> str:
    """What it is, in a sentence and a table."""
    header, config = model.header, model.header.config
    origin, kind = header.provenance, header.config.generator
    does = "enlarges images" if config.method == "srgan" else "translates images"
    here = f"; this file goes from {WAYS[outgoing.direction]}" if outgoing else ""
    size = "the same size" if header.scale == 1 else f"{header.scale} times the size"
    number = sum(one.numel() for one in model.a_to_b.parameters())
    return (
        f"A {config.dims}D network that {does} of domain A to domain B at "
        f"{size}{here}.\n\n"
        + table(
            ("", ""),
            [
                ("method", config.method),
                ("generator", f"{kind.kind}, norm {kind.norm}, {number:,} weights"),
                ("directions", ", ".join(WAYS[one] for one in _ways(model))),
                ("training", f"{origin.steps} of {config.steps} steps"),
                ("date", plain(origin.date or "not known")),
            ],
        )
    )


def data(model: Model) -> str:
    """What it was trained on."""
    origin = model.header.provenance
    sides = (
        ("A", origin.volumes_a, origin.spacing_a, origin.unit_a),
        ("B", origin.volumes_b, origin.spacing_b, origin.unit_b),
    )
    rows = [
        (
            name,
            _names(volumes) or "made from B",
            f"{' × '.join(f'{one:g}' for one in spacing)} {plain(unit)} (z, y, x)",
        )
        for name, volumes, spacing, unit in sides
    ]
    return table(("domain", "volumes", "voxel size"), rows)


def use(model: Model, outgoing: Outgoing | None) -> str:
    """How it is used: command, grey values, sizes."""
    header = model.header
    rows = []
    for way in _ways(model):
        sizes = sizes_of(model.generator(way))
        rows.append(
            (WAYS[way], str(model.scale(way)), str(sizes.step), str(sizes.seen))
        )
    command = "napari-cyclegan3d enhance"
    name = "model.safetensors" if outgoing else f"{plain(model.name)}.safetensors"
    return "\n\n".join(
        (
            f"```\n{command} VOLUME --model {name} -o OUT.ome.zarr\n```",
            _grey(header.config, header.intensity_a, header.intensity_b),
            table(("direction", "scale", "multiple of", "sees beyond a tile"), rows),
            "Sides are padded to the multiple, and tiles read beyond their borders "
            "what the network sees; all in voxels of the input.",
        )
    )


def settings(model: Model) -> str:
    """The settings that differ from the defaults."""
    mine = _leaves(model.header.config.model_dump(mode="json"))
    usual = _leaves(TrainConfig().model_dump(mode="json"))
    rows = [
        (f"`{key}`", plain(str(value)), plain(str(usual[key])))
        for key, value in mine.items()
        if value != usual[key]
    ]
    if not rows:
        return "All settings are the defaults."
    return table(("setting", "value", "default"), rows)


def all_settings(model: Model) -> str:
    """All settings, as YAML."""
    return f"```yaml\n{to_yaml(model.header.config)}```"


def validation(model: Model, run: Run | None) -> str:
    """Scores on volumes that it was not trained on."""
    origin = model.header.provenance
    scores = run.scores if run else {}
    if not scores:
        if origin.score is None:
            return "It was not scored on volumes that it was not trained on."
        return f"Score at its step: {origin.score:.4g} (higher is better)."
    names = _names(run.held_out) if run else ""
    last = _row_at(scores, origin.steps)
    best = max(
        range(len(scores["step"])), key=lambda i: _order(float(scores["score"][i]))
    )
    rows = [
        (name, f"{scores[name][last]:.4g}", f"{scores[name][best]:.4g}")
        for name in scores
    ]
    said = f"On patches of {names or 'volumes'} that it was not trained on:"
    return f"{said}\n\n" + table(("", "this model", "best of the training"), rows)


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table of Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ways(model: Model) -> list[Direction]:
    return [way for way in WAYS if way == "a_to_b" or model.b_to_a is not None]


def _names(names: tuple[str, ...] | list[str]) -> str:
    # folders of a disk tell nothing to others
    short = [plain(PurePath(name).name) for name in names[:MOST_NAMES]]
    more = len(names) - len(short)
    return ", ".join(short) + (f" and {more} more" if more else "")


def _grey(config: TrainConfig, a: Intensity, b: Intensity) -> str:
    rule = config.intensity
    if rule.scope == "volume":
        numbers = f"A is normalised volume by volume ({rule.method})"
        return f"{numbers}; B is about {b.offset:.4g} ± {b.gain:.4g}."
    return (
        f"Grey values ({rule.method} over each domain): A about {a.offset:.4g} ± "
        f"{a.gain:.4g}, B about {b.offset:.4g} ± {b.gain:.4g}."
    )


def _leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _row_at(rows: Rows, step: int) -> int:
    """The last row up to a step; the first one if all are later."""
    return max(0, int((rows["step"] <= step).sum()) - 1)


def _order(score: float) -> float:
    return score if math.isfinite(score) else -math.inf
