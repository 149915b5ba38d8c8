"""A volume translated by several processes, some of which die."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.checkpoint import Model, load_model, save_model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.events import (
    EnhanceDone,
    EnhanceStarted,
    RegionReady,
    TileDone,
)
from napari_cyclegan3d.engine.inference import enhance
from napari_cyclegan3d.engine.volume import Planned, Volume
from napari_cyclegan3d.io import ome_zarr

distributed = pytest.importorskip("distributed")

from napari_cyclegan3d.engine.clients import local_cluster  # noqa: E402
from napari_cyclegan3d.engine.cluster import (  # noqa: E402
    cut,
    enhance_on_cluster,
    settled_on,
)
from napari_cyclegan3d.engine.cluster_worker import Job  # noqa: E402

SHAPE = (300, 40, 44)
CONFIG = EnhanceConfig(precision="fp32", device="cpu", mode="exact", tile=(16, 24, 48))


@pytest.fixture(scope="module")
def client() -> "Iterator[distributed.Client]":
    with local_cluster(2) as one:
        yield one


@pytest.fixture
def files(random_model: Callable[..., Model], tmp_path: Path) -> Path:
    """A folder with scan.tif and model.safetensors."""
    noise = np.random.default_rng(0).normal(100, 20, SHAPE).astype(np.float32)
    io.write(Volume(noise), tmp_path / "scan.tif")
    save_model(random_model(), tmp_path / "model.safetensors")
    return tmp_path


@pytest.fixture
def job(files: Path) -> Iterator[Job]:
    """A translation of scan.tif to out.zarr, in chunks of 16 planes."""
    planned = Volume(Planned(SHAPE, np.dtype(np.float32)))
    path = files / "out.zarr"
    # some tests leave it unfinished
    with (
        suppress(InputError),
        ome_zarr.create(planned, path, (16, 24, 24), {"job": "test"}),
    ):
        yield Job(
            partial(io.read, files / "scan.tif"),
            partial(ome_zarr.reopen, path),
            files / "model.safetensors",
            CONFIG,
        )


def alone(job: Job) -> np.ndarray:
    """What one process makes of it, with chunks of the same size."""
    *_, done = enhance(job.volume(), load_model(job.model), job.config)
    assert isinstance(done, EnhanceDone)
    return done.volume.read()


def test_a_worker_that_is_killed_changes_nothing_in_the_result(
    client: "distributed.Client", job: Job
) -> None:
    pids = client.run(os.getpid)
    assert len(pids) == 2
    events = enhance_on_cluster(job, client)
    started = next(events)
    assert isinstance(started, EnhanceStarted)
    next(event for event in events if isinstance(event, TileDone))
    os.kill(next(iter(pids.values())), signal.SIGKILL)
    rest = list(events)
    assert isinstance(rest[-1], EnhanceDone)
    tiles = [event for event in rest if isinstance(event, TileDone)]
    assert (tiles[-1].done, tiles[-1].tiles) == (started.tiles, started.tiles)
    assert np.array_equal(job.sink()[:, :, :], alone(job))
    assert sum(isinstance(event, RegionReady) for event in rest) >= 4


def test_what_the_sink_has_is_left_out_and_closing_cancels_the_rest(
    client: "distributed.Client", job: Job
) -> None:
    events = enhance_on_cluster(job, client)
    next(event for event in events if isinstance(event, RegionReady))
    events.close()  # type: ignore[attr-defined]
    client.run(lambda: None)
    chunks = sorted((job.model.parent / "out.zarr").glob("0/c/*/*/?"))
    assert chunks
    before = {chunk: chunk.stat().st_mtime_ns for chunk in chunks}
    *_, done = enhance_on_cluster(job, client)
    assert isinstance(done, EnhanceDone)
    assert {chunk: chunk.stat().st_mtime_ns for chunk in chunks} == before
    assert np.array_equal(job.sink()[:, :, :], alone(job))


def test_pieces_are_whole_units_that_cover_each_region_once(job: Job) -> None:
    plan = job.open().translation
    columns = plan.columns()
    for workers in (1, 2, 5, 100):
        pieces = cut(plan, columns, workers)
        covered = np.zeros(plan.shape, dtype=np.uint8)
        for z, y, x in pieces:
            covered[z, y, x] += 1
            assert z.start % plan.unit_depth == 0
        assert (covered == 1).all()
        halo = sum(plan.sizes.reach[0].halo)
        thin = [z for z, _, _ in pieces if z.stop - z.start < halo / 2]
        assert len(thin) <= len(columns)


def test_a_job_with_overlaps_or_several_passes_is_refused(
    client: "distributed.Client", job: Job
) -> None:
    with pytest.raises(InputError, match="mode blend"):
        list(enhance_on_cluster(job.changed(mode="blend"), client))


def test_what_a_worker_cannot_open_is_one_sentence(
    client: "distributed.Client", job: Job
) -> None:
    with pytest.raises(InputError, match="under the same paths"):
        settled_on(client, Path("/nowhere/model.safetensors"), CONFIG)
