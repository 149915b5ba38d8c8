"""What the Train dock remembers between two starts: runs, settings, sources, layout."""

import glob
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.gui.preferences import preferences
from napari_cyclegan3d.gui.remembered import recall, remember
from napari_cyclegan3d.gui.source import Source
from napari_cyclegan3d.io.bids import is_bids

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.train.dock import TrainDock

RUN, RUNS = "train/run", "train/runs"
SETTINGS, SOURCES = "train/settings", "train/sources"
TAB, FOLDS = "train/tab", "train/folds"
NUMBERED = re.compile(r"(.*?)(\d+)")


@dataclass(frozen=True)
class Unfinished:
    """A run that stopped before its end: at `step` of `steps`."""

    path: Path
    step: int
    steps: int


def free_run(parent: Path | None = None) -> Path:
    """A run folder that does not exist yet.

    Args:
        parent: Folder for runs; by default the last one, or that of the preferences.
    """
    last = recall(RUNS)
    folder = parent or (Path(last) if isinstance(last, str) else preferences().folder)
    number = 1
    while (folder / f"run-{number:03d}").exists():
        number += 1
    return folder / f"run-{number:03d}"


def next_run(path: Path) -> Path:
    """The folder if no training was in it, else the next free one beside it.

    After run-001 comes run-002, after best comes best-2.
    """
    try:
        RunFolder(path).check_new()
    except InputError:
        match = NUMBERED.fullmatch(path.name)
        name, digits = (match[1], match[2]) if match else (f"{path.name}-", "1")
        number = int(digits)
        while path.exists():
            number += 1
            path = path.with_name(f"{name}{number:0{len(digits)}d}")
    return path


def last_step(path: Path) -> int | None:
    """The step of the newest state in a run; None: there is none."""
    states = RunFolder(path).states()
    return int(states[-1].stem.rpartition("_")[2]) if states else None


def remember_run(path: Path, *, runs: bool) -> None:
    """Keep the last run, so that it can be offered if it does not get to its end."""
    remember(RUN, {"path": str(path), "process": os.getpid() if runs else None})


def forget_run() -> None:
    """Offer the last run no more."""
    remember(RUN, None)


def unfinished_run() -> Unfinished | None:
    """The last run, if it stopped before its end and nobody goes on with it."""
    last = recall(RUN)
    if not isinstance(last, dict) or not isinstance(last.get("path"), str):
        return None
    process = last.get("process")
    if isinstance(process, int) and _is_alive(process):
        return None
    path = Path(last["path"])
    try:
        step, steps = last_step(path), RunFolder(path).config().steps
    except (InputError, OSError):
        return None
    if step is None or step >= steps:
        return None
    return Unfinished(path, step, steps)


def _is_alive(process: int) -> bool:
    """Whether a process goes on; of others than this one Windows does not tell."""
    if process == os.getpid():
        return True
    if sys.platform == "win32":  # there, asking would end it
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def remember_dock(dock: "TrainDock") -> None:
    """Keep what is set and shown in a dock; nothing is read."""
    texts = dock.data.texts()
    remember(SOURCES, {key: [one for one in texts[key] if one] for key in texts})
    remember(SETTINGS, dock.settings.form.values())
    remember(TAB, dock.tabs.currentIndex())
    remember(FOLDS, dock.settings.form.unfolded())
    runs = dock.run_path.parent
    remember(RUNS, None if runs == preferences().folder else str(runs))


def recall_dock(dock: "TrainDock") -> None:
    """Show what was set and shown; what is no longer there is left out."""
    settings, sources = recall(SETTINGS), recall(SOURCES)
    if isinstance(settings, dict):
        with suppress(InputError):  # they may be of another version
            dock.settings.show_settings("As last time", parse(TrainConfig, settings))
    if isinstance(sources, dict):
        dock.data.set_sources(_present(sources))
    folds, tab = recall(FOLDS), recall(TAB)
    if isinstance(folds, list):
        dock.settings.form.unfold(folds)
    if isinstance(tab, int):
        dock.tabs.setCurrentIndex(tab)


def _present(sources: dict[str, Any]) -> dict[str, list[str]]:
    """The texts whose files exist."""
    return {
        key: [text for text in texts if isinstance(text, str) and _exists(text)]
        for key, texts in sources.items()
        if isinstance(texts, list)
    }


def _exists(text: str) -> bool:
    """Whether the file is there; of a pattern or a query, opening it tells."""
    try:
        named = str(Source.of(text).item)
    except InputError:
        return False
    file = named.rpartition("::")[0] or named
    return is_bids(named) or glob.has_magic(file) or Path(file).exists()
