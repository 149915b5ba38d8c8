"""One step of an adversarial training: its passes, gradients and updates.

No network runs twice on the same weights and images where one pass will do, no number
is waited for within a step, and several batches share an update if asked to.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine import losses, parallel
from napari_cyclegan3d.engine.gan import Gan, parameters
from napari_cyclegan3d.engine.patches import Batch

# generators gain by joint passes of patches of 32³ (fp32 on the CPU: 22 %); from 64³
# weights are nothing beside the images, and only the memory that a pass takes grows
JOINT_VOXELS = 2**17

Images = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Round:
    """A batch on the device, and all that chance decides about it.

    Everything is drawn before the first network runs: a GPU that has no work yet takes
    what comes from the CPU without waiting.

    Attributes:
        batch: Patches.
        noise: Channels of noise for inputs of b_to_a, (inputs, n, 1, z, y, x), if any.
        kickstarted: Cycles that start from the resized source instead of the fake.
    """

    batch: Batch
    noise: Tensor | None = None
    kickstarted: frozenset[str] = frozenset()


class LearningGan(Gan):
    """A training that learns in steps; the methods fill in images and terms."""

    def step(self, *batches: Batch) -> dict[str, float]:
        """One update of all networks, see `Gan.step`."""
        self.set_learning_rates()
        terms = self._learn([self._drawn(self.on_device(one)) for one in batches])
        self.steps_done += 1
        self.update_means()
        return _numbers(terms)

    @abstractmethod
    def _drawn(self, batch: Batch) -> Round:
        """A batch and what chance decides about it."""

    @abstractmethod
    def _fakes(self, one: Round) -> Images:
        """fake_b, and fake_a where there is one."""

    @abstractmethod
    def _images(self, one: Round) -> Images:
        """The fakes, and what else shares passes with them."""

    @abstractmethod
    def _shown(self, domain: str, fake: Tensor) -> Tensor:
        """What the discriminator of a domain is shown in place of a fake."""

    @abstractmethod
    def _terms(self, one: Round, images: Images) -> Images:
        """The terms of the generators' objective, those of weight 0 left out."""

    @abstractmethod
    def _watched(self, one: Round, images: Images) -> Images:
        """What is told beside the terms."""

    def _translated(self, name: str, images: Images) -> Images:
        """What the generator of this name makes of images."""
        network = self.generators[name]
        if self.config.optim.recompute and torch.is_grad_enabled():
            return self.passes.recompute_each(network, images)
        return self.passes.run_each(network, images, JOINT_VOXELS)

    def _learn(self, rounds: Sequence[Round]) -> list[Images]:
        """One update of all networks; the terms of each round.

        In an alternating update the generators answer to discriminators that have
        learned from all rounds. The last round's fakes then serve both; those of
        earlier rounds are made twice, as keeping them would take the memory of all.
        """
        generators, judges = self.optimisers.values()
        for optimiser in (generators, judges):
            optimiser.zero_grad(set_to_none=True)
        alternating = self.config.optim.update == "alternating"
        told: list[Images] = [{} for _ in rounds]
        last = len(rounds) - 1
        if alternating:
            for number in range(last):
                with torch.no_grad():
                    fakes = self._fakes(rounds[number])
                told[number] |= self._teach_judges(rounds[number], fakes, len(rounds))
        for number in (last, *range(last)):
            one = rounds[number]
            images = self._images(one)
            if number == last or not alternating:
                told[number] |= self._teach_judges(one, images, len(rounds))
            if number == last and alternating:
                self._step(judges, self.judges)
            told[number] |= self._teach_generators(one, images, len(rounds))
        self._step(generators, self.generators, self.config.optim.clip)
        if not alternating:
            self._step(judges, self.judges)
        return told

    def _teach_judges(self, one: Round, images: Images, rounds: int) -> Images:
        """Gradients of the discriminators; their losses, and what they take for real.

        Args:
            one: The real images.
            images: The fakes.
            rounds: Over how many rounds gradients are averaged.
        """
        told: Images = {}
        seen: Images = {}
        for name in self.judges:
            domain = name[-1]
            real = one.batch.real_a if domain == "a" else one.batch.real_b
            fake = self._shown(domain, images[f"fake_{domain}"].detach())
            loss, shares = self._judge(name, real, fake)
            (self.weights[name] / rounds * loss).backward()
            told[name] = loss.detach()
            seen |= shares
        return told | seen

    def _judge(
        self, name: str, real: Tensor, fake: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A discriminator's loss, and how much of each it takes for real."""
        config = self.config.loss
        total, seen = real.new_zeros(()), {}
        answers = self.passes.run_each(self.judges[name], {"real": real, "fake": fake})
        for kind, logits in answers.items():
            targets = losses.label_targets(
                logits, config, real=kind == "real", random=self.random
            )
            total = total + losses.adversarial(logits, targets, config.adversarial)
            share = losses.seen_as_real(logits.detach(), config.adversarial)
            seen[f"{kind}_{name[-1]}_seen_real"] = share
        return total, seen

    def _teach_generators(self, one: Round, images: Images, rounds: int) -> Images:
        """Gradients of the generators; their terms, and what is watched."""
        with _at_rest(self.judges.values()):
            terms = self._terms(one, images)
            total = sum(
                (self.weights[name] / rounds * term for name, term in terms.items()),
                start=torch.zeros((), device=self.device),
            )
            total.backward()
        terms = {name: term.detach() for name, term in terms.items()}
        return terms | self._watched(one, images)

    def _convincing(self, name: str, fake: Tensor) -> Tensor:
        """The generator's adversarial loss: how far a fake is from being taken real."""
        logits = self.passes.run(self.judges[name], fake)
        kind = self.config.loss.adversarial
        return losses.adversarial(logits, torch.ones_like(logits), kind)

    def _step(
        self,
        optimiser: torch.optim.Optimizer,
        networks: Mapping[str, nn.Module],
        clip: float = 0.0,
    ) -> None:
        """An optimiser's update, with the gradients of all processes."""
        weights = list(parameters(networks.values()))
        parallel.average_gradients(weights)
        if clip > 0:
            nn.utils.clip_grad_norm_(weights, clip)
        optimiser.step()


@contextmanager
def _at_rest(networks: Iterable[nn.Module]) -> Iterator[None]:
    """A block in which networks get no gradients of their own, but pass them on."""
    networks = list(networks)
    for network in networks:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in networks:
            network.requires_grad_(True)


def _numbers(terms: Sequence[Images]) -> dict[str, float]:
    """Each term's mean, brought over in one piece: a GPU is waited for once."""
    names = list(terms[0])
    table = torch.stack([torch.stack([one[name] for name in names]) for one in terms])
    return dict(zip(names, table.mean(0).tolist(), strict=True))
