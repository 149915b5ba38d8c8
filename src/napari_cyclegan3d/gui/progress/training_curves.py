"""Losses, accuracy of the discriminators and scores, each on a page of its own."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QSlider,
    QTabWidget,
    QWidget,
)

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.parts import small_button
from napari_cyclegan3d.gui.progress.curve_data import Values, write_table
from napari_cyclegan3d.gui.progress.curves import Curves
from napari_cyclegan3d.gui.remembered import recall, remember
from napari_cyclegan3d.gui.theme import Colours, follow_theme
from napari_cyclegan3d.gui.worker import Executor, Failure, start_engine

if TYPE_CHECKING:
    import napari

SHARE, CONTRAST = "_seen_real", "contrast_"
# steps that a smoothed curve is the mean of, about
LENGTHS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
LENGTH = 10
Number = TypeVar("Number", float, Values)


class TrainingCurves(QTabWidget):
    """Losses; accuracy of the discriminators and contrasts; scores.

    Args:
        viewer: Whose theme is followed.
        executor: Writes files.
        parent: Parent widget.
    """

    def __init__(
        self,
        viewer: "napari.viewer.Viewer | None" = None,
        executor: Executor = start_engine,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._executor = executor
        self.losses = Curves(1 - 1 / LENGTH)
        self.shares = Curves(1 - 1 / LENGTH, limits=(-1, 1))
        self.scores = Curves(0)
        self.addTab(self.losses, "Losses")
        self.addTab(self.shares, "Accuracy")
        self.addTab(self.scores, "Scores")
        self.setTabToolTip(
            1,
            "<qt>accuracy: share of patches that a discriminator takes for what they "
            "are; 0.5 is guessing. contrast: correlation of the fake with its source; "
            "below 0 it is inverted.</qt>",
        )
        self.setTabToolTip(2, "<qt>On volumes that are not trained on.</qt>")
        self.logarithmic = small_button(
            "log", "Losses by orders of magnitude", checkable=True
        )
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.export = small_button("Export", "Save the curves that are shown")
        self._add_options()

        self.logarithmic.toggled.connect(self._set_logarithmic)
        self.currentChanged.connect(self._offer_options)
        self.logarithmic.setChecked(bool(recall("curves/logarithmic", False)))
        length = recall("curves/smoothing", LENGTH)
        self.smoothing.setValue(LENGTHS.index(length if length in LENGTHS else LENGTH))
        self._set_smoothing(self.smoothing.value())
        self.smoothing.valueChanged.connect(self._set_smoothing)
        self._offer_options()
        follow_theme(viewer, self._set_colours)

    def clear(self) -> None:
        """Forget all curves."""
        for curves in self._pages():
            curves.clear()

    def rewind(self, step: int) -> None:
        """Forget what came after a step to which the training goes back."""
        for curves in self._pages():
            curves.rewind(step)

    def add_terms(self, step: int, terms: Mapping[str, float]) -> None:
        """Append the terms of a step, each to the plot where it belongs."""
        losses, shares = _sorted(terms)
        self.losses.add(step, losses)
        self.shares.add(step, shares)

    def put_before(self, steps: Values, terms: Mapping[str, Values]) -> None:
        """Add the terms of earlier sessions, each to the plot where it belongs."""
        losses, shares = _sorted(terms)
        self.losses.put_before(steps, losses)
        self.shares.put_before(steps, shares)

    def write_picture(self, path: Path) -> None:
        """Write the page that is shown as a PNG file."""
        try:
            self._shown().write_picture(path)
        except InputError as error:
            show_error(str(error))

    def write_values(self, path: Path) -> None:
        """Write the curves of the page that is shown as a CSV file, as measured."""
        columns = self._shown().columns()
        self._executor(
            _written(columns, path), lambda _: None, _tell_failure, lambda: None
        )

    def _add_options(self) -> None:
        self.smoothing.setRange(0, len(LENGTHS) - 1)
        self.smoothing.setPageStep(1)
        self.smoothing.setFixedWidth(60)
        self.smoothing.setAccessibleName("smoothing")
        menu = QMenu(self.export)
        for title, ask in (
            ("Picture (PNG)…", self._ask_picture),
            ("Values as measured (CSV)…", self._ask_values),
        ):
            action = QAction(title, menu)
            action.triggered.connect(ask)
            menu.addAction(action)
        self.export.setMenu(menu)
        corner = QWidget()
        row = QHBoxLayout(corner)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for widget in (self.logarithmic, self.smoothing, self.export):
            row.addWidget(widget)
        self.setCornerWidget(corner)

    def _offer_options(self) -> None:
        self.logarithmic.setEnabled(self._shown() is self.losses)
        self.smoothing.setEnabled(self._shown() is not self.scores)

    def _set_logarithmic(self, on: bool) -> None:
        remember("curves/logarithmic", on)
        self.losses.set_logarithmic(on)

    def _set_smoothing(self, position: int) -> None:
        length = LENGTHS[position]
        remember("curves/smoothing", length)
        told = f"the mean of about {length} steps" if length > 1 else "as measured"
        self.smoothing.setToolTip(f"<qt>Smoothing: a point is {told}</qt>")
        for curves in (self.losses, self.shares):
            curves.set_smoothing(1 - 1 / length)

    def _set_colours(self, colours: Colours) -> None:
        for curves in self._pages():
            curves.set_colours(colours)

    def _ask_picture(self) -> None:
        path = self._ask("Picture of the curves", "curves.png", "PNG (*.png)")
        if path:
            self.write_picture(path)

    def _ask_values(self) -> None:
        path = self._ask("Values of the curves", "curves.csv", "CSV (*.csv)")
        if path:
            self.write_values(path)

    def _ask(self, title: str, name: str, kinds: str) -> Path | None:
        chosen, _ = QFileDialog.getSaveFileName(self, title, name, kinds)
        if not chosen:
            return None
        path = Path(chosen)
        return path if path.suffix else path.with_suffix(Path(name).suffix)

    def _shown(self) -> Curves:
        return self._pages()[self.currentIndex()]

    def _pages(self) -> tuple[Curves, Curves, Curves]:
        return self.losses, self.shares, self.scores


def accuracies(terms: Mapping[str, Number]) -> dict[str, Number]:
    """Share of real and fake patches that each discriminator recognises, 0 to 1."""
    found = {}
    for domain in "ab":
        real, fake = (terms.get(f"{k}_{domain}{SHARE}") for k in ("real", "fake"))
        if real is not None and fake is not None:
            found[f"accuracy_{domain}"] = (real + 1 - fake) / 2
    return found


def _sorted(
    terms: Mapping[str, Number],
) -> tuple[dict[str, Number], dict[str, Number]]:
    """Losses; and how well the discriminators judge, with the contrasts."""
    contrasts = {k: v for k, v in terms.items() if k.startswith(CONTRAST)}
    losses = {
        name: value
        for name, value in terms.items()
        if name not in contrasts and not name.endswith(SHARE)
    }
    return losses, {**accuracies(terms), **contrasts}


def _written(
    columns: Mapping[str, tuple[Values, Values]], path: Path
) -> Iterator[None]:
    write_table(columns, path)
    yield


def _tell_failure(failure: Failure) -> None:
    show_error(failure.message)
