"""The `enhance` command: a volume or a series, by tiles, straight to disk."""

import argparse
from pathlib import Path

from napari_cyclegan3d import io
from napari_cyclegan3d.cli.enhancing import translate
from napari_cyclegan3d.cli.options import (
    VOLUME,
    add_settings,
    open_frames,
    settings_from,
)
from napari_cyclegan3d.cli.results import check_apart, check_output
from napari_cyclegan3d.console import STOPPED
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.io.ome_zarr import is_named_store

MOST_WORKERS = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "%(prog)s VOLUME --model FILE -o FILE [settings]"
    parser.description = (
        "Translate a volume of any size with a trained model, straight to disk; of a "
        "4D file all frames. "
        "What goes to an OME-Zarr (a folder NAME.zarr) can be interrupted: the same "
        "command goes on. --memory stands for the whole program."
    )
    parser.add_argument("volume", metavar="VOLUME", help=VOLUME)
    parser.add_argument("--model", type=Path, required=True, help="a .safetensors file")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help=f"what to write, in float32: {', '.join(io.WRITABLE_SUFFIXES)}",
    )
    parser.add_argument(
        "--cycle",
        type=Path,
        metavar="FILE",
        help="translate the result back, too, and write that here: where it differs "
        "from the input, the result is to be doubted",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the output if it exists (what this command has begun goes on)",
    )
    parser.add_argument(
        "--zarr-version",
        choices=("0.4", "0.5"),
        help="version of an OME-Zarr output [that of the input if it is one, else 0.5]",
    )
    several = parser.add_mutually_exclusive_group()
    several.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="processes on this machine that share the work, the memory and the GPUs; "
        "only to an OME-Zarr",
    )
    several.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="a scheduler of dask.distributed, such as tcp://host:8786, whose workers "
        "do the work, each with --memory; only to an OME-Zarr",
    )
    add_settings(parser, EnhanceConfig)
    parser.set_defaults(again="the same command")


def run(options: argparse.Namespace) -> int:
    """Run the command; gives the exit code."""
    from napari_cyclegan3d.engine.checkpoint import load_model
    from napari_cyclegan3d.engine.devices import tune_allocator
    from napari_cyclegan3d.engine.inference import way_back

    asked = settings_from(options, EnhanceConfig, {})
    outputs = [one for one in (options.output, options.cycle) if one is not None]
    for output in outputs:
        check_output(output, overwrite=options.overwrite)
    _check_workers(options, asked)
    _check_version(options)
    tune_allocator()
    model = load_model(options.model)
    frames = open_frames(options.volume)
    for output in outputs:
        check_apart(output, frames[0])
    if options.cycle is None:
        return translate(options, asked, model, frames)
    if options.cycle.resolve() == options.output.resolve():
        raise InputError(
            f"--cycle {options.cycle}: is the output, too; choose another name"
        )
    back = way_back(model, asked)
    if translate(options, asked, model, frames) == STOPPED:
        return STOPPED
    there = open_frames(str(options.output))
    return translate(_there(options, back), back, model, there)


def _there(options: argparse.Namespace, back: EnhanceConfig) -> argparse.Namespace:
    """The options of the command that would only translate the result back."""
    again = f"enhance {options.output} --direction {back.direction} -o {options.cycle}"
    return argparse.Namespace(
        **vars(options)
        | {"volume": str(options.output), "output": options.cycle, "again": again}
    )


def _count(text: str) -> int:
    """A number of workers."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give a number from 1 to {MOST_WORKERS}"
        )
    return int(text)


def _check_workers(options: argparse.Namespace, config: EnhanceConfig) -> None:
    if not options.workers and not options.cluster:
        return
    if not is_named_store(options.output):
        raise InputError(
            f"{options.output}: several workers cannot write into one file; give a "
            "name that ends in .zarr"
        )
    if config.device.startswith("cuda:"):
        raise InputError(
            f"device {config.device}: every worker uses a GPU of its own; leave out "
            "this setting"
        )


def _check_version(options: argparse.Namespace) -> None:
    if options.zarr_version and not is_named_store(options.output):
        raise InputError(
            f"--zarr-version {options.zarr_version}: {options.output} is no OME-Zarr; "
            "give a name that ends in .zarr"
        )
