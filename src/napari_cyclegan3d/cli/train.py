"""The `train` command."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cyclegan3d.cli.domains import (
    add_domains,
    check_domains,
    domains_from,
)
from napari_cyclegan3d.cli.options import (
    add_settings,
    settings_from,
)
from napari_cyclegan3d.console import show_training
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.presets import load_preset, preset_names

if TYPE_CHECKING:
    from napari_cyclegan3d.engine.checkpoint import Model

HELP = "learn to translate A into B"
# what a model prescribes for a training that starts from it
OF_THE_MODEL = ("method", "dims", "slice_axis", "scale", "generator", "discriminator")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "%(prog)s --a VOLUME … --b VOLUME … --run FOLDER [settings]"
    parser.description = (
        "Learn to translate volumes of domain A into domain B and back, unpaired; or, "
        "with --method srgan, to enlarge those of B made smaller. "
        "Ctrl+C stops and saves; --resume goes on."
    )
    add_domains(parser)
    parser.add_argument(
        "--run", type=Path, required=True, help="folder for all that training produces"
    )
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument(
        "--resume", action="store_true", help="go on with the newest state in --run"
    )
    begin.add_argument(
        "--start-from", type=Path, metavar="MODEL", help="begin with a model's weights"
    )
    begin.add_argument(
        "--preset",
        choices=preset_names(),
        metavar="NAME",
        help="settings of a published project (see the command presets); --config and "
        "options override them",
    )
    add_settings(parser, TrainConfig)


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit code."""
    from napari_cyclegan3d.engine.devices import tune_allocator
    from napari_cyclegan3d.engine.training import train

    base, start_from = _beginning(options)
    config = settings_from(options, TrainConfig, base)
    check_domains(options, config)
    tune_allocator()
    events = train(
        config,
        domains_from(options, config),
        options.run,
        resume=options.resume,
        start_from=start_from,
    )
    return show_training(events, options.run, config.record)


def _beginning(options: argparse.Namespace) -> tuple[dict[str, Any], "Model | None"]:
    """The settings that all others override, and the model to start from."""
    from napari_cyclegan3d.engine.checkpoint import load_model
    from napari_cyclegan3d.engine.runs import RunFolder

    if options.resume:
        return RunFolder(options.run).config().model_dump(), None
    if options.preset is not None:
        return load_preset(options.preset).settings, None
    if options.start_from is not None:
        model = load_model(options.start_from)
        trained = model.header.config.model_dump()
        return {key: trained[key] for key in OF_THE_MODEL}, model
    return {}, None
