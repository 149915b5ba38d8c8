"""SRGAN: one generator that enlarges, one discriminator, and pairs to learn from.

Ledig et al. 2017, arXiv:1609.04802; in 3D, Sanchez & Vilaplana 2018, arXiv:1812.11440.
`fake_b` is the enlarged `real_a`; `real_b` is what it should be.
"""

from fractions import Fraction

import torch
from torch import Tensor

from napari_cyclegan3d.engine import losses
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.gan import Gan
from napari_cyclegan3d.engine.networks import Generator, build_discriminator
from napari_cyclegan3d.engine.patches import Batch

TERMS = ("adversarial_b", "paired")


class SrGan(Gan):
    """One training of an enlargement.

    Args:
        config: Settings of the training.
        device: Where to compute.
    """

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(
            config,
            device,
            {"a_to_b": build_generator(config)},
            {
                "judge_b": build_discriminator(
                    config.discriminator, config.dims, config.patch_b
                )
            },
            TERMS,
        )

    def _learn(self, batch: Batch) -> dict[str, Tensor]:
        fake_b = self._run(self.generators["a_to_b"], batch.real_a)
        judge_b, seen = self._judge("judge_b", batch.real_b, fake_b.detach())

        def generator_terms() -> dict[str, Tensor]:
            pair = losses.image_loss(
                self.config.loss.paired_losses, fake_b, batch.real_b
            )
            return {
                "adversarial_b": self._convincing("judge_b", fake_b),
                "paired": pair,
            }

        judged = self.weights["judge_b"] * judge_b
        terms = self._update(judged, generator_terms, self.weights)
        return {"judge_b": judge_b, **terms, **seen}

    @torch.no_grad()
    def translate(self, batch: Batch) -> dict[str, Tensor]:
        """The averaged generator's enlargement, for previews and validation."""
        batch = self._on_device(batch)
        fake_b = self._run(self.means["a_to_b"], batch.real_a)
        return {"real_a": batch.real_a, "fake_b": fake_b, "real_b": batch.real_b}


def build_generator(config: TrainConfig) -> Generator:
    """The generator that enlarges A to B."""
    return Generator(
        Fraction(config.scale), config.generator, noise=False, dims=config.dims
    )
