"""The Data page of the Train dock: volumes of both domains, and the run folder."""

from collections.abc import Sequence
from pathlib import Path

from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_cyclegan3d.engine.training import Domains
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.domain_list import DomainList
from napari_cyclegan3d.gui.parts import folded
from napari_cyclegan3d.io.domains import overlaps


class DataPage(QWidget):
    """Choose what is trained on, what scores are taken on, and where the run goes.

    Args:
        run: Folder that is proposed for the run.
        parent: Parent widget.
    """

    changed = Signal()

    def __init__(self, run: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.domain_a = DomainList("Domain A: what you have (fast, noisy, coarse)")
        self.domain_b = DomainList("Domain B: what you want (slow, clean, fine)")
        self.validate_a = DomainList("Domain A, not trained on", part="validate")
        self.validate_b = DomainList("Domain B, not trained on", part="validate")
        self.run_folder = FileEdit(mode=FileDialogMode.EXISTING_DIRECTORY, value=run)

        validation = QWidget()
        lists = QVBoxLayout(validation)
        lists.setContentsMargins(0, 6, 0, 0)
        lists.addWidget(self.validate_a)
        lists.addWidget(self.validate_b)
        folder = QFormLayout()
        folder.addRow("Run folder", self.run_folder.native)
        layout = QVBoxLayout(self)
        layout.addWidget(self.domain_a)
        layout.addWidget(self.domain_b)
        layout.addWidget(folded("Validation (optional)", validation))
        layout.addLayout(folder)
        layout.addStretch()

        for part in self._lists():
            part.changed.connect(self.changed)

    @property
    def run_path(self) -> Path:
        """The folder that the training writes to."""
        return Path(str(self.run_folder.value))

    def reset_choices(self) -> None:
        """Offer the layers that there are now."""
        for part in self._lists():
            part.layer_choice.reset_choices()

    def domains(self) -> tuple[Domains, list[str]]:
        """The chosen volumes, and sentences about those that are left out.

        Raises:
            InputError: A volume cannot be used.
        """
        a, b = self.domain_a.value(), self.domain_b.value()
        validate_a, seen_a = _unseen(a, self.validate_a.value())
        validate_b, seen_b = _unseen(b, self.validate_b.value())
        return Domains(a, b, validate_a, validate_b), seen_a + seen_b

    def missing(self, method: str) -> str:
        """The domains that still need volumes, in words; empty: none."""
        need_a = self.domain_a.is_empty and method != "srgan"  # which makes A from B
        need_b = self.domain_b.is_empty
        if need_a and need_b:
            return "both domains"
        return "domain A" if need_a else "domain B" if need_b else ""

    def _lists(self) -> tuple[DomainList, ...]:
        return self.domain_a, self.domain_b, self.validate_a, self.validate_b


def _unseen(
    train: Sequence[Volume], validate: Sequence[Volume]
) -> tuple[list[Volume], list[str]]:
    """The volumes that are not trained on, and what is said of the others."""
    kept: list[Volume] = []
    said: list[str] = []
    for volume in validate:
        sentences = overlaps(train, [volume])
        said += [f"{sentence}; it is left out" for sentence in sentences]
        if not sentences:
            kept.append(volume)
    return kept, said
