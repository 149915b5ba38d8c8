"""What is to be enhanced, one after the other, and what became of it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from html import escape

from napari.layers import Image
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from napari_cyclegan3d.gui.source import Source

MOST_ROWS = 5


class State(Enum):
    """What became of an entry."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(eq=False)
class Entry:
    """One source in the queue.

    Attributes:
        source: What is to be enhanced.
        frames: Which frames of a series; None: all, or there are none.
        state: What became of it.
        note: More about that, for a tooltip.
    """

    source: Source
    frames: range | None = None
    state: State = State.WAITING
    note: str = ""

    @property
    def title(self) -> str:
        """The source and its frames in words."""
        if self.frames is None:
            return self.source.name
        return f"{self.source.name} [{self.frames[0]}–{self.frames[-1]}]"


class QueueList(QTreeWidget):
    """Entries with their states; hidden while there are none.

    Delete takes the selected entries away, but for the one that is running.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entries: list[Entry] = []
        self.setColumnCount(2)
        self.setHeaderHidden(True)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setAccessibleName("Queue")
        header = self.header()
        assert header is not None
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.hide()

    @property
    def entries(self) -> list[Entry]:
        """All entries, in the order in which they are done."""
        return list(self._entries)

    @property
    def waiting(self) -> list[Entry]:
        """Those that are still to be done."""
        return [one for one in self._entries if one.state is State.WAITING]

    def sources(self) -> list[Source]:
        """The sources of all entries."""
        return [entry.source for entry in self._entries]

    def add(self, entry: Entry) -> None:
        """Put an entry at the end."""
        self._entries.append(entry)
        self.addTopLevelItem(QTreeWidgetItem())
        self.update_entry(entry)
        self._fit()
        self.changed.emit()

    def set_state(self, entry: Entry, state: State, note: str = "") -> None:
        """Say what became of an entry."""
        entry.state, entry.note = state, note
        if entry in self._entries:
            self.update_entry(entry)
        self.changed.emit()

    def update_entry(self, entry: Entry) -> None:
        """Show an entry as it is now."""
        item = self.topLevelItem(self._entries.index(entry))
        assert item is not None
        item.setText(0, entry.title)
        item.setText(1, entry.state.value)
        where = "" if entry.source.is_layer else str(entry.source.item)
        lines = [escape(one) for one in (where, entry.note) if one]
        for column in range(2):
            item.setToolTip(column, f"<qt>{'<br>'.join(lines)}</qt>" if lines else "")
        self.scrollToItem(item)

    def remove_selected(self) -> None:
        """Take the selected entries away, but for the one that is running."""
        rows = {self.indexFromItem(item).row() for item in self.selectedItems()}
        self._remove(self._entries[row] for row in sorted(rows))

    def forget_others(self, layers: Collection[Image]) -> None:
        """Take away what is done with layers that are no longer there.

        Their voxels would stay in memory.
        """
        there = (State.WAITING, State.RUNNING)
        self._remove(
            one
            for one in self._entries
            if one.state not in there
            and isinstance(one.source.item, Image)
            and one.source.item not in layers
        )

    def clear_ended(self) -> None:
        """Take away what is neither waiting nor running."""
        there = (State.WAITING, State.RUNNING)
        self._remove([one for one in self._entries if one.state not in there])

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        keys = (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
        if event is not None and event.key() in keys:
            self.remove_selected()
        else:
            super().keyPressEvent(event)

    def _remove(self, entries: Iterable[Entry]) -> None:
        taken = [one for one in entries if one.state is not State.RUNNING]
        for entry in taken:
            self.takeTopLevelItem(self._entries.index(entry))
            self._entries.remove(entry)
        self._fit()
        if taken:
            self.changed.emit()

    def _fit(self) -> None:
        """As high as its rows, up to some of them."""
        rows = min(len(self._entries), MOST_ROWS)
        margins = self.contentsMargins()
        height = rows * max(1, self.sizeHintForRow(0))
        self.setFixedHeight(height + margins.top() + margins.bottom())
        self.setVisible(rows > 0)
