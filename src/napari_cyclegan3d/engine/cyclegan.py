"""CycleGAN: four networks, two optimisers, one step.

Zhu et al. 2017, arXiv:1703.10593. In code / in the paper: `a_to_b` / G, `b_to_a` / F,
`judge_b` / D_Y, `judge_a` / D_X. The generator from B to A may take a channel of noise
(augmented CycleGAN, Almahairi et al. 2018, arXiv:1802.10151): one clean image has many
noisy ones, and without the noise the network must hide it in the clean image.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine import losses
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.gan import Gan
from napari_cyclegan3d.engine.networks import Generator, build_discriminator
from napari_cyclegan3d.engine.patches import Batch

TERMS = (
    "adversarial_a",
    "adversarial_b",
    "cycle_a",
    "cycle_b",
    "identity_a",
    "identity_b",
    "paired",
)


class CycleGan(Gan):
    """One training of both translations.

    Args:
        config: Settings of the training.
        device: Where to compute.
    """

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        a_to_b, b_to_a = build_generators(config)
        judge = config.discriminator
        super().__init__(
            config,
            device,
            {"a_to_b": a_to_b, "b_to_a": b_to_a},
            {
                "judge_a": build_discriminator(judge, config.dims, config.patch),
                "judge_b": build_discriminator(judge, config.dims, config.patch_b),
            },
            TERMS,
        )
        self.scale = Fraction(config.scale)
        wanted = config.optim.kickstart
        self.kickstart = _kickstart(config.scale) if wanted is None else wanted
        self.pool_a = ReplayPool(config.sampling.pool, self.random)
        self.pool_b = ReplayPool(config.sampling.pool, self.random)

    def _learn(self, batch: Batch) -> dict[str, Tensor]:
        a_to_b, b_to_a = self.generators.values()
        fake_b = self._run(a_to_b, batch.real_a)
        fake_a = self._run(b_to_a, self.with_noise(batch.real_b))
        shown_a = self.pool_a.exchange(fake_a.detach())
        shown_b = self.pool_b.exchange(fake_b.detach())
        judge_a, seen_a = self._judge("judge_a", batch.real_a, shown_a)
        judge_b, seen_b = self._judge("judge_b", batch.real_b, shown_b)
        judged = self.weights["judge_a"] * judge_a + self.weights["judge_b"] * judge_b
        terms = self._update(
            judged, lambda: self._terms(batch, fake_a, fake_b), self.weights
        )
        return {
            "judge_a": judge_a,
            "judge_b": judge_b,
            **terms,
            **seen_a,
            **seen_b,
            "contrast_a": self._contrast(fake_a, batch.real_b, 1 / self.scale),
            "contrast_b": self._contrast(fake_b, batch.real_a, self.scale),
        }

    def _terms(self, batch: Batch, fake_a: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """The terms of the generators' objective, those of weight 0 left out."""
        loss, weights = self.config.loss, self.weights
        a_to_b, b_to_a = self.generators.values()
        real_a, real_b, scale = batch.real_a, batch.real_b, self.scale
        halfway_b = self._kickstarted(fake_b, real_a, scale)
        halfway_a = self._kickstarted(fake_a, real_b, 1 / scale)
        cyclic_a = self._run(b_to_a, self.with_noise(halfway_b))
        cyclic_b = self._run(a_to_b, halfway_a)
        terms = {
            "adversarial_a": self._convincing("judge_a", fake_a),
            "adversarial_b": self._convincing("judge_b", fake_b),
            "cycle_a": losses.image_loss(loss.cycle_losses, cyclic_a, real_a),
            "cycle_b": losses.image_loss(loss.cycle_losses, cyclic_b, real_b),
        }
        if weights["identity_a"] > 0:
            enlarged = self.with_noise(losses.resized(real_a, scale))
            same_a = self._run(b_to_a, enlarged)
            terms["identity_a"] = losses.image_loss(
                loss.identity_losses, same_a, real_a
            )
        if weights["identity_b"] > 0:
            same_b = self._run(a_to_b, losses.resized(real_b, 1 / scale))
            terms["identity_b"] = losses.image_loss(
                loss.identity_losses, same_b, real_b
            )
        if weights["paired"] > 0 and batch.paired:
            terms["paired"] = losses.image_loss(loss.paired_losses, fake_b, real_b)
        return terms

    def _kickstarted(self, fake: Tensor, source: Tensor, scale: Fraction) -> Tensor:
        """At first, cycles may start from the resized source (3DCycleGaN).

        The other generator then learns the right contrast before the first one can
        lead both astray to the inverted one.
        """
        if self.steps_done >= self.kickstart:
            return fake
        chance = self.config.optim.kickstart_chance
        if torch.rand((), generator=self.random) >= chance:
            return fake
        return losses.resized(source, scale)

    def _contrast(self, fake: Tensor, source: Tensor, scale: Fraction) -> Tensor:
        return losses.contrast(fake.detach(), losses.resized(source, scale))

    def with_noise(self, image_b: Tensor) -> Tensor:
        """The input of the B-to-A generator: the image, and noise if it takes any."""
        if self.generators["b_to_a"].inputs == image_b.shape[1]:
            return image_b
        noise = torch.randn(image_b.shape, generator=self.random)
        return torch.cat([image_b, noise.to(image_b)], 1)

    @torch.no_grad()
    def translate(self, batch: Batch) -> dict[str, Tensor]:
        """Both cycles with the averaged generators, for previews and validation.

        The noise is the same at each call and leaves the random state untouched.
        """
        kept = self.random.get_state()
        self.random.manual_seed(self.config.seed)
        a_to_b, b_to_a = self.means.values()
        batch = self._on_device(batch)
        fake_b = self._run(a_to_b, batch.real_a)
        fake_a = self._run(b_to_a, self.with_noise(batch.real_b))
        images = {
            "real_a": batch.real_a,
            "fake_b": fake_b,
            "cyclic_a": self._run(b_to_a, self.with_noise(fake_b)),
            "real_b": batch.real_b,
            "fake_a": fake_a,
            "cyclic_b": self._run(a_to_b, fake_a),
        }
        self.random.set_state(kept)
        return images

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on as if nothing had happened."""
        pools = {"pool_a": self.pool_a.images, "pool_b": self.pool_b.images}
        return super().state_dict() | pools | {"kickstart": self.kickstart}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`.

        Raises:
            RuntimeError, KeyError: The state belongs to other networks.
        """
        super().load_state_dict(state)
        self.pool_a.images = list(state["pool_a"])
        self.pool_b.images = list(state["pool_b"])
        self.kickstart = int(state["kickstart"])

    def take_weights(self, networks: Mapping[str, nn.Module]) -> None:
        """Begin with trained networks, which need no kickstart.

        Args:
            networks: By name, of the same settings.
        """
        super().take_weights(networks)
        self.kickstart = 0


def _kickstart(scale: int) -> int:
    """Steps of the kickstart where none are asked for.

    docs/recipe.md: at 2x, without it, 500 steps teach the generators nothing.
    """
    return 150 if scale > 1 else 0


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
    scale, kind = Fraction(config.scale), config.generator
    return (
        Generator(scale, kind, noise=False, dims=config.dims),
        Generator(1 / scale, kind, noise=kind.noise, dims=config.dims),
    )
