"""Which views of some layers run; one comparison at a time, the others as one likes."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from napari.layers import Layer
from qtpy.QtCore import QObject

from napari_cyclegan3d.gui.views.blink import RATE, Blink
from napari_cyclegan3d.gui.views.cross import Cross
from napari_cyclegan3d.gui.views.curtain import Curtain
from napari_cyclegan3d.gui.views.lens import Lens
from napari_cyclegan3d.gui.views.ortho import OrthogonalViews
from napari_cyclegan3d.gui.views.overlay import Outlines, ResidualOverlay
from napari_cyclegan3d.gui.views.profile import ProfileLine
from napari_cyclegan3d.gui.views.profile_plot import ProfilePlot
from napari_cyclegan3d.gui.views.shown import Shown
from napari_cyclegan3d.gui.views.side_by_side import SideBySide
from napari_cyclegan3d.gui.views.temporary import Caption, Changed, is_private
from napari_cyclegan3d.gui.worker import Executor

if TYPE_CHECKING:
    from napari.viewer import Viewer

Comparison = Literal["side by side", "curtain", "lens", "blink"]
Extra = Literal["residual", "outlines", "cross", "profile", "orthogonal"]
HOLD = "H"


class View(Protocol):
    """Something that is seen until it ends."""

    def end(self) -> None:
        """Leave everything as it was before."""


@dataclass(frozen=True)
class Panel:
    """What belongs to the views in the dock.

    Attributes:
        plot: Where profiles are drawn.
        tell: Gets what is known of the place below the cursor.
        closed: Called when the user has closed a view in another way.
        parent: What keeps time ends with it.
    """

    plot: ProfilePlot
    tell: Callable[[str], None]
    closed: Callable[[Extra], None]
    parent: QObject


class RunningViews:
    """Starts and ends views of some layers.

    Attributes:
        comparison: The comparison that runs.
        extras: What else runs, by name.
        share: Where the curtain's cut is, 0 left to 1 right.
        rate: Of blinking, per second.
        paused: Whether it is to stay at what is seen.

    Args:
        viewer: The viewer.
        shown: The layers.
        executor: Reads voxels off the GUI thread.
        panel: What belongs to the views in the dock.
    """

    def __init__(
        self,
        viewer: "Viewer",
        shown: Shown,
        executor: Executor,
        panel: Panel,
    ) -> None:
        self._viewer, self.shown, self._executor = viewer, shown, executor
        self._panel = panel
        self._caption = Caption(viewer)
        self._held = Changed()
        self._name: Comparison | None = None
        self.comparison: SideBySide | Curtain | Lens | Blink | None = None
        self.extras: dict[Extra, View] = {}
        self.share, self.rate, self.paused = 0.5, RATE, False
        self._key_before = viewer.bind_key(HOLD, None)
        viewer.bind_key(HOLD, self._key())

    def compare(self, name: Comparison | None) -> None:
        """Show a comparison instead of the one that runs; None: none."""
        self._held.restore()
        if self.comparison is not None:
            self.comparison.end()
        self.comparison, self._name = None, name
        viewer, shown = self._viewer, self.shown
        match name:
            case "side by side":
                self.comparison = SideBySide(viewer, shown, self._over())
            case "curtain":
                self.comparison = Curtain(viewer, shown, self.share)
            case "lens":
                self.comparison = Lens(viewer, shown)
            case "blink":
                self.comparison = Blink(
                    viewer, shown, self.rate, self._caption, self._panel.parent
                )
                self.comparison.set_paused(self.paused)

    def start(self, name: Extra) -> None:
        """Start something beside the comparison."""
        with self._without_comparison():
            self.extras[name] = self._new(name)
            ortho, cross = self.extras.get("orthogonal"), self.extras.get("cross")
            both = name in ("orthogonal", "cross")
            if both and isinstance(ortho, OrthogonalViews) and isinstance(cross, Cross):
                ortho.add_cross(cross)

    def stop(self, name: Extra) -> None:
        """End it, if it runs."""
        view = self.extras.pop(name, None)
        if view is None:
            return
        with self._without_comparison():
            ortho = self.extras.get("orthogonal")
            if isinstance(ortho, OrthogonalViews) and isinstance(view, Cross):
                ortho.drop(view.layer)
            view.end()

    def set_share(self, share: float) -> None:
        """Move the curtain."""
        self.share = share
        if isinstance(self.comparison, Curtain):
            self.comparison.set_share(share)

    def set_blinking(self, rate: float, *, paused: bool) -> None:
        """How often a second, and whether at all."""
        self.rate, self.paused = rate, paused
        if isinstance(self.comparison, Blink):
            self.comparison.set_rate(rate)
            self.comparison.set_paused(paused)

    def end(self) -> None:
        """End all; everything is as it was before them."""
        self.compare(None)
        for name in list(self.extras):
            self.stop(name)
        self._viewer.bind_key(HOLD, None)
        if self._key_before is not None:
            self._viewer.bind_key(HOLD, self._key_before)

    def has_volumes(self) -> bool:
        """Whether the layers that are looked at are still in the viewer."""
        shown = self.shown
        ours = (shown.raw, shown.enhanced, shown.residual, shown.suspects, shown.truth)
        return all(one in self._viewer.layers for one in ours if one is not None)

    def are_whole(self) -> bool:
        """Whether what the views have drawn is still in the viewer."""
        copies = self.comparison.copies if self.comparison is not None else ()
        lines = (getattr(one, "layer", None) for one in self.extras.values())
        drawn = [*copies, *(one for one in lines if one is not None)]
        return all(one in self._viewer.layers for one in drawn)

    def are_mixed(self) -> bool:
        """Whether a layer has come between those that are shown side by side."""
        if not isinstance(self.comparison, SideBySide):
            return False
        top = list(self._viewer.layers)[-len(self.comparison.copies) :]
        return not all(map(is_private, top))

    def _new(self, name: Extra) -> View:
        viewer, shown = self._viewer, self.shown
        match name:
            case "residual":
                assert shown.residual is not None
                return ResidualOverlay(shown.residual, self._caption)
            case "outlines":
                assert shown.suspects is not None
                return Outlines(shown.suspects)
            case "cross":
                return Cross(viewer, shown, self._panel.tell)
            case "profile":
                return ProfileLine(viewer, shown, self._panel.plot, self._executor)
            case "orthogonal":
                return OrthogonalViews(
                    viewer, shown, lambda: self._panel.closed("orthogonal")
                )

    def _over(self) -> list[Layer]:
        """What lies over the volumes, the uppermost last."""
        shown, cross = self.shown, self.extras.get("cross")
        layers = [shown.residual, shown.suspects]
        over: list[Layer] = [one for one in layers if one is not None and one.visible]
        if isinstance(cross, Cross):
            over.append(cross.layer)
        return over

    @contextmanager
    def _without_comparison(self) -> Iterator[None]:
        """It begins again afterwards: with other layers over the volumes."""
        name = self._name
        self.compare(None)
        yield
        self.compare(name)

    def _key(self) -> Callable[[Any], Generator[None, None, None]]:
        def hold(_: Any) -> Generator[None, None, None]:
            self._hold()
            yield
            self._release()

        return hold

    def _hold(self) -> None:
        """Show nothing but the raw volume."""
        if isinstance(self.comparison, SideBySide):
            return  # it is seen
        if isinstance(self.comparison, Blink):
            self.comparison.set_paused(True)
        for layer in list(self._viewer.layers):
            self._held.set(layer, visible=layer == self.shown.raw)

    def _release(self) -> None:
        self._held.restore()
        if isinstance(self.comparison, Blink):
            self.comparison.set_paused(self.paused)
