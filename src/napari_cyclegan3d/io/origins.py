"""Where the volumes of a training came from, kept beside the training.

A run's sources.yaml lists for each domain what `open_domain` takes to open its volumes
again, and null for a volume that came from no file.
"""

import glob
from collections.abc import Sequence
from dataclasses import replace
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.settings import Settings, load_yaml, parse
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.slices import slice_files

if TYPE_CHECKING:
    from napari_cyclegan3d.engine.sources import Domains

DOMAINS = ("a", "b", "validate_a", "validate_b")
ORIGIN = ("files", "dataset", "frame", "series", "region", "subject")
FILE = "sources.yaml"
LARGEST = 2**24


class _Sources(Settings):
    a: tuple[str | None, ...] = ()
    b: tuple[str | None, ...] = ()
    validate_a: tuple[str | None, ...] = ()
    validate_b: tuple[str | None, ...] = ()


def text_of(volume: Volume) -> str | None:
    """What `open_domain` takes to open a volume again; None if it came from no file.

    An absolute path, with the dataset and the region where there are some.
    """
    files: Sequence[str] = volume.metadata.get("files", ())
    place = files[0] if len(files) == 1 else _together(files)
    if place is None:
        return None
    dataset, region = volume.metadata.get("dataset"), volume.metadata.get("region")
    if dataset is not None:
        place += f"::{dataset.strip('/')}"
    if "frame" in volume.metadata:
        place += f"::{volume.metadata['frame']}"
    if region is not None:
        place += f"[{','.join(f'{start}:{stop}' for start, stop in region)}]"
    return place


def text_of_all(volumes: Sequence[Volume]) -> str | None:
    """What `open_domain` takes for a volume, or for all frames of a series.

    Args:
        volumes: One volume, or the frames of one file; they are not compared with it.
    """
    first = volumes[0]
    if len(volumes) == 1:
        return text_of(first)
    kept = {key: one for key, one in first.metadata.items() if key != "frame"}
    return text_of(replace(first, metadata=kept))


def without_origin(volume: Volume) -> Volume:
    """The volume without the memory of its files: other voxels at the same place."""
    kept = {key: one for key, one in volume.metadata.items() if key not in ORIGIN}
    return replace(volume, metadata=kept)


def write_sources(run: Path, domains: "Domains") -> None:
    """Write down in the folder of a run where its volumes came from.

    Raises:
        InputError: The file could not be written.
    """
    texts = {
        name: [text_of(volume) for volume in getattr(domains, name)] for name in DOMAINS
    }
    with atomic_path(run / FILE) as temporary:
        text = yaml.safe_dump(texts, sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")


def read_sources(run: Path) -> dict[str, list[str | None]]:
    """Where the volumes of a run came from: a, b, validate_a and validate_b.

    A run without the file, of an earlier version, has none of any.

    Raises:
        InputError: The file was changed to something else.
    """
    path = run / FILE
    if not path.exists():
        return {name: [] for name in DOMAINS}
    try:
        if path.stat().st_size > LARGEST:
            raise InputError("is too large")
        sources = parse(_Sources, load_yaml(path))
    except InputError as error:
        raise InputError(
            f"{path}: is no list of volumes; remove it and name the volumes again "
            f"({str(error).removeprefix(f'{path}: ')})"
        ) from None
    return {name: list(getattr(sources, name)) for name in DOMAINS}


def _together(files: Sequence[str]) -> str | None:
    """A folder or a pattern that means just these slices, in this order."""
    if not files:
        return None
    paths = [Path(file) for file in files]
    folder = paths[0].parent
    if not folder.is_dir():
        return None
    inside = slice_files(folder)
    if inside == paths and not _holds_others(folder, paths):
        return str(folder)
    names = [path.name for path in paths]
    start = commonprefix(names)  # noqa: RUF071 - of letters, not of folders
    rests = [name[len(start) :][::-1] for name in names]
    end = commonprefix(rests)[::-1]  # noqa: RUF071
    pattern = folder / f"{glob.escape(start)}*{glob.escape(end)}"
    return str(pattern) if _matched(inside, start, end) == paths else None


def _holds_others(folder: Path, slices: Sequence[Path]) -> bool:
    """Whether a folder has images of another kind, so that it must not be named."""
    known = {path.suffix.lower() for path in slices}
    return any(
        io.can_read(path) and path.suffix.lower() not in known
        for path in folder.iterdir()
        if path.name[0] != "."
    )


def _matched(paths: Sequence[Path], start: str, end: str) -> list[Path]:
    """The paths whose names begin and end so, with anything between."""
    least = len(start) + len(end)
    return [
        path
        for path in paths
        if path.name.startswith(start)
        and path.name.endswith(end)
        and len(path.name) >= least
    ]
