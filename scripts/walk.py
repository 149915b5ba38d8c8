"""Walk through the whole story in a real napari window, with a picture of each step.

Two volumes are dropped, trained on, paused, resumed and stopped; the model is used for
a preview and an enhancement; the window is closed while a training runs, opened again,
and the training goes on.

    xvfb-run -a -s "-screen 0 1280x800x24" python scripts/walk.py docs/images
    xvfb-run -a -s "-screen 0 1920x1080x24" python scripts/walk.py out --theme light
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import napari
import numpy as np
from napari.settings import get_settings
from qtpy.QtCore import QMimeData, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QMessageBox, QWidget

from close_window import click_x
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.gui.enhance.dock import EnhanceDock
from napari_cyclegan3d.gui.train.dock import State, TrainDock
from napari_cyclegan3d.gui.train.remembering import last_step
from stage import add_arguments, idle, staged, until, window_of

SAMPLES = Path(__file__).parents[1] / "sample_data"


@dataclass
class Walk:
    """The story, told by pressing what a user presses.

    Attributes:
        open_viewer: Opens a window.
        fast: A volume of domain A, a file.
        slow: A volume of domain B, a file.
        run: Folder for the training.
        settings: Of the training.
        shoot: Called with a name when there is something to see.
        steps: After so many it is stopped.
    """

    open_viewer: Callable[[], napari.Viewer]
    fast: Path
    slow: Path
    run: Path
    settings: TrainConfig
    shoot: Callable[[napari.Viewer, str], None]
    steps: int = 200
    seen: list[str] = field(default_factory=list)

    def go(self) -> None:
        """All of it."""
        # as a user who has told napari to remember the choice between two readers
        get_settings().plugins.extension2reader = {"*.tif": "napari-cyclegan3d"}
        viewer = self.open_viewer()
        train = self.choose_volumes(viewer)
        self.train(viewer, train)
        enhance = self.use_the_model(viewer, train)
        self.enhance(viewer, enhance)
        self.close_while_training(viewer, train)
        self.go_on(self.open_viewer())

    def choose_volumes(self, viewer: napari.Viewer) -> TrainDock:
        """Drop two volumes on the window, and a layer and a file on the lists."""
        drop(_canvas(viewer), [self.fast, self.slow])
        until(lambda: len(viewer.layers) == 2)
        _, dock = viewer.window.add_plugin_dock_widget("napari-cyclegan3d", "Train")
        assert isinstance(dock, TrainDock)
        dock.data.domain_a.add(viewer.layers[self.fast.stem])
        drop(dock.data.domain_b, [self.slow])
        dock.data.run_folder.value = self.run
        dock.settings.form.set_value(self.settings)
        until(lambda: not dock.data.missing("cyclegan"))
        self._look(viewer, "data")
        dock.tabs.setCurrentIndex(1)
        self._look(viewer, "settings")
        return dock

    def train(self, viewer: napari.Viewer, dock: TrainDock) -> None:
        """Start, pause, resume, stop."""
        camera = (viewer.camera.center, viewer.camera.zoom, viewer.camera.angles)
        point = viewer.dims.point
        dock.start_button.click()
        until(lambda: dock.progress.value() >= self.steps // 2)
        self._look(viewer, "train")
        dock.pause_button.click()
        until(lambda: dock.state is State.PAUSED)
        idle(2.0)  # the step that was under way
        stood = dock.progress.value()
        idle(1.0)
        assert dock.progress.value() == stood, "a paused training went on"
        dock.resume_button.click()
        until(lambda: dock.progress.value() >= self.steps)
        dock.stop_button.click()
        until(lambda: dock.state is State.IDLE)
        assert viewer.dims.point == point, "the training moved the user's slice"
        now = (viewer.camera.center, viewer.camera.zoom, viewer.camera.angles)
        assert now == camera, "it moved the user's camera"
        self._look(viewer, "stopped")

    def use_the_model(self, viewer: napari.Viewer, dock: TrainDock) -> EnhanceDock:
        """Hand the model to the other dock and look at a box first."""
        dock.use_button.click()
        _, enhance = viewer.window.add_plugin_dock_widget(
            "napari-cyclegan3d", "Enhance"
        )
        assert isinstance(enhance, EnhanceDock)
        enhance.add([viewer.layers[self.fast.stem]])
        before = set(viewer.layers)
        enhance.preview_box()
        until(lambda: not enhance.is_busy and set(viewer.layers) != before)
        self._look(viewer, "preview")
        return enhance

    def enhance(self, viewer: napari.Viewer, dock: EnhanceDock) -> None:
        """The whole volume; the result lies over its source."""
        source = viewer.layers[self.fast.stem]
        voxels = np.array(source.data)
        before = set(viewer.layers)
        dock.enhance_button.click()
        until(lambda: not dock.is_busy)
        (result,) = set(viewer.layers) - before
        assert np.array_equal(source.data, voxels)
        assert np.allclose(result.extent.world, source.extent.world)
        viewer.layers[self.slow.stem].visible = False
        self._look(viewer, "enhance")

    def close_while_training(self, viewer: napari.Viewer, dock: TrainDock) -> None:
        """The window asks once, saves and is gone."""
        dock.resume_button.click()
        begun = dock.progress.value()
        until(lambda: dock.progress.value() > begun + 3)
        questions: list[QMessageBox] = []

        def answer() -> None:
            box = QApplication.activeModalWidget()
            if isinstance(box, QMessageBox):
                questions.append(box)
                self._look(viewer, "close")
                box.buttons()[0].click()

        timer = QTimer()
        timer.timeout.connect(answer)
        timer.start(200)
        window = window_of(viewer)
        closed: list[bool] = []
        window.destroyed.connect(lambda: closed.append(True))
        click_x(window)
        del window  # it would keep the canvas
        until(lambda: bool(closed))
        timer.stop()
        assert len(questions) == 1, f"asked {len(questions)} times"

    def go_on(self, viewer: napari.Viewer) -> None:
        """The next start offers to continue, and does."""
        saved = last_step(self.run) or 0
        assert saved > self.steps, "what was trained last was not saved"
        _, dock = viewer.window.add_plugin_dock_widget("napari-cyclegan3d", "Train")
        assert isinstance(dock, TrainDock)
        idle(0.5)
        self._look(viewer, "continue")
        dock.offer.accept_button.click()
        if dock.state is State.IDLE:  # a layer is of the last window
            viewer.open(self.fast, plugin="napari-cyclegan3d")
            dock.data.domain_a.set_value([viewer.layers[0]])
            dock.resume_button.click()
        until(lambda: dock.progress.value() > saved + 3)
        self._look(viewer, "continued")
        dock.stop_button.click()
        until(lambda: dock.state is State.IDLE)
        assert (last_step(self.run) or 0) > saved, "nothing was trained after the start"
        viewer.close()

    def _look(self, viewer: napari.Viewer, name: str) -> None:
        self.seen.append(name)
        self.shoot(viewer, name)


def drop(widget: QWidget, files: Sequence[Path]) -> None:
    """Drop files on the middle of a widget."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(file)) for file in files])
    place = widget.rect().center()
    how = (
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    # Qt hands a drop to what has accepted the drag
    QApplication.sendEvent(widget, QDragEnterEvent(place, *how))
    QApplication.sendEvent(widget, QDropEvent(QPointF(place), *how))


def _canvas(viewer: napari.Viewer) -> QWidget:
    """The part of the window on which files are dropped."""
    (canvas,) = (
        one
        for one in window_of(viewer).findChildren(QWidget)
        if type(one).__name__ == "QtViewer"
    )
    return canvas


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    with staged(options) as stage:
        Walk(
            stage.open_viewer,
            SAMPLES / "fibre_fast.tif",
            SAMPLES / "fibre_slow.tif",
            stage.folder / "run-001",
            TrainConfig(steps=3 * options.steps, preview_every=20),
            stage.shoot,
            options.steps,
        ).go()
    return 0


if __name__ == "__main__":
    sys.exit(main())
