"""The choice of two volumes of one subject that become a pair."""

from typing import TYPE_CHECKING, cast

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.forms import SettingsForm
from napari_cyclegan3d.gui.layers import to_volume
from napari_cyclegan3d.gui.parts import status_line
from napari_cyclegan3d.gui.prepare.pair_work import PairTask
from napari_cyclegan3d.gui.prepare.volume import VolumeChooser
from napari_cyclegan3d.prepare.pairs import PairSettings

if TYPE_CHECKING:
    from napari.viewer import Viewer

ABOUT = (
    "Two volumes of one subject, such as T1 and T2, on one grid: what a paired "
    "training needs."
)


class PairPage(QWidget):
    """Volume A, volume B, and how they become a pair.

    Args:
        viewer: Whose layers are offered; None: none are.
        parent: Parent widget.

    Attributes:
        choosers: The choices of A and of B.
        form: The settings.
    """

    changed = Signal()

    def __init__(self, viewer: "Viewer | None", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        about = status_line()
        about.setText(ABOUT)
        self.choosers = (
            VolumeChooser(viewer, "A", (Image,)),
            VolumeChooser(viewer, "B", (Image,)),
        )
        self.choosers[0].explain("The volume whose grid counts; its voxels stay")
        self.choosers[1].explain("The volume that is brought onto the grid of A")
        self.form = SettingsForm(PairSettings)
        for lines in self.form.findChildren(QFormLayout):
            lines.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        rows = QFormLayout()
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow("A", self.choosers[0])
        rows.addRow("B", self.choosers[1])
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        layout.addLayout(rows)
        layout.addWidget(self.form)
        layout.addStretch()

        for chooser in self.choosers:
            chooser.changed.connect(self.changed)
        self.form.changed.connect(self.changed)
        self.reset_choices()

    @property
    def is_ready(self) -> bool:
        """Whether two volumes are chosen."""
        return all(chooser.layer is not None for chooser in self.choosers)

    def reset_choices(self) -> None:
        """Offer the layers that there are now; A and B are different ones if they can.

        Of layers that were not chosen yet, nobody wants one as both.
        """
        a, b = self.choosers
        for chooser in self.choosers:
            chooser.reset_choices()
        others = [one for one in b.offered() if one != a.layer]
        if others and b.layer == a.layer:
            b.choose(others[0])

    def task(self) -> PairTask:
        """What is to be done.

        Raises:
            InputError: Something is missing, or does not fit.
        """
        a, b = (chooser.layer for chooser in self.choosers)
        if a is None or b is None:
            raise InputError("Open two volumes of one subject and choose them first.")
        for layer in (a, b):
            to_volume(layer)
        if a == b:
            raise InputError(
                f"{a.name}: is chosen as A and as B; choose another volume as B"
            )
        settings = cast(PairSettings, self.form.value())
        return PairTask(cast(Image, a), cast(Image, b), settings)
