"""THE loop: volumes in, events out.

Whoever calls owns the loop. Closing the generator stops the training and saves it;
asking for no further event pauses it. Of several processes that train together (see
`parallel`), any may stop all of them, and only one writes.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_cyclegan3d.engine import parallel
from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.devices import choose_device
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.events import (
    Balanced,
    CheckpointSaved,
    PreviewReady,
    Request,
    Started,
    StepDone,
    TrainEvent,
    TrainingDone,
    Validated,
    Warned,
)
from napari_cyclegan3d.engine.gan import Gan
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.memory import check_memory
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.selfcheck import choose_sound_precision
from napari_cyclegan3d.engine.session import METHODS, Session
from napari_cyclegan3d.engine.sources import (
    Domains,
    Intensities,
    fit_domains,
)

__all__ = [
    "Balanced",
    "CheckpointSaved",
    "Domains",
    "PreviewReady",
    "Request",
    "Started",
    "StepDone",
    "TrainEvent",
    "TrainingDone",
    "Validated",
    "Warned",
    "train",
]

FROZEN = (
    "the generators' instance norm is frozen already; this training goes on with its "
    "mean statistics"
)


def train(
    config: TrainConfig,
    domains: Domains,
    run: Path,
    *,
    resume: bool = False,
    start_from: Model | None = None,
) -> Generator[TrainEvent, Request | None, None]:
    """Train all networks; everything is refused before anything is written.

    Args:
        config: Settings.
        domains: Volumes of A and B, and those to validate on.
        run: Folder for all that the training produces.
        resume: Go on with the newest state in `run`, exactly as if it had not stopped.
        start_from: Begin with the weights and intensities of this model.

    Yields:
        Started, then a StepDone per step with PreviewReady, Validated, Balanced and
        CheckpointSaved when they are due, and TrainingDone at the end. Closing the
        iterator saves a checkpoint; so does sending Request.SAVE, answered by
        CheckpointSaved (of several processes, none listens to requests).

    Raises:
        InputError: Volumes, settings or folder cannot be used, or training diverged.
        MemoryShortageError: The device has too little memory for the patch.
    """
    folder = RunFolder(run)
    with parallel.refusing_together():
        if not resume:
            folder.check_new()
        domains.check(config)
        device, reason = choose_device(parallel.own_device(config.device))
        memory = check_memory(config, device)
        session = Session(folder, METHODS[config.method](config, device), domains)
        if resume:
            _resume(session)
        else:
            _begin(session, start_from)
        unsound = choose_sound_precision(session.gan)
        if unsound is not None:
            memory = check_memory(
                config.model_copy(update={"precision": "fp32"}), device
            )
    step = session.gan.steps_done
    folder.open(config, step)
    folder.log(f"step {step}: {'resumed' if resume else 'started'} on {reason}")
    try:
        yield from _heard(Started(step, config.steps, reason, memory), session)
        for remark in _remarks(session, unsound):
            yield from _heard(Warned(remark), session)
        if config.balance.enabled and step == 0:
            session.save()  # the first state to go back to
        for event in session.run():
            yield from _heard(event, session)
    finally:
        session.close()
    if not session.stopped:
        yield TrainingDone(session.gan.steps_done, folder.model_path)


def _remarks(session: Session, unsound: str | None) -> list[str]:
    """What the user should know before the first step."""
    config = session.gan.config
    remarks = [*session.domains.remarks(config), *([unsound] if unsound else [])]
    if session.gan.norm != config.generator.norm:
        remarks.append(FROZEN)
    return remarks


def _heard(
    event: TrainEvent, session: Session
) -> Generator[TrainEvent, Request | None, None]:
    """An event, and what the caller asks for when it has got it."""
    while (yield event) is Request.SAVE and parallel.world() == 1:
        event = session.checkpoint()


def _begin(session: Session, start_from: Model | None) -> None:
    if start_from is None:
        session.prepare(fit_domains(session.gan.config, session.domains))
        return
    start_from.check_native("trained on")
    header = start_from.header
    session.prepare((header.intensity_a, header.intensity_b))
    _take_weights(session.gan, start_from)


def _resume(session: Session) -> None:
    folder = session.folder
    state = folder.last_state(session.gan.config)
    with _only_states_of(folder):
        intensities, shapes = _intensities_from(state), state["shapes"]
    _check_same_volumes(shapes, session.domains, folder)
    session.prepare(intensities)
    with _only_states_of(folder):
        session.load(state)


@contextmanager
def _only_states_of(folder: RunFolder) -> Iterator[None]:
    """A state may be a sound file and still not be one of this training."""
    try:
        yield
    except (LookupError, RuntimeError, TypeError, ValueError, AttributeError):
        raise InputError(
            f"{folder.states()[-1]}: does not fit the settings of the run; remove it "
            "to continue from an earlier one"
        ) from None


def _check_same_volumes(
    before: list[list[list[int]]], domains: Domains, folder: RunFolder
) -> None:
    """Names may change when files move; other shapes are other volumes."""
    now = domains.shapes()
    if before != now:
        raise InputError(
            f"{folder.path}: was trained on volumes of shapes {before} (A, B), not "
            f"{now}; continue it with the same volumes in the same order"
        )


def _intensities_from(state: Mapping[str, Any]) -> Intensities:
    a, b = (Intensity.model_validate(value) for value in state["intensities"])
    return a, b


def _take_weights(gan: Gan, model: Model) -> None:
    theirs, ours = model.header.config, gan.config
    if theirs.generator.norm == "affine" and ours.freeze_at is not None:
        # there is no way back from frozen statistics; they are learned on
        frozen = ours.generator.model_copy(update={"norm": "affine"})
        ours = ours.model_copy(update={"generator": frozen})
    for key in ("method", "dims", "scale", "generator", "discriminator"):
        if getattr(theirs, key) != getattr(ours, key):
            raise InputError(
                f"{model.name}: a model with {key} = {getattr(theirs, key)}; this "
                f"training has {getattr(ours, key)}: use the same settings to start "
                "from it"
            )
    gan.take_weights(model.networks)
