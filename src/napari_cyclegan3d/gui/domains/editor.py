"""What is set for one row of a domain: its region, and where the preview is taken."""

import re
from collections.abc import Callable

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QLineEdit, QPushButton, QWidget

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.domains.roi import PlacePicker, RegionBox, Voxel
from napari_cyclegan3d.gui.domains.viewer import ShownSources
from napari_cyclegan3d.gui.layers import is_series
from napari_cyclegan3d.gui.source import Source, parse_region, region_text

PLACE = re.compile(r"\s*\(?\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)?\s*")


class RowEditor(QWidget):
    """Region and preview place of one source, typed or taken from the viewer.

    Args:
        shown: Finds the layers of sources.
        previews: Whether this domain has a place for the preview.
        parent: Parent widget.
    """

    region_changed = Signal(object)  # Region | None
    place_changed = Signal(object)  # (z, y, x) in the whole volume | None
    said = Signal(str)  # what to do, or why something is refused; empty: all is well

    def __init__(
        self, shown: ShownSources, *, previews: bool, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._shown = shown
        self._source: Source | None = None
        self._place: Voxel | None = None
        self._box: RegionBox | None = None
        self._picker: PlacePicker | None = None
        self.region = QLineEdit()
        self.region.setPlaceholderText("all of it, or [z0:z1,y0:y1,x0:x1]")
        self.region.setToolTip("The part to use, in voxels; the end is not in it")
        self.box_button = _toggle("Box", "Draw the region as a box in the viewer")
        self.place = QLineEdit()
        self.place.setPlaceholderText("anywhere, or z, y, x")
        self.place.setToolTip("Centre of the previews of this domain, in voxels")
        self.pick_button = _toggle("Pick", "Choose the centre by a click in the viewer")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        rows = [("Region", self.region, self.box_button)]
        rows += [("Preview at", self.place, self.pick_button)] if previews else []
        for number, (title, edit, button) in enumerate(rows):
            label = QLabel(title)
            label.setBuddy(edit)
            for column, widget in enumerate((label, edit, button)):
                grid.addWidget(widget, number, column)
        for widget in (self.place, self.pick_button):
            widget.setParent(widget.parentWidget() or self)
            widget.setVisible(previews)

        self.region.editingFinished.connect(self._type_region)
        self.place.editingFinished.connect(self._type_place)
        self.box_button.toggled.connect(self._toggle_box)
        self.pick_button.toggled.connect(self._toggle_pick)

    def show_row(self, source: Source | None, place: Voxel | None) -> None:
        """Edit another row; None: no row."""
        if source is None or self._source is None or source.item != self._source.item:
            self.end()
        self._source, self._place = source, place
        self.region.setText(region_text(source.region if source else None))
        self.place.setText(", ".join(map(str, place)) if place else "")
        self.setEnabled(source is not None)

    def end(self) -> None:
        """Take the outline away and wait for no click."""
        for button in (self.box_button, self.pick_button):
            button.setChecked(False)

    def _type_region(self) -> None:
        if self._source is None:
            return
        try:
            region = parse_region(self.region.text())
        except InputError as error:
            self.said.emit(str(error))
            return
        if region != self._source.region:
            self.said.emit("")
            self.region_changed.emit(region)
            if self._box is not None:
                self._box.set_region(region)

    def _type_place(self) -> None:
        text = self.place.text().strip()
        match = PLACE.fullmatch(text)
        if text and match is None:
            self.said.emit(
                f"{text}: a place is three numbers (z, y, x), as in 8, 20, 4"
            )
            return
        place = None
        if match is not None:
            place = int(match[1]), int(match[2]), int(match[3])
        if self._source is not None and place != self._place:
            self.said.emit("")
            self.place_changed.emit(place)

    def _toggle_box(self, wanted: bool) -> None:
        if wanted:
            self._when_shown(self.box_button, self._draw_box)
        elif self._box is not None:
            box, self._box = self._box, None
            box.end()
            self.said.emit("")

    def _draw_box(self, layer: Image) -> None:
        assert self._shown.viewer is not None
        assert self._source is not None
        self._box = RegionBox(
            self._shown.viewer,
            layer,
            self._source.region,
            self.region_changed.emit,
            lambda: self.box_button.setChecked(False),
        )
        self.said.emit(
            "Move and resize the yellow box; other planes are reached with napari's "
            "roll button. Press Box again when it is right."
        )

    def _toggle_pick(self, wanted: bool) -> None:
        if wanted:
            self._when_shown(self.pick_button, self._wait_for_click)
        elif self._picker is not None:
            self._picker.end()
            self._picker = None
            self.said.emit("")

    def _wait_for_click(self, layer: Image) -> None:
        assert self._shown.viewer is not None
        self._picker = PlacePicker(self._shown.viewer, layer, self._take_place)
        which = ", of its first frame" if is_series(layer) else ""
        self.said.emit(f"Click at the place in {layer.name} that previews show{which}.")

    def _take_place(self, place: Voxel) -> None:
        self.pick_button.setChecked(False)
        self.place_changed.emit(place)

    def _when_shown(self, button: QPushButton, then: Callable[[Image], None]) -> None:
        """Do something with the row's layer, once there is one."""
        source = self._source
        assert source is not None

        def go_on(layer: Image) -> None:
            if button.isChecked() and source == self._source:
                then(layer)

        def refuse(sentence: str) -> None:
            button.setChecked(False)
            self.said.emit(sentence)

        self._shown.show(source, go_on, refuse)


def _toggle(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setCheckable(True)
    button.setToolTip(tip)
    return button
