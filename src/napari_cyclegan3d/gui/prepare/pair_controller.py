"""What the page of pairs does: two layers on one grid, and what to do with them."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from napari.layers import Image

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.gui.drops import accept_drops
from napari_cyclegan3d.gui.prepare.handing import train_on_pair
from napari_cyclegan3d.gui.prepare.opening import Opener
from napari_cyclegan3d.gui.prepare.pair_work import PairMade, files_of, pair, save_pair
from napari_cyclegan3d.gui.prepare.results import add_layer
from napari_cyclegan3d.gui.prepare.runner import Runner
from napari_cyclegan3d.gui.prepare.task import Grey, made_from
from napari_cyclegan3d.gui.prepare.volume import VolumeChooser
from napari_cyclegan3d.gui.remembered import recall, remember
from napari_cyclegan3d.prepare.pairs import PairSettings

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.prepare.dock import PrepareDock

SETTINGS_KEY = "prepare/pair"


class PairController:
    """Makes pairs, and saves them.

    Attributes:
        made: The layers of the last pair; empty: there are none any more.

    Args:
        dock: The dock.
        runner: Runs the work.
        opener: Opens files.
    """

    def __init__(self, dock: "PrepareDock", runner: Runner, opener: Opener) -> None:
        self.dock, self._page = dock, dock.pair_page
        self._runner, self._opener = runner, opener
        self.made: tuple[Grey, ...] = ()
        self._restore()
        self._connect()
        self.on_layers()

    def pair(self) -> None:
        """Bring both volumes onto one grid; the results are two new layers."""
        if self._runner.is_busy:
            return
        try:
            task = self._page.task()
        except InputError as error:
            self.dock.status.refuse(str(error))
            return
        self.dock.offer.withdraw()
        self._runner.start(
            pair(task),
            self._show,
            f"Pair: {task.a.name} and {task.b.name}",
            settings=yaml.safe_dump(task.settings.model_dump(mode="json")),
            asks=True,
        )

    def save(self, folder: Path, *, replace: bool = False) -> None:
        """Write the last pair, into the folders a and b of a folder.

        Args:
            folder: The folder of the pair.
            replace: Whether files that are there are replaced; by default it is asked.
        """
        made = self.made
        if not made:
            return
        paths = files_of([str(made_from(one) or one.name) for one in made], folder)
        there = [str(path.relative_to(folder)) for path in paths if path.exists()]
        if there and not replace:
            self.dock.status.say(
                f"{folder}: holds {' and '.join(there)} already; nothing was written."
            )
            self.dock.offer.make(
                "Replace the files that are there?",
                "Replace",
                partial(self.save, folder, replace=True),
            )
            return
        self._runner.start(
            save_pair(made, paths), lambda _: None, f"Writing {folder.name}"
        )

    def drop(self, items: Sequence[Grey | Path]) -> None:
        """Choose the first item as A and the second one as B; open files."""
        self._take(self._page.choosers, items)

    def on_layers(self) -> None:
        """Other layers are in the viewer."""
        if not all(one in self.dock.viewer.layers for one in self.made):
            self.made = ()
        if not self._runner.is_busy:
            self._show_running(busy=False)

    def problem(self) -> str:
        """What is wrong with what is chosen; empty: nothing, or nothing is chosen."""
        try:
            if self._page.is_ready:
                self._page.task()
        except InputError as error:
            return str(error)
        return ""

    def _take(
        self, choosers: Sequence[VolumeChooser], items: Sequence[Grey | Path]
    ) -> None:
        """Choose layers in turn, then files; the last one gets all that remain."""
        paths = [one for one in items if isinstance(one, Path)]
        layers = [one for one in items if isinstance(one, Image)]
        for chooser, layer in zip(choosers, layers, strict=False):
            chooser.choose(layer)
        if paths:
            self._opener.open(paths, *(choosers[len(layers) :] or choosers[-1:]))

    def _show(self, event: PairMade) -> None:
        a, b = (add_layer(self.dock.viewer, one) for one in (event.a, event.b))
        self.made = a, b
        told = f"Added layers {a.name!r} and {b.name!r}"
        self._runner.tell("; ".join([told, *event.remarks]))
        self.dock.offer.make(
            "Train on this pair?",
            "Add to A and B",
            partial(train_on_pair, self.dock.viewer, a, b),
        )

    def _show_running(self, busy: bool) -> None:
        self.dock.pair_button.setEnabled(self._page.is_ready and not busy)
        self.dock.save_pair_button.setEnabled(bool(self.made) and not busy)
        self._page.setEnabled(not busy)

    def _on_change(self) -> None:
        self.dock.show_problem()
        values = self._page.form.values()
        kept = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        if recall(SETTINGS_KEY) != kept:
            remember(SETTINGS_KEY, kept)
        self.on_layers()

    def _restore(self) -> None:
        kept = recall(SETTINGS_KEY)
        if isinstance(kept, dict):
            with suppress(InputError):  # they may be of another version
                self._page.form.set_value(parse(PairSettings, kept))

    def _connect(self) -> None:
        self.dock.pair_button.clicked.connect(self.pair)
        self._page.changed.connect(self._on_change)
        self._runner.busy_changed.connect(self._show_running)
        for chooser in self._page.choosers:
            chooser.wanted.connect(
                lambda path, one=chooser: self._opener.open([path], one)
            )
            accept_drops(chooser, self.dock.viewer, partial(self._take, [chooser]))
