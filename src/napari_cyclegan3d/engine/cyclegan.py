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

from napari_cyclegan3d.engine import losses, parallel
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.learning import Images, LearningGan, Round
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


class CycleGan(LearningGan):
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

    def _drawn(self, batch: Batch) -> Round:
        """A batch, noise for each input of b_to_a, and which cycles are kickstarted."""
        noise = None
        if self._takes_noise:
            inputs = 3 if self.weights["identity_a"] > 0 else 2
            noise = self._noise(batch.real_b, inputs)
        cycles = ("cyclic_a", "cyclic_b")
        return Round(batch, noise, frozenset(filter(self._is_kickstarted, cycles)))

    def _is_kickstarted(self, cycle: str) -> bool:
        """At first, cycles may start from the resized source (3DCycleGaN).

        The other generator then learns the right contrast before the first one can
        lead both astray to the inverted one.
        """
        del cycle  # each has its own draw
        if self.steps_done >= self.kickstart:
            return False
        chance = self.config.optim.kickstart_chance
        return bool(torch.rand((), generator=self.random) < chance)

    def _fakes(self, one: Round) -> Images:
        """Both fakes."""
        fake_b = self._translated("a_to_b", {"fake_b": one.batch.real_a})
        return fake_b | self._to_a({"fake_a": one.batch.real_b}, one.noise)

    def _images(self, one: Round) -> Images:
        """All images but cyclic_b, which needs both generators' passes before it."""
        real_a, real_b, scale = one.batch.real_a, one.batch.real_b, self.scale
        of_a, of_b = {"fake_b": real_a}, {"fake_a": real_b}
        if self.weights["identity_b"] > 0:
            of_a["same_b"] = losses.resized(real_b, 1 / scale)
        images = self._translated("a_to_b", of_a)
        of_b["cyclic_a"] = images["fake_b"]
        if "cyclic_a" in one.kickstarted:
            of_b["cyclic_a"] = losses.resized(real_a, scale)
        if self.weights["identity_a"] > 0:
            of_b["same_a"] = losses.resized(real_a, scale)
        return images | self._to_a(of_b, one.noise)

    def _to_a(self, images: Images, noise: Tensor | None) -> Images:
        """What b_to_a makes of images and as many channels of noise."""
        if noise is not None:
            images = {
                name: torch.cat([image, channel], 1)
                for (name, image), channel in zip(images.items(), noise, strict=False)
            }
        return self._translated("b_to_a", images)

    def _shown(self, domain: str, fake: Tensor) -> Tensor:
        """Some earlier fakes among the new ones."""
        pool = self.pool_a if domain == "a" else self.pool_b
        return pool.exchange(fake)

    def _terms(self, one: Round, images: Images) -> Images:
        """The terms of the generators' objective, those of weight 0 left out."""
        loss, batch = self.config.loss, one.batch
        halfway = images["fake_a"]
        if "cyclic_b" in one.kickstarted:
            halfway = losses.resized(batch.real_b, 1 / self.scale)
        images = images | self._translated("a_to_b", {"cyclic_b": halfway})
        terms = {
            "adversarial_a": self._convincing("judge_a", images["fake_a"]),
            "adversarial_b": self._convincing("judge_b", images["fake_b"]),
        }
        for term, name, kinds in (
            ("cycle", "cyclic", loss.cycle_losses),
            ("identity", "same", loss.identity_losses),
        ):
            for domain, real in (("a", batch.real_a), ("b", batch.real_b)):
                if f"{name}_{domain}" in images:
                    terms[f"{term}_{domain}"] = losses.image_loss(
                        kinds, images[f"{name}_{domain}"], real
                    )
        if self.weights["paired"] > 0 and batch.paired:
            terms["paired"] = losses.image_loss(
                loss.paired_losses, images["fake_b"], batch.real_b
            )
        return terms

    def _watched(self, one: Round, images: Images) -> Images:
        """How much of the contrast of its source each fake has, and with which sign."""
        real_a, real_b, scale = one.batch.real_a, one.batch.real_b, self.scale
        fake_a, fake_b = images["fake_a"].detach(), images["fake_b"].detach()
        return {
            "contrast_a": losses.contrast(fake_a, losses.resized(real_b, 1 / scale)),
            "contrast_b": losses.contrast(fake_b, losses.resized(real_a, scale)),
        }

    @property
    def _takes_noise(self) -> bool:
        return self.generators["b_to_a"].inputs > 1

    def _noise(self, image_b: Tensor, inputs: int) -> Tensor:
        """This process's noise for inputs of b_to_a: (inputs, n, 1, z, y, x)."""
        samples, *shape = image_b.shape
        drawn = torch.randn(
            (samples * parallel.world(), inputs, *shape), generator=self.random
        )
        return parallel.own_share(drawn).to(image_b).transpose(0, 1)

    @torch.no_grad()
    def translate(self, batch: Batch) -> dict[str, Tensor]:
        """Both cycles with the averaged generators, for previews and validation.

        The noise is the same at each call and leaves the random state untouched.
        """
        random = torch.Generator().manual_seed(self.config.seed)
        a_to_b, b_to_a = self.means.values()
        batch = self.on_device(batch)

        def to_a(image_b: Tensor) -> Tensor:
            return self.passes.run(b_to_a, with_noise(image_b, b_to_a, random))

        fake_b = self.passes.run(a_to_b, batch.real_a)
        fake_a = to_a(batch.real_b)
        return {
            "real_a": batch.real_a,
            "fake_b": fake_b,
            "cyclic_a": to_a(fake_b),
            "real_b": batch.real_b,
            "fake_a": fake_a,
            "cyclic_b": self.passes.run(a_to_b, fake_a),
        }

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


def with_noise(image: Tensor, network: Generator, random: torch.Generator) -> Tensor:
    """The input of a generator: the image, and noise if it takes any."""
    channels = network.inputs - image.shape[1]
    if channels == 0:
        return image
    samples, _, *sides = image.shape
    noise = torch.randn((samples, channels, *sides), generator=random)
    return torch.cat([image, noise.to(image)], 1)


def build_generators(config: TrainConfig) -> tuple[Generator, Generator]:
    """The generator from A to B and the one from B to A."""
    scale, kind = Fraction(config.scale), config.generator
    return (
        Generator(scale, kind, noise=False, dims=config.dims),
        Generator(1 / scale, kind, noise=kind.noise, dims=config.dims),
    )
