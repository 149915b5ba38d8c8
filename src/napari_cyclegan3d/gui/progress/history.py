"""A slider back through the previews of a training."""

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QWidget
from superqt.utils import signals_blocked

from napari_cyclegan3d.gui.parts import small_button
from napari_cyclegan3d.gui.progress.frames import Found, PreviewMemory, read_nearest
from napari_cyclegan3d.gui.progress.preview import Images
from napari_cyclegan3d.gui.worker import Executor, Failure, start_engine


class HistoryBar(QWidget):
    """Goes back through the previews; at its right end the newest is shown.

    Attributes:
        chosen: A step and its images, to be shown instead of those that are.
        failed: A sentence: why a preview cannot be shown.
        layers_button: Asks for what is shown as layers.

    Args:
        executor: Reads files.
        parent: Parent widget.
    """

    chosen = Signal(int, object)
    failed = Signal(str)

    def __init__(
        self, executor: Executor = start_engine, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._executor = executor
        self._memory = PreviewMemory()
        self._step: int | None = None  # what the user has gone back to
        self._reading: tuple[Path | None, int] | None = None
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setToolTip("Back through the previews; the newest is at the right")
        self.label = QLabel()
        self.live_button = small_button(
            "Live", "Show the newest preview, and each that comes"
        )
        self.layers_button = small_button(
            "As layers", "Open the images that are shown as layers of the viewer"
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(QLabel("history"))
        row.addWidget(self.slider, stretch=1)
        for widget in (self.label, self.live_button, self.layers_button):
            row.addWidget(widget)

        self.slider.valueChanged.connect(self._choose)
        self.live_button.clicked.connect(self.go_live)
        self._show_steps()

    @property
    def run(self) -> Path | None:
        """Folder of the run, where older previews are read from."""
        return self._memory.run

    @run.setter
    def run(self, path: Path | None) -> None:
        self._memory.run = path

    @property
    def is_live(self) -> bool:
        """Whether the newest preview is to be shown."""
        return self._step is None

    @property
    def step(self) -> int | None:
        """The step whose preview is to be shown; None: there is none."""
        steps = self._memory.steps()
        return self._step if self._step is not None else steps[-1] if steps else None

    def clear(self) -> None:
        """Forget all previews and the run."""
        self._memory, self._step = PreviewMemory(), None
        self._show_steps()

    def add(self, step: int, images: Images) -> None:
        """Take up a new preview."""
        self._memory.add(step, images)
        self._show_steps()

    def set_saved(self, steps: Sequence[int]) -> None:
        """Offer the steps that are saved in the run."""
        self._memory.set_saved(steps)
        self._show_steps()

    def rewind(self, step: int) -> None:
        """Forget what came after a step to which the training goes back."""
        self._memory.rewind(step)
        if self._step is not None and self._step > step:
            self._step = None
        self._show_steps()

    def go_live(self) -> None:
        """Show the newest preview, and from now on each that comes."""
        self.slider.setValue(self.slider.maximum())

    def show_step(self) -> None:
        """Have the chosen preview shown, from memory or from disk."""
        step = self.step
        if step is None:
            return
        images = self._memory.images(step)
        if images is not None:
            self.chosen.emit(step, images)
        elif self.run is not None and self._reading is None:
            self._reading = self.run, step
            self._executor(
                read_nearest(self.run, step), self._take, self._fail, self._go_on
            )

    def _choose(self, position: int) -> None:
        steps = self._memory.steps()
        self._step = steps[position] if position < len(steps) - 1 else None
        self._name_step()
        self.show_step()

    def _take(self, found: Found) -> None:
        """Show what was read, unless another is wanted by now."""
        if self._reading != (self.run, self.step):
            return
        self._reading = self.run, found.step
        if not self.is_live:
            self._step = found.step
        self.set_saved(found.saved)
        self.chosen.emit(found.step, found.images)

    def _fail(self, failure: Failure) -> None:
        self.failed.emit(failure.message)

    def _go_on(self) -> None:
        """Read what was chosen while another was read."""
        done, self._reading = self._reading, None
        if done != (self.run, self.step):
            self.show_step()

    def _show_steps(self) -> None:
        steps = self._memory.steps()
        with signals_blocked(self.slider):
            self.slider.setRange(0, max(len(steps) - 1, 0))
            if self._step not in steps:
                self._step = None
            position = len(steps) - 1 if self._step is None else steps.index(self._step)
            self.slider.setValue(position)
        self.slider.setEnabled(len(steps) > 1)
        self.layers_button.setEnabled(bool(steps))
        self._name_step()

    def _name_step(self) -> None:
        self.label.setText("" if self.step is None else f"step {self.step}")
        self.live_button.setEnabled(not self.is_live)
