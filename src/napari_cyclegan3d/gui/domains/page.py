"""The Data page of the Train dock: volumes of both domains, and the run folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.sources import Domains
from napari_cyclegan3d.gui.domains.checks import find_warnings
from napari_cyclegan3d.gui.domains.histograms import Histograms
from napari_cyclegan3d.gui.domains.inspector import Inspector
from napari_cyclegan3d.gui.domains.lists import DomainList
from napari_cyclegan3d.gui.domains.viewer import ShownSources
from napari_cyclegan3d.gui.parts import folded, status_line
from napari_cyclegan3d.gui.source import Item, Source, open_domains
from napari_cyclegan3d.gui.worker import Executor, start_engine

if TYPE_CHECKING:
    import napari

MOST_SAID = 3  # sentences below the lists; the others wait at their rows
Place = tuple[int, int, int, int]


class DataPage(QWidget):
    """Choose what is trained on, what scores are taken on, and where the run goes.

    Args:
        viewer: The viewer whose layers can be chosen; None: files only.
        executor: Runs what reads files.
        parent: Parent widget.
    """

    changed = Signal()

    def __init__(
        self,
        viewer: "napari.viewer.Viewer | None",
        executor: Executor = start_engine,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._config: TrainConfig | None = None
        self._shown = ShownSources(viewer, executor)
        self._inspector = Inspector(executor)
        tools = self._shown, self._inspector
        self.domain_a = DomainList("A: what you have (fast, noisy, coarse)", *tools)
        self.domain_b = DomainList("B: what you want (slow, clean, fine)", *tools)
        self.validate_a = DomainList("A, not trained on", *tools, "validate")
        self.validate_b = DomainList("B, not trained on", *tools, "validate")
        self.warnings = status_line()
        self.histograms = Histograms(viewer)
        self.run_folder = FileEdit(mode=FileDialogMode.EXISTING_DIRECTORY)
        self.run_folder.choose_btn.text = "Choose…"  # fits a narrow dock
        self._lists = {
            "a": self.domain_a,
            "b": self.domain_b,
            "validate_a": self.validate_a,
            "validate_b": self.validate_b,
        }
        self._lay_out()

        for one in self._lists.values():
            one.changed.connect(self._show_facts)
            one.changed.connect(self.changed)
            one.looked_at.connect(self._show_facts)
        self.destroyed.connect(self._inspector.end)
        self.destroyed.connect(self._shown.end)
        self._show_facts()

    @property
    def run_path(self) -> Path:
        """The folder that the training writes to."""
        return Path(str(self.run_folder.value))

    def reset_choices(self) -> None:
        """Show the names that the layers have now; napari calls it when they change."""
        for one in self._lists.values():
            one.refresh()

    def sources(self) -> dict[str, list[Source]]:
        """What is chosen: for a, b, validate_a and validate_b."""
        return {key: one.sources() for key, one in self._lists.items()}

    def texts(self) -> dict[str, list[str | None]]:
        """What the command line takes for each source, as far as it is known.

        None for a layer that came from no file, or is still being looked at.
        """
        return {key: one.texts() for key, one in self._lists.items()}

    def set_sources(self, sources: Mapping[str, Sequence[Item | None]]) -> None:
        """Choose other sources; None stands for a layer of another day."""
        for key, one in self._lists.items():
            one.set_value([item for item in sources.get(key, ()) if item is not None])

    def put(self, sources: Mapping[str, Sequence[Item]], *, add: bool) -> None:
        """Choose other sources in the domains that are named, and leave the others.

        Args:
            sources: By domain: a, b, validate_a, validate_b.
            add: Whether those that are chosen stay.
        """
        for key, items in sources.items():
            if add:
                self._lists[key].add_all(items)
            else:
                self._lists[key].set_value(items)

    def domains(self) -> tuple[Domains, list[str]]:
        """The chosen volumes, and sentences about those that are left out.

        It reads files; `open_domains(page.sources())` does the same in a worker.

        Raises:
            InputError: A volume cannot be used.
        """
        return open_domains(self.sources())

    def preview_places(self) -> tuple[Place | None, Place | None]:
        """Where the previews of A and of B are taken, for the settings.

        Each is the number of a volume in its domain and a centre z, y, x in its
        voxels; None: drawn by chance.

        Raises:
            InputError: A place lies outside of the region that is used.
        """
        return self.domain_a.preview_place(), self.domain_b.preview_place()

    def missing(self, method: str) -> str:
        """The domains that still need volumes, in words; empty: none."""
        need_a = self.domain_a.is_empty and method != "srgan"  # which makes A from B
        need_b = self.domain_b.is_empty
        if need_a and need_b:
            return "both domains"
        return "domain A" if need_a else "domain B" if need_b else ""

    def check(self, config: TrainConfig) -> None:
        """Warn of what does not go with these settings, now and from now on."""
        if config != self._config:
            self._config = config
            self._show_facts()

    def end(self) -> None:
        """Stop reading, and leave nothing in the viewer; for when the dock closes."""
        self._inspector.end()
        self._shown.end()
        for one in self._lists.values():
            one.end()

    def _lay_out(self) -> None:
        validation = QWidget()
        lists = QVBoxLayout(validation)
        lists.setContentsMargins(0, 6, 0, 0)
        lists.addWidget(self.validate_a)
        lists.addWidget(self.validate_b)
        self.validation_fold = folded("Validation (optional)", validation)
        self.histogram_fold = folded("Grey values of A and B", self.histograms)
        folder = QFormLayout()
        folder.addRow("Run folder", self.run_folder.native)
        layout = QVBoxLayout(self)
        layout.addWidget(self.domain_a)
        layout.addWidget(self.domain_b)
        layout.addWidget(self.warnings)
        layout.addWidget(self.histogram_fold)
        layout.addWidget(self.validation_fold)
        layout.addLayout(folder)
        layout.addStretch()
        self.histogram_fold.expand(animate=False)

    def _show_facts(self) -> None:
        """Show what is known of the rows: warnings and grey values."""
        known = {key: one.facts() for key, one in self._lists.items()}
        found = find_warnings(known, self._config)
        for key, one in self._lists.items():
            one.show_warnings(
                {
                    row: said
                    for (domain, row), said in found.rows.items()
                    if domain == key
                }
            )
        sentences = found.all()
        shown = [f"⚠ {sentence}" for sentence in sentences[:MOST_SAID]]
        if len(sentences) > MOST_SAID:
            shown.append(f"… and {len(sentences) - MOST_SAID} more, at their rows")
        self.warnings.setText("\n".join(shown))
        self.warnings.setVisible(bool(shown))
        a, b = (
            [facts.counts for facts in known[key] if facts and facts.counts]
            for key in ("a", "b")
        )
        self.histograms.show_counts(a, b)
        self.histogram_fold.setVisible(bool(a or b))
