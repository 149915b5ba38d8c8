"""THE loop: volumes in, events out.

Whoever calls owns the loop. Closing the generator stops the training and saves it;
asking for no further event pauses it.
"""

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import napari_cyclegan3d
from napari_cyclegan3d.engine.checkpoint import (
    Model,
    Provenance,
    model_of,
    save_model,
)
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.cyclegan import NETWORKS, CycleGan
from napari_cyclegan3d.engine.devices import choose_device
from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.engine.intensity import Intensity, fit_intensity
from napari_cyclegan3d.engine.patches import Batch, NormalisedVolume, PatchSampler
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.volume import Volume


@dataclass(frozen=True)
class Started:
    """Training begins, at `step` of `steps`."""

    step: int
    steps: int
    device: str


@dataclass(frozen=True)
class StepDone:
    """One training step; `terms` are the parts of the objective, by name."""

    step: int
    steps: int
    terms: Mapping[str, float]
    seconds: float = field(compare=False)


@dataclass(frozen=True, eq=False)
class PreviewReady:
    """Both cycles of one fixed pair of patches.

    `images` has real_a, fake_b, cyclic_a, real_b, fake_a and cyclic_b, each (z, y, x)
    in normalised intensities (about −3 to 3).
    """

    step: int
    images: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class CheckpointSaved:
    """State and model of this step are on disk."""

    step: int
    model: Path


@dataclass(frozen=True)
class TrainingDone:
    """All steps are done and the model is saved."""

    step: int
    model: Path


TrainEvent = Started | StepDone | PreviewReady | CheckpointSaved | TrainingDone


@dataclass(frozen=True)
class Domains:
    """The volumes to learn from; nothing pairs those of A with those of B."""

    a: Sequence[Volume]
    b: Sequence[Volume]

    def __post_init__(self) -> None:
        for name, volumes in (("A", self.a), ("B", self.b)):
            if not volumes:
                raise InputError(f"domain {name} is empty; give at least one volume")


def train(
    config: TrainConfig,
    domains: Domains,
    run: Path,
    *,
    resume: bool = False,
    start_from: Model | None = None,
) -> Iterator[TrainEvent]:
    """Train both generators; everything is refused before anything is written.

    Args:
        config: Settings.
        domains: Volumes of A and B.
        run: Folder for all that the training produces.
        resume: Go on with the newest state in `run`, exactly as if it had not stopped.
        start_from: Begin with the weights and intensities of this model.

    Yields:
        Started, then a StepDone per step with PreviewReady and CheckpointSaved when
        they are due, and TrainingDone at the end. Closing the iterator saves a
        checkpoint.

    Raises:
        InputError: Volumes, settings or folder cannot be used, or training diverged.
        MemoryShortageError: The device has too little memory for the patch.
    """
    folder = RunFolder(run)
    state = folder.last_state(config) if resume else None
    if not resume:
        folder.check_new()
    device, reason = choose_device(config.device)
    if state is not None:
        with _only_states_of(folder):
            intensities, shapes = _intensities_from(state), state["shapes"]
        _check_same_volumes(shapes, domains, folder)
    elif start_from is not None:
        intensities = (start_from.header.intensity_a, start_from.header.intensity_b)
    else:
        intensities = _fit(config, domains)
    sampler = _sampler(config, domains, intensities)
    gan = CycleGan(config, device)
    preview = sampler.draw(1)
    if start_from is not None:
        _take_weights(gan, start_from)
    if state is not None:
        with _only_states_of(folder):
            gan.load_state_dict(state["gan"])
            sampler.load_state_dict(state["sampler"])
    session = _Session(folder, gan, sampler, intensities, domains)
    folder.open(config, gan.steps_done)
    folder.log(
        f"step {gan.steps_done}: {'resumed' if resume else 'started'} on {reason}"
    )
    try:
        yield Started(gan.steps_done, config.steps, reason)
        yield from session.run(preview)
    finally:
        session.close()
    yield TrainingDone(gan.steps_done, folder.model_path)


class _Session:
    """A training in progress and the folder it writes to."""

    def __init__(
        self,
        folder: RunFolder,
        gan: CycleGan,
        sampler: PatchSampler,
        intensities: tuple[Intensity, Intensity],
        domains: Domains,
    ) -> None:
        self.folder, self.gan, self.sampler = folder, gan, sampler
        self.intensities, self.provenance = intensities, _provenance(domains)
        self.shapes = _shapes(domains)
        self.saved_step = gan.steps_done
        self.diverged = False

    def run(self, preview: Batch) -> Iterator[TrainEvent]:
        config, gan = self.gan.config, self.gan
        while gan.steps_done < config.steps:
            started = time.perf_counter()
            terms = self._step()
            step = gan.steps_done
            self.folder.add_metrics(step, terms)
            yield StepDone(step, config.steps, terms, time.perf_counter() - started)
            if _due(step, config.preview_every, config.steps):
                yield PreviewReady(step, _as_arrays(gan, preview))
            if _due(step, config.checkpoint_every, config.steps):
                self.save()
                yield CheckpointSaved(step, self.folder.model_path)

    def save(self) -> None:
        step = self.gan.steps_done
        if not _has_finite_weights(self.gan):
            raise self._divergence()
        provenance = self.provenance.model_copy(update={"steps": step})
        save_model(
            model_of(self.gan, self.intensities, provenance), self.folder.model_path
        )
        state = {
            "gan": self.gan.state_dict(),
            "sampler": self.sampler.state_dict(),
            "intensities": [one.model_dump() for one in self.intensities],
            "shapes": self.shapes,
        }
        self.folder.save_state(state, step, self.gan.config.keep)
        self.folder.log(f"step {step}: saved")
        self.saved_step = step

    def close(self) -> None:
        try:
            # a diverged state must not push out the last good one
            if self.gan.steps_done > self.saved_step and not self.diverged:
                self.save()
        finally:
            self.folder.close()

    def _step(self) -> dict[str, float]:
        config = self.gan.config
        try:
            terms = self.gan.step(self.sampler.draw(config.batch))
        except torch.OutOfMemoryError:
            raise MemoryShortageError(
                f"{self.gan.device} has too little memory for batch {config.batch} of "
                f"patch {config.patch}; {_smaller(config)}"
            ) from None
        if not all(math.isfinite(value) for value in terms.values()):
            raise self._divergence()
        return terms

    def _divergence(self) -> InputError:
        self.diverged = True
        remedy = "start again with lower learning rates"
        if self.saved_step > 0:
            remedy += f", or from the model of step {self.saved_step}"
        return InputError(
            f"training diverged at step {self.gan.steps_done}: its numbers are no "
            f"longer finite; {remedy}"
        )


def _has_finite_weights(gan: CycleGan) -> bool:
    weights = itertools.chain.from_iterable(
        getattr(gan, name).parameters() for name in NETWORKS
    )
    return all(bool(weight.isfinite().all()) for weight in weights)


def _smaller(config: TrainConfig) -> str:
    if config.batch > 1:
        return f"try batch {config.batch // 2}"
    half = tuple(max(config.smallest_patch, side // 8 * 4) for side in config.patch)
    if half == config.patch:
        return "try fewer filters"
    return f"try patch {half}"


def _due(step: int, every: int, steps: int) -> bool:
    return every > 0 and (step % every == 0 or step == steps)


def _fit(config: TrainConfig, domains: Domains) -> tuple[Intensity, Intensity]:
    return (
        fit_intensity(domains.a, config.intensity),
        fit_intensity(domains.b, config.intensity),
    )


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


def _shapes(domains: Domains) -> list[list[list[int]]]:
    """Shapes of the volumes of A and of B, as plain lists."""
    return [[list(one.shape) for one in volumes] for volumes in (domains.a, domains.b)]


def _check_same_volumes(
    before: list[list[list[int]]], domains: Domains, folder: RunFolder
) -> None:
    """Names may change when files move; other shapes are other volumes."""
    now = _shapes(domains)
    if before != now:
        raise InputError(
            f"{folder.path}: was trained on volumes of shapes {before} (A, B), not "
            f"{now}; continue it with the same volumes in the same order"
        )


def _intensities_from(state: Mapping[str, Any]) -> tuple[Intensity, Intensity]:
    a, b = (Intensity.model_validate(value) for value in state["intensities"])
    return a, b


def _sampler(
    config: TrainConfig, domains: Domains, intensities: tuple[Intensity, Intensity]
) -> PatchSampler:
    def normalised(
        volumes: Sequence[Volume], shared: Intensity
    ) -> list[NormalisedVolume]:
        own = config.intensity.scope == "volume"
        return [
            NormalisedVolume(
                volume, fit_intensity([volume], config.intensity) if own else shared
            )
            for volume in volumes
        ]

    return PatchSampler(
        normalised(domains.a, intensities[0]),
        normalised(domains.b, intensities[1]),
        config,
        config.seed,
    )


def _take_weights(gan: CycleGan, model: Model) -> None:
    theirs, ours = model.header.config, gan.config
    for key in ("scale", "generator", "discriminator"):
        if getattr(theirs, key) != getattr(ours, key):
            raise InputError(
                f"{model.name}: a model with {key} = {getattr(theirs, key)}; this "
                f"training has {getattr(ours, key)}: use the same settings to start "
                "from it"
            )
    for name in NETWORKS:
        getattr(gan, name).load_state_dict(getattr(model, name).state_dict())
    gan.mean_a_to_b.load_state_dict(model.a_to_b.state_dict())
    gan.mean_b_to_a.load_state_dict(model.b_to_a.state_dict())


def _provenance(domains: Domains) -> Provenance:
    return Provenance(
        version=napari_cyclegan3d.__version__,
        steps=0,
        volumes_a=tuple(volume.name for volume in domains.a),
        volumes_b=tuple(volume.name for volume in domains.b),
        spacing_a=domains.a[0].spacing,
        spacing_b=domains.b[0].spacing,
        unit_a=domains.a[0].unit,
        unit_b=domains.b[0].unit,
    )


def _as_arrays(gan: CycleGan, preview: Batch) -> dict[str, NDArray[np.float32]]:
    return {
        name: image[0, 0].float().cpu().numpy().copy()
        for name, image in gan.translate(preview).items()
    }
