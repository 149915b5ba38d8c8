"""SRGAN: one generator that enlarges, one discriminator, and pairs to learn from.

Ledig et al. 2017, arXiv:1609.04802; in 3D, Sanchez & Vilaplana 2018, arXiv:1812.11440.
`fake_b` is the enlarged `real_a`; `real_b` is what it should be.
"""

from fractions import Fraction

import torch
from torch import Tensor

from napari_cyclegan3d.engine import losses
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.learning import Images, LearningGan, Round
from napari_cyclegan3d.engine.networks import Generator, build_discriminator
from napari_cyclegan3d.engine.patches import Batch

TERMS = ("adversarial_b", "paired")


class SrGan(LearningGan):
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

    def _drawn(self, batch: Batch) -> Round:
        """The batch; nothing else is drawn."""
        return Round(batch)

    def _fakes(self, one: Round) -> Images:
        """The enlargement."""
        return self._translated("a_to_b", {"fake_b": one.batch.real_a})

    def _images(self, one: Round) -> Images:
        """The enlargement."""
        return self._fakes(one)

    def _shown(self, domain: str, fake: Tensor) -> Tensor:
        """The enlargement, as it is."""
        del domain
        return fake

    def _terms(self, one: Round, images: Images) -> Images:
        """What convinces the discriminator, and what is alike in the pair."""
        fake_b, kinds = images["fake_b"], self.config.loss.paired_losses
        return {
            "adversarial_b": self._convincing("judge_b", fake_b),
            "paired": losses.image_loss(kinds, fake_b, one.batch.real_b),
        }

    def _watched(self, one: Round, images: Images) -> Images:
        """Nothing: pairs keep the contrast right."""
        del one, images
        return {}

    @torch.no_grad()
    def translate(self, batch: Batch) -> dict[str, Tensor]:
        """The averaged generator's enlargement, for previews and validation."""
        batch = self.on_device(batch)
        fake_b = self.passes.run(self.means["a_to_b"], batch.real_a)
        return {"real_a": batch.real_a, "fake_b": fake_b, "real_b": batch.real_b}


def build_generator(config: TrainConfig) -> Generator:
    """The generator that enlarges A to B."""
    return Generator(
        Fraction(config.scale), config.generator, noise=False, dims=config.dims
    )
