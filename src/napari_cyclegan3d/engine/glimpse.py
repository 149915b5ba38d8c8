"""A part of what `enhance` would give, in about a second.

The part is translated as part of its volume: with the halo that the network sees around
it, on the same strides, with the same statistics. So a glimpse is no promise but the
result itself.
"""

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.events import (
    EnhanceDone,
    EnhanceEvent,
    EnhanceStarted,
    RegionReady,
    TileDone,
    Warned,
)
from napari_cyclegan3d.engine.patches import slices_first
from napari_cyclegan3d.engine.reading import Spans
from napari_cyclegan3d.engine.tiling import (
    Part,
    Reach,
    Tile,
    TilePlan,
    output_region,
    plan_blend,
    round_up,
)
from napari_cyclegan3d.engine.translation import Translation
from napari_cyclegan3d.engine.turning import Turned, TurnedSink, slice_axes
from napari_cyclegan3d.engine.volume import Region, Shape, Volume, format_region

SECONDS = 1.0
# of that, what is left to the translation however long the decisions before it took
LEAST = 0.4
# of less than this nothing can be seen
SMALLEST_BOX = 16
TRIAL_SIDE, TRIALS = 32, 2
# in so many pieces at least the planes of a region flow
PIECES = 8
Jobs = list[tuple[Turned, Translation]]


@dataclass(frozen=True)
class RegionChosen:
    """What will be shown: a region of the input's voxels (z, y, x)."""

    region: Region


def glimpse(
    volume: Volume, model: Model, config: EnhanceConfig, region: Region
) -> Iterator[EnhanceEvent]:
    """Translate a region of a volume as `enhance` translates it within the whole.

    Args:
        volume: The input.
        model: A trained model.
        config: As for `enhance`. In exact mode all but the rounding of the last bits
            is the same for any tiles.
        region: Three slices of the input's voxels; widened to whole output voxels.

    Yields:
        EnhanceStarted, TileDone and RegionReady (within the region's result), and
        EnhanceDone with the result where it lies in the world.

    Raises:
        InputError: The volume, the region or the settings do not fit the model.
    """
    jobs = _jobs(volume, model, config)
    yield from _translated(
        volume, jobs, _whole_voxels(volume, jobs[0][1].scale, region)
    )


def glimpse_around(
    volume: Volume,
    model: Model,
    config: EnhanceConfig,
    centre: Sequence[float],
    across: int | None = None,
    seconds: float = SECONDS,
) -> Iterator[EnhanceEvent | RegionChosen]:
    """The same for as much around a place as takes about a second.

    Args:
        volume: The input.
        model: A trained model.
        config: As for `enhance`.
        centre: The place, in voxels of the input (z, y, x); moved into the volume.
        across: A slab as thin as can be across this axis (0, 1, 2); None: a box.
        seconds: How long it may take with what is decided beforehand; that is longer
            the first time, and what is shown is the smaller for it.

    Yields:
        RegionChosen, then what `glimpse` yields.

    Raises:
        InputError: The volume or the settings do not fit the model.
    """
    started = time.perf_counter()
    jobs = _jobs(volume, model, config)
    turned, job = jobs[0]
    reach = turned.back(job.sizes.reach)
    speed = _voxels_per_second(job) / len(jobs)
    left = seconds - (time.perf_counter() - started)
    voxels = max(LEAST * seconds, left) * speed
    chosen = region_around(volume.shape, reach, centre, voxels, across)
    region = _whole_voxels(volume, job.scale, chosen)
    yield RegionChosen(region)
    yield from _translated(volume, jobs, region)


def region_around(
    shape: Shape,
    reach: Sequence[Reach],
    centre: Sequence[float],
    voxels: float,
    across: int | None = None,
) -> Region:
    """The largest region around a place for which so many voxels are read.

    Args:
        shape: Voxels of the volume (z, y, x).
        reach: How the network sees along z, y and x.
        centre: The place, in voxels.
        voxels: How many may be read, halos included. The smallest box, of 16 voxels a
            side, is given whatever it takes.
        across: The axis of a slab; None: a box.
    """
    least = [
        min(size, one.stride if axis == across else round_up(SMALLEST_BOX, one.stride))
        for axis, (size, one) in enumerate(zip(shape, reach, strict=True))
    ]
    sides = list(least)
    for side in range(SMALLEST_BOX, max(shape) + 1):
        longer = [
            low if axis == across else min(max(side, low), size)
            for axis, (low, size) in enumerate(zip(least, shape, strict=True))
        ]
        read = [
            min(size, n + sum(one.halo))
            for n, size, one in zip(longer, shape, reach, strict=True)
        ]
        if math.prod(read) > voxels:
            break
        sides = longer
    starts = [
        min(max(0, round(place - side / 2 + 0.5)), size - side)
        for place, side, size in zip(centre, sides, shape, strict=True)
    ]
    z, y, x = (slice(start, start + n) for start, n in zip(starts, sides, strict=True))
    return z, y, x


def _jobs(volume: Volume, model: Model, config: EnhanceConfig) -> Jobs:
    return [
        (
            turned,
            Translation(
                slices_first(volume, turned.axis), model, turned.settings(config)
            ),
        )
        for turned in (Turned(axis) for axis in slice_axes(model, config))
    ]


def _voxels_per_second(job: Translation) -> float:
    """How fast the network is with a small tile, when nothing else is in its way."""
    z, y, x = (
        one.allowed(max(round_up(TRIAL_SIDE, one.stride), SMALLEST_BOX))
        for one in job.sizes.reach
    )
    spans = ((0, z), (0, y), (0, x))
    job.work.tile(spans)
    return z * y * x / min(_seconds(job, spans) for _ in range(TRIALS))


def _seconds(job: Translation, spans: Spans) -> float:
    started = time.perf_counter()
    job.work.tile(spans)
    return time.perf_counter() - started


def _whole_voxels(volume: Volume, scale: Fraction, region: Region) -> Region:
    """A region in plain numbers, widened to whole voxels of the output."""
    step = scale.denominator
    ends = [
        part.indices(size)[:2] for part, size in zip(region, volume.shape, strict=True)
    ]
    z, y, x = (
        slice(start // step * step, min(size // step * step, round_up(stop, step)))
        for (start, stop), size in zip(ends, volume.shape, strict=True)
    )
    if any(part.stop <= part.start for part in (z, y, x)):
        raise InputError(
            f"{volume.name}: region {format_region(region)} has nothing to show of a "
            f"volume of shape {volume.shape}; choose a place inside"
        )
    return z, y, x


def _translated(volume: Volume, jobs: Jobs, region: Region) -> Iterator[EnhanceEvent]:
    scale, first = jobs[0][1].scale, jobs[0][1]
    z, y, x = (slice(int(p.start * scale), int(p.stop * scale)) for p in region)
    shape = (z.stop - z.start, y.stop - y.start, x.stop - x.start)
    out = np.zeros(shape, dtype=np.float32)
    yield EnhanceStarted(shape, len(jobs), first.mode, shape, first.reason)
    yield from (Warned(remark) for remark in first.remarks)
    for number, (turned, job) in enumerate(jobs, start=1):
        wanted = turned.there((z, y, x))
        sink = TurnedSink(out, turned, number)
        parts = _blended if job.mode == "blend" else _exact
        for place, block in parts(job, wanted):
            both = _shared(place, wanted)
            if both is None:
                continue
            inside = _within(both, wanted)
            sink.put(inside, block[_within(both, place)])
            if number == len(jobs):
                yield RegionReady(turned.back(inside))
        yield TileDone(number, len(jobs))
    yield EnhanceDone(volume.crop(region).resampled(out, scale))


def _exact(job: Translation, wanted: Region) -> Iterator[Part]:
    """The translation of a region, and of what its strides add to it."""
    strides = [max(1, int(one.stride * job.scale)) for one in job.sizes.reach]
    starts = [
        part.start // stride * stride
        for part, stride in zip(wanted, strides, strict=True)
    ]
    if job.program is not None:  # begins no further away than the network sees
        stride, halo = job.sizes.reach[0].stride, sum(job.sizes.reach[0].halo)
        depth = int((wanted[0].stop - wanted[0].start) / job.scale) + halo
        few = round_up(-(-depth // PIECES), stride)
        job.sizes.planes = min(job.sizes.planes, few)
    z, y, x = (
        slice(start, part.stop) for start, part in zip(starts, wanted, strict=True)
    )
    return job.blocks((z, y, x))


def _blended(job: Translation, wanted: Region) -> Iterator[Part]:
    """The sum of those tiles of the whole volume that touch a region."""
    plan = plan_blend(job.volume.shape, job.sizes.core, job.overlap, job.sizes.reach)
    sums = np.zeros([part.stop - part.start for part in wanted], dtype=np.float32)
    for tile, window in _touching(plan, job.scale, wanted):
        both = _shared(output_region(tile, job.shape, job.scale), wanted)
        if both is None:
            continue
        z, y, x = (axis.read for axis in tile.axes)
        block = job.work.tile((z, y, x)) * window
        # a tile may stick out of the volume
        low_z, low_y, low_x = (int(span[0] * job.scale) for span in (z, y, x))
        place = slice(low_z, None), slice(low_y, None), slice(low_x, None)
        sums[_within(both, wanted)] += block[_within(both, place)]
    yield wanted, sums


def _touching(
    plan: TilePlan, scale: Fraction, wanted: Region
) -> Iterator[tuple[Tile, NDArray[np.float32]]]:
    """Tiles of a plan that lie in a region of the output, with their weights."""
    axes = [
        [
            (tile, window)
            for tile, window in zip(tiles, windows, strict=True)
            if tile.keep[1] * scale > part.start and tile.keep[0] * scale < part.stop
        ]
        for tiles, windows, part in zip(
            plan.grid, plan.windows(scale), wanted, strict=True
        )
    ]
    for (z, in_z), (y, in_y), (x, in_x) in itertools.product(*axes):
        yield Tile((z, y, x)), in_z[:, None, None] * in_y[:, None] * in_x


def _shared(one: Region, other: Region) -> Region | None:
    """Where two regions overlap."""
    z, y, x = (
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(one, other, strict=True)
    )
    return None if any(p.stop <= p.start for p in (z, y, x)) else (z, y, x)


def _within(region: Region, outer: Region) -> Region:
    """A region counted from the beginning of an outer one."""
    z, y, x = (
        slice(part.start - whole.start, part.stop - whole.start)
        for part, whole in zip(region, outer, strict=True)
    )
    return z, y, x
