"""What the page of splits does: who is trained on, validated on and tested on."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from napari.layers import Image

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.gui.prepare.handing import train_on_lists
from napari_cyclegan3d.gui.prepare.runner import Runner
from napari_cyclegan3d.gui.prepare.split_page import NAME
from napari_cyclegan3d.gui.prepare.split_work import Drawn, Listed, SplitTask, divide
from napari_cyclegan3d.gui.prepare.task import Grey
from napari_cyclegan3d.gui.remembered import recall, remember
from napari_cyclegan3d.prepare.splitting import SplitSettings

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.prepare.dock import PrepareDock

SETTINGS_KEY, FOLDER_KEY = "prepare/split", "prepare/lists"


class SplitController:
    """Divides domains by subject.

    Args:
        dock: The dock.
        runner: Runs the work.
    """

    def __init__(self, dock: "PrepareDock", runner: Runner) -> None:
        self.dock, self._page, self._runner = dock, dock.split_page, runner
        self._restore()
        dock.split_button.clicked.connect(self.split)
        self._page.changed.connect(self._on_change)
        runner.busy_changed.connect(self._show_running)
        self._show_running(busy=False)

    def split(self) -> None:
        """Draw the subjects of each part and write the lists, if there are none yet."""
        try:
            self._start(self._page.task())
        except InputError as error:
            self.dock.status.refuse(str(error))

    def drop(self, items: Sequence[Grey | Path]) -> None:
        """Add to A what was dropped beside the lists."""
        usable = [one for one in items if isinstance(one, Image | Path)]
        self._page.domains["a"].add_bar.chosen.emit(usable)

    def problem(self) -> str:
        """What is wrong with what is set; empty: nothing, or nothing is chosen."""
        try:
            if self._page.is_ready:
                self._page.task()
        except InputError as error:
            return str(error)
        return ""

    def _start(self, task: SplitTask) -> None:
        if self._runner.is_busy:
            return
        self.dock.offer.withdraw()
        self._runner.start(
            divide(task),
            self._on_event,
            "Split",
            settings=yaml.safe_dump(task.settings.model_dump(mode="json")),
            asks=True,
        )

    def _on_event(self, event: Drawn | Listed) -> None:
        if isinstance(event, Listed):
            self._offer_training(event)
            return
        self._page.show_split(event.result)
        if event.there:
            names = ", ".join(path.name for path in event.there)
            folder = event.task.folder
            self._runner.tell(f"{folder}: holds {names} already; nothing was written.")
            self.dock.offer.make(
                "Replace the lists that are there?",
                "Replace",
                partial(self._start, replace(event.task, replace=True)),
            )

    def _offer_training(self, listed: Listed) -> None:
        domains = " and ".join(one.upper() for one in ("a", "b") if one in listed.lists)
        self.dock.offer.make(
            f"Train with these lists? They replace what is in {domains}.",
            "Use in Train",
            partial(train_on_lists, self.dock.viewer, listed.lists),
        )

    def _show_running(self, busy: bool) -> None:
        self.dock.split_button.setEnabled(self._page.is_ready and not busy)
        for widget in (*self._page.domains.values(), self._page.form):
            widget.setEnabled(not busy)
        self._page.folder.enabled = not busy

    def _on_change(self) -> None:
        self._page.show_split(None)  # that was of other volumes or shares
        self.dock.offer.withdraw()
        self.dock.show_problem()
        self._show_running(self._runner.is_busy)
        settings, folder = self._page.form.values(), Path(str(self._page.folder.value))
        if recall(SETTINGS_KEY) != settings:
            remember(SETTINGS_KEY, settings)
        if folder.is_absolute() and recall(FOLDER_KEY) != str(folder.parent):
            remember(FOLDER_KEY, str(folder.parent))

    def _restore(self) -> None:
        settings, folder = recall(SETTINGS_KEY), recall(FOLDER_KEY)
        if isinstance(settings, dict):
            with suppress(InputError):  # they may be of another version
                self._page.form.set_value(parse(SplitSettings, settings))
        if isinstance(folder, str):
            self._page.folder.value = Path(folder) / NAME
