"""The Progress page of the Train dock: curves, what was noticed, and the preview."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QPlainTextEdit, QVBoxLayout, QWidget

from napari_cyclegan3d.engine.training import (
    Balanced,
    CheckpointSaved,
    PreviewReady,
    Started,
    StepDone,
    TrainingDone,
    Validated,
    Warned,
)
from napari_cyclegan3d.gui.progress.history import HistoryBar
from napari_cyclegan3d.gui.progress.layers import add_layers
from napari_cyclegan3d.gui.progress.past import Past, read_past
from napari_cyclegan3d.gui.progress.preview import CyclePreview, Images
from napari_cyclegan3d.gui.progress.training_curves import TrainingCurves
from napari_cyclegan3d.gui.worker import Executor, Failure, start_engine

if TYPE_CHECKING:
    import napari

LOG_LINES, LOG_HEIGHT = 1000, 46
# previews may come with every step of a fast training
PREVIEW_MS = 400


class ProgressPage(QWidget):
    """Shows the events of a training as they come, and those of a run on disk.

    Args:
        viewer: Whose theme is followed, and which gets the layers.
        executor: Reads and writes files.
        parent: Parent widget.
    """

    def __init__(
        self,
        viewer: "napari.viewer.Viewer | None" = None,
        executor: Executor = start_engine,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._executor = viewer, executor
        self._run: Path | None = None
        self._began: int | None = None  # the step at which this session began
        self._shown_step = 0
        self._waiting = False  # a preview, to be shown
        self.curves = TrainingCurves(viewer, executor)
        self.preview, self.history = CyclePreview(viewer), HistoryBar(executor)
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(LOG_LINES)
        self.log.setFixedHeight(LOG_HEIGHT)
        self.log.hide()
        self._pace = QTimer(self)
        self._pace.setSingleShot(True)
        self._pace.setInterval(PREVIEW_MS)

        layout = QVBoxLayout(self)
        layout.addWidget(self.curves, stretch=1)
        layout.addWidget(self.log)
        layout.addWidget(self.preview)
        layout.addWidget(self.history)

        self.history.chosen.connect(self._show_preview)
        self.history.failed.connect(self._note)
        self.history.layers_button.clicked.connect(self.open_as_layers)
        self._pace.timeout.connect(self._show_newest)

    def clear(self, run: Path | None = None) -> None:
        """Forget the last run.

        Args:
            run: Folder of the next one, if it is known.
        """
        self._run, self._began, self._waiting = run, None, False
        self.curves.clear()
        self.preview.clear()
        self.history.clear()
        self.history.run = run
        self.log.clear()
        self.log.hide()

    def open_run(self, path: Path) -> None:
        """Show curves and previews of a run on disk, in a moment.

        A training that goes on with it may start at once.
        """
        self.clear(path)
        self._executor(read_past(path), self._show_past, self._tell, lambda: None)

    def show_event(self, event: object) -> None:
        """Show one event of a training."""
        match event:
            case Started():
                self._began = event.step
                self._rewind(event.step)
            case StepDone():
                self.curves.add_terms(event.step, event.terms)
            case PreviewReady():
                self.history.add(event.step, event.images)
                self._waiting = True
                if not self._pace.isActive():
                    self._show_newest()
            case Validated():
                score = {"score": event.scores["score"]}
                self.curves.scores.add(event.step, score)
                self._note(score_line(event))
            case Balanced():
                self._rewind(event.step)
                self._note(f"Step {event.step}: {event.reason}")
            case CheckpointSaved() | TrainingDone():
                self._run = self.history.run = event.model.parent
            case Warned():
                self._note(event.message)

    def open_as_layers(self) -> None:
        """Add the images that are shown to the viewer."""
        if self._viewer is None or not self.preview.images:
            return
        run = self._run.name if self._run is not None else "preview"
        add_layers(
            self._viewer,
            self.preview.images,
            f"{run} step {self._shown_step}",
            self.preview.contrast.value(),
            self.preview.differences(),
        )

    def _show_newest(self) -> None:
        if self._waiting and self.history.is_live:
            self.history.show_step()
            self._pace.start()
        self._waiting = False

    def _show_preview(self, step: int, images: Images) -> None:
        self._shown_step = step
        self.preview.set_images(images)

    def _show_past(self, past: Past) -> None:
        if past.run != self._run:
            return
        last = past.last_step if self._began is None else self._began
        self.curves.put_before(*past.terms_until(last))
        self.curves.scores.put_before(*past.scores_until(last))
        self.history.set_saved([step for step in past.previews if step <= last])
        self.history.show_step()

    def _rewind(self, step: int) -> None:
        self.curves.rewind(step)
        self.history.rewind(step)

    def _note(self, line: str) -> None:
        self.log.appendPlainText(line)
        self.log.show()

    def _tell(self, failure: Failure) -> None:
        show_error(failure.message)


def score_line(event: Validated) -> str:
    """A validation in one line."""
    others = [f"{k} {v:.4g}" for k, v in event.scores.items() if k != "score"]
    detail = f" ({', '.join(others)})" if others else ""
    best = ", one of the best" if event.best else ""
    return f"Step {event.step}: score {event.scores['score']:.4g}{detail}{best}"
