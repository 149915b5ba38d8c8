"""What every adversarial training holds: networks, running means, optimisers, state.

How it learns is in `learning`; the methods (`cyclegan`, `srgan`) say which networks
there are and what their objective is.
"""

import copy
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine import losses
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.devices import choose_precision
from napari_cyclegan3d.engine.networks import Generator, initialise, with_norm
from napari_cyclegan3d.engine.passes import Passes
from napari_cyclegan3d.engine.patches import Batch
from napari_cyclegan3d.engine.schedules import LearningRate
from napari_cyclegan3d.engine.sections.networks import Norm
from napari_cyclegan3d.engine.sections.steps import OptimConfig

EMA_WARM_UP = 10
FUSED = ("cpu", "cuda", "mps")  # where Adam updates all weights in one pass


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
        precision = choose_precision(config.precision, device)
        self.passes = Passes(device, precision, config.dims)
        # on the CPU whatever the device, so that a seed means the same everywhere
        self.random = torch.Generator().manual_seed(config.seed)
        self.generators, self.judges = dict(generators), dict(judges)
        for network in self.networks.values():
            initialise(network, self.random, config.optim.init)
            # PyTorch's stubs do not know this form of `to`
            network.to(  # type: ignore[call-overload]
                device, memory_format=self.passes.layout
            )
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

    @property
    def precision(self) -> torch.dtype:
        """The number format of the networks' work; weights are always fp32."""
        return self.passes.precision

    def compute_in(self, precision: torch.dtype) -> None:
        """Change the number format of the networks' work; between steps."""
        self.passes = Passes(self.device, precision, self.config.dims)
        for network in (*self.networks.values(), *self.means.values()):
            network.to(memory_format=self.passes.layout)  # type: ignore[call-overload]
            for weight in network.parameters():
                weight.grad = None
        for optimiser in self.optimisers.values():
            _align(optimiser)

    @property
    def norm(self) -> Norm:
        """The generators' norm; a training may freeze that of its settings."""
        return self.generators["a_to_b"].config.norm

    def replace_generators(
        self, generators: Mapping[str, Generator], means: Mapping[str, Generator]
    ) -> None:
        """Go on with other generators; their optimiser starts anew.

        Args:
            generators: By name, on the device.
            means: Their running means.
        """
        self.generators, self.means = dict(generators), dict(means)
        self.optimisers["lr_generator"] = _adam(
            self.generators.values(), self.config.optim
        )

    @abstractmethod
    def step(self, *batches: Batch) -> dict[str, float]:
        """One update of all networks; the terms of the objective before it.

        The gradients of several batches are averaged: the update is that of one large
        batch, in the memory of a small one.

        Args:
            batches: Normalised patches, (n, 1, z, y, x) or (n, 1, rows, columns).

        Returns:
            Each term's mean over the batches.
        """

    @abstractmethod
    def translate(self, batch: Batch) -> dict[str, Tensor]:
        """What the averaged generators make of patches, and the patches, by name."""

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on as if nothing had happened."""
        return {
            "steps_done": self.steps_done,
            "norm": self.norm,
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
        self._change_norm(state["norm"])
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, mean in self.means.items():
            mean.load_state_dict(state["means"][name])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
            _align(optimiser)
        self.schedule.load_state_dict(state["schedule"])
        self.weights = {name: float(state["weights"][name]) for name in self.weights}
        self.rates = {name: float(state["rates"][name]) for name in self.rates}
        self.random.set_state(state["random"])
        self.steps_done = int(state["steps_done"])

    def take_weights(self, networks: Mapping[str, nn.Module]) -> None:
        """Begin with trained networks.

        Args:
            networks: By name, of the same settings; generators may have been frozen.
        """
        a_to_b = networks["a_to_b"]
        assert isinstance(a_to_b, Generator)
        self._change_norm(a_to_b.config.norm)
        for name, network in networks.items():
            self.networks[name].load_state_dict(network.state_dict())
        for name, mean in self.means.items():
            mean.load_state_dict(networks[name].state_dict())

    def _change_norm(self, norm: Norm) -> None:
        """Before weights of generators with another norm are loaded."""
        if norm != self.norm:
            self.replace_generators(
                {name: with_norm(net, norm) for name, net in self.generators.items()},
                {name: with_norm(mean, norm) for name, mean in self.means.items()},
            )

    def on_device(self, batch: Batch) -> Batch:
        """The batch on the device that computes."""
        return Batch(
            batch.real_a.to(self.device), batch.real_b.to(self.device), batch.paired
        )

    def set_learning_rates(self) -> None:
        """Set those of the schedule for the next step."""
        factor = self.schedule.factor(self.steps_done)
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = self.rates[name] * factor

    @torch.no_grad()
    def update_means(self) -> None:
        """Take a step's weights into the running means."""
        # a short memory at first, so that the mean does not remember the start
        decay = min(
            self.config.optim.ema,
            (1 + self.steps_done) / (EMA_WARM_UP + self.steps_done),
        )
        for name, mean in self.means.items():
            network = self.generators[name]
            torch._foreach_lerp_(
                list(mean.parameters()), list(network.parameters()), 1 - decay
            )
            # batch norm averages its statistics itself
            buffers = zip(mean.buffers(), network.buffers(), strict=True)
            for statistic, current in buffers:
                statistic.copy_(current)


def parameters(networks: Iterable[nn.Module]) -> Iterable[nn.Parameter]:
    """The weights of several networks."""
    return itertools.chain.from_iterable(net.parameters() for net in networks)


def _adam(networks: Iterable[nn.Module], config: OptimConfig) -> torch.optim.Adam:
    weights = list(parameters(networks))
    return torch.optim.Adam(
        weights,
        lr=0.0,  # set before each step
        betas=(config.beta1, config.beta2),
        fused=all(one.device.type in FUSED for one in weights),
    )


def _align(optimiser: torch.optim.Optimizer) -> None:
    """Give moments the layout of their weights.

    Fused Adam on the CPU (PyTorch 2.13) takes numbers in the order of memory: moments
    of another layout, as after a change of number format, would go to other weights.
    """
    for weight, state in optimiser.state.items():
        for name, value in state.items():
            if value.shape == weight.shape and value.stride() != weight.stride():
                state[name] = torch.empty_like(weight).copy_(value)
