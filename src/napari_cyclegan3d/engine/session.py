"""One training in progress: what each step does, and what is kept of it."""

import itertools
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cyclegan3d.engine.balance import Balancer, Decision
from napari_cyclegan3d.engine.checkpoint import Model, load_state, model_of, save_model
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import DivergedError, MemoryShortageError
from napari_cyclegan3d.engine.events import (
    Balanced,
    CheckpointSaved,
    PreviewReady,
    StepDone,
    TrainEvent,
    Validated,
)
from napari_cyclegan3d.engine.gan import Gan
from napari_cyclegan3d.engine.patches import Batch
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.sources import (
    Domains,
    Intensities,
    provenance,
    training_sampler,
    validator,
)

# memory of the running mean that a plateau is looked for in, where nothing validates
SMOOTHING = 0.99
# states are kept for so many returns in a row
RETURNS = 4
# what is smoothed: the term that falls as a training gets better
LEADING_TERM = {"cyclegan": "cycle_a", "srgan": "paired"}


class Session:
    """A training in progress and the folder it writes to.

    Args:
        folder: The run.
        gan: Networks and optimisers, at their start.
        domains: Volumes to learn from.
    """

    def __init__(self, folder: RunFolder, gan: Gan, domains: Domains) -> None:
        self.folder, self.gan, self.domains = folder, gan, domains
        self.provenance = provenance(gan.config, domains)
        self.balancer = Balancer(gan.config.balance, gan.weights, gan.rates)
        self.best: list[tuple[float, int]] = []
        self.smoothed: float | None = None
        self.saved_step = gan.steps_done
        self.diverged = False

    def prepare(self, intensities: Intensities) -> None:
        """Read the volumes and set up what draws from them."""
        config = self.gan.config
        self.intensities = intensities
        self.sampler = training_sampler(config, self.domains, intensities)
        self.preview = self.sampler.draw(1)
        self.validator = validator(config, self.domains, intensities)

    def run(self) -> Iterator[TrainEvent]:
        """Train to the last step."""
        while self.gan.steps_done < self.gan.config.steps:
            # all that belongs to a step is done before its first event, so that a
            # training that is closed at any event can go on as if it had not been
            yield from self._next_step()

    def _next_step(self) -> list[TrainEvent]:
        config, gan = self.gan.config, self.gan
        started = time.perf_counter()
        try:
            terms = self._learn()
        except DivergedError as error:
            return self._recover(error)
        step = gan.steps_done
        self.folder.add_metrics(step, terms)
        seconds = time.perf_counter() - started
        events: list[TrainEvent] = [StepDone(step, config.steps, terms, seconds)]
        if _due(step, config.preview_every, config.steps):
            events.append(PreviewReady(step, _as_arrays(gan, self.preview)))
        events += self._validate(step, terms)
        if config.balance.enabled:
            events += self._balance(step, terms)
            if gan.steps_done < step:  # it went back
                return events
        if _due(step, config.checkpoint_every, config.steps):
            self.save()
            events.append(CheckpointSaved(step, self.folder.model_path))
        return events

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on as if nothing had happened."""
        return {
            "gan": self.gan.state_dict(),
            "sampler": self.sampler.state_dict(),
            "intensities": [one.model_dump() for one in self.intensities],
            "shapes": self.domains.shapes(),
            "best": [list(one) for one in self.best],
            "smoothed": self.smoothed,
            "balancer": self.balancer.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.gan.load_state_dict(state["gan"])
        self.sampler.load_state_dict(state["sampler"])
        self.best = [(float(score), int(step)) for score, step in state["best"]]
        self.smoothed = state["smoothed"]
        self.balancer.load_state_dict(state["balancer"])
        self.saved_step = self.gan.steps_done

    def save(self) -> None:
        """Write model and state.

        Raises:
            DivergedError: Weights are no longer finite; nothing is written.
        """
        step = self.gan.steps_done
        if not _has_finite_weights(self.gan):
            raise self._divergence()
        save_model(self._model(), self.folder.model_path)
        self.folder.save_state(self.state_dict(), step, self._states_kept)
        self.folder.log(f"step {step}: saved")
        self.saved_step = step

    def close(self) -> None:
        """Save what is not saved yet."""
        try:
            # a diverged state must not push out the last good one
            if self.gan.steps_done > self.saved_step and not self.diverged:
                self.save()
        finally:
            self.folder.close()

    def _model(self) -> Model:
        made = self.provenance.model_copy(update={"steps": self.gan.steps_done})
        return model_of(self.gan, self.intensities, made)

    def _learn(self) -> dict[str, float]:
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

    def _divergence(self) -> DivergedError:
        self.diverged = True
        remedy = "start again with lower learning rates"
        if self.saved_step > 0:
            remedy += f", or from the model of step {self.saved_step}"
        return DivergedError(
            f"training diverged at step {self.gan.steps_done}: its numbers are no "
            f"longer finite; {remedy}"
        )

    def _validate(self, step: int, terms: Mapping[str, float]) -> list[TrainEvent]:
        """Score when due, keep the best models, and tell the learning rate."""
        config = self.gan.config
        if self.validator is None:
            now = terms[LEADING_TERM[config.method]]
            before = now if self.smoothed is None else self.smoothed
            self.smoothed = SMOOTHING * before + (1 - SMOOTHING) * now
            self.gan.schedule.observe(step, self.smoothed)
            return []
        if not _due(step, config.validation.every, config.steps):
            return []
        scores = self.validator.score(self.gan.translate)
        self.folder.add_validation(step, scores)
        self.gan.schedule.observe(step, -scores["score"])
        return [Validated(step, scores, self._keep_best(step, scores["score"]))]

    def _keep_best(self, step: int, score: float) -> bool:
        """Keep the model if it is among the best; the worst beyond them goes."""
        keep = self.gan.config.validation.keep
        ranked = sorted([*self.best, (score, step)], key=lambda one: (-one[0], one[1]))
        kept, dropped = ranked[:keep], ranked[keep:]
        if (score, step) not in kept:
            return False
        path = self.folder.best_path(step)
        path.parent.mkdir(exist_ok=True)
        save_model(self._model(), path)
        for _, old in dropped:
            self.folder.best_path(old).unlink(missing_ok=True)
        self.best = kept
        return True

    @property
    def _states_kept(self) -> int:
        config = self.gan.config
        if not config.balance.enabled:
            return config.keep
        # repeated failures go back further each time
        reach = RETURNS * config.balance.back // config.balance.every
        return max(config.keep, reach + 1)

    def _balance(self, step: int, terms: Mapping[str, float]) -> list[TrainEvent]:
        self.balancer.add(step, terms)
        decision = self.balancer.check(step)
        if decision is not None:
            return [self._follow(decision)]
        if step % self.gan.config.balance.every == 0:
            self.save()  # a sound state to go back to
        return []

    def _recover(self, error: DivergedError) -> list[TrainEvent]:
        """Go back to before the numbers were lost, if balancing may."""
        if not self.gan.config.balance.enabled:
            raise error
        decision = self.balancer.diverged(self.gan.steps_done)
        if decision.kind != "rollback":
            raise error
        self.diverged = False
        return [self._follow(decision)]

    def _follow(self, decision: Decision) -> Balanced:
        failed_at = self.gan.steps_done
        if decision.step_back_to is not None:
            self._go_back(decision.step_back_to)
        if decision.kickstart:
            self.gan.kickstart = self.gan.steps_done + decision.kickstart
        self.gan.weights.update(decision.weights)
        self.gan.rates.update(decision.rates)
        self.folder.log(f"step {failed_at}: {decision.reason}")
        self.save()
        return Balanced(self.gan.steps_done, decision.reason)

    def _go_back(self, step: int) -> None:
        """Load the newest state that is not younger than `step`, or the oldest."""
        states = self.folder.states()
        wanted = [path for path in states if _step_of(path) <= step] or states[:1]
        failures = self.balancer.state_dict()
        self.load(load_state(wanted[-1]))
        # the memory of failures is what makes the next attempt another one
        self.balancer.load_state_dict(failures)
        self.balancer.forget_after(self.gan.steps_done)
        self.folder.rewind(self.gan.steps_done)


def _has_finite_weights(gan: Gan) -> bool:
    weights = itertools.chain.from_iterable(
        network.parameters() for network in gan.networks.values()
    )
    return all(bool(weight.isfinite().all()) for weight in weights)


def _step_of(state: Path) -> int:
    return int(state.stem.removeprefix("state_"))


def _smaller(config: TrainConfig) -> str:
    if config.batch > 1:
        return f"try batch {config.batch // 2}"
    smallest, multiple = config.smallest_patch, config.patch_multiple
    half = tuple(
        side if side == 1 else max(smallest, side // 2 // multiple * multiple)
        for side in config.patch
    )
    if half == config.patch:
        return "try fewer filters"
    return f"try patch {half}"


def _due(step: int, every: int, steps: int) -> bool:
    return every > 0 and (step % every == 0 or step == steps)


def _as_arrays(gan: Gan, preview: Batch) -> dict[str, NDArray[np.float32]]:
    return {
        name: image[0, 0].float().cpu().numpy().copy()
        for name, image in gan.translate(preview).items()
    }
