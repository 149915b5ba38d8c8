"""A prepared volume in its file, and its records beside it."""

from collections.abc import Iterator
from pathlib import Path

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path, check_folder
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.origins import without_origin
from napari_cyclegan3d.prepare.events import Event, Saved, Working
from napari_cyclegan3d.prepare.records import records_path, to_json


def save(
    volume: Volume, path: str | Path, *, overwrite: bool = False
) -> Iterator[Event]:
    """Write a prepared volume and its records, both whole or not at all.

    Args:
        volume: As `prepared` gives it; its voxels are computed now.
        path: The file; its suffix decides on the format.
        overwrite: Replace what is there.

    Yields:
        Working; Saved as the last event.

    Raises:
        InputError: The path exists, or cannot be written; it is unchanged.
    """
    path = Path(path)
    check_new(path, overwrite=overwrite)
    beside = records_path(path)
    records = volume.metadata.get("prepared", ())
    with (
        atomic_path(beside) as temporary,
        # without the memory of its origin: the file is another volume
        io.create(without_origin(volume), path) as sink,
    ):
        parts = list(sink.parts())
        for number, region in enumerate(parts):
            yield Working(number / len(parts), f"writing {path.name}")
            sink[region] = volume.read(region)
        # before the volume is in its place: a full disk must not leave it alone
        temporary.write_text(to_json(records), encoding="utf-8")
    yield Saved(path, beside)


def check_new(path: Path, *, overwrite: bool) -> None:
    """Refuse before the work what could not be written after it.

    Raises:
        InputError: The format is unknown, the path exists, or its folder does not.
    """
    if not io.can_write(path):
        raise InputError(
            f"{path}: files of this kind cannot be written; known are "
            f"{', '.join(io.WRITABLE_SUFFIXES)}"
        )
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists already; replace it with --overwrite")
    check_folder(path)


def write(volume: Volume, path: str | Path, *, overwrite: bool = False) -> None:
    """`save` without a look at what it is at.

    Raises:
        InputError: The path exists, or cannot be written; it is unchanged.
    """
    for _ in save(volume, path, overwrite=overwrite):
        pass
