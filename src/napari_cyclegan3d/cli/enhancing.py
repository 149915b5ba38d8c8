"""What the `enhance` command does with a model and what it has opened."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cyclegan3d.cli.options import open_frames
from napari_cyclegan3d.cli.results import begun, can_go_on, job_of, replaces, unfinished
from napari_cyclegan3d.console import DONE, STOPPED, show_enhancement
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.events import EnhanceDone, EnhanceEvent
from napari_cyclegan3d.engine.volume import Planned, Volume
from napari_cyclegan3d.io.ome_chunks import StoreSink
from napari_cyclegan3d.io.ome_writing import VERSION_KEY
from napari_cyclegan3d.io.ome_zarr import reopen
from napari_cyclegan3d.io.results import sinks_for

if TYPE_CHECKING:
    from distributed import Client

    from napari_cyclegan3d.engine.checkpoint import Model
    from napari_cyclegan3d.engine.inference import Sink


def translate(
    options: argparse.Namespace,
    asked: EnhanceConfig,
    model: "Model",
    frames: Sequence[Volume],
) -> int:
    """One translation, from what is open to the output; gives the exit code.

    Args:
        options: Those of the command.
        asked: Its settings.
        model: The model.
        frames: The volumes, which become the frames of the output.
    """
    with _cluster(options, asked) as client:
        config = _settled(options, asked, model, client)
        job, config = _job(options, asked, config, frames[0])
        done = _enhanced(options, config, model, frames, job, client)
    if done is None:
        return STOPPED
    volume, number = done[-1].volume, len(frames)
    several = f"{number} frames of " if number > 1 else ""
    print(f"{options.output}: {several}{volume.shape} voxels of {_spacing(volume)}")
    seams = [one.seams for one in done if one.seams is not None]
    if seams:
        print(f"steps at tile borders are {max(seams):.2f} times those elsewhere")
    return DONE


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
    frames: Sequence[Volume],
    job: Mapping[str, Any] | None,
    client: "Client | None",
) -> list[EnhanceDone] | None:
    """The work itself; None if it was stopped."""
    from napari_cyclegan3d.engine.translation import Translation

    output = options.output
    remove = options.overwrite and replaces(output, job)
    if job is not None and (remove or not output.exists()):
        # what is refused is to be so before anything appears or goes
        Translation(frames[0], model, config.model_copy(update={"device": "cpu"}))
    planned = _planned(options, config, model, frames[0])
    try:
        with sinks_for(output, planned, len(frames), job, remove=remove) as sinks:
            _say_rest(options, sinks)
            return _each(options, config, model, frames, sinks, client)
    except _StoppedError:
        kept = "nothing was written"
        if job is not None:
            kept = f"{output} is not finished: {options.again} goes on"
        print(f"stopped; {kept}", file=sys.stderr)
        return None


def _planned(
    options: argparse.Namespace, config: EnhanceConfig, model: "Model", volume: Volume
) -> Volume:
    """Place, shape and type of a frame of the output."""
    from napari_cyclegan3d.engine.inference import enhanced_shape

    planned = volume.resampled(
        Planned(enhanced_shape(volume, model, config), np.dtype(np.float32)),
        model.scale(config.direction),
    )
    if options.zarr_version is None:
        return planned
    version = {VERSION_KEY: options.zarr_version}
    return replace(planned, metadata={**planned.metadata, **version})


def _say_rest(options: argparse.Namespace, sinks: Sequence["Sink"]) -> None:
    """Say how much is there already of what goes on."""
    stores = [sink for sink in sinks if isinstance(sink, StoreSink)]
    counts = [store.progress() for store in stores]
    done, count = (sum(one[index] for one in counts) for index in range(2))
    if done:
        print(f"{options.output}: goes on; {done} of {count} chunks are there")


def _each(
    options: argparse.Namespace,
    config: EnhanceConfig,
    model: "Model",
    frames: Sequence[Volume],
    sinks: Sequence["Sink"],
    client: "Client | None",
) -> list[EnhanceDone]:
    """One frame after another.

    Raises:
        _StoppedError: The user has stopped it.
    """
    from napari_cyclegan3d.engine.inference import enhance

    done = []
    for number, (volume, sink) in enumerate(zip(frames, sinks, strict=True)):
        if len(frames) > 1:
            print(f"frame {number} ({number + 1} of {len(frames)})")
        if client is None:
            events = enhance(volume, model, config, sink)
        else:
            events = _on_cluster(options, config, client, number, sink)
        result = show_enhancement(events)
        if result is None:
            raise _StoppedError
        done.append(result)
    return done


def _on_cluster(
    options: argparse.Namespace,
    config: EnhanceConfig,
    client: "Client",
    number: int,
    sink: "Sink",
) -> Iterator[EnhanceEvent]:
    from napari_cyclegan3d.engine.cluster import enhance_on_cluster
    from napari_cyclegan3d.engine.cluster_worker import Job

    frame = sink.frame if isinstance(sink, StoreSink) else ()
    job = Job(
        partial(_opened, _source(options), number),
        partial(reopen, options.output.resolve(), frame),
        options.model.resolve(),
        config,
    )
    return enhance_on_cluster(job, client)


def _opened(source: str, number: int) -> Volume:
    """A frame of the input, in a worker."""
    return open_frames(source)[number]


def _source(options: argparse.Namespace) -> str:
    """The volume by a path that means the same everywhere; regions stay as they are."""
    named: str = options.volume
    return os.path.abspath(named)  # noqa: PTH100


class _StoppedError(Exception):
    """Ends the writing, so that nothing half done is taken for a result."""


def _spacing(volume: Volume) -> str:
    return " × ".join(f"{side:g}" for side in volume.spacing) + f" {volume.unit}"
