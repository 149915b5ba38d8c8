"""Files that appear whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_cyclegan3d.engine.errors import InputError


@contextmanager
def atomic_path(target: Path, needed_bytes: int | None = None) -> Iterator[Path]:
    """Lend a path to write to; its file becomes `target` when the block ends well.

    The lent path lies beside the target and ends in the same suffixes. If anything
    goes wrong, its file is removed and the target stays as it was.

    Args:
        target: The file to create or to replace. A link is followed.
        needed_bytes: Size of the file where it is known, in bytes.

    Yields:
        The path to write to; nothing exists there yet.

    Raises:
        InputError: The target cannot be a file, is write-protected, needs more bytes
            than are free, or the system refused the writing.
    """
    try:
        final = target.resolve()
        check_writable(target, needed_bytes)
        ending = "".join(final.suffixes[-2:])
        temporary = final.with_name(f".{secrets.token_hex(8)}.part{ending}")
        try:
            yield temporary
            # some file systems report a full disk only when the data reach it
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(final)
        finally:
            # a second error must not hide the first
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{target}: could not be written ({error.strerror or error}); "
            "free space or choose another folder; nothing was changed"
        ) from error


def check_writable(target: Path, needed_bytes: int | None = None) -> None:
    """Refuse before long work what could not be written after it.

    Args:
        target: The file to create or to replace. A link is followed.
        needed_bytes: Size of the file where it is known, in bytes.

    Raises:
        InputError: The target cannot be a file or needs more bytes than are free.
        OSError: It is write-protected.
    """
    folder = check_folder(target)
    final = target.resolve()
    if final.is_dir():
        raise InputError(f"{target}: is a folder; give the name of a file")
    if final.exists():
        # renaming would replace a file that its owner has write-protected
        final.open("r+b").close()
    free = shutil.disk_usage(folder).free
    if needed_bytes is not None and needed_bytes > free:
        raise InputError(
            f"{target}: needs {needed_bytes / 1e9:.3g} GB and {free / 1e9:.3g} GB are "
            "free; free space or choose another folder; nothing was changed"
        )


def check_folder(target: Path) -> Path:
    """Refuse a target whose folder does not exist; gives the folder.

    Who writes several files checks that of the one that was asked for.

    Raises:
        InputError: There is no such folder.
    """
    folder = target.resolve().parent
    if not folder.is_dir():
        raise InputError(
            f"{target}: the folder {folder} does not exist; create it or choose another"
        )
    return folder
