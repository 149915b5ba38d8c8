"""Two volumes of one subject on one grid: what a paired training needs."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import Settings
from napari_cyclegan3d.engine.volume import Region, Volume
from napari_cyclegan3d.prepare.arrays import Taken
from napari_cyclegan3d.prepare.events import Event, PrepareDone
from napari_cyclegan3d.prepare.grids import on_grid, overlapping
from napari_cyclegan3d.prepare.levels import threshold_of
from napari_cyclegan3d.prepare.margins import Box, box_of, region_of
from napari_cyclegan3d.prepare.options import (
    CropSettings,
    GridSettings,
    Interpolation,
    Length,
    N4Settings,
    ResampleSettings,
)
from napari_cyclegan3d.prepare.steps import prepared

ONE = np.ones((1, 1, 1), np.uint8)


class PairSettings(Settings):
    """How two volumes of one subject become a pair."""

    n4: bool = Field(True, description="Correct the bias fields first (N4).")
    spacing: tuple[Length, Length, Length] | None = Field(
        None,
        description="Distance between voxels of both (z, y, x) in the unit of A; "
        "automatic: that of A, whose voxels stay as they are.",
    )
    interpolation: Interpolation = Field(
        "linear", description="How values between voxels are found."
    )
    crop: Literal["content", "overlap", "none"] = Field(
        "content",
        description="What is kept: what both show; the field of view of both; all "
        "of A's.",
    )
    margin: int = Field(
        5, ge=0, le=10_000, description="content: voxels kept around it."
    )


@dataclass(frozen=True, eq=False)
class PairDone:
    """Both volumes lie on one grid: the last event of `paired`."""

    a: Volume
    b: Volume


def paired(a: Volume, b: Volume, settings: PairSettings) -> Iterator[Event | PairDone]:
    """Bring two volumes of one subject onto one grid, that of the first.

    Each step is recorded in both, as if it had been done alone.

    Args:
        a: The volume whose grid counts.
        b: The volume that is brought onto it.
        settings: How.

    Yields:
        Working and Warned of the steps; PairDone as the last event.

    Raises:
        InputError: The volumes do not overlap, or show nothing in common.
    """
    overlapping(b, a)  # refuses what is no pair before the work
    if settings.n4:
        a = yield from _step(a, "n4", N4Settings())
        b = yield from _step(b, "n4", N4Settings())
    if settings.spacing is not None:
        spacing = ResampleSettings(
            spacing=settings.spacing, interpolation=settings.interpolation
        )
        a = yield from _step(a, "resample", spacing)
    fine = b
    b = yield from _step(
        b, "to-grid", GridSettings(interpolation=settings.interpolation), a
    )
    if settings.crop != "none":
        region = yield from _common(a, b, fine, settings)
        box = _box(a, region)
        a = yield from _step(a, "crop", CropSettings(margin=0), box)
        b = yield from _step(b, "crop", CropSettings(margin=0), box)
    yield PairDone(a, b)


def _step(
    volume: Volume, step: str, settings: Settings, partner: Volume | None = None
) -> Generator[Event, None, Volume]:
    for event in prepared(volume, step, settings, partner):
        if isinstance(event, PrepareDone):
            return event.volume
        yield event
    raise AssertionError(f"{step} ended without a result")


def _common(
    a: Volume, b: Volume, fine: Volume, settings: PairSettings
) -> Generator[Event, None, Region]:
    """The region of the grid where both have voxels, and show something."""
    depth, height, width = (np.zeros(size, np.int64) for size in fine.shape)
    seen = replace(fine, array=Taken(ONE, (depth, height, width)))
    boxes: list[Box] = []
    overlap = yield from box_of(on_grid(seen, a, "nearest"), 0.0)
    if overlap is not None:
        boxes.append(overlap)
    if settings.crop == "content":
        for volume in (a, b):
            threshold = yield from threshold_of(volume, None)
            found = yield from box_of(volume, threshold)
            if found is not None:
                boxes.append(found)
    margin = settings.margin if settings.crop == "content" else 0
    z, y, x = region_of(boxes, a, margin)
    if overlap is not None:  # the margin must not reach beyond what B has seen
        z, y, x = (
            slice(max(part.start, low), min(part.stop, high))
            for part, (low, high) in zip((z, y, x), overlap, strict=True)
        )
    if any(part.start >= part.stop for part in (z, y, x)):
        raise InputError(
            f"{a.name} and {b.name}: show nothing at the same place; choose volumes of "
            "one subject, or crop overlap"
        )
    return z, y, x


def _box(volume: Volume, region: Region) -> Volume:
    """A mask on a volume's grid, 1 in a region."""
    numbers = [np.full(size, -1) for size in volume.shape]
    for one, part in zip(numbers, region, strict=True):
        one[part] = 0
    z, y, x = numbers
    kept = {key: value for key, value in volume.metadata.items() if key != "prepared"}
    array = Taken(ONE, (z, y, x))
    return replace(volume, array=array, name="what both show", metadata=kept)
