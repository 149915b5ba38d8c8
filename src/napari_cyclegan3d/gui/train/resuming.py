"""Going on with an earlier run: what it needs is brought back into the Train dock."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.gui.train.remembering import (
    forget_run,
    last_step,
    unfinished_run,
)
from napari_cyclegan3d.io.origins import read_sources

if TYPE_CHECKING:
    from napari_cyclegan3d.gui.train.dock import TrainDock


def show_run(dock: "TrainDock", path: Path) -> bool:
    """Show settings, volumes and curves of a run.

    Returns:
        Whether it can be gone on with; the status says why it cannot, or which
        volumes the user has to add again.
    """
    try:
        if last_step(path) is None:
            raise InputError(
                f"{path}: holds no saved state; choose the folder of a run, such as "
                "run-001"
            )
        RunFolder(path).config()
        sources = read_sources(path)
    except InputError as error:
        dock.status.refuse(str(error))
        return False
    dock.data.run_folder.value = path
    if any(sources.values()):
        dock.data.set_sources(sources)
    dock.progress_page.open_run(path)
    dock.controller.run = path
    dock.invite()
    lost = sum(text is None for texts in sources.values() for text in texts)
    if lost:
        dock.status.say(
            f"{dock.status.text()}\n{lost} of its volumes were layers that came from "
            "no file; add them again, in the same order."
        )
    return True


def offer_unfinished(dock: "TrainDock") -> None:
    """Offer the last run, if it stopped before its end."""
    run = unfinished_run()
    if run is None:
        return

    def go_on() -> None:
        ready = dock.continue_run(run.path)
        if ready and not dock.data.missing(RunFolder(run.path).config().method):
            dock.start(resume=True)

    dock.offer.make(
        f"{run.path.name} stopped at step {run.step} of {run.steps}.",
        "Continue",
        go_on,
        forget_run,
    )
