"""What the Train dock lets run in a thread: a training, and the trial before it."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.devices import choose_device
from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.engine.memory import explained_shortage, release_memory
from napari_cyclegan3d.engine.training import (
    Request,
    Started,
    TrainEvent,
    Warned,
    train,
)
from napari_cyclegan3d.engine.trial import Trial, try_out
from napari_cyclegan3d.gui.source import Sources, open_domains
from napari_cyclegan3d.gui.train.reading import GivenUpError, Reading
from napari_cyclegan3d.gui.worker import forget_frames
from napari_cyclegan3d.io.journal import Journal

# both use PyTorch's random numbers, and all the memory there is
_turn = Lock()


@dataclass(frozen=True)
class Plan:
    """A training to be done.

    Attributes:
        config: Settings.
        sources: Of its volumes, by domain.
        run: Folder for all that it produces.
        resume: Go on with what is in the folder.
        start_from: Model to begin with; None: with random weights.
        reading: What is read before the first step.
    """

    config: TrainConfig
    sources: Sources
    run: Path
    resume: bool = False
    start_from: Path | None = None
    reading: Reading = field(default_factory=Reading)


def training(plan: Plan) -> Generator[TrainEvent, Request | None, None]:
    """The events of a training, each written down before it is handed on.

    What is left out of the training is told as soon as it has started. It ends early,
    and without a word, if the reading is given up. At the end all memory is given back.

    Raises:
        InputError: It cannot be done.
        MemoryShortageError: The device has too little memory.
    """
    try:
        with _explained(plan.config):
            yield from _written_down(plan)
    except GivenUpError:
        return
    except MemoryShortageError as error:
        forget_frames(error)
        raise
    finally:
        release_memory()


@contextmanager
def _explained(config: TrainConfig) -> Iterator[None]:
    """Beside the steps memory may run out too: for a preview, or when all is saved."""
    try:
        yield
    except MemoryShortageError:
        raise
    except (MemoryError, RuntimeError) as error:
        with explained_shortage(config, choose_device(config.device)[0]):
            raise error


def _written_down(plan: Plan) -> Generator[TrainEvent, Request | None, None]:
    with _turn:  # a trial that was told to end
        domains, left_out = open_domains(plan.sources)
    journal = Journal(plan.run, plan.config.record, domains)
    model = None if plan.start_from is None else load_model(plan.start_from)
    read = plan.reading.of(domains)
    events = train(plan.config, read, plan.run, resume=plan.resume, start_from=model)
    request: Request | None = None
    with closing(journal), closing(events):
        while True:
            try:
                event = events.send(request)
            except StopIteration:
                return
            said: list[str] = []
            if isinstance(event, Started):
                plan.reading.end()
                said = left_out
            try:
                journal.handle(event)
            except InputError as error:
                said = [*said, str(error)]
            request = yield event
            for sentence in said:
                request = (yield Warned(sentence)) or request


def trial(config: TrainConfig, seconds: float) -> Iterator[Trial]:
    """What a training would take; without any seconds only its memory.

    Raises:
        InputError: The device does not exist.
        MemoryShortageError: It has too little memory.
    """
    with _turn, closing(try_out(config, seconds)) as tried:
        for found in tried:
            yield found
            if not seconds:
                return
