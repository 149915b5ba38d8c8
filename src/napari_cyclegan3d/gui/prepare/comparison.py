"""Before and after a step, in the viewer."""

from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtWidgets import QWidget

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.prepare.task import Grey
from napari_cyclegan3d.gui.views.bar import ViewsBar
from napari_cyclegan3d.gui.views.grid import check_shown
from napari_cyclegan3d.gui.views.running import HOLD, Comparison
from napari_cyclegan3d.gui.views.shown import Shown
from napari_cyclegan3d.gui.views.words import EXTRAS
from napari_cyclegan3d.gui.worker import Executor, start_engine

if TYPE_CHECKING:
    from napari.viewer import Viewer

TOOLTIPS: dict[Comparison, str] = {
    "side by side": "Before and after beside each other, with one camera",
    "curtain": "Left of a cut the volume before the step, right of it the one after; "
    "also in 3D. Key: S",
    "lens": "Around the cursor the volume before the step, elsewhere the one after. "
    "Key: L",
    "blink": "Before and after in turn, fewer than three times a second. Key: B",
}
NAMES = ("before", "after")
# those that need an inspection, and those that compare no two volumes
NOT_HERE = tuple(name for name in EXTRAS if name not in ("cross", "orthogonal"))


class BeforeAfter(ViewsBar):
    """The views of a volume before and after a step.

    Attributes:
        pair: The layers that are compared; None: there are none.

    Args:
        viewer: The viewer that is looked at.
        executor: Reads voxels off the GUI thread.
        parent: Parent widget.
    """

    def __init__(
        self,
        viewer: "Viewer",
        executor: Executor = start_engine,
        parent: QWidget | None = None,
    ) -> None:
        self.pair: tuple[Grey, Grey] | None = None
        super().__init__(viewer, executor, parent)
        for name, text in TOOLTIPS.items():
            self.buttons[name].setToolTip(f"<qt>{text}.</qt>")
        for extra in NOT_HERE:
            self.buttons[extra].hide()
        self.hint.setText(
            f"{HOLD}, held over the canvas, shows only the volume before."
        )

    def clear(self) -> None:
        """End all views; nothing is compared any more."""
        super().clear()
        self.pair = None

    def compare(self, before: Grey, after: Grey) -> None:
        """Offer the views of two layers, where they can be laid over each other."""
        if self.pair == (before, after):
            return
        self.clear()
        self._offer_views(before, after)
        self.pair = before, after

    def _offer_views(self, before: Grey, after: Grey) -> None:
        if not isinstance(before, Image) or not isinstance(after, Image):
            self.status.setText("A mask lies over its volume; switch it with its eye.")
            return
        shown = Shown(before, after, names=NAMES)
        try:
            check_shown(shown)
        except InputError:
            self.status.setText(
                "The step has changed the field of view: both layers are in the viewer."
            )
            return
        self.show(shown)
