"""The list of downloaded files with their checksums, kept in the dataset's folder.

One line for a file: its path, its checksum and where it came from, as pooch's registry
files have them; behind `#` what was asked for.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from napari_cyclegan3d.engine.dates import now
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path

# BIDS leaves to the user what is in sourcedata
_PLACE = Path("sourcedata") / "openneuro"
_FIRST = "# OpenNeuro "
_LARGEST = 2**26


class Registry:
    """The list in a BIDS folder.

    Args:
        root: The BIDS folder; it need not exist.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.path = root / _PLACE / "registry.txt"

    @property
    def partial(self) -> Path:
        """The folder of files that are not yet whole."""
        return self.path.parent / "partial"

    def check(self, dataset: str) -> None:
        """Refuse a folder that is of another dataset.

        Raises:
            InputError: Its list says so, or cannot be read.
        """
        for line in self._lines():
            other = line.removeprefix(_FIRST).split()[:1]
            if line.startswith(_FIRST) and other != [dataset]:
                raise InputError(
                    f"{self._root}: holds {' '.join(other)} of OpenNeuro; choose "
                    f"another folder for {dataset}"
                )

    def known(self) -> dict[str, str]:
        """Checksums by path, `md5:…` or `sha256:…`."""
        rows = [line.split() for line in self._lines() if line[:1] != "#"]
        return {row[0]: row[1] for row in rows if len(row) >= 2}

    def write(self, dataset: str, rows: Mapping[str, tuple[str, str]]) -> None:
        """Write the list anew, with what it held.

        Args:
            dataset: Number of the dataset.
            rows: Checksum (`sha256:…`) and URL by path.

        Raises:
            InputError: It could not be written.
        """
        before = [line for line in self._lines() if line[:1] != "#"]
        lines = {line.split()[0]: line for line in before if line.split()}
        lines |= {path: " ".join((path, *row)) for path, row in rows.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.path) as temporary:
            content = "\n".join(
                (f"{_FIRST}{dataset} {now()}", *(lines[path] for path in sorted(lines)))
            )
            temporary.write_text(f"{content}\n", encoding="utf-8")

    @staticmethod
    def matches(path: Path, checksum: str | None) -> bool:
        """Whether a file has the content that the list says; no, if it says nothing."""
        kind, _, value = (checksum or "").partition(":")
        if kind not in ("md5", "sha256"):
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, kind).hexdigest() == value

    def _lines(self) -> list[str]:
        if not self.path.is_file():
            return []
        if self.path.stat().st_size > _LARGEST:
            raise InputError(f"{self.path}: is too large for a list; remove it")
        text = self.path.read_text(encoding="utf-8", errors="replace")
        return text.splitlines()
