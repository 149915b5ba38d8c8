"""Where results go: into layers, or into files with names that are free."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.engine.memory import free_memory
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.preferences import preferences

Kind = Literal["auto", "layer", "file"]
SUFFIXES = (".zarr", ".tif", ".nii.gz", ".nii", ".h5")
# share of the free memory that a result may take by itself
USABLE = 0.8


@dataclass(frozen=True)
class Output:
    """What becomes of results.

    Attributes:
        kind: auto: a layer for a layer, a file for a file and for what is larger than
            the free memory.
        suffix: Format of files.
        folder: Where files go; None: beside the source.
    """

    kind: Kind = "auto"
    suffix: str = SUFFIXES[0]
    folder: Path | None = None

    def is_file(self, size: int, *, from_layer: bool) -> bool:
        """Whether results of so many bytes go to disk.

        Raises:
            MemoryShortageError: They do not fit the memory that they are to go to.
        """
        free = free_memory(torch.device("cpu"))
        fits = free is None or size <= USABLE * free
        if self.kind == "layer" and not fits:
            raise MemoryShortageError(
                f"the result takes {_gigabytes(size)}, and {_gigabytes(free or 0)} of "
                "memory are free; choose a file for the result"
            )
        return self.kind == "file" or (
            self.kind == "auto" and not (fits and from_layer)
        )

    def path(self, volume: Volume, name: str) -> Path:
        """A free place for a result of a volume.

        Args:
            volume: The source.
            name: What the file is to be called, without its suffix.

        Raises:
            InputError: The folder cannot be made.
        """
        folder = self.folder or beside(volume)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be made ({error.strerror or error}); choose another "
                "folder for the results"
            ) from error
        plain = re.sub(r"[^\w.-]+", "_", name).strip("_") or "volume"
        number, path = 1, folder / f"{plain}{self.suffix}"
        while path.exists():
            number += 1
            path = folder / f"{plain}_{number}{self.suffix}"
        return path


def beside(volume: Volume) -> Path:
    """The folder of a volume's file; of one without, that for results."""
    files: Sequence[str] = volume.metadata.get("files", ())
    if not files:
        return preferences().folder / "enhanced"
    # a result is no further slice of its source
    return Path(files[0]).parents[1 if len(files) > 1 else 0]


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g} GB"
