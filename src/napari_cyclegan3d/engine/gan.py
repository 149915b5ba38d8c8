"""What every adversarial training shares: networks, running means, optimisers, state.

The methods (`cyclegan`, `srgan`) say which networks there are and what one step does.
"""

import copy
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine import losses
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.devices import choose_precision
from napari_cyclegan3d.engine.networks import Generator, initialise
from napari_cyclegan3d.engine.patches import Batch
from napari_cyclegan3d.engine.schedules import LearningRate
from napari_cyclegan3d.engine.sections import OptimConfig

EMA_WARM_UP = 10
LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}


class Gan(ABC):
    """The state of one training.

    Args:
        config: Settings of the training.
        device: Where to compute.
        generators: By name: a_to_b, and b_to_a where there is one.
        judges: Discriminators by name: judge_b, and judge_a where there is one.
        terms: Names of the weighted terms of the objective.

    Attributes:
        means: Running means of the generators, by name: what the model keeps.
        weights: Weights of the terms; balancing changes them.
        rates: Learning rates lr_generator and lr_discriminator before the schedule.
        kickstart: Step up to which cycles may start from the resized source.
    """

    def __init__(
        self,
        config: TrainConfig,
        device: torch.device,
        generators: Mapping[str, Generator],
        judges: Mapping[str, nn.Module],
        terms: Iterable[str],
    ) -> None:
        self.config, self.device = config, device
        self.steps_done = self.kickstart = 0
        self.precision = choose_precision(config.precision, device)
        # on the CPU whatever the device, so that a seed means the same everywhere
        self.random = torch.Generator().manual_seed(config.seed)
        self.generators, self.judges = dict(generators), dict(judges)
        for network in self.networks.values():
            initialise(network, self.random, config.optim.init)
            # PyTorch's stubs do not know this form of `to`
            network.to(device, memory_format=self._layout())  # type: ignore[call-overload]
        self.means = {
            name: copy.deepcopy(network).requires_grad_(False).eval()
            for name, network in self.generators.items()
        }
        self.weights = losses.loss_weights(config.loss, [*terms, *judges])
        self.rates = {
            "lr_generator": config.optim.lr_generator,
            "lr_discriminator": config.optim.lr_discriminator,
        }
        self.schedule = LearningRate(config)
        self.optimisers = {
            "lr_generator": _adam(self.generators.values(), config.optim),
            "lr_discriminator": _adam(self.judges.values(), config.optim),
        }

    @property
    def networks(self) -> dict[str, nn.Module]:
        """All networks in training, by name."""
        return {**self.generators, **self.judges}

    def step(self, batch: Batch) -> dict[str, float]:
        """One update of all networks; the terms of the objective before it.

        Args:
            batch: Normalised patches, (n, 1, z, y, x) or (n, 1, rows, columns).
        """
        self._set_learning_rates()
        terms = self._learn(self._on_device(batch))
        self.steps_done += 1
        self._update_means()
        return {name: float(value.detach()) for name, value in terms.items()}

    @abstractmethod
    def _learn(self, batch: Batch) -> dict[str, Tensor]:
        """One update of all networks; the terms of the objective before it."""

    @abstractmethod
    def translate(self, batch: Batch) -> dict[str, Tensor]:
        """What the averaged generators make of patches, and the patches, by name."""

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on as if nothing had happened."""
        return {
            "steps_done": self.steps_done,
            "random": self.random.get_state(),
            "networks": {name: n.state_dict() for name, n in self.networks.items()},
            "means": {name: mean.state_dict() for name, mean in self.means.items()},
            "optimisers": {n: one.state_dict() for n, one in self.optimisers.items()},
            "schedule": self.schedule.state_dict(),
            "weights": dict(self.weights),
            "rates": dict(self.rates),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`.

        Raises:
            RuntimeError, KeyError: The state belongs to other networks.
        """
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, mean in self.means.items():
            mean.load_state_dict(state["means"][name])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.schedule.load_state_dict(state["schedule"])
        self.weights = {name: float(state["weights"][name]) for name in self.weights}
        self.rates = {name: float(state["rates"][name]) for name in self.rates}
        self.random.set_state(state["random"])
        self.steps_done = int(state["steps_done"])

    def take_weights(self, networks: Mapping[str, nn.Module]) -> None:
        """Begin with trained networks.

        Args:
            networks: By name, of the same settings.
        """
        for name, network in networks.items():
            self.networks[name].load_state_dict(network.state_dict())
        for name, mean in self.means.items():
            mean.load_state_dict(networks[name].state_dict())

    def _run(self, network: nn.Module, image: Tensor) -> Tensor:
        """A network's output in fp32, computed in the training's number format."""
        with torch.autocast(
            self.device.type, self.precision, enabled=self.precision != torch.float32
        ):
            out: Tensor = network(image)
        return out.float()

    def _judge(
        self, name: str, real: Tensor, fake: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A discriminator's loss, and how much of each it takes for real."""
        config = self.config.loss
        total, seen = real.new_zeros(()), {}
        for kind, image in (("real", real), ("fake", fake)):
            logits = self._run(self.judges[name], image)
            targets = losses.label_targets(
                logits, config, real=kind == "real", random=self.random
            )
            total = total + losses.adversarial(logits, targets, config.adversarial)
            share = losses.seen_as_real(logits.detach(), config.adversarial)
            seen[f"{kind}_{name[-1]}_seen_real"] = share
        return total, seen

    def _convincing(self, name: str, fake: Tensor) -> Tensor:
        """The generator's adversarial loss: how far a fake is from being taken real."""
        logits = self._run(self.judges[name], fake)
        kind = self.config.loss.adversarial
        return losses.adversarial(logits, torch.ones_like(logits), kind)

    def _update(
        self,
        judge_loss: Tensor,
        generator_terms: Callable[[], dict[str, Tensor]],
        weights: Mapping[str, float],
    ) -> dict[str, Tensor]:
        """Backward and step of the discriminators, then of the generators.

        Args:
            judge_loss: Weighted loss of the discriminators.
            generator_terms: Computes the generators' terms; it is called when the
                discriminators are as the generators are to see them.
            weights: Weight of each of these terms.
        """
        generators, judges = self.optimisers.values()
        judges.zero_grad(set_to_none=True)
        judge_loss.backward()
        if self.config.optim.update == "alternating":
            judges.step()
        for judge in self.judges.values():
            judge.requires_grad_(False)
        terms = generator_terms()
        total = sum(
            (weights[name] * value for name, value in terms.items()),
            start=judge_loss.new_zeros(()),
        )
        generators.zero_grad(set_to_none=True)
        total.backward()
        if self.config.optim.clip > 0:
            nn.utils.clip_grad_norm_(
                _parameters(self.generators.values()), self.config.optim.clip
            )
        generators.step()
        for judge in self.judges.values():
            judge.requires_grad_(True)
        if self.config.optim.update == "simultaneous":
            judges.step()
        return terms

    def _on_device(self, batch: Batch) -> Batch:
        return Batch(
            batch.real_a.to(self.device), batch.real_b.to(self.device), batch.paired
        )

    def _layout(self) -> torch.memory_format:
        # bf16 convolutions are faster with the channels last, fp32 ones are not
        if self.precision == torch.bfloat16:
            return LAYOUTS[self.config.dims]
        return torch.preserve_format

    def _set_learning_rates(self) -> None:
        factor = self.schedule.factor(self.steps_done)
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = self.rates[name] * factor

    @torch.no_grad()
    def _update_means(self) -> None:
        # a short memory at first, so that the mean does not remember the start
        decay = min(
            self.config.optim.ema,
            (1 + self.steps_done) / (EMA_WARM_UP + self.steps_done),
        )
        for name, mean in self.means.items():
            network = self.generators[name]
            for kept, now in zip(mean.parameters(), network.parameters(), strict=True):
                kept.lerp_(now, 1 - decay)
            # batch norm averages its statistics itself
            buffers = zip(mean.buffers(), network.buffers(), strict=True)
            for statistic, current in buffers:
                statistic.copy_(current)


def _parameters(networks: Iterable[nn.Module]) -> Iterable[nn.Parameter]:
    return itertools.chain.from_iterable(net.parameters() for net in networks)


def _adam(networks: Iterable[nn.Module], config: OptimConfig) -> torch.optim.Adam:
    # the learning rate is set before each step
    return torch.optim.Adam(
        _parameters(networks), lr=0.0, betas=(config.beta1, config.beta2)
    )
