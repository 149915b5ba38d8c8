"""The `train` command."""

import argparse
import os
import signal
from contextlib import redirect_stderr
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
from napari_cyclegan3d.console import DONE, STOPPED, show_training
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.presets import load_preset, preset_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_cyclegan3d.engine.checkpoint import Model
    from napari_cyclegan3d.engine.events import TrainEvent
    from napari_cyclegan3d.engine.sources import Domains

# what a model prescribes for a training that starts from it
OF_THE_MODEL = ("method", "dims", "slice_axis", "scale", "generator", "discriminator")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "%(prog)s --a VOLUME … --b VOLUME … --run FOLDER [settings]"
    parser.description = (
        "Learn to translate volumes of domain A into domain B and back, unpaired; or, "
        "with --method srgan, to enlarge those of B made smaller. "
        "Ctrl+C stops and saves; --resume goes on. On several GPUs: torchrun "
        "--nproc_per_node=N -m -- napari_cyclegan3d train …; each takes batch patches."
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
    from napari_cyclegan3d.engine import parallel
    from napari_cyclegan3d.engine.devices import tune_allocator

    tune_allocator()
    with parallel.joined():
        if not parallel.is_writer():
            return _follow(options)
        config, domains, events = _training(options)
        return show_training(events, options.run, config.record, domains)


def _follow(options: argparse.Namespace) -> int:
    """Train beside the process that writes; what all would say is left to that one."""
    from napari_cyclegan3d.engine.events import TrainingDone

    # the writing process saves and stops all; if it ends at once, that is noticed here
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    done = False
    try:
        with (
            Path(os.devnull).open("w", encoding="utf-8") as nowhere,
            redirect_stderr(nowhere),
        ):
            for event in _training(options)[2]:
                done = isinstance(event, TrainingDone)
    except InputError:
        return STOPPED
    return DONE if done else STOPPED


def _training(
    options: argparse.Namespace,
) -> "tuple[TrainConfig, Domains, Iterator[TrainEvent]]":
    from napari_cyclegan3d.engine import parallel
    from napari_cyclegan3d.engine.training import train

    base, start_from = _beginning(options)
    config = settings_from(options, TrainConfig, base)
    check_domains(options, config)
    with parallel.refusing_together():
        domains = domains_from(options, config)
    events = train(
        config, domains, options.run, resume=options.resume, start_from=start_from
    )
    return config, domains, events


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
        model.check_native("trained on")
        trained = model.header.config.model_dump()
        return {key: trained[key] for key in OF_THE_MODEL}, model
    return {}, None
