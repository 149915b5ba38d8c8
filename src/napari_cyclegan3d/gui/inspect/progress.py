"""How far an inspection is: in the dock, and in napari's activity dock."""

import time

from qtpy.QtWidgets import QProgressBar

from napari_cyclegan3d.engine.hallucination.events import InspectStarted, Working
from napari_cyclegan3d.gui.activity import Activity
from napari_cyclegan3d.gui.status import StatusLine

PARTS = 1000
# each time the bar moves, Qt draws the window anew before it goes on
SHOWN_EVERY = 0.25


class InspectProgress:
    """Shows the progress of one inspection.

    Args:
        bar: The bar of the dock.
        status: The line of the dock.
    """

    def __init__(self, bar: QProgressBar, status: StatusLine) -> None:
        self._bar, self._status = bar, status
        self._activity: Activity | None = None
        self._plan, self._stage, self._shown = "", "", 0.0
        self.end()

    def begin(self, name: str) -> None:
        """Something begins."""
        self._activity = Activity(name)
        self._plan = self._stage = ""
        self._bar.setValue(0)
        self._status.say(f"{name} …")

    def wait(self, sentence: str) -> None:
        """Something begins of which nobody knows how far it is."""
        self._bar.setRange(0, 0)
        self._status.say(sentence)

    def started(self, event: InspectStarted) -> None:
        """It is known what the inspection takes."""
        passes = f"{event.passes} passes of the network" if event.passes else "no pass"
        about = "" if event.seconds is None else f", about {duration(event.seconds)}"
        self._plan = f" ({passes}{about})"
        self._status.say(f"Inspecting{self._plan} …")

    def working(self, event: Working) -> None:
        """So much is done; shown a few times a second."""
        now = time.monotonic()
        if event.stage == self._stage and now - self._shown < SHOWN_EVERY:
            return
        self._stage, self._shown = event.stage, now
        self._bar.setValue(round(PARTS * event.share))
        if self._activity is not None:
            self._activity.show(self._bar.value(), PARTS)
        self._status.say(f"{event.stage[:1].upper()}{event.stage[1:]}{self._plan} …")

    def end(self, *, complete: bool = False) -> None:
        """It has ended; the bar stays full if all is done."""
        if self._activity is not None:
            self._activity.end()
            self._activity = None
        self._bar.setRange(0, PARTS)
        if complete:
            self._bar.setValue(PARTS)
        else:
            self._bar.reset()


def duration(seconds: float) -> str:
    """A time in words, such as `40 s`."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
