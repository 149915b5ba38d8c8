"""The page with the list of findings, and what a person decides about them."""

from collections.abc import Iterable

from qtpy.QtCore import QModelIndex, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_cyclegan3d.engine.hallucination.findings import Finding, Inspection
from napari_cyclegan3d.gui.editors import QuietCombo
from napari_cyclegan3d.gui.inspect.look import CHOICES, LOOKS
from napari_cyclegan3d.gui.inspect.table import (
    VERDICT_COLUMN,
    FindingsModel,
    VerdictDelegate,
    set_up,
)
from napari_cyclegan3d.gui.inspect.words import about, details, headline
from napari_cyclegan3d.gui.parts import folded, small_button, status_line

NOTHING = (
    "Nothing was inspected yet. Choose volumes and press Inspect, or open the "
    "inspection.json of a report."
)
KINDS = ("inserted", "deleted", "changed", "artefact")
REVIEWED = ("to do", "done")
COMMENT_LENGTH = 2000


class FindingsPage(QWidget):
    """Shows an inspection; tells what is chosen and decided.

    Attributes:
        model: What is in the list.
    """

    chosen = Signal(int)  # id of a finding
    decided = Signal(str)  # a decision about the chosen one
    commented = Signal(str)

    def __init__(self, views: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = FindingsModel(self)
        self.headline = status_line()
        self.about = QLabel()
        self.verdict, self.kind, self.reviewed = (QuietCombo() for _ in range(3))
        self.search = QLineEdit()
        self.table = QTableView()
        self.previous_button = small_button("◂ Prev", "The one before (p)")
        self.next_button = small_button("Next ▸", "The next in the list (n)")
        self.details = QLabel()
        self.decisions = {
            decision: small_button(
                f"{one.key} {one.word}",
                f"{one.meaning} (key {one.key})",
                checkable=True,
            )
            for decision, one in CHOICES.items()
        }
        self.comment, self.reviewer = QLineEdit(), QLineEdit()
        self.export_button = small_button(
            "Export…", "Write a report into a new folder: page, table, maps, decisions"
        )
        self.load_button = small_button(
            "Open…", "Open the inspection.json of a report, with all decisions"
        )
        self._unit = ""
        self._chosen: int | None = None
        self._fill()
        self._lay_out(views)
        self._connect()
        self.show_inspection(None)

    @property
    def current(self) -> Finding | None:
        """The finding that is chosen in the list."""
        index = self.table.currentIndex()
        return self.model.shown[index.row()] if index.isValid() else None

    def show_inspection(self, inspection: Inspection | None) -> None:
        """Show another inspection, or none."""
        self._unit = inspection.unit if inspection else ""
        self._chosen = None
        self.headline.setText(headline(inspection) if inspection else NOTHING)
        self.about.setText(about(inspection) if inspection else "")
        self.model.set_findings(inspection.findings if inspection else ())
        self.export_button.setEnabled(inspection is not None)
        self._show_current()

    def select(self, number: int) -> bool:
        """Choose a finding by its id; False: the filters leave it out."""
        self._on_comment()  # it is about the one before
        row = self.model.row_of(number)
        if row is not None:
            with signals_blocked(self):
                self.table.selectRow(row)
        return row is not None

    def step(self, by: int) -> None:
        """Choose the next one in the list, or the one before."""
        self._on_comment()
        count = len(self.model.shown)
        index = self.table.currentIndex()
        row = index.row() + by if index.isValid() else 0
        if count:
            self.table.selectRow(min(max(row, 0), count - 1))

    def show_changed(self, finding: Finding) -> None:
        """Show a finding as it is now."""
        self.model.replace(finding)
        self._show_current()

    def _on_row(self, index: QModelIndex) -> None:
        finding = self.model.shown[index.row()] if index.isValid() else None
        self._chosen = finding.id if finding else None
        self._show_current()
        if finding is not None:
            self.chosen.emit(finding.id)

    def _on_order(self) -> None:
        """The list has another order: what was chosen stays so, if it is still in."""
        if self._chosen is None or not self.select(self._chosen):
            self._show_current()

    def _filter(self) -> None:
        verdict, kind = self.verdict.currentData(), self.kind.currentData()
        reviewed = self.reviewed.currentData()
        words = self.search.text().lower().split()

        def accepts(finding: Finding) -> bool:
            return (
                verdict in (None, finding.verdict)
                and kind in (None, finding.kind)
                and reviewed in (None, REVIEWED[finding.review is not None])
                and all(word in _text(finding) for word in words)
            )

        self.model.set_filter(accepts)

    def _show_current(self) -> None:
        finding = self.current
        self.details.setText(details(finding, self._unit) if finding else "")
        review = finding.review if finding else None
        for decision, button in self.decisions.items():
            button.setEnabled(finding is not None)
            button.setChecked(review is not None and review.decision == decision)
        self.comment.setEnabled(finding is not None)
        if not self.comment.isModified():
            self.comment.setText(review.comment if review else "")

    def _fill(self) -> None:
        for box, title, choices in (
            (self.verdict, "Verdict", tuple(LOOKS)),
            (self.kind, "Kind", KINDS),
            (self.reviewed, "Review", REVIEWED),
        ):
            box.setAccessibleName(title)
            box.addItem(title, None)
            for one in choices:
                box.addItem(one, one)
        self.search.setPlaceholderText("search")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search")
        self.search.setToolTip("Number, kind, verdict, decision or words of a comment")
        for line, title in ((self.comment, "Comment"), (self.reviewer, "Reviewer")):
            line.setAccessibleName(title)
            line.setMaxLength(COMMENT_LENGTH if line is self.comment else 200)
        self.comment.setPlaceholderText("comment on this one")
        self.reviewer.setPlaceholderText("reviewer")
        self.reviewer.setToolTip("Who decides; goes into the report")
        self.table.setModel(self.model)
        self.table.setItemDelegateForColumn(VERDICT_COLUMN, VerdictDelegate(self.table))
        self.table.setAccessibleName("Findings")

    def _connect(self) -> None:
        for box in (self.verdict, self.kind, self.reviewed):
            box.currentIndexChanged.connect(lambda _: self._filter())
        self.search.textChanged.connect(lambda _: self._filter())
        selection = self.table.selectionModel()
        assert selection is not None
        selection.currentRowChanged.connect(lambda now, _: self._on_row(now))
        self.model.modelReset.connect(self._on_order)
        self.previous_button.clicked.connect(lambda: self.step(-1))
        self.next_button.clicked.connect(lambda: self.step(1))
        for decision, button in self.decisions.items():
            button.clicked.connect(lambda _, one=decision: self.decided.emit(one))
        self.comment.editingFinished.connect(self._on_comment)

    def _on_comment(self) -> None:
        if self.comment.isModified():
            self.comment.setModified(False)
            self.commented.emit(self.comment.text().strip())

    def _lay_out(self, views: QWidget) -> None:
        set_up(self.table)
        for label in (self.details, self.about):
            label.setTextFormat(Qt.TextFormat.RichText)
            label.setWordWrap(True)
            label.setMinimumWidth(1)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        for button in self.decisions.values():
            button.setStyleSheet("padding: 2px 3px")
        for box in (self.verdict, self.kind, self.reviewed):
            box.setMinimumContentsLength(4)
        layout = QVBoxLayout(self)
        layout.setSpacing(4)
        layout.addWidget(self.headline)
        layout.addWidget(folded("About this inspection", self.about))
        layout.addWidget(views)
        layout.addLayout(_row(self.verdict, self.kind, self.reviewed))
        layout.addLayout(_row(self.search, self.previous_button, self.next_button))
        layout.addWidget(self.table, stretch=1)
        layout.addLayout(_evenly(self.decisions.values()))
        layout.addWidget(self.comment)
        layout.addWidget(self.details)
        layout.addLayout(_row(self.reviewer, self.export_button, self.load_button))


def _text(finding: Finding) -> str:
    """What a search looks through."""
    review = finding.review
    decided = f"{review.decision} {review.comment} {review.reviewer}" if review else ""
    return f"#{finding.rank} {finding.kind} {finding.verdict} {decided}".lower()


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(4)
    for widget in widgets:
        typed = isinstance(widget, QLineEdit | QComboBox)
        row.addWidget(widget, stretch=1 if typed else 0)
    return row


def _evenly(widgets: Iterable[QWidget]) -> QHBoxLayout:
    row = _row(*widgets)
    for index in range(row.count()):
        row.setStretch(index, 1)
    return row
