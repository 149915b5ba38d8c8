"""What the folder of a training tells of its model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.io.history import read_curves
from napari_cyclegan3d.io.origins import read_sources
from napari_cyclegan3d.io.previews import read_preview, saved_previews

SETTINGS, HISTORY = "config.yaml", "history.png"
GENERIC = "model"  # every training names its file so
Rows = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Run:
    """The folder of a training.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def scores(self) -> Rows:
        """The columns of validation.csv; none where nothing was validated."""
        return read_curves(self.path / "validation.csv")

    @property
    def history(self) -> Path | None:
        """The picture of the curves."""
        path = self.path / HISTORY
        return path if path.is_file() else None

    def picture(self, step: int) -> Path | None:
        """The picture of the last preview up to a step."""
        found = sorted((self.path / "previews").glob("step_*.png"))
        before = [path for path in found if _number(path) <= step]
        return before[-1] if before else None

    def preview(self, step: int) -> dict[str, NDArray[np.float32]]:
        """Images of the last preview up to a step, normalised; none if there is none.

        Raises:
            InputError: The preview is damaged.
        """
        before = [path for number, path in saved_previews(self.path) if number <= step]
        return read_preview(before[-1]) if before else {}

    @property
    def held_out(self) -> list[str]:
        """Names of the volumes that were validated on, not trained on."""
        sources = read_sources(self.path)
        texts = [*sources["validate_a"], *sources["validate_b"]]
        return [Path(text).name if text else "a layer" for text in texts]


def run_of(model: Path, folder: Path | None = None) -> Run | None:
    """The training that a model file lies in, or the one that is named.

    Args:
        model: RUN/model.safetensors or RUN/best/step_….safetensors.
        folder: Another folder of a training.

    Raises:
        InputError: The named folder holds no training.
    """
    if folder is not None:
        if (folder / SETTINGS).is_file():
            return Run(folder)
        raise InputError(f"{folder}: holds no training; give the folder of one")
    for place in model.absolute().parents[:2]:
        if (place / SETTINGS).is_file():
            return Run(place)
    return None


def title_of(name: str, run: Run | None) -> str:
    """What a model is called: after its file, or its training if that says more."""
    return run.path.resolve().name if run and name == GENERIC else name


def _number(path: Path) -> int:
    digits = path.stem.removeprefix("step_")
    return int(digits) if digits.isdecimal() else 0
