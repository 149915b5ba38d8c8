"""The `demo` command: the main job on the bundled sample."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.description = (
        "Train a small model on the bundled fibre sample, enhance its noisy volume, "
        "compare with the truth, and show the result in napari if there is a display."
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), help="folder to write to"
    )
    parser.add_argument(
        "--minutes", type=float, default=2.0, help="how long to train, about"
    )
    parser.add_argument(
        "--no-window", action="store_true", help="do not open napari at the end"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit code."""
    from napari_cyclegan3d import demo

    return demo.run(options.out, options.minutes, window=not options.no_window)
