"""Stepping through the findings: list, layers, view and decisions go together."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from napari.layers import Image

from napari_cyclegan3d.engine.dates import now
from napari_cyclegan3d.engine.hallucination.findings import Decision, Review
from napari_cyclegan3d.gui.inspect.findings_page import FindingsPage
from napari_cyclegan3d.gui.inspect.keys import CanvasKeys, bind_in_dock
from napari_cyclegan3d.gui.inspect.look import CHOICES
from napari_cyclegan3d.gui.inspect.navigator import LocalContrast, Navigator
from napari_cyclegan3d.gui.inspect.session import Session
from napari_cyclegan3d.gui.inspect.shown_layers import ShownLayers
from napari_cyclegan3d.gui.views.bar import ViewsBar
from napari_cyclegan3d.gui.views.shown import Shown
from napari_cyclegan3d.gui.worker import Executor

if TYPE_CHECKING:
    from napari.viewer import Viewer


class Browser:
    """Shows a session in the viewer and lets the user walk through it.

    Args:
        viewer: The viewer.
        page: The list.
        views: The views of its volumes.
        executor: Reads grey values.
        on_decision: Called when something was decided.
    """

    def __init__(
        self,
        viewer: "Viewer",
        page: FindingsPage,
        views: ViewsBar,
        executor: Executor,
        on_decision: Callable[[], None],
    ) -> None:
        self._viewer, self._page, self._views = viewer, page, views
        self._on_decision = on_decision
        self._navigator, self._contrast = Navigator(viewer), LocalContrast(executor)
        self._canvas_keys = CanvasKeys()
        self._layers: ShownLayers | None = None
        self._is_syncing = False
        self.session: Session | None = None
        self._keys: dict[str, Callable[[], None]] = {
            "n": lambda: page.step(1),
            "p": lambda: page.step(-1),
        }
        for decision, choice in CHOICES.items():
            self._keys[choice.key] = partial(self.decide, decision)
        bind_in_dock(page, self._keys)
        page.chosen.connect(self._on_chosen)
        page.decided.connect(self.decide)
        page.commented.connect(self.comment)

    @property
    def is_busy(self) -> bool:
        """Whether grey values are being read."""
        return self._contrast.is_busy

    def open(self, session: Session) -> None:
        """Show a session instead of the one before."""
        self.close()
        self.session = session
        layers = ShownLayers(
            self._viewer, session.inspected, session.raw, session.enhanced
        )
        self._layers = layers
        layers.suspects.events.selected_label.connect(self._on_label)
        layers.centres.selected_data.events.items_changed.connect(self._on_points)
        self._viewer.mouse_drag_callbacks.append(self._on_mouse)
        self._viewer.layers.events.removed.connect(self._on_removed)
        own = [session.raw, session.enhanced, session.truth, *layers.all]
        providers = [self._viewer, *(one for one in own if one is not None)]
        self._canvas_keys.bind(providers, self._keys)
        self._page.show_inspection(session.inspection)
        self._show_views()
        if session.inspection.findings:
            self._page.step(0)

    def close(self) -> None:
        """Take the layers of the session away, and all that listens to them."""
        layers = self._layers
        if layers is not None:
            self.release()
            layers.remove()

    def release(self) -> None:
        """Listen no more; the layers stay."""
        layers, self._layers = self._layers, None
        if layers is None:
            return
        self._views.clear()
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        layers.suspects.events.selected_label.disconnect(self._on_label)
        layers.centres.selected_data.events.items_changed.disconnect(self._on_points)
        if self._on_mouse in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_mouse)
        self._canvas_keys.release()
        self._contrast.end()

    def decide(self, decision: str) -> None:
        """Write down what the user thinks of the chosen finding."""
        self._review(cast(Decision, decision), None)

    def comment(self, text: str) -> None:
        """Write down a comment; where nothing was decided, that one is unsure."""
        self._review(None, text)

    def _review(self, decision: Decision | None, comment: str | None) -> None:
        finding = self._page.current
        if finding is None or self.session is None:
            return
        before = finding.review or Review(decision="unsure")
        review = Review(
            decision=decision or before.decision,
            comment=before.comment if comment is None else comment,
            reviewer=self._page.reviewer.text().strip(),
            time=now(),
        )
        finding = finding.model_copy(update={"review": review})
        self.session.put(finding)
        self._page.show_changed(finding)
        if self._layers is not None:
            self._layers.update(finding)
        self._on_decision()

    def _on_chosen(self, number: int) -> None:
        self._show(number, move=True)

    def _show(self, number: int, *, move: bool) -> None:
        """Show a finding in the layers, and if need be in the view."""
        session, layers = self.session, self._layers
        finding = session.finding(number) if session else None
        if session is None or layers is None or finding is None or self._is_syncing:
            return
        self._is_syncing = True
        try:
            layers.suspects.selected_label = number
            row = session.inspection.findings.index(finding)
            layers.centres.selected_data = {row}
        finally:
            self._is_syncing = False
        if move or not self._navigator.is_on_slice(layers.suspects, finding):
            self._navigator.go(layers.suspects, finding)
        self._contrast.show(
            session.raw, session.enhanced, finding, session.inspection.operator
        )

    def _choose(self, number: int) -> None:
        """Something in the viewer was chosen: the list and the rest follow."""
        if not self._is_syncing and self._page.select(number):
            self._show(number, move=False)

    def _on_label(self, _: object = None) -> None:
        if self._layers is not None:
            self._choose(int(self._layers.suspects.selected_label))

    def _on_points(self, *_: object) -> None:
        if self._layers is None or self.session is None:
            return
        chosen = list(self._layers.centres.selected_data)
        findings = self.session.inspection.findings
        if len(chosen) == 1 and chosen[0] < len(findings):
            self._choose(findings[chosen[0]].id)

    def _on_mouse(self, _: object, event: Any) -> Iterator[None]:
        """A click on a region chooses it; dragging the view is no click."""
        where, button = tuple(event.position), event.button
        yield
        while event.type == "mouse_move":
            if not np.allclose(event.position, where):
                return
            yield
        layers = self._layers
        if button != 1 or layers is None or not layers.suspects.visible:
            return
        value = layers.suspects.get_value(
            where,
            view_direction=event.view_direction,
            dims_displayed=event.dims_displayed,
            world=True,
        )
        if value:
            self._choose(int(value))

    def _on_removed(self, event: Any) -> None:
        """The user has taken a layer away."""
        session = self.session
        for role in ("raw", "enhanced", "truth"):
            if session is not None and event.value == getattr(session, role):
                setattr(session, role, None)

    def _show_views(self) -> None:
        session, layers = self.session, self._layers
        if session is None or layers is None:
            return
        raw, enhanced = session.raw, session.enhanced
        if not isinstance(raw, Image) or not isinstance(enhanced, Image):
            self._views.clear()
            return
        self._views.show(
            Shown(
                raw,
                enhanced,
                layers.residual,
                layers.suspects,
                session.inspection,
                session.inspected.maps,
                session.truth,
            )
        )
