"""How far an enhancement is: in the dock, and in napari's activity dock."""

import time

from qtpy.QtWidgets import QProgressBar

from napari_cyclegan3d.engine.events import EnhanceStarted, TileDone
from napari_cyclegan3d.engine.hallucination.events import Working
from napari_cyclegan3d.gui.activity import Activity
from napari_cyclegan3d.gui.enhance.task import Stage
from napari_cyclegan3d.gui.status import StatusLine

PARTS = 1000
# each time the bar moves, Qt draws the window anew before it goes on
SHOWN_EVERY = 0.25
# before that, the remaining time is a guess
KNOWN_AFTER = 0.02


class EnhanceProgress:
    """Shows the progress of one task.

    Args:
        bar: The bar of the dock.
        status: The line of the dock.
    """

    def __init__(self, bar: QProgressBar, status: StatusLine) -> None:
        self._bar, self._status = bar, status
        self._activity: Activity | None = None
        self._stage = Stage(0, 1, "")
        self._how, self._begun, self._shown = "", 0.0, 0.0
        self.end()

    def begin(self, name: str) -> None:
        """A task begins."""
        self._begun = time.monotonic()
        self._activity = Activity(f"Enhancing {name}")
        self._bar.setValue(0)
        self._status.say(f"{name}: reading …")

    def wait(self, sentence: str) -> None:
        """Something begins that takes no time worth measuring."""
        self._bar.setRange(0, 0)
        self._status.say(sentence)

    def stage(self, stage: Stage) -> None:
        """The next volume begins."""
        self._stage = stage

    def started(self, event: EnhanceStarted) -> None:
        """It is known how the volume is computed."""
        size = "×".join(map(str, event.tile))
        self._how = f"{event.mode} tiles of {size} on {event.device}"
        self._show(0.0)

    def tile(self, event: TileDone) -> None:
        """Another tile is done; shown a few times a second."""
        if time.monotonic() - self._shown >= SHOWN_EVERY:
            self._show(event.done / max(1, event.tiles))

    def working(self, event: Working) -> None:
        """A part of an inspection is done; shown a few times a second."""
        if time.monotonic() - self._shown >= SHOWN_EVERY:
            self._how = event.stage
            self._show(event.share)

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

    def _show(self, share: float) -> None:
        self._shown = time.monotonic()
        stage = self._stage
        whole = (stage.number + share) / stage.count
        self._bar.setValue(round(PARTS * whole))
        if self._activity is not None:
            self._activity.show(self._bar.value(), PARTS)
        which = f" ({stage.number + 1} of {stage.count})" if stage.count > 1 else ""
        left = ""
        if whole > KNOWN_AFTER:
            left = (
                f", {_words((time.monotonic() - self._begun) * (1 / whole - 1))} left"
            )
        self._status.say(f"{stage.name}{which}{left}; {self._how}")


def _words(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
