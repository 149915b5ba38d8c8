"""Events of the engine on a terminal: progress bars, and a stop that saves."""

import signal
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from tqdm import tqdm

from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.io.pictures import write_preview

EventT = TypeVar("EventT")
DONE, STOPPED = 0, 1


def show_training(events: Iterator[Any], run: Path) -> int:
    """Print a training as it goes on, and save its previews as pictures."""
    from napari_cyclegan3d.engine import training
    from napari_cyclegan3d.engine.runs import RunFolder

    with closing(_bar("step")) as bar, closing(stoppable(events, "saving")) as shown:
        for event in shown:
            match event:
                case training.Started():
                    bar.total, bar.initial, bar.n = event.steps, event.step, event.step
                    bar.write(f"training on {event.device}")
                    if event.step >= event.steps:
                        bar.write(
                            f"all {event.steps} steps are done; give more --steps"
                        )
                case training.StepDone():
                    bar.set_postfix_str(_terms(event.terms), refresh=False)
                    bar.update()
                case training.PreviewReady():
                    write_preview(run, event.step, event.images)
                case training.TrainingDone():
                    bar.write(f"model: {event.model}")
                    return DONE
    if RunFolder(run).states():
        print(f"stopped and saved; go on with: --run {run} --resume", file=sys.stderr)
    else:
        print("stopped before the first step; nothing to go on from", file=sys.stderr)
    return STOPPED


def _terms(terms: Mapping[str, float]) -> str:
    shown = ("cycle_a", "cycle_b", "judge_a", "judge_b")
    return " ".join(f"{name} {terms[name]:.3f}" for name in shown)


def show_enhancement(events: Iterator[Any]) -> Volume | None:
    """Print an enhancement as it goes on; None if it was stopped."""
    from napari_cyclegan3d.engine import inference

    with closing(_bar("tile")) as bar, closing(stoppable(events, "stopping")) as shown:
        for event in shown:
            match event:
                case inference.EnhanceStarted():
                    bar.total = event.tiles
                    size = "×".join(map(str, event.tile))
                    bar.write(f"{event.mode} tiles of {size} on {event.device}")
                case inference.TileDone():
                    bar.update()
                case inference.EnhanceDone():
                    return event.volume
    return None


def _bar(unit: str) -> "tqdm[Any]":
    """A progress bar; in a log file it writes a line now and then."""
    on_screen = sys.stderr.isatty()
    return tqdm(
        unit=unit,
        dynamic_ncols=True,
        mininterval=0.2 if on_screen else 15,
        delay=0.2,  # the total is not known yet
    )


def stoppable(events: Iterator[EventT], what: str) -> Generator[EventT, None, None]:
    """The events, until Ctrl+C or a termination signal; then the engine is closed.

    The signal is noted and acted on between two events, so that no step is cut in the
    middle. A second one interrupts at once.
    """
    with _noted_signals(what) as noted, closing(events):  # type: ignore[type-var]
        for event in events:
            yield event
            if noted:
                return


@contextmanager
def _noted_signals(what: str) -> Iterator[list[int]]:
    noted: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)
        print(f"\n{what} …", file=sys.stderr)

    before = {
        number: signal.signal(number, note)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
