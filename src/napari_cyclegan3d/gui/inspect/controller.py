"""What the Inspect dock does: connects its pages, the worker and the viewer."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from napari.utils.notifications import show_warning

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.events import Warned
from napari_cyclegan3d.engine.hallucination.events import (
    InspectDone,
    Inspected,
    InspectStarted,
    Working,
)
from napari_cyclegan3d.gui.closing import DockGuard, Work
from napari_cyclegan3d.gui.inspect.browser import Browser
from napari_cyclegan3d.gui.inspect.progress import InspectProgress
from napari_cyclegan3d.gui.inspect.reviews import ReviewWriter
from napari_cyclegan3d.gui.inspect.session import Session, layer_of
from napari_cyclegan3d.gui.inspect.settings import InspectSettings
from napari_cyclegan3d.gui.inspect.work import (
    Loaded,
    Saved,
    export,
    reload,
    run,
    with_decisions,
    write_decisions,
)
from napari_cyclegan3d.gui.preferences import preferences
from napari_cyclegan3d.gui.worker import Executor, Running

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.inspect.dock import InspectDock

REPORT = "inspection.json"


class InspectController:
    """Runs inspections, saves and loads them.

    Args:
        dock: The dock.
        executor: Runs the work.
    """

    def __init__(self, dock: "InspectDock", executor: Executor) -> None:
        self.dock = dock
        self._running = Running(executor)
        self.settings = InspectSettings(dock)
        self._progress = InspectProgress(dock.progress, dock.status)
        self._writer = ReviewWriter(executor, lambda one: dock.status.fail(one))
        self.browser = Browser(
            dock.viewer, dock.findings, dock.views, executor, self._keep_decisions
        )
        # layers of what is being inspected
        self._roles: dict[str, Image | None] = {}
        self._told = ""
        self._doing = ""
        self._connect()
        work = Work(
            lambda: "An inspection is running." if self._doing == "inspect" else "",
            lambda: self.is_busy or self._writer.is_busy or self.browser.is_busy,
            self._end,
            "Cancel it and close",
            "Let it run",
        )
        self._guard = DockGuard(dock, dock.viewer, work)
        self._show_running()
        self.settings.restore()

    @property
    def is_busy(self) -> bool:
        """Whether an inspection, a saving or a loading runs."""
        return self._running.is_busy

    def inspect(self) -> None:
        """Inspect what is chosen."""
        if self.is_busy:
            return
        try:
            task = self.settings.task()
        except InputError as error:
            self.dock.status.refuse(str(error))
            return
        choice = self.dock.choice
        self._roles = {
            role: choice.layer(role) for role in ("raw", "enhanced", "truth")
        }
        self._begin("inspect")
        self._progress.begin(f"Inspecting {task.enhanced.name}")
        self._running.start(run(task), self._on_event, self._on_end)

    def show(self, inspected: Inspected, raw: Image, enhanced: Image) -> None:
        """Show an inspection of two layers that was made elsewhere."""
        if not self.is_busy:
            self._roles = {"raw": raw, "enhanced": enhanced, "truth": None}
            self._begin("show")
            looking = with_decisions(inspected, preferences().folder)
            self._running.start(looking, self._on_event, self._on_end)

    def cancel(self) -> None:
        """Stop soon; nothing is changed."""
        if self.is_busy and not self._running.is_cancelled:
            self.dock.status.say("Cancelling …")
            self.dock.cancel_button.setEnabled(False)
            self._running.cancel()

    def export(self, parent: Path) -> None:
        """Write a report into a new folder within a folder."""
        session = self.browser.session
        if self.is_busy or session is None:
            return
        try:
            volumes = session.volumes()
        except InputError as error:
            self.dock.status.refuse(str(error))
            return
        folder = _free(parent, f"{session.inspection.enhanced.name} inspection")
        self._begin("export")
        self._progress.wait(f"Writing {folder} …")
        writing = export(session.inspected, *volumes, folder)
        self._running.start(writing, self._on_event, self._on_end)

    def load(self, path: Path) -> None:
        """Show a report again.

        Args:
            path: Its folder or its inspection.json.
        """
        if not self.is_busy:
            self._begin("load")
            self._progress.wait(f"Reading {path} …")
            self._running.start(reload(path), self._on_event, self._on_end)

    def drop(self, items: Sequence[Image | Path]) -> None:
        """Load a report; choose a layer as the enhanced one."""
        for item in items:
            if isinstance(item, Path) and (item.name == REPORT or item.is_dir()):
                self.load(item)
            elif isinstance(item, Path):
                self.dock.status.refuse(
                    f"{item.name}: is no report; drop an {REPORT}, or open volumes as "
                    "layers"
                )
            else:
                self.dock.choice.choose(item)

    def _on_event(self, event: object) -> None:
        match event:
            case InspectStarted():
                self._progress.started(event)
            case Working():
                self._progress.working(event)
            case Warned():
                show_warning(event.message)
            case InspectDone():
                self._open(Session(event.inspected, **self._roles))
            case Saved(folder) if folder is not None:
                self._saved(folder)
            case Loaded():
                self._loaded(event)

    def _open(self, session: Session) -> None:
        self.browser.open(session)
        self.dock.offer.withdraw()
        seconds = session.inspection.seconds
        self._told = (
            f"Inspected {session.inspection.enhanced.name}, in {seconds:.0f} s."
        )
        self.dock.show_findings()

    def _saved(self, folder: Path) -> None:
        session = self.browser.session
        if session is not None:
            session.report = folder / REPORT
        self._told = f"Wrote {folder}"
        page = folder / "report.html"
        self.dock.offer_page(f"{folder.name} is written.", page)

    def _loaded(self, loaded: Loaded) -> None:
        inspection = loaded.inspected.inspection
        choice = self.dock.choice
        layers = [one for one in self.dock.viewer.layers if isinstance(one, Image)]
        facts = {"raw": inspection.raw, "enhanced": inspection.enhanced}
        found = {
            role: layer_of(one, layers, choice.layer(role))
            for role, one in facts.items()
        }
        if found["enhanced"] is found["raw"]:  # it is what the empty choice offers
            found["enhanced"] = None
        truth = layer_of(inspection.truth, layers, choice.layer("truth"))
        self._open(Session(loaded.inspected, **found, truth=truth, report=loaded.path))
        self._told = f"Opened {loaded.path}."
        missing = [facts[role].name for role, layer in found.items() if layer is None]
        if missing:
            self._told = f"To see the volumes, open {' and '.join(missing)} and load "
            self._told += "the report again."

    def _on_end(self) -> None:
        cancelled, failure = self._running.is_cancelled, self._running.failure
        self._progress.end(complete=not cancelled and failure is None)
        self._doing = ""
        self._show_running()
        if failure is not None and not cancelled:
            self.dock.status.fail(failure, self.settings.text())
        else:
            told = "Cancelled; nothing was changed." if cancelled else self._told
            self.dock.status.say(told)

    def _keep_decisions(self) -> None:
        session = self.browser.session
        if session is not None:
            writing = write_decisions(
                session.inspection, session.report, preferences().folder
            )
            self._writer.write(writing)

    def _begin(self, doing: str) -> None:
        self._doing, self._told = doing, ""
        self._show_running(busy=True)

    def _show_running(self, *, busy: bool = False) -> None:
        dock = self.dock
        for widget in (dock.inspect_button, dock.choice, dock.findings.load_button):
            widget.setEnabled(not busy)
        dock.findings.export_button.setEnabled(
            not busy and self.browser.session is not None
        )
        dock.cancel_button.setEnabled(busy)
        dock.progress.setVisible(busy)

    def _connect(self) -> None:
        self.dock.inspect_button.clicked.connect(self.inspect)
        self.dock.cancel_button.clicked.connect(self.cancel)

    def _end(self) -> None:
        """The dock closes."""
        self.cancel()
        self.browser.release()


def _free(parent: Path, name: str) -> Path:
    """A folder that does not exist yet."""
    plain = re.sub(r"[^\w.-]+", "_", name).strip("_")
    number, path = 1, parent / plain
    while path.exists():
        number += 1
        path = parent / f"{plain}_{number}"
    return path
