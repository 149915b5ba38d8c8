"""The volumes of one domain: layers, files, folders and patterns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGroupBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Region, Volume
from napari_cyclegan3d.gui.choosing import Asker
from napari_cyclegan3d.gui.domains.add import AddBar, refuse_unusable
from napari_cyclegan3d.gui.domains.editor import RowEditor
from napari_cyclegan3d.gui.domains.facts import Facts, describe
from napari_cyclegan3d.gui.domains.inspector import Inspector
from napari_cyclegan3d.gui.domains.roi import Voxel, bounds_of
from napari_cyclegan3d.gui.domains.rows import RowView
from napari_cyclegan3d.gui.domains.viewer import ShownSources
from napari_cyclegan3d.gui.drops import accept_drops
from napari_cyclegan3d.gui.parts import status_line
from napari_cyclegan3d.gui.source import (
    Item,
    Source,
    gathered,
    open_sources,
    region_text,
)
from napari_cyclegan3d.io.dataset_json import Part


@dataclass(eq=False)
class _Row:
    source: Source
    facts: Facts | None = None


class DomainList(QGroupBox):
    """Choose what belongs to a domain, and which part of it.

    Args:
        title: Shown above the list.
        shown: Finds and opens the layers of rows.
        inspector: Finds out what the rows are.
        part: Which part of a file that lists a data set is meant.
        parent: Parent widget.
        previews: Whether a row can be where the previews of a training are taken.
    """

    changed = Signal()  # other sources, regions or preview
    looked_at = Signal()  # more is known of the rows

    def __init__(
        self,
        title: str,
        shown: ShownSources,
        inspector: Inspector,
        part: Part = "train",
        parent: QWidget | None = None,
        *,
        previews: bool = True,
    ) -> None:
        super().__init__(title, parent)
        self._inspector, self._part = inspector, part
        self._rows: list[_Row] = []
        self._place: tuple[_Row, Voxel] | None = None
        self._warnings: dict[int, list[str]] = {}
        self.view = RowView(title)
        self.add_bar = AddBar(shown.viewer)
        self.remove_button = QPushButton("Remove")
        self.remove_button.setToolTip("Take the chosen rows out of the list (Del)")
        self.editor = RowEditor(shown, previews=previews and part == "train")
        self.note = status_line()
        bar = QHBoxLayout()
        bar.addWidget(self.add_bar, stretch=1)
        bar.addWidget(self.remove_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.view)
        layout.addLayout(bar)
        layout.addWidget(self.editor)
        layout.addWidget(self.note)
        self._asker = Asker(self)
        accept_drops(self, shown.viewer, self._take)

        self.add_bar.chosen.connect(self._take)
        self.add_bar.refused.connect(self._say)
        self.remove_button.clicked.connect(self._remove)
        self.view.delete_pressed.connect(self._remove)
        self.view.itemSelectionChanged.connect(self._edit_chosen)
        self.editor.region_changed.connect(self._set_region)
        self.editor.place_changed.connect(self._set_place)
        self.editor.said.connect(self._say)
        self._say("")
        self._edit_chosen()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is chosen."""
        return not self._rows

    def sources(self) -> list[Source]:
        """What is chosen, in the order in which it was added."""
        return [row.source for row in self._rows]

    def texts(self) -> list[str | None]:
        """What the command line takes for each row, as far as it is known.

        None for a layer that came from no file, or is still being looked at.
        """
        return [
            (row.facts.text if row.facts else None)
            if row.source.is_layer
            else row.source.text()
            for row in self._rows
        ]

    def facts(self) -> list[Facts | None]:
        """What is known of each row; None: it is still being looked at."""
        return [row.facts for row in self._rows]

    def value(self) -> list[Volume]:
        """The volumes, in the order of the rows; nothing is loaded.

        Raises:
            InputError: One of them cannot be used.
        """
        return open_sources(self.sources(), self._part)

    def set_value(self, items: Sequence[Item]) -> None:
        """Show these sources instead of those there are."""
        self._rows, self._place, self._warnings = [], None, {}
        self.add_all(items)

    def add(self, item: Item) -> None:
        """Add a source, unless it is there already."""
        self.add_all([item])

    def add_all(self, items: Sequence[Item]) -> None:
        """Add several sources; say why some cannot be used."""
        self._say("")
        before = len(self._rows)
        for item in gathered(items):
            try:
                source = item if isinstance(item, Source) else Source.of(item)
                if isinstance(source.item, Image):
                    refuse_unusable(source.item)
            except InputError as error:
                self._say(str(error))
                continue
            if source not in self.sources():
                self._rows.append(_Row(source))
        self._show()
        for row in self._rows[before:]:
            self._look(row)
        self.changed.emit()

    def _take(self, items: Sequence[Item]) -> None:
        """Add what was dropped or chosen; ask what it leaves open."""
        self._asker.ask(items, self.add_all, self._say)

    def preview_place(self) -> tuple[int, int, int, int] | None:
        """Number of a volume in this domain, and the centre of its previews in it.

        The centre is z, y, x in voxels of the region of the row. None: none is set.

        Raises:
            InputError: The place lies outside of the region.
        """
        if self._place is None:
            return None
        chosen, place = self._place
        number = 0
        for row in self._rows[: self._rows.index(chosen)]:
            known = row.facts is not None and row.facts.volumes
            number += len(known or row.source.volumes(self._part))
        shape = chosen.facts.whole if chosen.facts is not None else None
        if shape is None:
            shape = Source(chosen.source.item).volumes(self._part)[0].shape
        bounds = bounds_of(chosen.source.region, shape)
        for at, (start, stop), axis in zip(place, bounds, "zyx", strict=True):
            if not start <= at < stop:
                raise InputError(
                    f"{chosen.source.name}: the preview at {place} lies outside of "
                    f"{start}:{stop} along {axis}; choose another place"
                )
        z, y, x = (at - start for at, (start, _) in zip(place, bounds, strict=True))
        return number, z, y, x

    def show_warnings(self, warnings: dict[int, list[str]]) -> None:
        """Mark rows, by their numbers, with what is said of them."""
        before, self._warnings = self._warnings, warnings
        for number in range(len(self._rows)):
            if before.get(number) != warnings.get(number):
                self._show_row(number)

    def refresh(self) -> None:
        """Show the names that the layers have now."""
        self._show_texts()

    def end(self) -> None:
        """Leave nothing in the viewer."""
        self.editor.end()

    def _look(self, row: _Row) -> None:
        """Find out what a row is."""
        row.facts, asked = None, row.source

        def answer(facts: Facts) -> None:
            if row in self._rows and row.source == asked:  # not another region by now
                row.facts = facts
                self._show_row(self._rows.index(row))
                self.looked_at.emit()

        self._inspector.ask(asked, self._part, answer)

    def _show(self) -> None:
        """Show the rows there are now."""
        self.view.set_rows(len(self._rows))
        self._show_texts()
        self._edit_chosen()

    def _show_texts(self) -> None:
        for number in range(len(self._rows)):
            self._show_row(number)

    def _show_row(self, number: int) -> None:
        row = self._rows[number]
        said = self._warnings.get(number, [])
        facts, source = row.facts, row.source
        mark = "⚠ " if said else ""
        preview = " · preview" if self._place and self._place[0] is row else ""
        self.view.set_row(
            number,
            f"{mark}{source.name} {region_text(source.region)}".rstrip(),
            (describe(facts) if facts else "is being looked at …").removeprefix(
                f"{source.name}: "
            )
            + preview,
            "\n".join([str(source.item), *said]),
            facts.thumbnail if facts else None,
        )

    def _chosen(self) -> _Row | None:
        rows = self.view.chosen()
        return self._rows[rows[0]] if len(rows) == 1 else None

    def _edit_chosen(self) -> None:
        row = self._chosen()
        place = self._place[1] if self._place and self._place[0] is row else None
        self.editor.show_row(row.source if row else None, place)
        self.editor.setVisible(row is not None)
        self.remove_button.setEnabled(bool(self.view.chosen()))

    def _set_region(self, region: Region | None) -> None:
        row = self._chosen()
        if row is not None:
            row.source = replace(row.source, region=region)
            self._look(row)
            self._update()

    def _set_place(self, place: Voxel | None) -> None:
        row = self._chosen()
        if row is not None:
            self._place = (row, place) if place else None
            self._update()

    def _update(self) -> None:
        self._show_texts()
        self._edit_chosen()
        self.changed.emit()

    def _remove(self) -> None:
        gone = {id(self._rows[number]) for number in self.view.chosen()}
        self._rows = [row for row in self._rows if id(row) not in gone]
        if self._place is not None and id(self._place[0]) in gone:
            self._place = None
        self._warnings = {}
        self._say("")
        self._show()
        self.changed.emit()

    def _say(self, text: str) -> None:
        self.note.setText(text)
        self.note.setVisible(bool(text))
