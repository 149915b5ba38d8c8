"""Files that a server has: where they are, how large, and what shows they are whole."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from napari_cyclegan3d.engine.extras import needed

EXTRA, PURPOSE = "mri", "OpenNeuro"
Kind = Literal["md5", "sha256", "git", "parts"]

_ETAG = re.compile(r"[0-9a-f]{32}(?P<parts>-\d{1,5})?")
_ANNEXED = re.compile(r"(?P<kind>MD5|SHA256)E?-s\d+(-[^-]+)*--(?P<value>[0-9a-f]+)")
_GIT = re.compile(r"[0-9a-f]{40}")
# what becomes a path on this computer; nothing that could lead out of the folder
_SAFE = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*(/[A-Za-z0-9_+-][A-Za-z0-9._+-]*)*")
# in MiB: those of common programs, and of OpenNeuro
_PART_SIZES = (
    5,
    8,
    10,
    15,
    16,
    20,
    25,
    32,
    50,
    64,
    100,
    128,
    256,
    500,
    512,
    1000,
    1024,
)


@dataclass(frozen=True)
class Checksum:
    """A number that only the right content has.

    Attributes:
        kind: md5, sha256; git: of a blob; parts: S3's ETag of a file sent in parts.
        value: In hexadecimal digits; of parts with their count, `…-3`.
    """

    kind: Kind
    value: str

    @property
    def known_hash(self) -> str | None:
        """As pooch takes it; None for kinds that it does not know."""
        known = self.kind in ("md5", "sha256")
        return f"{self.kind}:{self.value}" if known else None


@dataclass(frozen=True)
class RemoteFile:
    """A file of a dataset.

    Attributes:
        path: From the root of the dataset, with slashes.
        size: In bytes.
        url: Where it is.
        checksum: None where the server states none.
    """

    path: str
    size: int
    url: str
    checksum: Checksum | None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


class Catalogue(Protocol):
    """What a server has of one dataset."""

    def top(self) -> tuple[list[str], list[RemoteFile]]:
        """The folders (`sub-01` …) and the files in the root of the dataset."""

    def inside(self, folder: str) -> list[RemoteFile]:
        """All files in a folder of the root and below."""


def is_safe(path: str) -> bool:
    """Whether a path that a server states stays inside the folder it is put in."""
    return len(path) < 1024 and _SAFE.fullmatch(path) is not None


def from_etag(text: str) -> Checksum | None:
    """What S3 states of a file; None if it is no checksum of the content."""
    value = text.strip().removeprefix("W/").strip('"').lower()
    match = _ETAG.fullmatch(value)
    if match is None:
        return None
    return Checksum("parts" if match["parts"] else "md5", value)


def from_key(text: str) -> Checksum | None:
    """What git or git-annex call the content of a file; None for other names."""
    match = _ANNEXED.match(text)
    if match is not None:
        return Checksum("md5" if match["kind"] == "MD5" else "sha256", match["value"])
    return Checksum("git", text) if _GIT.fullmatch(text) else None


def is_whole(path: Path, file: RemoteFile) -> bool | None:
    """Whether a file on this computer has the content; None if that cannot be told."""
    if path.stat().st_size != file.size:
        return False
    checksum = file.checksum
    if checksum is None:
        return None
    match checksum.kind:
        case "md5" | "sha256":
            pooch = needed("pooch", EXTRA, PURPOSE)
            found = str(pooch.file_hash(str(path), alg=checksum.kind))
            return found == checksum.value
        case "git":
            return _git_hash(path, file.size) == checksum.value
        case "parts":
            # the size of the parts is not stated; with a wrong one nothing is shown
            fits = any(
                _parts_hash(path, size) == checksum.value
                for size in _possible_parts(file.size, checksum.value)
            )
            return True if fits else None


def _git_hash(path: Path, size: int) -> str:
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _possible_parts(size: int, value: str) -> Iterator[int]:
    count = int(value.rpartition("-")[2])
    for mebibytes in _PART_SIZES:
        part = mebibytes * 2**20
        if -(-size // part) == count:
            yield part


def _parts_hash(path: Path, part: int) -> str:
    """MD5 of the MD5s of all parts, and their count."""
    digests = []
    with path.open("rb") as file:
        while file.tell() < path.stat().st_size:
            digest, left = hashlib.md5(usedforsecurity=False), part
            while left and (block := file.read(min(left, 2**20))):
                digest.update(block)
                left -= len(block)
            digests.append(digest.digest())
    whole = hashlib.md5(b"".join(digests), usedforsecurity=False)
    return f"{whole.hexdigest()}-{len(digests)}"
