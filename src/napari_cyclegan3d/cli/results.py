"""What may become of the output, and whether it goes on with an earlier one.

An OME-Zarr is gone on with if it was begun by the same job: the same model, the same
files of the same volume, direction, slices and number format. What only decides how
fast it goes, such as memory and workers, may change.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import check_folder, check_writable
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io import ome_zarr
from napari_cyclegan3d.io.ome_chunks import UNFINISHED
from napari_cyclegan3d.io.ome_metadata import NOTE, attributes_of


def check_output(path: Path, *, overwrite: bool) -> None:
    """Refuse before the work what could not be written after it."""
    if not io.can_write(path):
        raise InputError(
            f"{path}: files of this kind cannot be written; known are "
            f"{', '.join(io.WRITABLE_SUFFIXES)}"
        )
    if ome_zarr.is_named_store(path) and path.exists() and not _is_image(path):
        raise InputError(
            f"{path}: is there already and no OME-Zarr image; choose another name"
        )
    if path.exists() and not overwrite and unfinished(path) is None:
        raise InputError(f"{path}: exists already; replace it with --overwrite")
    if ome_zarr.is_named_store(path):
        check_folder(path)
    else:
        check_writable(path)


def _is_image(path: Path) -> bool:
    return path.is_dir() and attributes_of(path.resolve()) is not None


def unfinished(path: Path) -> Mapping[str, Any] | None:
    """The job that an unfinished OME-Zarr belongs to; None: there is none."""
    if not ome_zarr.is_named_store(path) or not path.is_dir():
        return None
    note = (attributes_of(path.resolve()) or {}).get(NOTE)
    if not isinstance(note, Mapping) or note.get("state") != UNFINISHED:
        return None
    job = note.get("job")
    return job if isinstance(job, Mapping) else None


def can_go_on(path: Path, config: EnhanceConfig) -> bool:
    """Whether what is interrupted can be gone on with: in one pass without overlaps."""
    return (
        ome_zarr.is_named_store(path)
        and config.mode == "exact"
        and config.slices != "all"
    )


def job_of(
    model: Path, source: str, volume: Volume, config: EnhanceConfig
) -> dict[str, Any]:
    """What makes this job another one than others, as JSON.

    Args:
        model: The model file.
        source: The volume as it was named, with an absolute path.
        volume: The volume.
        config: The settings, with the number format decided.
    """
    files = [Path(file) for file in volume.metadata["files"]]
    status = [file.stat() for file in files]
    with model.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {
        "model": digest,
        "volume": source,
        "shape": list(volume.shape),
        "dtype": volume.dtype.name,
        "bytes": sum(one.st_size for one in status),
        "modified": max(one.st_mtime_ns for one in status),
        "direction": config.direction,
        "slices": config.slices,
        "precision": config.precision,
    }


def begun(path: Path, job: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What this job was as it began, if the path holds its unfinished result.

    Args:
        path: The output.
        job: What makes it another one than others; how it is done may be noted there.
    """
    noted = unfinished(path)
    if noted is None or any(noted.get(key) != value for key, value in job.items()):
        return None
    return noted


def check_apart(path: Path, volume: Volume) -> None:
    """Refuse to write over the input, or among its slices.

    Raises:
        InputError: The output is a file or the folder of the input.
    """
    final = path.resolve()
    inputs = [Path(file).resolve() for file in volume.metadata["files"]]
    if any(one.is_relative_to(final) for one in inputs):
        raise InputError(
            f"{path}: is the input, too, and would be lost; choose another name"
        )
    if len(inputs) > 1 and any(final.parent == one.parent for one in inputs):
        raise InputError(
            f"{path}: lies among the slices of the input; choose another folder"
        )


def replaces(path: Path, job: Mapping[str, Any] | None) -> bool:
    """Whether something else than this job's beginning is there."""
    return path.exists() and (job is None or unfinished(path) != job)
