import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.cyclegan import CycleGan
from napari_cyclegan3d.engine.patches import Batch
from napari_cyclegan3d.engine.selfcheck import choose_sound_precision

ConfigMaker = Callable[..., TrainConfig]
CPU = torch.device("cpu")


class Faulty(nn.Conv3d):
    """In bf16, its weights get a share of their gradient; forward it is right."""

    share = 0.5

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        if out.dtype != torch.bfloat16:
            return out
        without = nn.functional.conv3d(
            x, self.weight.detach(), self.bias, self.stride, self.padding
        )
        return self.share * out + (1 - self.share) * without


def with_fault(gan: CycleGan, share: float) -> CycleGan:
    layer = gan.generators["b_to_a"].body.conv2[0]
    assert isinstance(layer, nn.Conv3d)
    layer.__class__ = Faulty
    assert isinstance(layer, Faulty)
    layer.share = share
    return gan


@pytest.mark.parametrize("share", [0.0, 0.5, math.nan, math.inf])
def test_wrong_gradients_in_bf16_lead_to_fp32_and_a_sentence(
    tiny: ConfigMaker, share: float
) -> None:
    gan = with_fault(CycleGan(tiny(precision="bf16"), CPU), share)
    sentence = choose_sound_precision(gan)
    assert sentence == (
        "bf16 gives wrong gradients on this cpu for inputs of 6 × 6 × 6 voxels in "
        "b_to_a; computing in fp32"
    )
    assert gan.precision == torch.float32
    for network in (*gan.networks.values(), *gan.means.values()):
        assert all(weight.is_contiguous() for weight in network.parameters())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scale": 2},
        {"generator": {"filters": 2, "kind": "resnet", "norm": "instance"}},
        {"generator": {"filters": 2, "norm": "batch"}},
        {"dims": 2, "patch": (1, 16, 16)},
        {"discriminator": {"kind": "critic", "filters": 4, "layers": 2}},
    ],
    ids=str,
)
def test_sound_networks_of_every_kind_stay_in_bf16(
    tiny: ConfigMaker, changes: dict[str, object]
) -> None:
    gan = CycleGan(tiny(precision="bf16", **changes), CPU)
    before = torch.cat(
        [p.detach().flatten() for p in gan.judges["judge_a"].parameters()]
    )
    assert choose_sound_precision(gan) is None
    assert gan.precision == torch.bfloat16
    after = torch.cat(
        [p.detach().flatten() for p in gan.judges["judge_a"].parameters()]
    )
    assert torch.equal(before, after)
    assert all(
        p.grad is None for net in gan.networks.values() for p in net.parameters()
    )


def test_what_computes_in_fp32_is_not_tried(tiny: ConfigMaker) -> None:
    gan = with_fault(CycleGan(tiny(), CPU), 0.0)
    assert choose_sound_precision(gan) is None


def test_inputs_narrower_than_a_kernel_train_to_finite_numbers(
    tiny: ConfigMaker,
) -> None:
    """PyTorch 2.13 reads uninitialised memory there, in bf16 on the CPU."""
    config = tiny(precision="bf16").model_copy(update={"patch": (8, 8, 8)})
    gan = CycleGan(config, CPU)
    choose_sound_precision(gan)
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn((1, 1, 8, 8, 8), generator=random) for _ in "ab")
    for _ in range(5):
        terms = gan.step(Batch(a, b))
        assert all(abs(value) < 1e3 for value in terms.values())
