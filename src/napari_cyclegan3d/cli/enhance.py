"""The `enhance` command: one volume, translated by tiles."""

import argparse
import math
import sys
from pathlib import Path

import numpy as np

from napari_cyclegan3d import io
from napari_cyclegan3d.cli.options import (
    VOLUME,
    add_settings,
    open_volume,
    settings_from,
)
from napari_cyclegan3d.console import DONE, STOPPED, show_enhancement
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import check_writable
from napari_cyclegan3d.engine.volume import Volume

HELP = "translate a volume by tiles"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "%(prog)s VOLUME --model FILE -o FILE [settings]"
    parser.description = "Translate a volume of any size with a trained model."
    parser.add_argument("volume", metavar="VOLUME", help=VOLUME)
    parser.add_argument("--model", type=Path, required=True, help="a .safetensors file")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="file to write (float32)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the output if it exists"
    )
    add_settings(parser, EnhanceConfig)


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit code."""
    from napari_cyclegan3d.engine.checkpoint import load_model
    from napari_cyclegan3d.engine.devices import tune_allocator
    from napari_cyclegan3d.engine.inference import enhance, enhanced_shape

    config = settings_from(options, EnhanceConfig, {})
    _check_output(options.output, overwrite=options.overwrite)
    tune_allocator()
    model = load_model(options.model)
    volume = open_volume(options.volume)
    voxels = math.prod(enhanced_shape(volume, model, config))
    # how small gzip makes a file is known afterwards only
    if options.output.suffix != ".gz":
        check_writable(options.output, voxels * np.dtype(np.float32).itemsize)
    result = show_enhancement(enhance(volume, model, config))
    if result is None:
        print("stopped; nothing was written", file=sys.stderr)
        return STOPPED
    io.write(result, options.output)
    print(f"{options.output}: {result.shape} voxels of {_spacing(result)}")
    return DONE


def _check_output(path: Path, *, overwrite: bool) -> None:
    """Refuse before the work what could not be written after it."""
    if not io.can_write(path):
        raise InputError(
            f"{path}: files of this kind cannot be written; known are "
            f"{', '.join(io.WRITABLE_SUFFIXES)}"
        )
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists already; replace it with --overwrite")
    check_writable(path)


def _spacing(volume: Volume) -> str:
    return " × ".join(f"{side:g}" for side in volume.spacing) + f" {volume.unit}"
