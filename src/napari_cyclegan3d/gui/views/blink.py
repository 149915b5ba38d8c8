"""Raw and enhanced volume in turn at the same place."""

from typing import TYPE_CHECKING

from napari.layers import Layer
from qtpy.QtCore import QObject, QTimer

from napari_cyclegan3d.gui.views.curtain import hide_others
from napari_cyclegan3d.gui.views.shown import Shown
from napari_cyclegan3d.gui.views.temporary import Caption, Changed, Matched

if TYPE_CHECKING:
    from napari.viewer import Viewer

# per second, raw and enhanced together; light that flashes more than three times a
# second can cause seizures
SLOWEST, RATE, FASTEST = 0.25, 2.0, 2.5


class Blink:
    """Shows two volumes in turn; the eye sees what moves.

    Args:
        viewer: The viewer.
        shown: The layers.
        rate: How often a second both are shown, 0.25 to 2.5.
        caption: Says which one is seen.
        parent: Ends it, at the latest with itself.
    """

    copies: tuple[Layer, ...] = ()

    def __init__(
        self,
        viewer: "Viewer",
        shown: Shown,
        rate: float,
        caption: Caption,
        parent: QObject,
    ) -> None:
        self._caption, self._rate = caption, rate
        self._turns = [shown.enhanced, shown.raw]
        raw, enhanced = shown.names
        self._names = {shown.raw: raw, shown.enhanced: enhanced}
        self._changed = Changed()
        self._matched = Matched(shown)
        hide_others(self._changed, viewer, (shown.raw, shown.enhanced), shown)
        for layer in self._turns:
            self._changed.set(layer, visible=True)
        self._timer = QTimer(parent)
        self._timer.timeout.connect(self._next)
        self._next()
        self.set_rate(rate)
        self._timer.start()

    def set_rate(self, rate: float) -> None:
        """How often a second both are shown, 0.25 to 2.5."""
        self._rate = min(max(rate, SLOWEST), FASTEST)
        self._timer.setInterval(round(500 / self._rate))
        self._tell()

    def set_paused(self, paused: bool) -> None:
        """Stop at what is seen now, or go on."""
        if paused:
            self._timer.stop()
        else:
            self._timer.start()
        self._tell()

    def end(self) -> None:
        """Go back to how it was before."""
        self._timer.stop()
        self._timer.deleteLater()
        self._caption.say("blink")
        self._changed.restore()
        self._matched.end()

    def _next(self) -> None:
        seen, hidden = reversed(self._turns)
        self._turns.reverse()
        seen.visible = True  # before the other goes: no dark between them
        hidden.visible = False
        self._tell()

    def _tell(self) -> None:
        how = f"{self._rate:g} Hz" if self._timer.isActive() else "paused"
        self._caption.say("blink", f"{self._names[self._turns[0]]} ({how})")
