"""The files of a package, in a .zip or a folder; nothing is unpacked to disk."""

import hashlib
import lzma
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from napari_cyclegan3d.engine.errors import InputError

# what reading a damaged archive raises
DAMAGE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
)

DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml", "model.yaml")
MOST_TEXT = 2**20
MOST_FILES = 10_000
# so much smaller than it is, a file of this size is no weights
LARGE, MOST_PACKED = 2**24, 100


@dataclass(frozen=True)
class Package:
    """A package.

    Attributes:
        path: Its .zip, or its description in a folder.
        content: The description.
    """

    path: Path
    content: dict[str, Any]

    def read(self, name: str, most: int, sha256: str | None = None) -> bytes:
        """The content of a file of the package.

        Args:
            name: As the description says it.
            most: Bytes that it may have.
            sha256: What the description says of its content.

        Raises:
            InputError: It is not in the package, too large, or another file.
        """
        if "://" in name:
            raise InputError(
                f"{self.path}: {name[:80]} is on the internet; download the whole "
                "package and give its .zip"
            )
        if self.path.suffix.lower() == ".zip":
            content = _zipped(self.path, name, most)
        else:
            content = _beside(self.path, name, most)
        found = hashlib.sha256(content).hexdigest()
        if sha256 is not None and found != str(sha256).lower():
            raise InputError(
                f"{self.path}: {name} is not the file that the package was made with "
                "(its SHA-256 is another); take another copy of the package"
            )
        return content


def is_package(folder: Path) -> bool:
    """Whether a folder has a description of bioimage.io."""
    return any((folder / name).is_file() for name in DESCRIPTIONS)


def open_package(path: Path) -> Package:
    """Read the description of a package.

    Args:
        path: A .zip, a folder, or the description in it.

    Raises:
        InputError: There is no package, or its description is none.
    """
    if path.is_dir():
        found = _descriptions(one.name for one in path.iterdir())
        if not found:
            raise InputError(
                f"{path}: the folder has no {' or '.join(DESCRIPTIONS[:2])}; give the "
                "folder or the .zip of a bioimage.io model"
            )
        path = path / found[0]
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix.lower() == ".zip":
        text = _zipped(path, _described(path), MOST_TEXT)
    else:
        text = _beside(path, path.name, MOST_TEXT)
    try:
        content = yaml.safe_load(text.decode("utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{path}: its description is no YAML; it is damaged")
    return Package(path, content)


def _descriptions(names: Any) -> list[str]:
    """Of some names those of descriptions, the likeliest first."""
    known = [n for n in names if n in DESCRIPTIONS or n.endswith(".bioimageio.yaml")]
    order = {name: place for place, name in enumerate(DESCRIPTIONS)}
    return sorted(known, key=lambda name: (order.get(name, len(order)), name))


def _described(path: Path) -> str:
    """The name of the description in a .zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise InputError(f"{path}: no .zip, or damaged") from None
    if len(entries) > MOST_FILES:
        raise InputError(f"{path}: holds {len(entries)} files; no model has so many")
    found = _descriptions(entry.filename for entry in entries)
    if not found:
        raise InputError(
            f"{path}: has no {' or '.join(DESCRIPTIONS[:2])}; give the .zip of a "
            "bioimage.io model"
        )
    return found[0]


def _zipped(path: Path, name: str, most: int) -> bytes:
    """A file of a .zip; its names are only compared, so they lead nowhere."""
    try:
        with zipfile.ZipFile(path) as archive:
            try:
                entry = archive.getinfo(str(PurePosixPath(name)))
            except KeyError:
                raise InputError(f"{path}: has no file {name[:80]}") from None
            size, packed = entry.file_size, max(1, entry.compress_size)
            _check_size(path, name, size, most)
            if size > LARGE and size > MOST_PACKED * packed:
                raise InputError(
                    f"{path}: {name[:80]} would unpack to {size / 1e6:.0f} MB from "
                    f"{packed / 1e6:.2g} MB; that is no model"
                )
            with archive.open(entry) as file:
                content = file.read(size + 1)
    except DAMAGE as error:
        raise InputError(f"{path}: {name[:80]} is damaged ({error})") from None
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise InputError(f"{path}: {name[:80]} cannot be read ({error})") from None
    return content


def _beside(path: Path, name: str, most: int) -> bytes:
    """A file in the folder of the description, and nowhere else."""
    folder = path.resolve().parent
    file = (folder / name).resolve()
    if not file.is_relative_to(folder):
        raise InputError(f"{path}: {name[:80]} lies outside of the package")
    if not file.is_file():
        raise InputError(f"{path}: has no file {name[:80]}")
    _check_size(path, name, file.stat().st_size, most)
    return file.read_bytes()


def _check_size(path: Path, name: str, size: int, most: int) -> None:
    if size > most:
        raise InputError(
            f"{path}: {name[:80]} has {size / 1e6:.0f} MB; at most {most / 1e6:.0f} MB "
            "are read"
        )
