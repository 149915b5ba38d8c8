"""The machinery of settings: models that refuse unknown keys, YAML, and sentences.

Descriptions and limits become command-line help, tooltips and spin-box limits. Every
model is frozen and refuses unknown keys, so that a misspelt setting cannot train the
default silently.
"""

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from napari_cyclegan3d.engine.errors import InputError

# a few lines of YAML aliases can name billions of values
SHORT = reprlib.Repr()
SHORT.maxlevel, SHORT.maxstring = 2, 80


class Settings(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


SettingsT = TypeVar("SettingsT", bound=Settings)


def parse(model: type[SettingsT], values: Mapping[str, Any]) -> SettingsT:
    """Build settings from plain values.

    Raises:
        InputError: An unknown key or an impossible value, in one sentence.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(_sentence(model, error)) from None


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, not yet checked against a settings model.

    Raises:
        InputError: The file is missing, no YAML, or no mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    # impossible dates and numbers, bytes that are no text: ValueError
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: not a YAML file ({first})") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: holds no settings; write lines like `steps: 10000`")
    return values


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`; sections are merged key by key."""
    values = dict(base)
    for key, value in over.items():
        before = values.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            values[key] = {**before, **value}
        else:
            values[key] = value
    return values


def limits(info: FieldInfo) -> dict[str, float]:
    """The limits of a field, by their names in pydantic: ge, gt, le, lt."""
    found = {}
    for rule in info.metadata:
        for key in ("ge", "gt", "le", "lt"):
            limit = getattr(rule, key, None)
            if limit is not None:
                found[key] = limit
    return found


def to_yaml(config: Settings) -> str:
    """All settings as YAML, in the order of their definition."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _sentence(model: type[Settings], error: ValidationError) -> str:
    """The first problem that pydantic found, as a sentence with the remedy."""
    problem = error.errors()[0]
    place = problem["loc"]
    key = ".".join(part for part in place if isinstance(part, str))
    if problem["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(model, place[:-1]))
        return f"unknown setting {key!r}; known are: {known}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return message
    message = f"{message[0].lower()}{message[1:]}"
    entry = next((part for part in place if isinstance(part, int)), None)
    at = "" if entry is None else f", entry {entry + 1},"
    limits = problem.get("ctx", {})
    match problem["type"]:
        case "tuple_type":
            message = "give a list of values, as in [32, 32, 32]"
        case "string_pattern_mismatch":
            message = f"cannot be used. {_description(model, place)}"
        case "missing":
            message = "this value is missing"
        case "too_short":
            message = f"give at least {limits['min_length']} values"
        case "too_long":
            message = f"give at most {limits['max_length']} values"
    return f"setting {key}{at} = {SHORT.repr(problem['input'])}: {message}"


def _description(model: type[Settings], place: tuple[int | str, ...]) -> str:
    """What is written about the setting at a place."""
    text = ""
    for part in place:
        if isinstance(part, str):
            info = model.model_fields[part]
            text = info.description or text
            if isinstance(info.annotation, type) and issubclass(
                info.annotation, Settings
            ):
                model = info.annotation
    return text


def _known_keys(model: type[Settings], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        annotation = model.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, Settings):
            model = annotation
    return list(model.model_fields)
