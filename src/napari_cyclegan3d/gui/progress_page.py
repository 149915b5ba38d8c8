"""The Progress page of the Train dock: curves, what was noticed, and the preview."""

from qtpy.QtWidgets import QPlainTextEdit, QVBoxLayout, QWidget

from napari_cyclegan3d.engine.training import (
    Balanced,
    PreviewReady,
    Started,
    StepDone,
    Validated,
    Warned,
)
from napari_cyclegan3d.gui.curves import TrainingCurves
from napari_cyclegan3d.gui.preview import CyclePreview

LOG_LINES, LOG_HEIGHT = 1000, 46


class ProgressPage(QWidget):
    """Shows the events of a training as they come."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.curves, self.preview = TrainingCurves(), CyclePreview()
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(LOG_LINES)
        self.log.setFixedHeight(LOG_HEIGHT)
        self.log.hide()

        layout = QVBoxLayout(self)
        layout.addWidget(self.curves)
        layout.addWidget(self.log)
        layout.addWidget(self.preview, stretch=1)

    def clear(self) -> None:
        """Forget the last run."""
        self.curves.clear()
        self.preview.clear()
        self.log.clear()
        self.log.hide()

    def show_event(self, event: object) -> None:
        """Show one event of a training."""
        match event:
            case Started():
                self.curves.rewind(event.step)
            case StepDone():
                self.curves.add_terms(event.step, event.terms)
            case PreviewReady():
                self.preview.set_images(event.images)
            case Validated():
                score = {"score": event.scores["score"]}
                self.curves.scores.add(event.step, score)
                self._note(score_line(event))
            case Balanced():
                self.curves.rewind(event.step)
                self._note(f"Step {event.step}: {event.reason}")
            case Warned():
                self._note(event.message)

    def _note(self, line: str) -> None:
        self.log.appendPlainText(line)
        self.log.show()


def score_line(event: Validated) -> str:
    """A validation in one line."""
    others = [f"{k} {v:.4g}" for k, v in event.scores.items() if k != "score"]
    detail = f" ({', '.join(others)})" if others else ""
    best = ", one of the best" if event.best else ""
    return f"Step {event.step}: score {event.scores['score']:.4g}{detail}{best}"
