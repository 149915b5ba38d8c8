"""What several commands share: an option for each setting, volumes, refusals."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import (
    Settings,
    limits,
    load_yaml,
    merged,
    parse,
)
from napari_cyclegan3d.io.domains import open_frames, open_volume

__all__ = [
    "DOMAIN",
    "VOLUME",
    "WRONG_USE",
    "add_settings",
    "open_frames",
    "open_volume",
    "say_error",
    "settings_from",
]

SettingsT = TypeVar("SettingsT", bound=Settings)
WRONG_USE = 2
LIMITS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
VOLUME = (
    "a file or a folder of slices; a part: VOLUME[z0:z1,y0:y1,x0:x1]; a frame of a "
    "series: VOLUME::3"
)
DOMAIN = (
    f"{VOLUME}; or a folder of volumes, a pattern, bids:DIR?suffix=T1w, a dataset .json"
)


def say_error(message: str, code: int) -> int:
    """Print the one sentence that a command ends with; gives its exit code back."""
    print(f"error: {message}", file=sys.stderr)
    return code


def add_settings(parser: argparse.ArgumentParser, model: type[Settings]) -> None:
    """An option for each setting; help, limits and defaults come from the model."""
    parser.add_argument(
        "--config", type=Path, metavar="YAML", help="settings; options override them"
    )
    general = parser.add_argument_group("settings")
    for name, info in model.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, Settings):
            group = parser.add_argument_group(f"settings: {name}", section.__doc__)
            for leaf, leaf_info in section.model_fields.items():
                _add_setting(group, f"{name}.{leaf}", leaf_info)
        else:
            _add_setting(general, name, info)


def settings_from(
    options: argparse.Namespace, model: type[SettingsT], base: Mapping[str, Any]
) -> SettingsT:
    """Settings from `base`, the YAML file over it and the options over both.

    A mistake in them is wrong use of the command: it ends the program with code 2.
    """
    try:
        values = dict(base)
        if options.config is not None:
            values = merged(values, load_yaml(options.config))
        for dest, text in vars(options).items():
            if dest.startswith("setting:"):
                key = dest.removeprefix("setting:")
                change = _nested(key, _value(text, _annotation(model, key)))
                values = merged(values, change)
        return parse(model, values)
    except InputError as error:
        sys.exit(say_error(str(error), WRONG_USE))


def _add_setting(group: argparse._ArgumentGroup, key: str, info: FieldInfo) -> None:
    default = info.default
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    within = "".join(
        f"; {LIMITS[name]} {limit:g}" for name, limit in limits(info).items()
    )
    help_text = (
        f"{info.description} [{'automatic' if shown is None else shown}{within}]"
    )
    group.add_argument(
        f"--{key.replace('_', '-')}",
        dest=f"setting:{key}",
        metavar=_placeholder(info.annotation),
        default=argparse.SUPPRESS,
        help=help_text.replace("%", "%%"),
    )


def _placeholder(annotation: Any) -> str:
    """What to write for a value: its choices, or as many numbers as it takes."""
    kind, _ = _without_none(annotation)
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return "{" + ",".join(map(str, parts)) + "}"
    if kind is bool:
        return "{true,false}"
    if get_origin(kind) is not tuple:
        return "VALUE"
    if _is_span(parts[0]):
        return "Z0:Z1,Y0:Y1,X0:X1"
    if parts[-1] is Ellipsis:
        return "TERM,…" if _is_text(parts[0]) else "N,N,…"
    return {2: "LOW,HIGH", 3: "Z,Y,X", 4: "N,Z,Y,X"}[len(parts)]


def _annotation(model: type[Settings], key: str) -> Any:
    section, _, leaf = key.rpartition(".")
    if section:
        model = model.model_fields[section].annotation  # type: ignore[assignment]
    return model.model_fields[leaf].annotation


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """A type without its `| None`, and whether it had one."""
    parts = get_args(annotation)
    if NoneType in parts:
        return next(part for part in parts if part is not NoneType), True
    return annotation, False


def _is_text(part: Any) -> bool:
    return part is str or str in get_args(part)


def _is_span(part: Any) -> bool:
    """Whether it is written `first:end`, as the regions of volumes are."""
    return get_origin(part) is tuple


def _value(text: str, annotation: Any) -> Any:
    """What a text means for a setting of this type.

    `32,32,32` is a list; so is a single value where lists may have any length;
    `0:8,0:8,0:8` is a list of spans; `none` is no value where there may be none;
    anything else is what YAML takes it for.
    """
    kind, optional = _without_none(annotation)
    if optional and text.lower() == "none":
        return None
    parts = get_args(kind)
    any_length = get_origin(kind) is tuple and parts[-1] is Ellipsis
    if any_length and _is_text(parts[0]):
        return text.split(",")
    if parts and _is_span(parts[0]):
        return [one.split(":") for one in text.split(",")]
    try:
        return yaml.safe_load(f"[{text}]" if any_length or "," in text else text)
    # impossible dates and numbers: ValueError
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def _nested(key: str, value: Any) -> dict[str, Any]:
    section, _, leaf = key.rpartition(".")
    return {section: {leaf: value}} if section else {leaf: value}
