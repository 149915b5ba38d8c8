"""One training in progress: what each step does, and what is kept of it."""

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_cyclegan3d.engine import parallel
from napari_cyclegan3d.engine.balance import Balancer, Decision
from napari_cyclegan3d.engine.checkpoint import Model, load_state, model_of, save_model
from napari_cyclegan3d.engine.cyclegan import CycleGan
from napari_cyclegan3d.engine.dates import now
from napari_cyclegan3d.engine.devices import is_memory_shortage
from napari_cyclegan3d.engine.errors import DivergedError, InputError
from napari_cyclegan3d.engine.events import (
    Balanced,
    CheckpointSaved,
    PreviewReady,
    StepDone,
    TrainEvent,
    Warned,
)
from napari_cyclegan3d.engine.freezing import freeze
from napari_cyclegan3d.engine.gan import Gan
from napari_cyclegan3d.engine.memory import explained_shortage
from napari_cyclegan3d.engine.patches import Batch
from napari_cyclegan3d.engine.prefetch import Prefetcher
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.scoring import Scoring
from napari_cyclegan3d.engine.sources import (
    Domains,
    Intensities,
    preview_patches,
    provenance,
    training_sampler,
    validator,
)
from napari_cyclegan3d.engine.srgan import SrGan
from napari_cyclegan3d.engine.thumbnails import Thumbnail, thumbnails

METHODS: dict[str, type[CycleGan] | type[SrGan]] = {
    "cyclegan": CycleGan,
    "srgan": SrGan,
}
# states are kept for so many returns in a row
RETURNS = 4
# parts of the networks' state that each process has its own of
OWN_STATE = ("pool_a", "pool_b")


class Session:
    """A training in progress and the folder it writes to.

    Of several processes that train together each has a session, and all do the same;
    one writes, draws previews and scores.

    Args:
        folder: The run.
        gan: Networks and optimisers, at their start.
        domains: Volumes to learn from.
    """

    def __init__(self, folder: RunFolder, gan: Gan, domains: Domains) -> None:
        self.folder, self.gan, self.domains = folder, gan, domains
        self.provenance = provenance(gan.config, domains)
        self.balancer = Balancer(gan.config.balance, gan.weights, gan.rates)
        self.scoring = Scoring(folder, gan, self._model)
        self.saved_step = gan.steps_done
        self.diverged = False
        self.stopped = False  # by another process
        self.broken = False  # in the middle of a step

    def prepare(self, intensities: Intensities) -> None:
        """Read the volumes and set up what draws from them."""
        config = self.gan.config
        self.intensities = intensities
        sampler = training_sampler(config, self.domains, intensities)
        self.preview = preview_patches(config, self.domains, sampler)
        pinned = self.gan.device.type == "cuda"
        self.patches = Prefetcher(sampler, config, pinned=pinned)
        self.scoring.validator = validator(config, self.domains, intensities)

    def run(self) -> Iterator[TrainEvent]:
        """Train to the last step, or until another process stops the training."""
        while self.gan.steps_done < self.gan.config.steps:
            # all that belongs to a step is done before its first event, so that a
            # training that is closed at any event can go on as if it had not been
            self.broken = True
            started = time.perf_counter()
            batches = self._drawn()
            events = [] if self.stopped else self._next_step(batches, started)
            self.broken = False
            if self.stopped:
                return
            yield from events

    def _drawn(self) -> list[Batch]:
        """The batches of the next step; or another process stops the training."""
        failure, batches = None, []
        try:
            batches = self.patches.step()
        except (InputError, OSError) as error:
            failure = error
        self.stopped = parallel.settle(failure)
        return batches

    def _next_step(self, batches: list[Batch], started: float) -> list[TrainEvent]:
        config, gan = self.gan.config, self.gan
        try:
            terms = self._learn(batches)
        except DivergedError as error:
            return self._recover(error)
        step = gan.steps_done
        self.folder.add_metrics(step, terms)
        seconds = time.perf_counter() - started
        events: list[TrainEvent] = [StepDone(step, config.steps, terms, seconds)]
        if _due(step, config.preview_every, config.steps) and parallel.is_writer():
            events.append(PreviewReady(step, _as_arrays(gan, self.preview)))
        events += self._freeze(step)
        self.scoring.follow(step, terms)
        if _due(step, config.validation.every, config.steps):
            events += self.scoring.validate(step)
        if config.balance.enabled:
            events += self._balance(step, terms)
            if gan.steps_done < step:  # it went back
                return events
        if _due(step, config.checkpoint_every, config.steps):
            events.append(self.checkpoint())
        return events

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on as if nothing had happened, in all processes."""
        gan = self.gan.state_dict()
        return {
            "gan": gan,
            "others": parallel.of_others(lambda: _part_of_its_own(gan)),
            "sampler": self.patches.state_dict(),
            "intensities": [one.model_dump() for one in self.intensities],
            "shapes": self.domains.shapes(),
            "balancer": self.balancer.state_dict(),
            **self.scoring.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.gan.load_state_dict(state["gan"] | _own_state(state["others"]))
        self.patches.load_state_dict(state["sampler"])
        self.scoring.load_state_dict(state)
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
        state = self.state_dict()
        if parallel.is_writer():
            save_model(self._model(), self.folder.model_path)
        self.folder.save_state(state, step, self._states_kept)
        self.folder.log(f"step {step}: saved")
        self.saved_step = step

    def checkpoint(self) -> CheckpointSaved:
        """Save, and tell of it."""
        self.save()
        return CheckpointSaved(self.saved_step, self.folder.model_path)

    def close(self) -> None:
        """Save what is not saved yet, and tell other processes of the end."""
        try:
            self.patches.close()
            if self.broken and parallel.world() > 1:
                return  # the others cannot follow: the last saved state stays
            if self.gan.steps_done < self.gan.config.steps and not self.stopped:
                parallel.settle(stop=True)
            # a diverged state must not push out the last good one
            if self.gan.steps_done > self.saved_step and not self.diverged:
                self.save()
                parallel.settle()  # none goes on before all is written
        finally:
            self.folder.close()

    def _model(self) -> Model:
        reached = {
            "steps": self.gan.steps_done,
            "date": now(),
            "score": self.scoring.last,
            "thumbnails": self._thumbnails(),
        }
        made = self.provenance.model_copy(update=reached)
        return model_of(self.gan, self.intensities, made)

    def _thumbnails(self) -> dict[Any, Thumbnail]:
        try:
            return thumbnails(_as_arrays(self.gan, self.preview))
        except (RuntimeError, MemoryError) as error:
            if not is_memory_shortage(error):
                raise
            return {}  # it is because of a shortage that the training ends here

    def _learn(self, batches: list[Batch]) -> dict[str, float]:
        with explained_shortage(self.gan.config, self.gan.device):
            terms = parallel.mean_terms(self.gan.step(*batches))
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

    def _freeze(self, step: int) -> list[TrainEvent]:
        """Freeze instance norms when due; a state that is saved now has it done."""
        due = self.gan.config.freeze_at
        if due is None or step < due or self.gan.norm == "affine":
            return []
        done = freeze(self.gan, self.patches.sampler)
        self.folder.log(f"step {step}: {done}")
        return [Warned(done)]

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
        parallel.settle()  # all have read before anything is removed
        self.folder.rewind(self.gan.steps_done)


def _part_of_its_own(gan_state: Mapping[str, Any]) -> dict[str, list[Tensor]]:
    return {
        name: [image.cpu() for image in gan_state[name]]
        for name in OWN_STATE
        if name in gan_state
    }


def _own_state(others: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What a process other than the writing one has of its own.

    One that was not there before begins with what the writing one has.
    """
    rank = parallel.rank()
    return others[rank - 1] if 0 < rank <= len(others) else {}


def _has_finite_weights(gan: Gan) -> bool:
    weights = itertools.chain.from_iterable(
        network.parameters() for network in gan.networks.values()
    )
    return all(bool(weight.isfinite().all()) for weight in weights)


def _step_of(state: Path) -> int:
    return int(state.stem.removeprefix("state_"))


def _due(step: int, every: int, steps: int) -> bool:
    return every > 0 and (step % every == 0 or step == steps)


def _as_arrays(gan: Gan, preview: Batch) -> dict[str, NDArray[np.float32]]:
    return {
        name: image[0, 0].float().cpu().numpy().copy()
        for name, image in gan.translate(preview).items()
    }
