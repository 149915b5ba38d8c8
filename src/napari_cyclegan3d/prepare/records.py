"""What was done to a volume: records, kept in a file beside it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from napari_cyclegan3d import __version__
from napari_cyclegan3d.engine.dates import now
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import Settings, parse
from napari_cyclegan3d.engine.volume import Shape, Volume
from napari_cyclegan3d.io.domains import open_volume
from napari_cyclegan3d.prepare.options import Axis

SUFFIX = ".prepared.json"
FORMAT = 1
LARGEST = 2**24
# a file above this is known by its size alone: reading it would take seconds
HASHED_BYTES = 2**28
# shares of a voxel by which a grid may differ from the one that a record states
SAME = 1e-3
Row = tuple[float, float, float, float]


class Source(Settings):
    """The file that a volume was read from."""

    name: str
    bytes: int | None = None
    sha256: str | None = None


class Grid(Settings):
    """Where voxels lie: shape (z, y, x), 4×4 affine to the world, unit."""

    shape: tuple[int, int, int]
    affine: tuple[Row, Row, Row, Row]
    unit: str = "pixel"


class Kept(Settings):
    """The slices across an axis that were kept, by their numbers before the step."""

    axis: Axis
    numbers: tuple[int, ...]


class Record(Settings):
    """One step: what was done, with what, to what, and where the voxels lay."""

    step: str
    settings: dict[str, Any]
    version: str
    date: str
    source: Source
    partner: Source | None = None
    before: Grid
    after: Grid
    kept: Kept | None = None
    remarks: tuple[str, ...] = Field(())


class _File(Settings):
    format: int
    records: tuple[Record, ...]


def grid_of(volume: Volume) -> Grid:
    """The grid of a volume."""
    rows = tuple(tuple(float(one) for one in row) for row in volume.affine)
    return parse(Grid, {"shape": volume.shape, "affine": rows, "unit": volume.unit})


def same_grid(one: Grid, other: Grid) -> bool:
    """Whether the voxels of two grids lie at the same places."""
    if one.shape != other.shape or one.unit != other.unit:
        return False
    first, second = np.array(one.affine), np.array(other.affine)
    apart = np.linalg.inv(first) @ second - np.eye(4)
    reach: Shape = one.shape
    return bool(np.abs(apart[:3] @ np.array([*reach, 1.0])).max() < SAME)


def source_of(volume: Volume) -> Source:
    """Name, and where the file is known size and hash, of what a volume is made of."""
    files = [Path(file) for file in volume.metadata.get("files", ())]
    if not files or not all(file.is_file() for file in files):
        return Source(name=volume.name)
    size = sum(file.stat().st_size for file in files)
    if size > HASHED_BYTES:
        return Source(name=volume.name, bytes=size)
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return Source(name=volume.name, bytes=size, sha256=digest.hexdigest())


def record_of(
    step: str,
    settings: Settings,
    volume: Volume,
    result: Volume,
    partner: Volume | None = None,
    **more: Any,
) -> Record:
    """The record of one step, done now."""
    return Record(
        step=step,
        settings=settings.model_dump(mode="json"),
        version=__version__,
        date=now(),
        source=source_of(volume),
        partner=None if partner is None else source_of(partner),
        before=grid_of(volume),
        after=grid_of(result),
        **more,
    )


def records_path(path: Path) -> Path:
    """The file of the records of a volume: NAME.prepared.json beside NAME."""
    return path.with_name(path.name + SUFFIX)


def to_json(records: tuple[Record, ...]) -> str:
    """All records of a volume, as they are written beside it."""
    content = _File(format=FORMAT, records=records).model_dump(mode="json")
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def read_records(path: Path) -> tuple[Record, ...]:
    """The records in a file that `save` has written.

    Raises:
        InputError: It is no such file.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InputError("is too large")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, Mapping):
            raise InputError("holds no records")
        return parse(_File, content).records
    # bytes that are no text, damaged JSON: ValueError, of which InputError is one
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: is no list of preparation steps ({str(error).splitlines()[0]}); "
            "remove it to begin a new history"
        ) from None


def opened(text: str) -> Volume:
    """A volume as `open_volume` opens it, with the records beside its file.

    Raises:
        InputError: The volume or the file of its records cannot be read.
    """
    return with_records(open_volume(text))


def with_records(volume: Volume) -> Volume:
    """The volume with the records beside its file, if it is the whole file or a frame.

    Records that tell of another grid than the file's belong to a file that was replaced
    since: they are passed over.

    Raises:
        InputError: The file of its records cannot be read.
    """
    files = volume.metadata.get("files", ())
    if len(files) != 1 or "region" in volume.metadata:
        return volume
    place = records_path(Path(files[0]))
    records = read_records(place) if place.is_file() else ()
    if not records or not same_grid(records[-1].after, grid_of(volume)):
        return volume
    return replace(volume, metadata={**volume.metadata, "prepared": records})
