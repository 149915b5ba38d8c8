"""The command line: parse → settings → iterate events → print.

Each command is a module of this package with `HELP`, `add_arguments` and `run`.
Exit codes: 0 done, 1 input refused or work stopped early, 2 wrong use of the command.
"""

import argparse
import os
from collections.abc import Sequence

from napari_cyclegan3d import __version__
from napari_cyclegan3d.cli import (
    demo,
    enhance,
    evaluate,
    export,
    importing,
    inspection,
    prepare,
    presets,
    search,
    train,
)
from napari_cyclegan3d.cli.options import say_error
from napari_cyclegan3d.console import STOPPED
from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError

COMMANDS = {
    "prepare": prepare,
    "train": train,
    "enhance": enhance,
    "inspect": inspection,
    "evaluate": evaluate,
    "search": search,
    "export": export,
    "presets": presets,
    "import": importing,
    "demo": demo,
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
    options = _parser().parse_args(arguments)
    try:
        return int(options.run_command(options))
    except (InputError, MemoryShortageError) as error:
        return say_error(str(error), STOPPED)
    except OSError as error:
        return say_error(f"{error.filename or 'system'}: {error.strerror}", STOPPED)
    except KeyboardInterrupt:
        return say_error("interrupted", STOPPED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="napari-cyclegan3d",
        description="Unpaired 3D CycleGAN enhancement of volumes.",
        epilog="Exit codes: 0 done, 1 input refused or stopped early, 2 wrong use.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP)
        module.add_arguments(command)
        command.set_defaults(run_command=module.run)
    return parser
