"""The folder that holds everything one training produced.

config.yaml, metrics.csv (one line a step), validation.csv, log.txt, model.safetensors,
best/ (the models of the best validations), checkpoints/ (numbered states, the oldest
removed) and previews/ (pictures, drawn by the caller). Of several processes that train
together, one writes; all read.
"""

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from napari_cyclegan3d.engine.checkpoint import load_state, save_state
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.files import atomic_path
from napari_cyclegan3d.engine.parallel import writers_only
from napari_cyclegan3d.engine.settings import load_yaml, parse, to_yaml

# may differ when a run is continued; all else would make it another run
CHANGEABLE = {
    "steps",
    "device",
    "preview_every",
    "preview_a",
    "preview_b",
    "checkpoint_every",
    "keep",
    "record",
}
STATE_NAME = re.compile(r"state_(\d{8})\.pt")
BEST_NAME = re.compile(r"step_(\d{8})\.safetensors")
TABLES = ("metrics.csv", "validation.csv")


class RunFolder:
    """One training's folder.

    Args:
        path: The folder; made by `open`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tables: dict[str, TextIO] = {}

    @property
    def model_path(self) -> Path:
        """Where the usable model lies."""
        return self.path / "model.safetensors"

    @property
    def previews(self) -> Path:
        """Where pictures of previews go."""
        return self.path / "previews"

    def states(self) -> list[Path]:
        """Saved states, oldest first."""
        return _numbered(self.path / "checkpoints", STATE_NAME)

    def best_models(self) -> list[Path]:
        """The models of the best validations, oldest first."""
        return _numbered(self.path / "best", BEST_NAME)

    def best_path(self, step: int) -> Path:
        """Where the model of a good validation at `step` goes."""
        return self.path / "best" / f"step_{step:08d}.safetensors"

    def config(self) -> TrainConfig:
        """The settings that the run was started with.

        Raises:
            InputError: The folder holds none.
        """
        if not (self.path / "config.yaml").exists():
            raise InputError(
                f"{self.path}: holds no training; check the path, or start a new one"
            )
        return parse(TrainConfig, load_yaml(self.path / "config.yaml"))

    def check_new(self) -> None:
        """Refuse to train over an earlier run.

        Raises:
            InputError: The folder already holds one.
        """
        if self.states() or self.model_path.exists():
            raise InputError(
                f"{self.path}: already holds a training; continue it (Resume, or "
                "--resume), or give another folder"
            )
        metrics = self.path / "metrics.csv"
        if metrics.exists() and metrics.stat().st_size > 0:
            raise InputError(
                f"{metrics}: is of a training that ended before it saved a state; "
                "remove it, or give another folder"
            )

    def last_state(self, config: TrainConfig) -> dict[str, Any]:
        """The newest saved state, if it was trained with these settings.

        Raises:
            InputError: There is none, it is damaged, or the settings differ.
        """
        states = self.states()
        if not states:
            raise InputError(
                f"{self.path}: holds no saved state to continue; start a new training"
            )
        before = self.config().model_dump(exclude=CHANGEABLE)
        now = config.model_dump(exclude=CHANGEABLE)
        for key, value in now.items():
            if before[key] != value:
                raise InputError(
                    f"{self.path}: was trained with {key} = {before[key]}, not {value};"
                    " continue it with the same settings, or start a new training"
                )
        return load_state(states[-1])

    @writers_only
    def open(self, config: TrainConfig, steps_done: int) -> None:
        """Make the folder, write the settings and drop metrics of lost steps.

        Raises:
            InputError: The folder cannot be written.
        """
        try:
            self.previews.mkdir(parents=True, exist_ok=True)
            (self.path / "checkpoints").mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be made ({error.strerror}); choose another folder"
            ) from None
        with atomic_path(self.path / "config.yaml") as temporary:
            temporary.write_text(to_yaml(config), encoding="utf-8")
        self.rewind(steps_done)

    @writers_only
    def rewind(self, steps_done: int) -> None:
        """Drop what was written of later steps: they will be trained again."""
        self.close()
        for name in TABLES:
            path = self.path / name
            if path.exists():
                _drop_later_rows(path, steps_done)
        for path in [*self.states(), *self.best_models()]:
            if _number(path) > steps_done:
                path.unlink()

    @writers_only
    def add_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line to metrics.csv (the first also writes the names)."""
        self._add("metrics.csv", step, values)

    @writers_only
    def add_validation(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line to validation.csv (the first also writes the names)."""
        self._add("validation.csv", step, values)
        self._tables["validation.csv"].flush()

    def _add(self, name: str, step: int, values: Mapping[str, float]) -> None:
        if name not in self._tables:
            path = self.path / name
            self._tables[name] = path.open("a", newline="", encoding="utf-8")
        table = self._tables[name]
        writer = csv.writer(table, lineterminator="\n")
        if table.tell() == 0:
            writer.writerow(["step", *values])
        writer.writerow([step, *(f"{value:.6g}" for value in values.values())])

    @writers_only
    def log(self, line: str) -> None:
        """Append one line to log.txt."""
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    @writers_only
    def save_state(self, state: dict[str, Any], step: int, keep: int) -> None:
        """Save a numbered state and remove those beyond the newest `keep`.

        Raises:
            InputError: The file could not be written.
        """
        for table in self._tables.values():
            table.flush()
        path = self.path / "checkpoints" / f"state_{step:08d}.pt"
        save_state(state, path)
        for old in self.states()[:-keep]:
            old.unlink()

    def close(self) -> None:
        """Close what is open; the folder can be opened again."""
        while self._tables:
            self._tables.popitem()[1].close()


def _numbered(folder: Path, name: re.Pattern[str]) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if name.fullmatch(path.name))


def _number(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def _drop_later_rows(metrics: Path, steps_done: int) -> None:
    """Steps after the saved state will be trained again."""
    try:
        lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True)
        # a last line that was cut off, by a full disk for example, is no row
        names, *rows = [line for line in lines if line.endswith("\n")] or [""]
        kept = [row for row in rows if int(row.split(",")[0]) <= steps_done]
    except ValueError:
        raise InputError(
            f"{metrics}: was changed by another program; move it elsewhere to continue"
        ) from None
    with atomic_path(metrics) as temporary:
        temporary.write_text("".join([names, *kept]), encoding="utf-8", newline="")
