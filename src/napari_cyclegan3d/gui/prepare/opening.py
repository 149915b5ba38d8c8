"""Opens files as layers for those who choose layers."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from napari_cyclegan3d.gui.choosing import Asker
from napari_cyclegan3d.gui.prepare.runner import Runner
from napari_cyclegan3d.gui.prepare.task import Opened
from napari_cyclegan3d.gui.prepare.volume import VolumeChooser
from napari_cyclegan3d.gui.prepare.work import open_layers
from napari_cyclegan3d.gui.status import StatusLine
from napari_cyclegan3d.gui.worker import Executor

if TYPE_CHECKING:
    from napari.viewer import Viewer


class Opener:
    """Reads files off the GUI thread, and asks what they leave open.

    Args:
        window: Where questions appear.
        viewer: Gets the layers.
        runner: Runs the reading.
        status: Says what cannot be used.
        executor: Reads headers before a question.
    """

    def __init__(
        self,
        window: QWidget,
        viewer: "Viewer",
        runner: Runner,
        status: StatusLine,
        executor: Executor,
    ) -> None:
        self._viewer, self._runner, self._status = viewer, runner, status
        self._asker = Asker(window, executor)

    def open(self, paths: Sequence[Path], *choosers: VolumeChooser) -> None:
        """Open files as layers.

        Args:
            paths: The files.
            choosers: The first one gets the first file, and so on; the last one gets
                all that remain, of which the last one stays chosen.
        """
        self._asker.ask(paths, partial(self._open, choosers), self._status.refuse)

    def _open(
        self, choosers: Sequence[VolumeChooser], items: Sequence[Path | str]
    ) -> None:
        waiting = list(choosers)
        names: list[str] = []

        def add(opened: Opened) -> None:
            layers = [self._viewer.add_image(one[0], **one[1]) for one in opened.layers]
            chooser = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            chooser.choose(layers[-1])
            names.extend(layer.name for layer in layers)
            self._runner.tell(f"Opened {', '.join(names)}")

        self._runner.start(
            open_layers([str(one) for one in items]),
            add,
            f"Reading {Path(items[-1]).name}",
            measured=False,
        )
