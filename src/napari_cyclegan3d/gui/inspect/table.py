"""The list of findings: its columns, its order and what is left out of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QRect, Qt
from qtpy.QtGui import QPainter
from qtpy.QtWidgets import (
    QAbstractItemView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from napari_cyclegan3d.engine.hallucination.findings import Finding
from napari_cyclegan3d.gui.inspect.look import CHOICES, LOOKS
from napari_cyclegan3d.inspection.words import DASH, VERDICTS

PATCH, GAP, ROW = (18, 12), 4, 22
Index = QModelIndex


@dataclass(frozen=True)
class Column:
    """A column of the list.

    Attributes:
        title: Short.
        meaning: In words.
        value: What it is sorted by; None goes last.
        text: What it shows.
    """

    title: str
    meaning: str
    value: Callable[[Finding], Any]
    text: Callable[[Finding], str]


def _measure(title: str, meaning: str, name: str, digits: int = 1) -> Column:
    def text(finding: Finding) -> str:
        value = getattr(finding, name)
        return DASH if value is None else f"{value:.{digits}f}"

    return Column(title, meaning, lambda finding: getattr(finding, name), text)


def _decision(finding: Finding) -> str:
    return CHOICES[finding.review.decision].word if finding.review else ""


COLUMNS = (
    Column(
        "#", "Rank: 1 is the most suspicious", lambda f: f.rank, lambda f: str(f.rank)
    ),
    Column("Verdict", "What the data say", lambda f: f.verdict, lambda f: f.verdict),
    Column("Kind", "What the network did", lambda f: f.kind, lambda f: f.kind),
    _measure("S", "Suspicion: −log10 p, 0 to 6", "suspicion"),
    _measure("d′", "Power: how clearly the raw volume would show it, in σ", "power"),
    _measure("e", "Confirmation: how clearly it does show it, in σ", "confirmation"),
    Column(
        "⌀",
        "Diameter, in the volume's unit",
        lambda f: f.diameter,
        lambda f: f"{f.diameter:.3g}",
    ),
    Column("Review", "What a person decided", _decision, _decision),
    _measure("b", "Support: 1 fully there, 0 not at all", "support", 2),
    _measure("z", "Residual, in σ; negative: invented", "residual_z"),
    _measure("RSE", "Local resolution-scaled error, in σ", "rse"),
    _measure("prior", "Share that the raw volume cannot determine", "prior_only", 2),
    _measure("unstable", "1 − agreement with repetitions", "instability", 2),
    Column(
        "q", "False-discovery rate down to here", lambda f: f.q, lambda f: f"{f.q:.2g}"
    ),
    Column(
        "Voxels", "Of the enhanced volume", lambda f: f.voxels, lambda f: str(f.voxels)
    ),
)
VERDICT_COLUMN = 1


class FindingsModel(QAbstractTableModel):
    """Findings in the order of a column, without those that a filter leaves out.

    Attributes:
        findings: All of them, by rank.
        shown: Those in the list, in its order.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.findings: tuple[Finding, ...] = ()
        self.shown: list[Finding] = []
        self._accepts: Callable[[Finding], bool] = lambda _: True
        self._column, self._order = 0, Qt.SortOrder.AscendingOrder

    def set_findings(self, findings: Sequence[Finding]) -> None:
        """Show these."""
        self.findings = tuple(findings)
        self._renew()

    def set_filter(self, accepts: Callable[[Finding], bool]) -> None:
        """Leave out what is not accepted."""
        self._accepts = accepts
        self._renew()

    def replace(self, finding: Finding) -> None:
        """Show a finding as it is now, where it stands."""
        self.findings = tuple(
            finding if one.id == finding.id else one for one in self.findings
        )
        row = self.row_of(finding.id)
        if row is not None:
            self.shown[row] = finding
            self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))

    def row_of(self, number: int | None) -> int | None:
        """Where a finding stands, by its id; None: it is left out."""
        rows = (row for row, one in enumerate(self.shown) if one.id == number)
        return next(rows, None)

    def sort(
        self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder
    ) -> None:
        """Put them into the order of a column; Qt calls it for a click on its title."""
        self._column, self._order = column, order
        self._renew()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.shown)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.shown):
            return None
        finding, column = self.shown[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(finding)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"<qt>{VERDICTS[finding.verdict]}</qt>"
        if role == Qt.ItemDataRole.UserRole:
            return LOOKS[finding.verdict].brush()
        return None

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal and section < len(COLUMNS):
            if role == Qt.ItemDataRole.DisplayRole:
                return COLUMNS[section].title
            if role == Qt.ItemDataRole.ToolTipRole:
                return f"<qt>{COLUMNS[section].meaning}</qt>"
        return None

    def _renew(self) -> None:
        self.beginResetModel()
        value = COLUMNS[self._column].value
        chosen = [one for one in self.findings if self._accepts(one)]
        known = [one for one in chosen if value(one) is not None]
        unknown = [one for one in chosen if value(one) is None]
        down = self._order == Qt.SortOrder.DescendingOrder
        self.shown = [*sorted(known, key=value, reverse=down), *unknown]
        self.endResetModel()


class VerdictDelegate(QStyledItemDelegate):
    """Draws the patch of a verdict before its word."""

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: Index
    ) -> None:
        moved = QStyleOptionViewItem(option)
        width, height = PATCH
        moved.rect = option.rect.adjusted(width + GAP, 0, 0, 0)
        super().paint(painter, moved, index)
        if painter is not None:
            rect = option.rect
            top = rect.top() + (rect.height() - height) // 2
            patch = QRect(rect.left() + GAP, top, width, height)
            brush = index.data(Qt.ItemDataRole.UserRole)
            painter.save()
            painter.setPen(brush.color())
            painter.setBrush(brush)
            painter.drawRect(patch)
            painter.restore()


def set_up(table: QTableView) -> None:
    """A list of single rows that is sorted by a click on a title."""
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setSortingEnabled(True)
    table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
    table.setMinimumHeight(7 * ROW)
    table.setAlternatingRowColors(False)
    table.setShowGrid(False)
    rows, columns = table.verticalHeader(), table.horizontalHeader()
    assert rows is not None
    assert columns is not None
    rows.hide()
    rows.setDefaultSectionSize(ROW)
    columns.setMinimumSectionSize(20)
    for column, width in enumerate((30, 122, 62, 32, 34, 34, 42, 70)):
        table.setColumnWidth(column, width)
    for column in range(8, 15):
        table.setColumnWidth(column, 56)
