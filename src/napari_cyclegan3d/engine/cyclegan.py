"""CycleGAN: four networks, two optimisers, one step.

Zhu et al. 2017, arXiv:1703.10593. In code / in the paper: `a_to_b` / G, `b_to_a` / F,
`judge_b` / D_Y, `judge_a` / D_X. The generator from B to A may take a channel of noise
(augmented CycleGAN, Almahairi et al. 2018, arXiv:1802.10151): one clean image has many
noisy ones, and without the noise the network must hide it in the clean image.
"""

import copy
import itertools
import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine import losses
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.devices import choose_precision
from napari_cyclegan3d.engine.networks import (
    Generator,
    PatchDiscriminator,
    initialise,
)
from napari_cyclegan3d.engine.patches import Batch
from napari_cyclegan3d.engine.sections import OptimConfig

NETWORKS = ("a_to_b", "b_to_a", "judge_a", "judge_b")
EMA_WARM_UP = 10


class CycleGan:
    """The state of one training: networks, averaged generators, optimisers, pools.

    Args:
        config: Settings of the training.
        device: Where to compute.
    """

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self.config, self.device, self.steps_done = config, device, 0
        self.precision = choose_precision(config.precision, device)
        # bf16 convolutions are faster with the channels last, fp32 ones are not
        self.layout = (
            torch.channels_last_3d
            if self.precision == torch.bfloat16
            else torch.preserve_format
        )
        # on the CPU whatever the device, so that a seed means the same everywhere
        self.random = torch.Generator().manual_seed(config.seed)
        self.a_to_b, self.b_to_a = build_generators(config)
        self.judge_a = PatchDiscriminator(config.discriminator)
        self.judge_b = PatchDiscriminator(config.discriminator)
        for name in NETWORKS:
            initialise(getattr(self, name), self.random)
            getattr(self, name).to(device, memory_format=self.layout)
        self.mean_a_to_b = copy.deepcopy(self.a_to_b).requires_grad_(False)
        self.mean_b_to_a = copy.deepcopy(self.b_to_a).requires_grad_(False)
        self.generator_optimiser = _adam(
            (self.a_to_b, self.b_to_a), config.optim.lr_generator, config.optim
        )
        self.judge_optimiser = _adam(
            (self.judge_a, self.judge_b), config.optim.lr_discriminator, config.optim
        )
        self.pool_a = ReplayPool(config.sampling.pool, self.random)
        self.pool_b = ReplayPool(config.sampling.pool, self.random)

    def step(self, batch: Batch) -> dict[str, float]:
        """One update of the discriminators, then one of the generators.

        Args:
            batch: Patches (n, 1, z, y, x), normalised.

        Returns:
            The value of each term of the objective before the update.
        """
        self._set_learning_rates()
        real_a, real_b = batch.real_a.to(self.device), batch.real_b.to(self.device)
        fake_b = self._run(self.a_to_b, real_a)
        fake_a = self._run(self.b_to_a, self.with_noise(real_b))
        terms = self._update_judges(real_a, real_b, fake_a, fake_b)
        terms |= self._update_generators(real_a, real_b, fake_a, fake_b)
        self.steps_done += 1
        self._update_means()
        return {name: float(value.detach()) for name, value in terms.items()}

    def _run(self, network: nn.Module, image: Tensor) -> Tensor:
        """A network's output in fp32, computed in the training's number format."""
        with torch.autocast(
            self.device.type, self.precision, enabled=self.precision != torch.float32
        ):
            out: Tensor = network(image)
        return out.float()

    def with_noise(self, image_b: Tensor) -> Tensor:
        """The input of the B-to-A generator: the image, and noise if it takes any."""
        if self.b_to_a.inputs == 1:
            return image_b
        noise = torch.randn(image_b.shape, generator=self.random)
        return torch.cat([image_b, noise.to(image_b)], 1)

    @torch.no_grad()
    def translate(self, batch: Batch) -> dict[str, Tensor]:
        """Both cycles with the averaged generators, for a preview.

        The noise is the same at each call and leaves the random state untouched.
        """
        kept = self.random.get_state()
        self.random.manual_seed(self.config.seed)
        real_a, real_b = batch.real_a.to(self.device), batch.real_b.to(self.device)
        fake_b = self._run(self.mean_a_to_b, real_a)
        fake_a = self._run(self.mean_b_to_a, self.with_noise(real_b))
        images = {
            "real_a": real_a,
            "fake_b": fake_b,
            "cyclic_a": self._run(self.mean_b_to_a, self.with_noise(fake_b)),
            "real_b": real_b,
            "fake_a": fake_a,
            "cyclic_b": self._run(self.mean_a_to_b, fake_a),
        }
        self.random.set_state(kept)
        return images

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on as if nothing had happened."""
        return {
            "steps_done": self.steps_done,
            "random": self.random.get_state(),
            "networks": {name: getattr(self, name).state_dict() for name in NETWORKS},
            "means": {
                "a_to_b": self.mean_a_to_b.state_dict(),
                "b_to_a": self.mean_b_to_a.state_dict(),
            },
            "generator_optimiser": self.generator_optimiser.state_dict(),
            "judge_optimiser": self.judge_optimiser.state_dict(),
            "pool_a": self.pool_a.images,
            "pool_b": self.pool_b.images,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`.

        Raises:
            RuntimeError, KeyError: The state belongs to other networks.
        """
        for name in NETWORKS:
            getattr(self, name).load_state_dict(state["networks"][name])
        self.mean_a_to_b.load_state_dict(state["means"]["a_to_b"])
        self.mean_b_to_a.load_state_dict(state["means"]["b_to_a"])
        self.generator_optimiser.load_state_dict(state["generator_optimiser"])
        self.judge_optimiser.load_state_dict(state["judge_optimiser"])
        self.pool_a.images = list(state["pool_a"])
        self.pool_b.images = list(state["pool_b"])
        self.random.set_state(state["random"])
        self.steps_done = int(state["steps_done"])

    def _update_judges(
        self, real_a: Tensor, real_b: Tensor, fake_a: Tensor, fake_b: Tensor
    ) -> dict[str, Tensor]:
        kind = self.config.loss.adversarial
        shown_a = self.pool_a.exchange(fake_a.detach())
        shown_b = self.pool_b.exchange(fake_b.detach())

        def judged(judge: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
            return losses.adversarial(
                self._run(judge, real), kind, real=True
            ) + losses.adversarial(self._run(judge, fake), kind, real=False)

        loss_a = judged(self.judge_a, real_a, shown_a)
        loss_b = judged(self.judge_b, real_b, shown_b)
        self.judge_optimiser.zero_grad(set_to_none=True)
        (loss_a + loss_b).backward()
        self.judge_optimiser.step()
        return {"judge_a": loss_a, "judge_b": loss_b}

    def _update_generators(
        self, real_a: Tensor, real_b: Tensor, fake_a: Tensor, fake_b: Tensor
    ) -> dict[str, Tensor]:
        loss, kind = self.config.loss, self.config.loss.adversarial
        self.judge_a.requires_grad_(False)
        self.judge_b.requires_grad_(False)
        cyclic_a = self._run(self.b_to_a, self.with_noise(fake_b))
        cyclic_b = self._run(self.a_to_b, fake_a)
        terms = {
            "adversarial_a": losses.adversarial(
                self._run(self.judge_a, fake_a), kind, real=True
            ),
            "adversarial_b": losses.adversarial(
                self._run(self.judge_b, fake_b), kind, real=True
            ),
            "cycle_a": losses.cycle(cyclic_a, real_a),
            "cycle_b": losses.cycle(cyclic_b, real_b),
        }
        total = (
            loss.adversarial_a * terms["adversarial_a"]
            + loss.adversarial_b * terms["adversarial_b"]
            + loss.cycle_a * terms["cycle_a"]
            + loss.cycle_b * terms["cycle_b"]
        )
        if loss.identity_b > 0 and self.config.scale == 1:
            terms["identity_b"] = losses.cycle(self._run(self.a_to_b, real_b), real_b)
            total = total + loss.identity_b * terms["identity_b"]
        self.generator_optimiser.zero_grad(set_to_none=True)
        total.backward()
        if self.config.optim.clip > 0:
            parameters = itertools.chain(
                self.a_to_b.parameters(), self.b_to_a.parameters()
            )
            nn.utils.clip_grad_norm_(parameters, self.config.optim.clip)
        self.generator_optimiser.step()
        self.judge_a.requires_grad_(True)
        self.judge_b.requires_grad_(True)
        return terms

    def _set_learning_rates(self) -> None:
        factor = schedule_factor(self.config, self.steps_done)
        for optimiser, rate in (
            (self.generator_optimiser, self.config.optim.lr_generator),
            (self.judge_optimiser, self.config.optim.lr_discriminator),
        ):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor

    @torch.no_grad()
    def _update_means(self) -> None:
        # a short memory at first, so that the mean does not remember the start
        decay = min(
            self.config.optim.ema,
            (1 + self.steps_done) / (EMA_WARM_UP + self.steps_done),
        )
        for mean, network in (
            (self.mean_a_to_b, self.a_to_b),
            (self.mean_b_to_a, self.b_to_a),
        ):
            for kept, now in zip(mean.parameters(), network.parameters(), strict=True):
                kept.lerp_(now, 1 - decay)


class ReplayPool:
    """Earlier fakes, so that a discriminator does not forget them.

    Shrivastava et al. 2017, arXiv:1612.07828, as in CycleGAN: once full, each new image
    is shown as it is, or (one time in two) kept in exchange for an older one.

    Args:
        size: Images kept; 0 shows every image as it is.
        random: Source of the choices.
    """

    def __init__(self, size: int, random: torch.Generator) -> None:
        self.size, self.random = size, random
        self.images: list[Tensor] = []

    def exchange(self, fakes: Tensor) -> Tensor:
        """Images to show in place of `fakes` (n, 1, z, y, x)."""
        if self.size == 0:
            return fakes
        return torch.stack([self._exchange_one(fake) for fake in fakes])

    def _exchange_one(self, fake: Tensor) -> Tensor:
        if len(self.images) < self.size:
            self.images.append(fake.clone())
            return fake
        if torch.rand((), generator=self.random) < 0.5:
            return fake
        index = int(torch.randint(self.size, (), generator=self.random))
        kept, self.images[index] = self.images[index], fake.clone()
        return kept


def build_generators(config: TrainConfig) -> tuple[Generator, Generator]:
    """The generator from A to B and the one from B to A."""
    scale = Fraction(config.scale)
    return (
        Generator(scale, config.generator, noise=False),
        Generator(1 / scale, config.generator, noise=config.generator.noise),
    )


def schedule_factor(config: TrainConfig, step: int) -> float:
    """Learning rate at `step` (from 0) over the one at the start."""
    progress = step / config.steps
    if config.optim.schedule == "linear":
        return min(1.0, 2 * (1 - progress))
    if config.optim.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return 1.0


def _adam(
    networks: Iterable[nn.Module], rate: float, config: OptimConfig
) -> torch.optim.Adam:
    parameters = itertools.chain.from_iterable(net.parameters() for net in networks)
    return torch.optim.Adam(parameters, lr=rate, betas=(config.beta1, config.beta2))
