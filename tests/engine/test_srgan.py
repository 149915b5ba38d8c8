import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.patches import Batch
from napari_cyclegan3d.engine.srgan import SrGan

CPU = torch.device("cpu")
ConfigMaker = Callable[..., TrainConfig]
SettingsMaker = Callable[..., TrainConfig]


@pytest.fixture
def enlarging(tiny: ConfigMaker) -> SettingsMaker:
    """A function that makes settings of a small SRGAN."""

    def make(**changes: Any) -> TrainConfig:
        values: dict[str, Any] = {
            "method": "srgan",
            "scale": 2,
            "patch": (8, 8, 8),
            "generator": {"kind": "srresnet", "filters": 4, "blocks": 1},
            "discriminator": {"kind": "critic", "filters": 4, "layers": 2},
            "loss": {"paired": 1.0, "adversarial_b": 1e-3},
        }
        return tiny(**(values | changes))

    return make


def pairs(scale: int = 2) -> Batch:
    random = torch.Generator().manual_seed(0)
    b = torch.randn((2, 1, *(8 * scale,) * 3), generator=random)
    return Batch(torch.nn.functional.avg_pool3d(b, scale), b, paired=True)


def all_weights(gan: SrGan) -> Tensor:
    networks = (*gan.networks.values(), *gan.means.values())
    values = [p.detach().reshape(-1) for n in networks for p in n.state_dict().values()]
    return torch.cat([value.float() for value in values])


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("upsampler", ["subpixel", "subpixel_nn", "resize"])
def test_a_step_moves_every_network_and_gives_finite_terms(
    enlarging: SettingsMaker, scale: int, upsampler: str
) -> None:
    generator = {
        "kind": "srresnet",
        "filters": 4,
        "blocks": 1,
        "norm": "batch",
        "upsampler": upsampler,
    }
    gan = SrGan(enlarging(scale=scale, generator=generator), CPU)
    before = {name: copy.deepcopy(net) for name, net in gan.networks.items()}
    terms = gan.step(pairs(scale))
    assert terms.keys() == {
        "judge_b",
        "adversarial_b",
        "paired",
        "real_b_seen_real",
        "fake_b_seen_real",
    }
    assert all(math.isfinite(value) for value in terms.values())
    for name, network in gan.networks.items():
        changed = [
            not torch.equal(now, then)
            for now, then in zip(
                network.parameters(), before[name].parameters(), strict=True
            )
        ]
        assert all(changed), name


def test_the_content_loss_falls_over_fifty_steps(enlarging: SettingsMaker) -> None:
    gan = SrGan(enlarging(steps=50, optim={"lr_generator": 5e-3}), CPU)
    values = [gan.step(pairs())["paired"] for _ in range(50)]
    assert sum(values[-5:]) < 0.9 * sum(values[:5])


def test_a_loaded_state_goes_on_bit_for_bit(enlarging: SettingsMaker) -> None:
    config = enlarging(loss={"paired": 1.0, "label_real": [0.7, 1.2]})
    gan, other = SrGan(config, CPU), SrGan(config, CPU)
    gan.step(pairs())
    other.load_state_dict(copy.deepcopy(gan.state_dict()))
    assert gan.step(pairs()) == other.step(pairs())
    assert torch.equal(all_weights(gan), all_weights(other))


def test_a_preview_shows_the_enlargement_beside_both_members_of_the_pair(
    enlarging: SettingsMaker,
) -> None:
    images = SrGan(enlarging(), CPU).translate(pairs())
    assert {name: image.shape[-1] for name, image in images.items()} == {
        "real_a": 8,
        "fake_b": 16,
        "real_b": 16,
    }


def test_a_dense_head_takes_its_own_patch_size_only(enlarging: SettingsMaker) -> None:
    judge = {"kind": "critic", "filters": 4, "layers": 2, "head": "dense"}
    gan = SrGan(enlarging(discriminator=judge), CPU)
    assert math.isfinite(gan.step(pairs())["judge_b"])
    larger = torch.zeros(1, 1, 24, 24, 24)
    with pytest.raises(RuntimeError):
        gan.judges["judge_b"](larger)
