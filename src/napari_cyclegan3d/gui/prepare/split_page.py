"""The choice of volumes that are divided by subject, and what came of it."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFormLayout, QScrollArea, QVBoxLayout, QWidget

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.domains.inspector import Inspector
from napari_cyclegan3d.gui.domains.lists import DomainList
from napari_cyclegan3d.gui.domains.viewer import ShownSources
from napari_cyclegan3d.gui.forms import SettingsForm
from napari_cyclegan3d.gui.parts import status_line
from napari_cyclegan3d.gui.preferences import preferences
from napari_cyclegan3d.gui.prepare.parts_table import PartsTable
from napari_cyclegan3d.gui.prepare.split_work import SplitTask
from napari_cyclegan3d.gui.worker import Executor
from napari_cyclegan3d.prepare.splitting import Split, SplitSettings

if TYPE_CHECKING:
    from napari.viewer import Viewer

ABOUT = (
    "Whole subjects for training, validation and a last test; one that is in A and B "
    "is in the same part of both."
)
NAME = "split"
SOON_MS = 100


class SplitPage(QWidget):
    """Domains A and B, the shares, the folder for the lists, and who is where.

    Args:
        viewer: The viewer whose layers can be chosen; None: files only.
        executor: Runs what reads files.
        parent: Parent widget.

    Attributes:
        domains: The lists of volumes, by domain: a, b.
        form: Shares and seed.
        folder: Where the lists go.
        table: The subjects of each part.
    """

    changed = Signal()

    def __init__(
        self,
        viewer: "Viewer | None",
        executor: Executor,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._shown = ShownSources(viewer, executor)
        self._inspector = Inspector(executor)
        tools = self._shown, self._inspector
        self.domains = {
            "a": DomainList("A", *tools, previews=False),
            "b": DomainList("B (may be left out)", *tools, previews=False),
        }
        self.form = SettingsForm(SplitSettings)
        self.folder = FileEdit(mode=FileDialogMode.EXISTING_DIRECTORY)
        self.folder.choose_btn.text = "Choose…"  # fits a narrow dock
        self.folder.value = preferences().folder / NAME
        self.folder.native.setToolTip(
            "<qt>Gets a.json and b.json to train and validate on, a_test.json and "
            "b_test.json, and split.yaml, which says who is where</qt>"
        )
        self.table = PartsTable()
        self.remarks = status_line()
        # when what is below the page has grown, too
        self._soon = QTimer(self)
        self._soon.setInterval(SOON_MS)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._reveal)
        self._lay_out()

        for one in self.domains.values():
            one.changed.connect(self.changed)
        self.form.changed.connect(self.changed)
        self.folder.changed.connect(lambda _: self.changed.emit())
        self.show_split(None)

    @property
    def is_ready(self) -> bool:
        """Whether there is anything to divide."""
        return not self.domains["a"].is_empty

    def reset_choices(self) -> None:
        """Show the names that the layers have now."""
        for one in self.domains.values():
            one.refresh()

    def task(self) -> SplitTask:
        """What is to be done.

        Raises:
            InputError: A is empty, or there is no folder.
        """
        if not self.is_ready:
            raise InputError("Add volumes to A first.")
        if not str(self.folder.line_edit.value).strip():
            raise InputError("Choose a folder for the lists.")
        settings = cast(SplitSettings, self.form.value())
        sources = {side: one.sources() for side, one in self.domains.items()}
        return SplitTask(sources, settings, Path(str(self.folder.value)).expanduser())

    def show_split(self, result: Split | None) -> None:
        """Show who is where; None: nobody knows."""
        self.table.setVisible(result is not None)
        said = result.remarks if result is not None else ()
        self.remarks.setText("\n".join(f"⚠ {remark}" for remark in said))
        self.remarks.setVisible(bool(said))
        if result is not None:
            self.table.show_subjects(result.subjects)
            self._soon.start()

    def end(self) -> None:
        """Stop reading, and leave nothing in the viewer; for when the dock closes."""
        self._inspector.end()
        self._shown.end()
        for one in self.domains.values():
            one.end()

    def _reveal(self) -> None:
        """Scroll to what came of it."""
        area = self.parentWidget()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        if area is not None:
            area.ensureWidgetVisible(self.table)

    def _lay_out(self) -> None:
        about = status_line()
        about.setText(ABOUT)
        rows = QFormLayout()
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow("Folder", self.folder.native)
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        for one in self.domains.values():
            layout.addWidget(one)
        layout.addWidget(self.form)
        layout.addLayout(rows)
        layout.addWidget(self.table)
        layout.addWidget(self.remarks)
        layout.addStretch()
