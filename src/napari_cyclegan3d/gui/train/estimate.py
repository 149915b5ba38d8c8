"""What the settings will cost: memory at once, speed after a short trial."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import MemoryShortageError
from napari_cyclegan3d.engine.trial import Trial
from napari_cyclegan3d.gui.parts import small_button, status_line
from napari_cyclegan3d.gui.train.work import trial
from napari_cyclegan3d.gui.worker import Executor, Failure, Job

DELAY_MS = 800  # after the last change
SECONDS = 4.0


class Estimate(QWidget):
    """A line with memory and speed of a training, a trial and a remedy.

    Looks only while it can be seen, and never while something is trained.

    Attributes:
        remedy: Settings that fit into the memory, as the user asks for them.

    Args:
        config: Gives the settings, or None where they contradict each other.
        executor: Runs the trial.
        parent: Parent widget.
    """

    remedy = Signal(dict)

    def __init__(
        self,
        config: Callable[[], TrainConfig | None],
        executor: Executor,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._config, self._executor = config, executor
        self._job: Job | None = None
        self._runs = self._again = self._allowed = False
        self._tried: TrainConfig | None = None  # whose costs are shown
        self._fitting: dict[str, Any] = {}
        self.line = status_line()
        self.try_button = small_button(
            "Try", f"Do real steps for {SECONDS:.0f} seconds, and forget them"
        )
        self.remedy_button = small_button("Use what fits", "")
        self.remedy_button.hide()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, stretch=1)
        row.addWidget(self.remedy_button)
        row.addWidget(self.try_button)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(DELAY_MS)

        self._delay.timeout.connect(self._look)
        self.try_button.clicked.connect(lambda: self.look(SECONDS))
        self.remedy_button.clicked.connect(lambda: self.remedy.emit(self._fitting))
        self.allow(allowed=True)

    @property
    def is_busy(self) -> bool:
        """Whether a trial runs."""
        return self._runs

    def allow(self, *, allowed: bool) -> None:
        """Whether trials may be made; one that is made ends."""
        self._allowed = allowed
        self.try_button.setEnabled(allowed)
        if allowed:
            self.changed()
        else:
            self.stop()

    def changed(self) -> None:
        """The settings were changed: look soon, if that can be seen."""
        if self._allowed and self.isVisible() and self._config() != self._tried:
            self._delay.start()

    def stop(self) -> None:
        """End what runs."""
        self._delay.stop()
        self._again = False
        if self._job is not None:
            self._job.quit()

    def look(self, seconds: float) -> None:
        """Find out what the settings take; without any seconds only the memory."""
        config = self._config()
        if config is None or not self._allowed:
            return
        if self._runs:
            self.stop()
            self._again = True
            return
        self._tried, self._fitting, self._runs = config, {}, True
        self.try_button.setEnabled(False)
        self.remedy_button.hide()
        self.line.setText("Trying …" if seconds else "Estimating …")
        job = self._executor(
            trial(config, seconds), self._show, self._refuse, self._end
        )
        if self._runs:
            self._job = job

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        self.changed()

    def hideEvent(self, event: QHideEvent | None) -> None:
        super().hideEvent(event)
        self._delay.stop()

    def _look(self) -> None:
        self.look(0.0)

    def _show(self, found: Trial) -> None:
        if self._tried is not None:
            self.line.setText(cost(found, self._tried.steps))
            self.line.setToolTip(f"<qt>On {found.device}</qt>")

    def _refuse(self, failure: Failure) -> None:
        self.line.setText(failure.message)
        if isinstance(failure.error, MemoryShortageError) and failure.error.settings:
            self._fitting = failure.error.settings
            self.remedy_button.setToolTip(f"<qt>{in_words(self._fitting)}</qt>")
            self.remedy_button.show()

    def _end(self) -> None:
        self._job, self._runs = None, False
        self.try_button.setEnabled(self._allowed)
        if self._again or self._config() != self._tried:
            self._again = False
            self.changed()


def cost(found: Trial, steps: int) -> str:
    """A trial in words."""
    free = "" if found.free is None else f" of {gigabytes(found.free)}"
    text = f"Needs about {gigabytes(found.memory)}{free}"
    if found.seconds_per_step is None:
        return text
    whole = duration(steps * found.seconds_per_step)
    return f"{text}; {speed(found.seconds_per_step)}, about {whole}"


def in_words(settings: dict[str, Any]) -> str:
    """Some settings, as in patch (24, 24, 24) and batch 1."""
    return " and ".join(f"{name} {value}" for name, value in settings.items())


def gigabytes(size: float) -> str:
    """Bytes in GB."""
    return f"{size / 1e9:.2g} GB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def speed(seconds: float) -> str:
    """Seconds per step, the way round that gives a number above 1."""
    return f"{seconds:.1f} s a step" if seconds > 1 else f"{1 / seconds:.1f} steps/s"


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
