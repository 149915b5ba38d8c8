"""The choice of a volume: a layer, or a file that becomes one."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QWidget

from napari_cyclegan3d import io
from napari_cyclegan3d.gui.parts import small_button
from napari_cyclegan3d.gui.prepare.task import Grey
from napari_cyclegan3d.gui.remembered import recall, remember
from napari_cyclegan3d.gui.views.temporary import is_private

if TYPE_CHECKING:
    from napari.viewer import Viewer

FOLDER_KEY = "prepare/files"
SHORTEST = 8  # letters of a layer's name


class VolumeChooser(QWidget):
    """A layer of the viewer, and a button that asks for a file to be opened as one.

    Args:
        viewer: Whose layers are offered; None: none are.
        title: What is chosen, for those who cannot see it.
        kinds: Which layers are offered.
        nullable: Whether nothing can be chosen, too.
        parent: Parent widget.
    """

    changed = Signal()
    wanted = Signal(object)  # Path of a file to open

    def __init__(
        self,
        viewer: "Viewer | None",
        title: str,
        kinds: tuple[type[Grey], ...] = (Image,),
        *,
        nullable: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._title = title
        self._box = ComboBox(choices=_choices(viewer, kinds), nullable=nullable)
        native: Any = self._box.native
        native.setAccessibleName(title)
        native.setPlaceholderText("no image layer is open")
        native.setMinimumContentsLength(SHORTEST)
        native.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.button = small_button("File…", "Open a file as a layer and choose it")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(native, stretch=1)
        layout.addWidget(self.button)

        self._explanation = title
        self._box.changed.connect(lambda _: self._on_change())
        self.button.clicked.connect(self._ask)

    @property
    def layer(self) -> Grey | None:
        """The layer that is chosen."""
        chosen: Grey | None = self._box.value
        return chosen

    def offered(self) -> Sequence[Grey]:
        """The layers that can be chosen."""
        return [one for one in self._box.choices if one is not None]

    def choose(self, layer: Grey | None) -> None:
        """Choose a layer, if it is offered."""
        if layer in self._box.choices:
            self._box.value = layer

    def explain(self, text: str) -> None:
        """Say in a tooltip what is chosen here."""
        self._explanation = text
        self._show_name()

    def reset_choices(self) -> None:
        """Offer the layers that there are now."""
        self._box.reset_choices()

    def _on_change(self) -> None:
        self._show_name()
        self.changed.emit()

    def _show_name(self) -> None:
        """Tell the whole name of the layer, for which the dock may be too narrow."""
        name = f"<p>{escape(self.layer.name)}</p>" if self.layer is not None else ""
        native: Any = self._box.native
        native.setToolTip(f"<qt>{name}{self._explanation}</qt>")

    def _ask(self) -> None:
        kinds = " ".join(f"*{suffix}" for suffix in io.READABLE_SUFFIXES)
        name, _ = QFileDialog.getOpenFileName(
            self,
            self._title,
            str(recall(FOLDER_KEY) or ""),
            f"Volumes ({kinds});;All files (*)",
        )
        if name:
            remember(FOLDER_KEY, str(Path(name).parent))
            self.wanted.emit(Path(name))


def _choices(
    viewer: "Viewer | None", kinds: tuple[type[Grey], ...]
) -> Callable[[object], list[Grey]]:
    """What the viewer offers at a time; copies that views have made are left out."""

    def choices(_: object) -> list[Grey]:
        layers = viewer.layers if viewer is not None else ()
        return [one for one in layers if isinstance(one, kinds) and not is_private(one)]

    return choices
