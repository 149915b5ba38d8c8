"""Events of the engine on a terminal: progress bars, and a stop that saves."""

import signal
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from tqdm import tqdm

from napari_cyclegan3d.engine.events import (
    Balanced,
    EnhanceDone,
    EnhanceEvent,
    EnhanceStarted,
    Started,
    StepDone,
    TileDone,
    TrainEvent,
    TrainingDone,
    Validated,
    Warned,
)
from napari_cyclegan3d.engine.hallucination.events import (
    InspectDone,
    InspectEvent,
    InspectStarted,
    Working,
)
from napari_cyclegan3d.engine.sections.steps import RecordConfig

if TYPE_CHECKING:
    from napari_cyclegan3d.engine.sources import Domains

EventT = TypeVar("EventT")
DONE, STOPPED = 0, 1


def show_training(
    events: Iterator[TrainEvent],
    run: Path,
    record: RecordConfig | None = None,
    domains: "Domains | None" = None,
) -> int:
    """Print a training as it goes on, and keep its journal.

    Args:
        events: The training; nothing of it has been asked for yet.
        run: Its folder.
        record: What is kept beside the previews; by default nothing.
        domains: What is trained on, to be written down; None: it is not.

    Returns:
        0, or 1 if it was stopped.

    Raises:
        InputError: The training or its journal refuses something.
    """
    from napari_cyclegan3d.engine.runs import RunFolder
    from napari_cyclegan3d.io.journal import Journal

    journal = Journal(run, record or RecordConfig(), domains)
    with (
        closing(journal),
        closing(_bar("step")) as bar,
        closing(stoppable(events, "saving")) as shown,
    ):
        for event in shown:
            journal.handle(event)
            _advance(bar, event)
            for line in _lines(event):
                bar.write(line, file=_stream(event))
            if isinstance(event, TrainingDone):
                return DONE
    if RunFolder(run).states():
        print(
            f"stopped and saved; go on with the same volumes and: --run {run} --resume",
            file=sys.stderr,
        )
    else:
        print("stopped before the first step; nothing to go on from", file=sys.stderr)
    return STOPPED


def _advance(bar: "tqdm[Any]", event: TrainEvent) -> None:
    match event:
        case Started():
            bar.total, bar.initial, bar.n = event.steps, event.step, event.step
        case StepDone():
            bar.set_postfix_str(_terms(event.terms), refresh=False)
            bar.update()
        case Balanced():
            bar.n = event.step


def _lines(event: TrainEvent) -> list[str]:
    """What is said of an event in words."""
    match event:
        case Started():
            done = f"all {event.steps} steps are done; give more --steps"
            started = f"training on {event.device}"
            if event.memory:
                started += (
                    f"; needs about {event.memory / 1e9:.2g} GB beside the program"
                )
            return [started, done] if event.step >= event.steps else [started]
        case Warned():
            return [f"warning: {event.message}"]
        case Validated():
            scores = " ".join(f"{name} {x:.4g}" for name, x in event.scores.items())
            kept = "; among the best, kept" if event.best else ""
            return [f"step {event.step}: validation {scores}{kept}"]
        case Balanced():
            return [f"balanced, goes on after step {event.step}: {event.reason}"]
        case TrainingDone():
            return [f"model: {event.model}"]
    return []


def _stream(event: TrainEvent) -> TextIO:
    return sys.stderr if isinstance(event, Warned) else sys.stdout


def _terms(terms: Mapping[str, float]) -> str:
    shown = ("cycle_a", "cycle_b", "paired", "judge_a", "judge_b")
    return " ".join(f"{name} {terms[name]:.3f}" for name in shown if name in terms)


def show_enhancement(events: Iterator[EnhanceEvent]) -> EnhanceDone | None:
    """Print an enhancement as it goes on; None if it was stopped."""
    with closing(_bar("tile")) as bar, closing(stoppable(events, "stopping")) as shown:
        for event in shown:
            match event:
                case EnhanceStarted():
                    bar.total = event.tiles
                    size = "×".join(map(str, event.tile))
                    bar.write(f"{event.mode} tiles of {size} on {event.device}")
                case Warned():
                    bar.write(f"warning: {event.message}", file=sys.stderr)
                case TileDone():
                    bar.update()
                case EnhanceDone():
                    return event
    return None


def show_inspection(events: Iterator[InspectEvent]) -> InspectDone | None:
    """Print an inspection as it goes on; None if it was stopped."""
    with (
        closing(_bar("%")) as bar,
        closing(stoppable(events, "stopping")) as shown,
    ):
        for event in shown:
            match event:
                case InspectStarted():
                    bar.total = 100
                    bar.write(_cost(event))
                case Warned():
                    bar.write(f"warning: {event.message}", file=sys.stderr)
                case Working():
                    bar.set_description_str(event.stage, refresh=False)
                    bar.update(round(100 * event.share) - bar.n)
                case InspectDone():
                    bar.update(100 - bar.n)
                    return event
    return None


def _cost(event: InspectStarted) -> str:
    """What an inspection takes, before it takes it."""
    passes = f"{event.passes} passes of networks beyond the enhancement"
    if event.seconds is None:
        return passes
    minutes = event.seconds / 60
    time = f"{event.seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
    return f"{passes}, about {time}"


def _bar(unit: str) -> "tqdm[Any]":
    """A progress bar; in a log file it writes a line now and then."""
    on_screen = sys.stderr.isatty()
    return tqdm(
        unit=unit,
        dynamic_ncols=True,
        mininterval=0.2 if on_screen else 15,
        # the total is not known yet; a bar that was delayed ends without a new line
        delay=0.2 if on_screen else 0,
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
