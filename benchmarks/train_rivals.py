"""Training steps that ours is compared with: written plainly, in fp32.

Both do for the 1x networks of 3DCycleGaN what its preset does: cross-entropy and L1
cycles with weights that sum to 200, alternating updates by Adam, no replay pool.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, nn

WEIGHTS = {"judge": 1.0, "adversarial": 10.0, "cycle": 100.0}
SUM = 2 * sum(WEIGHTS.values())
TOTAL = 200.0
LR_GENERATOR, LR_JUDGE, BETAS, CLIP = 2e-4, 1e-4, (0.5, 0.999), 1.0


class PlainUNet(nn.Module):
    """The 1x generator of 3DCycleGaN (MIT), a module for each layer.

    The order of the weights is that of our `unet`.
    """

    def __init__(self, f: int = 32) -> None:
        super().__init__()
        self.conv1 = _conv(1, 2 * f)
        self.conv2 = _conv(2 * f, 4 * f)
        self.center = nn.Sequential(_conv(4 * f, 2 * f), _double(2 * f, f))
        self.dec2 = nn.Sequential(_conv(5 * f, f), _double(f, f))
        self.dec1 = _conv(3 * f, f // 2)
        self.final = nn.Conv3d(f // 2, 1, 1)
        self.pool = nn.MaxPool3d(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, z, y, x), sides multiples of 4 → the same."""
        conv1 = self.conv1(x)
        conv2 = self.conv2(self.pool(conv1))
        center = self.center(self.pool(conv2))
        dec2 = self.dec2(torch.cat([center, conv2], 1))
        dec1 = self.dec1(torch.cat([dec2, conv1], 1))
        return cast(Tensor, self.final(dec1))


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(inputs, outputs, 3, padding=1), nn.ReLU(True))


def _double(inputs: int, outputs: int) -> nn.Sequential:
    doubled = nn.ConvTranspose3d(
        inputs, outputs, 3, stride=2, padding=1, output_padding=1
    )
    return nn.Sequential(doubled, nn.ReLU(True))


def plain_judge(f: int = 64) -> nn.Sequential:
    """Its discriminator: batch norms that never leave evaluation mode, a sigmoid."""
    layers: list[nn.Module] = [nn.Conv3d(1, f, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for inputs, stride in ((f, 2), (2 * f, 2), (4 * f, 1)):
        layers += [
            nn.Conv3d(inputs, 2 * inputs, 4, stride, 1, bias=False),
            nn.BatchNorm3d(2 * inputs),
            nn.LeakyReLU(0.2, True),
        ]
    return nn.Sequential(*layers, nn.Conv3d(8 * f, 1, 4, 1, 1), nn.Sigmoid()).eval()


class PlainStep:
    """A step of CycleGAN in the order of 3DCycleGaN: every pass and loss by itself.

    Without its counts of what the discriminators took for what.

    Args:
        generators: From A to B, and back.
        judges: Discriminators of A and of B; they give probabilities.
    """

    def __init__(
        self,
        generators: tuple[nn.Module, nn.Module],
        judges: tuple[nn.Module, nn.Module],
    ) -> None:
        self.generators, self.judges = generators, judges
        self.optimiser_g = _adam(generators, LR_GENERATOR)
        self.optimiser_d = _adam(judges, LR_JUDGE)
        self.cross_entropy, self.l1 = nn.BCELoss(), nn.L1Loss()

    def step(self, real_a: Tensor, real_b: Tensor) -> dict[str, float]:
        """One update of all four networks; the losses before it."""
        (a_to_b, b_to_a), (judge_a, judge_b) = self.generators, self.judges
        fake_b = a_to_b(real_a)
        cyclic_a = b_to_a(fake_b)
        fake_a = b_to_a(real_b)
        cyclic_b = a_to_b(fake_a)

        self.optimiser_d.zero_grad()
        seen = [self._judge(judge_a, real_a, fake_a)]
        seen += [self._judge(judge_b, real_b, fake_b)]
        for loss in seen:
            (_share("judge") * loss).backward()
        self.optimiser_d.step()

        self._train_judges(False)
        self.optimiser_g.zero_grad()
        convinced = [self.convincing(judge_a(fake_a)), self.convincing(judge_b(fake_b))]
        cycles = [self.l1(cyclic_a, real_a), self.l1(cyclic_b, real_b)]
        total = _share("adversarial") * sum(convinced) + _share("cycle") * sum(cycles)
        total.backward()
        weights = chain(a_to_b.parameters(), b_to_a.parameters())
        nn.utils.clip_grad_norm_(weights, CLIP)
        self.optimiser_g.step()
        self._train_judges(True)
        names = ("judge", "adversarial", "cycle")
        return {
            f"{name}_{domain}": loss.item()
            for name, losses in zip(names, (seen, convinced, cycles), strict=True)
            for domain, loss in zip("ab", losses, strict=True)
        }

    def convincing(self, answer: Tensor) -> Tensor:
        """The loss of an image that should be taken for real."""
        return cast(Tensor, self.cross_entropy(answer, torch.ones_like(answer)))

    def unmasking(self, answer: Tensor) -> Tensor:
        """The loss of a fake that should be seen as one."""
        return cast(Tensor, self.cross_entropy(answer, torch.zeros_like(answer)))

    def _judge(self, judge: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        of_real, of_fake = judge(real), judge(fake.detach())
        return self.convincing(of_real) + self.unmasking(of_fake)

    def _train_judges(self, wanted: bool) -> None:
        for judge in self.judges:
            judge.requires_grad_(wanted)


def plain_step(device: str, filters: int = 32, judge_filters: int = 64) -> PlainStep:
    """With the networks of 3DCycleGaN."""
    return PlainStep(
        (PlainUNet(filters).to(device), PlainUNet(filters).to(device)),
        (plain_judge(judge_filters).to(device), plain_judge(judge_filters).to(device)),
    )


class MonaiStep(PlainStep):
    """The same step made of MONAI's networks and adversarial loss.

    Its U-Net with residual units of 64, 128 and 256 channels takes 94,715
    multiplications and additions for a voxel, that of 3DCycleGaN 95,920; the
    discriminators are equal but for batch norms that are in training.
    """

    def __init__(self, device: str) -> None:
        from monai.losses import PatchAdversarialLoss
        from monai.networks.nets import PatchDiscriminator, UNet

        unets = [
            UNet(3, 1, 1, (64, 128, 256), (2, 2), num_res_units=2) for _ in range(2)
        ]
        judges = [PatchDiscriminator(3, 64, 1) for _ in range(2)]
        super().__init__(
            (unets[0].to(device), unets[1].to(device)),
            (judges[0].to(device), judges[1].to(device)),
        )
        self.loss = PatchAdversarialLoss(criterion="bce")

    def convincing(self, answer: Any) -> Tensor:
        """The same of a discriminator that gives a list of features."""
        wanted = {"target_is_real": True, "for_discriminator": True}
        return cast(Tensor, self.loss(answer[-1], **wanted))

    def unmasking(self, answer: Any) -> Tensor:
        """The same of a discriminator that gives a list of features."""
        wanted = {"target_is_real": False, "for_discriminator": True}
        return cast(Tensor, self.loss(answer[-1], **wanted))


def _share(kind: str) -> float:
    return WEIGHTS[kind] * TOTAL / SUM


def _adam(networks: Iterable[nn.Module], rate: float) -> torch.optim.Adam:
    weights = chain.from_iterable(net.parameters() for net in networks)
    return torch.optim.Adam(weights, lr=rate, betas=BETAS)
