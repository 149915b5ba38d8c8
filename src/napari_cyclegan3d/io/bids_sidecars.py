"""The JSON files of BIDS that say how images were taken.

A file in a folder counts for the images in it and below that have its suffix and all of
its entities; what lies nearer to an image overrides what lies further up.
"""

import json
from pathlib import Path
from typing import Any

from napari_cyclegan3d.engine.bids import BidsName, bids_name

_LARGEST = 2**20

_Found = list[tuple[BidsName, dict[str, Any]]]


class Sidecars:
    """The JSON files of one BIDS folder, each read once.

    Args:
        root: The BIDS folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[Path, _Found] = {}

    def field(self, image: Path, key: str) -> str | None:
        """One value for an image as text; None where nothing states it."""
        name = bids_name(image.name)
        value = None
        for folder in self._above(image):
            for other, content in self._inside(folder):
                if name is not None and _counts_for(other, name):
                    value = content.get(key, value)
        if isinstance(value, str | int | float):
            return str(value)
        return None

    def _above(self, image: Path) -> list[Path]:
        """The folders from the root down to that of the image."""
        below = image.parent.relative_to(self._root).parts
        return [self._root.joinpath(*below[:n]) for n in range(len(below) + 1)]

    def _inside(self, folder: Path) -> _Found:
        if folder not in self._read:
            # the more entities, the nearer to an image
            found = [
                (name, _content(path))
                for path in folder.glob("*.json")
                if (name := bids_name(path.name)) is not None
            ]
            found.sort(key=lambda one: (len(one[0].entities), str(one[0].entities)))
            self._read[folder] = found
        return self._read[folder]


def _counts_for(sidecar: BidsName, image: BidsName) -> bool:
    return (
        sidecar.suffix == image.suffix
        and sidecar.entities.items() <= image.entities.items()
    )


def _content(path: Path) -> dict[str, Any]:
    """What a file says; nothing if it says nothing that can be read."""
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
