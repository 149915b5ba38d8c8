"""Settings of published projects, as a base for one's own.

A preset is a YAML file of this package: `source`, `summary` (its first line says what
it is for, the others what differs from the project and why) and `settings`, which hold
only what differs from the defaults.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from napari_cyclegan3d.engine.errors import InputError


@dataclass(frozen=True)
class Preset:
    """Settings of a published project."""

    name: str
    source: str
    summary: str
    settings: dict[str, Any]


def preset_names() -> list[str]:
    """The names of all presets, sorted."""
    found = (item.name for item in files(__name__).iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if ".yaml" in name)


def load_preset(name: str) -> Preset:
    """One preset; its settings are a base to merge others over.

    Raises:
        InputError: There is none of this name.
    """
    if name not in preset_names():
        raise InputError(
            f"preset {name}: there is none of this name; choose one of "
            f"{', '.join(preset_names())}"
        )
    text = (files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")
    return Preset(name, **yaml.safe_load(text))
