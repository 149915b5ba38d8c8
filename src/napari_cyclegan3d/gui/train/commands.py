"""What is set in the Train dock, as a command to run elsewhere and as YAML.

Only settings that differ from the defaults are written; read back they give the same
settings.
"""

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.settings import Settings

PROGRAM = "napari-cyclegan3d"
DOMAINS = ("a", "b", "validate_a", "validate_b")


def train_command(
    config: TrainConfig,
    sources: Mapping[str, Sequence[str]],
    run: Path,
    resumed: TrainConfig | None = None,
) -> str:
    """One line for a shell that starts the same training.

    Args:
        config: Settings.
        sources: Texts for each of a, b, validate_a and validate_b, as `open_domain`
            takes them.
        run: Folder of the run.
        resumed: Settings that are in it already, if it is to be gone on with.
    """
    words = [PROGRAM, "train"]
    for name in DOMAINS:
        if sources.get(name):
            words += [f"--{name.replace('_', '-')}", *sources[name]]
    words += ["--run", str(run)]
    if resumed is not None:
        words.append("--resume")
    for key, value in _changes(config, resumed or TrainConfig()):
        words += _option(key, _text(value))
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def settings_yaml(config: TrainConfig) -> str:
    """The same settings for `--config`; of the defaults nothing but a comment."""
    values: dict[str, Any] = {}
    for key, value in _changes(config, TrainConfig()):
        section, _, leaf = key.rpartition(".")
        place = values.setdefault(section, {}) if section else values
        place[leaf] = list(value) if isinstance(value, tuple) else value
    if not values:
        return "# all settings are the defaults\n"
    return yaml.safe_dump(values, sort_keys=False)


def _changes(now: Settings, before: Settings) -> Iterator[tuple[str, Any]]:
    """Settings that differ, as section.name and value."""
    default = dict(_all_settings(before))
    for key, value in _all_settings(now):
        if value != default[key]:
            yield key, value


def _all_settings(settings: Settings, section: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings:
        if isinstance(value, Settings):
            yield from _all_settings(value, f"{section}{name}.")
        else:
            yield f"{section}{name}", value


def _option(key: str, text: str) -> list[str]:
    name = f"--{key.replace('_', '-')}"
    # a value that begins with a minus would be taken for an option
    return [f"{name}={text}"] if text.startswith("-") else [name, text]


def _text(value: Any) -> str:
    """A value as the command line takes it."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(_text, value))
    return str(value)
