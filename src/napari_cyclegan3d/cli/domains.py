"""The volumes of a training, from the command line."""

import argparse
import sys
from typing import TYPE_CHECKING

from napari_cyclegan3d.cli.options import DOMAIN, WRONG_USE, say_error
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.domains import open_domain, overlaps, split

if TYPE_CHECKING:
    from napari_cyclegan3d.engine.training import Domains


def add_domains(parser: argparse.ArgumentParser) -> None:
    """Options for the volumes to learn from, and those to validate on."""
    for side in ("a", "b"):
        parser.add_argument(
            f"--{side}",
            action="extend",
            nargs="+",
            required=side == "b",
            metavar="VOLUME",
            help=f"domain {side.upper()}: {DOMAIN}",
        )
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


def check_domains(options: argparse.Namespace, config: TrainConfig) -> None:
    """End the program with code 2 where options contradict each other."""
    wrong = None
    given = bool(options.validate_a or options.validate_b)
    if not options.a and config.method != "srgan":
        wrong = "--a is missing; only --method srgan makes A from B"
    elif options.validate_share is not None and given:
        wrong = "--validate-share and --validate-a, --validate-b: give one of them"
    if wrong is not None:
        sys.exit(say_error(wrong, WRONG_USE))


def domains_from(options: argparse.Namespace, config: TrainConfig) -> "Domains":
    """Open the volumes that the options name."""
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
    for name, train, validate in zip("AB", trained, held_out, strict=True):
        one_sided = any(held_out) and not validate and bool(train)
        if one_sided and not (options.validate_a or options.validate_b):
            _warn(
                f"nothing of domain {name} is listed to validate on; nothing is "
                f"scored; add --validate-{name.lower()}"
            )
            held_out = [[], []]
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
