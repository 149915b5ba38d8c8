"""The `enhance` command: one volume, translated by tiles, straight to disk."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cyclegan3d import io
from napari_cyclegan3d.cli.options import (
    VOLUME,
    add_settings,
    open_volume,
    settings_from,
)
from napari_cyclegan3d.cli.results import (
    begun,
    can_go_on,
    check_apart,
    check_output,
    job_of,
    replaces,
    unfinished,
)
from napari_cyclegan3d.console import DONE, STOPPED, show_enhancement
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.events import EnhanceDone, EnhanceEvent
from napari_cyclegan3d.engine.volume import Planned, Volume
from napari_cyclegan3d.io.ome_chunks import StoreSink
from napari_cyclegan3d.io.ome_zarr import is_named_store, reopen
from napari_cyclegan3d.io.results import sink_for

if TYPE_CHECKING:
    from distributed import Client

    from napari_cyclegan3d.engine.checkpoint import Model

HELP = "translate a volume by tiles"
MOST_WORKERS = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "%(prog)s VOLUME --model FILE -o FILE [settings]"
    parser.description = (
        "Translate a volume of any size with a trained model, straight to disk. "
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
    tune_allocator()
    model = load_model(options.model)
    volume = open_volume(options.volume)
    for output in outputs:
        check_apart(output, volume)
    if options.cycle is None:
        return _run(options, asked, model, volume)
    if options.cycle.resolve() == options.output.resolve():
        raise InputError(
            f"--cycle {options.cycle}: is the output, too; choose another name"
        )
    back = way_back(model, asked)
    if _run(options, asked, model, volume) == STOPPED:
        return STOPPED
    return _run(_there(options, back), back, model, open_volume(str(options.output)))


def _there(options: argparse.Namespace, back: EnhanceConfig) -> argparse.Namespace:
    """The options of the command that would only translate the result back."""
    again = f"enhance {options.output} --direction {back.direction} -o {options.cycle}"
    return argparse.Namespace(
        **vars(options)
        | {"volume": str(options.output), "output": options.cycle, "again": again}
    )


def _run(
    options: argparse.Namespace, asked: EnhanceConfig, model: "Model", volume: Volume
) -> int:
    """One translation, from what is open to the output."""
    with _cluster(options, asked) as client:
        config = _settled(options, asked, model, client)
        job, config = _job(options, asked, config, volume)
        done = _enhanced(options, config, model, volume, job, client)
    if done is None:
        return STOPPED
    print(f"{options.output}: {done.volume.shape} voxels of {_spacing(done.volume)}")
    if done.seams is not None:
        print(f"steps at tile borders are {done.seams:.2f} times those elsewhere")
    return DONE


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


def _cluster(
    options: argparse.Namespace, config: EnhanceConfig
) -> "AbstractContextManager[Client | None]":
    from napari_cyclegan3d.engine.clients import local_cluster, running_cluster

    if options.workers:
        return local_cluster(options.workers, gpus=config.device != "cpu")
    if options.cluster:
        return running_cluster(options.cluster)
    return nullcontext()


def _settled(
    options: argparse.Namespace,
    config: EnhanceConfig,
    model: "Model",
    client: "Client | None",
) -> EnhanceConfig:
    """Number format and memory for the work; what was begun keeps its format."""
    from napari_cyclegan3d.engine.settling import settled

    before = unfinished(options.output) or {}
    precision = before.get("precision")
    if config.precision == "auto" and precision in ("fp32", "bf16"):
        config = config.model_copy(update={"precision": precision})
    if client is None:
        return settled(model, config)
    from napari_cyclegan3d.engine.cluster import settled_on

    return settled_on(client, options.model.resolve(), config, options.workers or 1)


def _job(
    options: argparse.Namespace,
    asked: EnhanceConfig,
    config: EnhanceConfig,
    volume: Volume,
) -> tuple[Mapping[str, Any] | None, EnhanceConfig]:
    """What can be gone on with after an interruption, if that can be; and how.

    Memory decides on tiles, and they on the last bit of the voxels. So the same command
    takes the memory that remained for the work when it was given first.
    """
    if not can_go_on(options.output, config):
        return None, config
    job = job_of(options.model, _source(options), volume, config)
    given = [asked.memory, options.workers]
    noted = begun(options.output, job)
    if noted is None:
        return {**job, "given": given, "memory": config.memory}, config
    if noted.get("given") == given:
        config = config.model_copy(update={"memory": noted["memory"]})
    return noted, config


def _enhanced(
    options: argparse.Namespace,
    config: EnhanceConfig,
    model: "Model",
    volume: Volume,
    job: Mapping[str, Any] | None,
    client: "Client | None",
) -> EnhanceDone | None:
    """The work itself; None if it was stopped."""
    from napari_cyclegan3d.engine.inference import enhance, enhanced_shape
    from napari_cyclegan3d.engine.translation import Translation

    output = options.output
    remove = options.overwrite and replaces(output, job)
    if job is not None and (remove or not output.exists()):
        # what is refused is to be so before anything appears or goes
        Translation(volume, model, config.model_copy(update={"device": "cpu"}))
    planned = volume.resampled(
        Planned(enhanced_shape(volume, model, config), np.dtype(np.float32)),
        model.scale(config.direction),
    )
    try:
        with sink_for(output, planned, job, remove=remove) as sink:
            if isinstance(sink, StoreSink) and sink.progress()[0]:
                done, count = sink.progress()
                print(f"{output}: goes on; {done} of {count} chunks are there")
            if client is None:
                events = enhance(volume, model, config, sink)
            else:
                events = _on_cluster(options, config, client)
            result = show_enhancement(events)
            if result is None:
                raise _StoppedError
    except _StoppedError:
        kept = "nothing was written"
        if job is not None:
            kept = f"{output} is not finished: {options.again} goes on"
        print(f"stopped; {kept}", file=sys.stderr)
        return None
    return result


def _on_cluster(
    options: argparse.Namespace, config: EnhanceConfig, client: "Client"
) -> Iterator[EnhanceEvent]:
    from napari_cyclegan3d.engine.cluster import enhance_on_cluster
    from napari_cyclegan3d.engine.cluster_worker import Job

    job = Job(
        partial(open_volume, _source(options)),
        partial(reopen, options.output.resolve()),
        options.model.resolve(),
        config,
    )
    return enhance_on_cluster(job, client)


def _source(options: argparse.Namespace) -> str:
    """The volume by a path that means the same everywhere; regions stay as they are."""
    named: str = options.volume
    return os.path.abspath(named)  # noqa: PTH100


class _StoppedError(Exception):
    """Ends the writing, so that nothing half done is taken for a result."""


def _spacing(volume: Volume) -> str:
    return " × ".join(f"{side:g}" for side in volume.spacing) + f" {volume.unit}"
