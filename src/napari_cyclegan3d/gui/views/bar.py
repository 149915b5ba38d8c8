"""The buttons and keys of the views."""

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.parts import small_button, status_line
from napari_cyclegan3d.gui.views.blink import FASTEST, RATE, SLOWEST
from napari_cyclegan3d.gui.views.grid import check_shown, in_plane
from napari_cyclegan3d.gui.views.profile_plot import ProfilePlot
from napari_cyclegan3d.gui.views.running import (
    HOLD,
    Comparison,
    Extra,
    Panel,
    RunningViews,
)
from napari_cyclegan3d.gui.views.shown import Shown
from napari_cyclegan3d.gui.views.words import COMPARISONS, EXTRAS
from napari_cyclegan3d.gui.worker import Executor, start_engine

if TYPE_CHECKING:
    from napari.viewer import Viewer

FLAT = "Lens and cross need the 2D view."
STEPS = 1000  # of the curtain


class ViewsBar(QWidget):
    """Buttons that start and end the views, and what belongs to the running ones.

    Whoever holds it calls `clear` before the dock is closed.

    Attributes:
        buttons: By the name of the view.
        hint: What a key does.
        readout: What is known of the place below the cursor.
        status: Why something cannot be shown.

    Args:
        viewer: The viewer that is looked at.
        executor: Reads voxels off the GUI thread.
        parent: Parent widget.
    """

    def __init__(
        self,
        viewer: "Viewer",
        executor: Executor = start_engine,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._executor = viewer, executor
        self.views: RunningViews | None = None
        self._watched: QWidget | None = None
        self.buttons: dict[Comparison | Extra, QPushButton] = {}
        self.share = QSlider(Qt.Orientation.Horizontal)
        self.rate = QDoubleSpinBox()
        self.pause = small_button("Pause", "Stay at what is seen", checkable=True)
        self.hint = QLabel()
        self.readout, self.status = status_line(), status_line()
        self.plot = ProfilePlot(viewer)
        self._make_controls()
        self._lay_out()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._check_layers)
        self._offer()

    def show(self, shown: Shown | None = None) -> None:
        """Offer the views of these layers, in place of others."""
        if shown is None:  # as any widget
            super().show()
            return
        self.clear()
        try:
            check_shown(shown)
        except InputError as error:
            self.status.setText(f"No views: {error}")
            return
        panel = Panel(self.plot, self.readout.setText, self._uncheck, self)
        self.views = RunningViews(self._viewer, shown, self._executor, panel)
        self._watch(self._window())
        self._viewer.layers.events.inserted.connect(self._check_soon)
        self._viewer.layers.events.removed.connect(self._check_soon)
        self._offer()

    def clear(self) -> None:
        """End all views; everything is as it was before them."""
        self.status.clear()
        self._soon.stop()
        self._watch(None)
        if self.views is None:
            return
        self._viewer.layers.events.inserted.disconnect(self._check_soon)
        self._viewer.layers.events.removed.disconnect(self._check_soon)
        views, self.views = self.views, None
        views.end()
        self._offer()

    def _make_controls(self) -> None:
        for name, words in COMPARISONS.items():
            button = self._new_button(name, *words)
            button.toggled.connect(partial(self._switch_comparison, name))
        for extra, words in EXTRAS.items():
            button = self._new_button(extra, *words)
            button.toggled.connect(partial(self._switch_extra, extra))
        self.share.setRange(0, STEPS)
        self.share.setValue(STEPS // 2)
        self.share.setToolTip("Where the curtain ends")
        self.share.setAccessibleName("Curtain")
        self.rate.setRange(SLOWEST, FASTEST)
        self.rate.setSingleStep(0.25)
        self.rate.setValue(RATE)
        self.rate.setSuffix(" Hz")
        self.rate.setToolTip("How often a second; light that flashes faster can harm")
        self.share.valueChanged.connect(self._set_share)
        self.rate.valueChanged.connect(self._set_blinking)
        self.pause.toggled.connect(self._set_blinking)

    def _new_button(
        self, name: Comparison | Extra, title: str, key: str, tooltip: str
    ) -> QPushButton:
        hint = f"{tooltip}. Key: {key}." if key else f"{tooltip}."
        button = small_button(title, hint, checkable=True)
        button.setShortcut(key)
        self.buttons[name] = button
        return button

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(3)
        buttons = list(self.buttons.values())
        few = len(COMPARISONS)
        for row, part in enumerate((buttons[:few], buttons[few:])):
            line = QHBoxLayout()
            line.setSpacing(3)
            for button in part:
                line.addWidget(button)
            line.addStretch(1)
            grid.addLayout(line, row, 0)
        blinking = QHBoxLayout()
        blinking.addWidget(self.rate)
        blinking.addWidget(self.pause)
        blinking.addStretch(1)
        self.hint.setText(f"{HOLD}, held over the canvas, shows only the raw volume.")
        self.hint.setStyleSheet("font-size: 8pt")
        self.hint.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(grid)
        layout.addWidget(self.share)
        layout.addLayout(blinking)
        layout.addWidget(self.hint)
        layout.addWidget(self.readout)
        layout.addWidget(self.plot)
        layout.addWidget(self.status)
        # words that come and go must not move what is below
        self.readout.setMinimumHeight(3 * self.readout.fontMetrics().lineSpacing())
        self.readout.setAlignment(Qt.AlignmentFlag.AlignTop)

    def _offer(self) -> None:
        """Buttons for what can be shown, unpressed; controls of what runs."""
        shown = self.views.shown if self.views is not None else None
        for name, button in self.buttons.items():
            part = {"residual": "residual", "outlines": "suspects"}.get(name, "raw")
            button.setEnabled(getattr(shown, part, None) is not None)
            if self.views is None:
                self._press(name, on=False)
        self._show_controls()

    def _show_controls(self) -> None:
        self.share.setVisible(self.buttons["curtain"].isChecked())
        for control in (self.rate, self.pause):
            control.setVisible(self.buttons["blink"].isChecked())
        self.readout.setVisible(self.buttons["cross"].isChecked())
        self.plot.setVisible(self.buttons["profile"].isChecked())

    def _switch_comparison(self, name: Comparison, on: bool) -> None:
        if self.views is None:
            return
        for other in COMPARISONS:
            if other != name:
                self._press(other, on=False)
        self._begin(name, on)
        self.views.compare(name if on else None)

    def _switch_extra(self, name: Extra, on: bool) -> None:
        if self.views is None:
            return
        self._begin(name, on)
        if on:
            self.views.start(name)
        else:
            self.views.stop(name)

    def _begin(self, name: Comparison | Extra, on: bool) -> None:
        flat = on and name in ("lens", "cross") and in_plane(self._viewer) is None
        self.status.setText(FLAT if flat else "")
        self._show_controls()

    def _press(self, name: Comparison | Extra, *, on: bool) -> None:
        """Show a button pressed or not, without its effect."""
        button = self.buttons[name]
        button.blockSignals(True)
        button.setChecked(on)
        button.blockSignals(False)

    def _uncheck(self, name: Extra) -> None:
        self.buttons[name].setChecked(False)

    def _set_share(self, value: int) -> None:
        if self.views is not None:
            self.views.set_share(value / STEPS)

    def _set_blinking(self, _: object) -> None:
        if self.views is not None:
            self.views.set_blinking(self.rate.value(), paused=self.pause.isChecked())

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.DeferredDelete:
            self.clear()  # canvases have to end before their window
        return super().eventFilter(watched, event)

    def _watch(self, window: QWidget | None) -> None:
        if self._watched is not None:
            self._watched.removeEventFilter(self)
        self._watched = window
        if window is not None:
            window.installEventFilter(self)

    def _window(self) -> QWidget | None:
        """The viewer's window, also while the dock floats beside it."""
        above: QWidget | None = self
        while above is not None and not isinstance(above, QMainWindow):
            above = above.parentWidget()
        return above

    def _check_soon(self, _: object) -> None:
        if self._viewer.layers:
            self._soon.start()  # napari is not done with its list of layers
        else:  # and may be about to close
            self.clear()

    def _check_layers(self) -> None:
        """End what has lost its layers, and put new layers below those of the grid."""
        if self.views is None:
            return
        if not self.views.has_volumes():
            self.clear()
            self.status.setText("A volume was taken away; the views have ended.")
        elif not self.views.are_whole():  # the user has deleted what a view has drawn
            for button in self.buttons.values():
                button.setChecked(False)
        elif self.views.are_mixed():
            self.views.compare("side by side")
