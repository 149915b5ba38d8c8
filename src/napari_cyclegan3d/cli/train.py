"""The `train` command."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cyclegan3d.cli.options import (
    DOMAIN,
    WRONG_USE,
    add_settings,
    say_error,
    settings_from,
)
from napari_cyclegan3d.console import show_training
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.presets import load_preset, preset_names
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.domains import open_domain, overlaps, split

if TYPE_CHECKING:
    from napari_cyclegan3d.engine.checkpoint import Model
    from napari_cyclegan3d.engine.training import Domains

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
    parser.add_argument(
        "--a",
        action="extend",
        nargs="+",
        metavar="VOLUME",
        help=f"domain A: {DOMAIN}; not for srgan",
    )
    parser.add_argument(
        "--b",
        action="extend",
        nargs="+",
        required=True,
        metavar="VOLUME",
        help=f"domain B: {DOMAIN}",
    )
    parser.add_argument(
        "--run", type=Path, required=True, help="folder for all that training produces"
    )
    _add_validation(parser)
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


def _add_validation(parser: argparse.ArgumentParser) -> None:
    for side in ("a", "b"):
        parser.add_argument(
            f"--validate-{side}",
            action="extend",
            nargs="+",
            metavar="VOLUME",
            help=f"volumes of domain {side.upper()} to score on, not trained on; a "
            "dataset file in --a or --b lists its own",
        )
    parser.add_argument(
        "--validate-share",
        type=float,
        metavar="SHARE",
        help="keep this share of the volumes of both domains to score on, whole "
        "subjects together, as in 0.2",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit code."""
    from napari_cyclegan3d.engine.devices import tune_allocator
    from napari_cyclegan3d.engine.training import train

    base, start_from = _beginning(options)
    config = settings_from(options, TrainConfig, base)
    _check_use(options, config)
    tune_allocator()
    events = train(
        config,
        _domains(options, config),
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


def _check_use(options: argparse.Namespace, config: TrainConfig) -> None:
    """End the program with code 2 where options contradict each other."""
    wrong = None
    given = bool(options.validate_a or options.validate_b)
    if not options.a and config.method != "srgan":
        wrong = "--a is missing; only --method srgan makes A from B"
    elif options.validate_share is not None and given:
        wrong = "--validate-share and --validate-a, --validate-b: give one of them"
    if wrong is not None:
        sys.exit(say_error(wrong, WRONG_USE))


def _domains(options: argparse.Namespace, config: TrainConfig) -> "Domains":
    from napari_cyclegan3d.engine.training import Domains

    trained: list[list[Volume]] = []
    held_out: list[list[Volume]] = []
    for texts, validate in (
        (options.a or [], options.validate_a),
        (options.b, options.validate_b),
    ):
        volumes = open_domain(texts) if texts else []
        if options.validate_share is not None and volumes:
            volumes, apart = split(volumes, options.validate_share, config.seed)
        else:
            lists = [text for text in texts if text.lower().endswith(".json")]
            wanted = validate or lists
            apart = open_domain(wanted, "validate") if wanted else []
        trained.append(volumes)
        held_out.append(apart)
    return Domains(*trained, *_unseen(trained, held_out))


def _unseen(
    trained: list[list[Volume]], held_out: list[list[Volume]]
) -> list[list[Volume]]:
    """The volumes to validate on that share nothing with those to train on.

    Without any of one domain, none of the other can be scored.
    """
    unseen: list[list[Volume]] = []
    for name, train, validate in zip("AB", trained, held_out, strict=True):
        left = []
        for volume in validate:
            sentences = overlaps(train, [volume])
            for sentence in sentences:
                _warn(f"{sentence}; it is not used")
            if not sentences:
                left.append(volume)
        if validate and not left:
            _warn(
                f"no volume of domain {name} is left to validate on; nothing is scored"
            )
            return [[], []]
        unseen.append(left)
    return unseen


def _warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)
