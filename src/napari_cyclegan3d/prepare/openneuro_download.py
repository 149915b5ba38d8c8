"""Fetching the files of a plan: several at a time, each whole or not at all."""

import hashlib
import logging
import shutil
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.extras import needed
from napari_cyclegan3d.prepare.openneuro import Plan
from napari_cyclegan3d.prepare.openneuro_files import (
    EXTRA,
    PURPOSE,
    RemoteFile,
    is_whole,
)
from napari_cyclegan3d.prepare.openneuro_registry import Registry
from napari_cyclegan3d.prepare.openneuro_web import CancelledError, MissingError

_AT_ONCE = 4
_SECONDS_BETWEEN = 0.2


@dataclass(frozen=True)
class Fetching:
    """So many bytes and files of those to fetch are there.

    Attributes:
        done: Bytes.
        total: Bytes of all files to fetch.
        files: Files that are whole.
    """

    done: int
    total: int
    files: int


@dataclass(frozen=True)
class Fetched:
    """The end: the folder has all files.

    Attributes:
        root: The BIDS folder.
        unchecked: Paths of files of which the server states nothing that shows that
            they are whole but their size.
    """

    root: Path
    unchecked: tuple[str, ...]


@dataclass
class _Work:
    """What the threads share."""

    plan: Plan
    registry: Registry
    rows: dict[str, tuple[str, str]] = field(default_factory=dict)
    unchecked: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def came(self, count: int) -> None:
        with self.lock:
            self.bytes += count

    def finished(self, file: RemoteFile, sha256: str, checked: bool) -> None:
        with self.lock:
            self.rows[file.path] = (f"sha256:{sha256}", file.url)
            if not checked:
                self.unchecked.append(file.path)


def download(plan: Plan) -> Generator[Fetching | Fetched, None, None]:
    """Fetch what is missing; closing the iterator stops, and what came is kept.

    Raises:
        InputError: The server cannot be reached any more, some files could not be had
            (the others are there), or the folder could not be written to.
    """
    pooch = needed("pooch", EXTRA, PURPOSE)
    pooch.get_logger().setLevel(logging.WARNING)
    work = _Work(plan, Registry(plan.root))
    try:
        work.registry.partial.mkdir(parents=True, exist_ok=True)
        yield from _followed(work)
    except OSError as error:
        raise InputError(
            f"{plan.root}: could not be written to ({error.strerror or error}); free "
            "space or choose another folder, and start again: what is there is kept"
        ) from error
    finally:
        if work.rows:
            work.registry.write(plan.request.dataset, work.rows)
    if work.failed:
        raise InputError(
            f"{len(work.failed)} of {len(plan.files)} files could not be fetched "
            f"({work.failed[0]}); the others are in {plan.root}; start again later, or "
            "leave their subjects out"
        )
    shutil.rmtree(work.registry.partial, ignore_errors=True)
    yield Fetched(plan.root, tuple(sorted(work.unchecked)))


def _followed(work: _Work) -> Iterator[Fetching]:
    plan = work.plan
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="openneuro")
    running = {pool.submit(_fetch, work, file) for file in plan.missing}
    try:
        yield Fetching(0, plan.to_fetch, 0)
        while running:
            done, running = wait(running, _SECONDS_BETWEEN, FIRST_COMPLETED)
            _raise_first(done)
            yield Fetching(work.bytes, plan.to_fetch, len(work.rows))
    finally:
        plan.web.stop.set()
        pool.shutdown(cancel_futures=True)
        plan.web.stop.clear()


def _raise_first(done: set[Future[None]]) -> None:
    for one in done:
        one.result()


def _fetch(work: _Work, file: RemoteFile) -> None:
    """Fetch one file, once more if its content is not what it should be."""
    for _ in range(2):
        try:
            checked = _try(work, file)
        except MissingError as error:
            work.failed.append(str(error))
            return
        except CancelledError:
            return
        if checked is not False:
            break
        work.came(-file.size)
    else:
        work.failed.append(f"{file.path}: is not what its checksum says, twice")
        return
    whole = _whole(work, file)
    with whole.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    target = work.plan.root / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    whole.replace(target)
    work.finished(file, sha256, checked is True)


def _try(work: _Work, file: RemoteFile) -> bool | None:
    """Whether the file came and is what it should be; None if that is not stated."""
    pooch = needed("pooch", EXTRA, PURPOSE)
    whole = _whole(work, file)
    part = whole.with_suffix(".part")
    whole.unlink(missing_ok=True)
    work.came(part.stat().st_size if part.exists() else 0)

    def resumed(_url: str, place: str, _pooch: object) -> None:
        work.plan.web.fetch(file, part, work.came)
        part.replace(place)

    known = file.checksum.known_hash if file.checksum else None
    try:
        pooch.retrieve(
            file.url, known, fname=whole.name, path=whole.parent, downloader=resumed
        )
    except InputError:
        raise
    except ValueError:  # what pooch says of another content
        return False
    return True if known else is_whole(whole, file)


def _whole(work: _Work, file: RemoteFile) -> Path:
    """Where a file is put together; another content has another place."""
    stated = file.checksum.value if file.checksum else file.url
    told = hashlib.sha256(f"{file.path} {file.size} {stated}".encode())
    return work.registry.partial / f"{told.hexdigest()[:32]}.whole"
