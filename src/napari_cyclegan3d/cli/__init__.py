"""The command line: parse → settings → iterate events → print.

Each command is a module of this package with `add_arguments` and `run`, which is loaded
only where it is asked for.
Exit codes: 0 done, 1 input refused or work stopped early, 2 wrong use of the command.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import NamedTuple

from napari_cyclegan3d import __version__
from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError


class Command(NamedTuple):
    """A module of this package, and what the command does."""

    module: str
    help: str


COMMANDS = {
    "prepare": Command(
        "prepare",
        "what is done to volumes before a training: N4, masks, grids, splits, …",
    ),
    "train": Command("train", "learn to translate A into B"),
    "enhance": Command("enhance", "translate a volume by tiles"),
    "inspect": Command("inspection", "find and judge what the network invented"),
    "evaluate": Command("evaluate", "score models on volumes whose truth is known"),
    "search": Command("search", "find settings by many short trainings"),
    "export": Command(
        "export", "write a model for other programs, or a card that describes it"
    ),
    "presets": Command("presets", "list settings of published projects, or print one"),
    "import": Command(
        "importing",
        "turn a bioimage.io package or a checkpoint of 3DCycleGaN into a model",
    ),
    "demo": Command("demo", "the whole job on the bundled sample"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the program's name; by default the process's own.

    Returns:
        The exit code.
    """
    # threads that wait must not keep the cores from others; read when PyTorch loads
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        # a terminal or file that has no µ or σ gets a question mark
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        options = _parser(given).parse_args(given)
        return int(options.run_command(options))
    except (InputError, MemoryShortageError) as error:
        return _stopped(str(error))
    except OSError as error:
        return _stopped(f"{error.filename or 'system'}: {error.strerror}")
    except KeyboardInterrupt:
        return _stopped("interrupted")


def _stopped(message: str) -> int:
    from napari_cyclegan3d.cli.options import say_error
    from napari_cyclegan3d.console import STOPPED

    return say_error(message, STOPPED)


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """A parser that knows the options of the one command that is asked for."""
    parser = argparse.ArgumentParser(
        prog="napari-cyclegan3d",
        description="Unpaired 3D CycleGAN enhancement of volumes.",
        epilog="Exit codes: 0 done, 1 input refused or stopped early, 2 wrong use.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    asked = next((one for one in arguments if not one.startswith("-")), None)
    for name, (module, does) in COMMANDS.items():
        command = commands.add_parser(name, help=does)
        if name == asked:
            found = import_module(f"{__name__}.{module}")
            found.add_arguments(command)
            command.set_defaults(run_command=found.run)
    return parser
