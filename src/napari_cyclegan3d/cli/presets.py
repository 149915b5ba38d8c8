"""The `presets` command: what settings of published projects there are."""

import argparse

import yaml

from napari_cyclegan3d.console import DONE
from napari_cyclegan3d.engine.presets import Preset, load_preset, preset_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "List the settings of published projects that train --preset begins from, or "
        "print one as a file for train --config."
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the preset to print")


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit code."""
    if options.name is not None:
        print(_as_yaml(load_preset(options.name)), end="")
        return DONE
    for name in preset_names():
        preset = load_preset(name)
        print(f"{name}\n    {preset.summary.splitlines()[0]}\n    {preset.source}")
    return DONE


def _as_yaml(preset: Preset) -> str:
    """What `train --config` reads; where it comes from stands in comments."""
    notes = [preset.name, *preset.summary.splitlines(), f"Source: {preset.source}"]
    comments = "".join(f"# {line}\n" for line in notes)
    return comments + yaml.safe_dump(preset.settings, sort_keys=False)
