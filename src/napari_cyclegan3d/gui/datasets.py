"""The choice of one volume where a file or a folder has several."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_cyclegan3d.gui.parts import status_line

FILTERED_FROM = 12  # fewer are seen at once
WIDTH, HEIGHT = 520, 320


@dataclass(frozen=True)
class Candidate:
    """One of several volumes.

    Attributes:
        key: What stands behind `::` to name it.
        facts: What is known of it, such as shape, type and voxel size.
    """

    key: str
    facts: tuple[str, ...]


class ChoiceDialog(QDialog):
    """Lists the volumes of a file or folder; one of them is chosen.

    Args:
        path: The file or folder.
        titles: Of the columns: the key's, and one for each fact.
        candidates: The volumes; the first one is chosen beforehand.
        parent: Parent widget.
    """

    def __init__(
        self,
        path: Path,
        titles: Sequence[str],
        candidates: Sequence[Candidate],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(path.name)
        sentence = status_line()
        sentence.setText(f"{path.name} holds {len(candidates)} volumes. Open which?")
        self.line = QLineEdit()
        self.line.setPlaceholderText("show only what has this in it")
        self.line.setAccessibleName("Filter")
        self.line.setVisible(len(candidates) >= FILTERED_FROM)
        self.list = QTreeWidget()
        self.list.setAccessibleName("Volumes")
        self.list.setRootIsDecorated(False)
        self.list.setHeaderLabels(list(titles))
        self.list.addTopLevelItems([_row(one) for one in candidates])
        self.list.setCurrentItem(self.list.topLevelItem(0))
        header = self.list.header()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Open | kinds.Cancel)
        layout = QVBoxLayout(self)
        for widget in (sentence, self.line, self.list, self.buttons):
            layout.addWidget(widget)
        self.resize(WIDTH, HEIGHT)

        self.line.textChanged.connect(self._filter)
        self.list.itemSelectionChanged.connect(self._allow)
        self.list.itemDoubleClicked.connect(lambda *_: self.accept())
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)

    def key(self) -> str | None:
        """What is chosen; None: nothing."""
        chosen = self.list.selectedItems()
        return str(chosen[0].data(0, Qt.ItemDataRole.UserRole)) if chosen else None

    def _filter(self, text: str) -> None:
        """Show the rows that have a text in them, and choose the first of these."""
        rows = [self.list.topLevelItem(n) for n in range(self.list.topLevelItemCount())]
        shown = []
        for row in rows:
            assert row is not None
            words = [row.text(n) for n in range(self.list.columnCount())]
            row.setHidden(text.lower() not in " ".join(words).lower())
            if not row.isHidden():
                shown.append(row)
        self.list.clearSelection()
        if shown:
            self.list.setCurrentItem(shown[0])

    def _allow(self) -> None:
        button = self.buttons.button(QDialogButtonBox.StandardButton.Open)
        assert button is not None
        button.setEnabled(self.key() is not None)


def _row(candidate: Candidate) -> QTreeWidgetItem:
    row = QTreeWidgetItem([candidate.key, *candidate.facts])
    row.setData(0, Qt.ItemDataRole.UserRole, candidate.key)
    return row
