"""Walk through an inspection in a real napari window, with a picture of each step.

Two volumes are compared; ten findings are looked at and decided about by keys, with
the views switched on and off; the report is written and loaded again in a new window.

    xvfb-run -a -s "-screen 0 1280x800x24" python scripts/walk_inspect.py RAW ENHANCED \
        docs/images --truth TRUTH --model MODEL --mode standard
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import napari
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QKeyEvent, QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_cyclegan3d.engine.hallucination.findings import Finding
from napari_cyclegan3d.gui.inspect.dock import InspectDock
from stage import add_arguments, close, idle, staged, until, window_of

DECISIONS = (
    "real",
    "hallucination-impactful",
    "hallucination-benign",
    "artefact",
)


@dataclass
class InspectWalk:
    """The story, told by pressing what a user presses.

    Attributes:
        open_viewer: Opens a window.
        raw: The raw volume, a file.
        enhanced: The enhanced volume, a file.
        folder: For the report.
        shoot: Called with a name when there is something to see.
        mode: Of the inspection.
        truth: The true volume, a file.
        model: What made the enhanced volume, a file.
        steps: How many findings are looked at.
    """

    open_viewer: Callable[[], napari.Viewer]
    raw: Path
    enhanced: Path
    folder: Path
    shoot: Callable[[napari.Viewer, str], None]
    mode: str = "quick"
    truth: Path | None = None
    model: Path | None = None
    steps: int = 10
    seen: list[str] = field(default_factory=list)

    def go(self) -> None:
        """All of it."""
        viewer = self.open_viewer()
        dock = self.inspect(viewer)
        self.step_through(viewer, dock)
        self.compare(viewer, dock)
        report = self.export(dock)
        decided = _decisions(dock)
        close(viewer)
        self.load(self.open_viewer(), report, decided)

    def inspect(self, viewer: napari.Viewer) -> InspectDock:
        """Open the volumes, choose them, and run."""
        for path in filter(None, (self.raw, self.enhanced, self.truth)):
            viewer.open(path, plugin="napari-cyclegan3d")
        if self.truth is not None:
            viewer.layers[self.truth.stem].visible = False
        _, dock = viewer.window.add_plugin_dock_widget("napari-cyclegan3d", "Inspect")
        assert isinstance(dock, InspectDock)
        dock.choose(viewer.layers[self.enhanced.stem], viewer.layers[self.raw.stem])
        if self.truth is not None:
            dock.choice.layers["truth"].value = viewer.layers[self.truth.stem]
        if self.model is not None:
            dock.choice.model.setText(str(self.model))
        values = dock.choice.form.value()
        dock.choice.form.set_value(values.model_copy(update={"mode": self.mode}))
        self._look(viewer, "inspect-choose")
        dock.inspect_button.click()
        until(lambda: not dock.is_busy, 3600)
        assert dock.findings.current is not None, dock.status.text()
        self._look(viewer, "inspect-findings")
        return dock

    def step_through(self, viewer: napari.Viewer, dock: InspectDock) -> None:
        """By keys from finding to finding, with a decision about each."""
        places: set[tuple[float, ...]] = set()
        for number in range(self.steps):
            finding = _current(dock)
            places.add(tuple(viewer.dims.point))
            _press(dock, str(number % 4 + 1))
            wanted = DECISIONS[number % 4]
            until(lambda wanted=wanted: _decision(dock) == wanted)  # type: ignore[misc]
            _press(dock, "n")
            until(lambda before=finding: _current(dock) != before)  # type: ignore[misc]
        assert len(places) > 1, "the view did not move"
        for _ in range(self.steps):
            finding = _current(dock)
            _press(dock, "p")
            until(lambda before=finding: _current(dock) != before)  # type: ignore[misc]
        dock.findings.comment.setText("compare with the second scan")
        dock.findings.comment.editingFinished.emit()
        self._look(viewer, "inspect-decided")

    def compare(self, viewer: napari.Viewer, dock: InspectDock) -> None:
        """Each view once, on and off; all is as it was before."""
        before = [(layer.name, layer.visible) for layer in viewer.layers]
        for name in ("side by side", "curtain", "lens", "blink"):
            button = dock.views.buttons[name]
            button.click()
            _move_over(viewer)
            self._look(viewer, f"inspect-{name.replace(' ', '-')}")
            button.click()
        for name in ("residual", "cross", "profile", "orthogonal"):
            button = dock.views.buttons[name]
            button.click()
            _move_over(viewer)
            idle(0.3)
            self._look(viewer, f"inspect-{name}")
            button.click()
        idle(0.3)
        after = [(layer.name, layer.visible) for layer in viewer.layers]
        assert after == before, f"the views left {after} of {before}"

    def export(self, dock: InspectDock) -> Path:
        """Write the report."""
        dock.export(self.folder)
        until(lambda: not dock.is_busy)
        (page,) = self.folder.glob("*/report.html")
        return page.parent

    def load(
        self, viewer: napari.Viewer, report: Path, decided: dict[int, str]
    ) -> None:
        """The report again, in a new window, with all decisions."""
        for path in (self.raw, self.enhanced):
            viewer.open(path, plugin="napari-cyclegan3d")
        _, dock = viewer.window.add_plugin_dock_widget("napari-cyclegan3d", "Inspect")
        assert isinstance(dock, InspectDock)
        dock.load(report)
        until(lambda: not dock.is_busy)
        assert _decisions(dock) == decided, "decisions were lost"
        self._look(viewer, "inspect-loaded")
        close(viewer)

    def _look(self, viewer: napari.Viewer, name: str) -> None:
        self.seen.append(name)
        self.shoot(viewer, name)


def _current(dock: InspectDock) -> Finding:
    finding = dock.findings.current
    assert finding is not None
    return finding


def _decision(dock: InspectDock) -> str | None:
    review = _current(dock).review
    return review.decision if review else None


def _decisions(dock: InspectDock) -> dict[int, str]:
    session = dock.controller.browser.session
    assert session is not None
    return {
        one.id: one.review.decision
        for one in session.inspection.findings
        if one.review is not None
    }


def _press(widget: QWidget, key: str) -> None:
    """A key, where the user's focus is: in the dock."""
    code, none = ord(key.upper()), Qt.KeyboardModifier.NoModifier
    for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
        QApplication.sendEvent(widget, QKeyEvent(kind, code, none, key))


def _move_over(viewer: napari.Viewer) -> None:
    """Move the mouse to the middle of the canvas."""
    (canvas,) = (
        one
        for one in window_of(viewer).findChildren(QWidget)
        if type(one).__name__ == "CanvasBackendDesktop" and one.isVisible()
    )
    place = QPointF(canvas.rect().center())
    for offset in (QPointF(-4, 0), QPointF(0, 0)):
        where = place + offset
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            where,
            canvas.mapToGlobal(where),
            Qt.MouseButton.NoButton,
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(canvas, event)
        idle(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("raw", type=Path)
    parser.add_argument("enhanced", type=Path)
    add_arguments(parser)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--mode", default="quick")
    options = parser.parse_args()
    with staged(options) as stage:
        InspectWalk(
            stage.open_viewer,
            options.raw,
            options.enhanced,
            stage.folder,
            stage.shoot,
            options.mode,
            options.truth,
            options.model,
        ).go()
    return 0


if __name__ == "__main__":
    sys.exit(main())
