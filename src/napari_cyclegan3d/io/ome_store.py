"""The folders of OME-Zarr images: how they appear, go, and are gone on with."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.ome_chunks import UNFINISHED, StoreSink
from napari_cyclegan3d.io.ome_metadata import NOTE, attributes_of

SUFFIX = ".zarr"


def remove(path: Path) -> None:
    """Delete an image, and nothing that is none.

    Raises:
        InputError: There is something else at the path.
        OSError: It may not be deleted.
    """
    final = path.resolve()
    _refuse_foreign(path, final)
    if final.exists():
        # out of the way at once, however long the deletion of its files takes
        hidden = _hidden(final)
        final.rename(hidden)
        shutil.rmtree(hidden)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a path beside `path`; its folder becomes `path` when the block ends well."""
    final = path.resolve()
    if not final.parent.is_dir():
        raise InputError(
            f"{path}: the folder {final.parent} does not exist; create it or choose "
            "another"
        )
    _refuse_foreign(path, final)
    if final.exists() and not os.access(final, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    temporary = _hidden(final)
    try:
        yield temporary
        remove(final)
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _hidden(final: Path) -> Path:
    return final.with_name(f".{secrets.token_hex(8)}.part{SUFFIX}")


def _refuse_foreign(path: Path, final: Path) -> None:
    if final.exists() and (not final.is_dir() or attributes_of(final) is None):
        raise InputError(
            f"{path}: is there already and no OME-Zarr image; choose another name"
        )


def refuse_others(
    volume: Volume, path: Path, job: Any, frame: tuple[int, ...], version: str
) -> None:
    """Refuse to go on with what is not the same job's."""
    final = path.resolve()
    note = ((attributes_of(final) if final.is_dir() else None) or {}).get(NOTE, {})
    if note.get("state") != UNFINISHED:
        raise InputError(f"{path}: exists already; replace it with --overwrite")
    sink = StoreSink(final, frame)
    there = sink.shape, sink.dtype, sink.version
    if note.get("job") != job or there != (volume.shape, volume.dtype, version):
        raise InputError(
            f"{path}: is the unfinished result of another job; finish that one with "
            "its own settings, or replace it with --overwrite"
        )
