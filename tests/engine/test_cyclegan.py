import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.cyclegan import (
    NETWORKS,
    CycleGan,
    ReplayPool,
    schedule_factor,
)
from napari_cyclegan3d.engine.patches import Batch

ConfigMaker = Callable[..., TrainConfig]
CPU = torch.device("cpu")


def batch(seed: int = 0, scale: int = 1, size: int = 1) -> Batch:
    random = torch.Generator().manual_seed(seed)
    a, b = (
        torch.randn((size, 1, side, side, side), generator=random)
        for side in (12, 12 * scale)
    )
    return Batch(a, b)


def weights(network: nn.Module) -> Tensor:
    return torch.cat([p.detach().reshape(-1) for p in network.parameters()])


def all_weights(gan: CycleGan) -> Tensor:
    networks = [getattr(gan, name) for name in NETWORKS]
    return torch.cat(
        [weights(n) for n in (*networks, gan.mean_a_to_b, gan.mean_b_to_a)]
    )


def test_the_same_seed_gives_the_same_step_and_another_seed_another(
    tiny: ConfigMaker,
) -> None:
    terms, after = [], []
    for seed in (1, 1, 2):
        gan = CycleGan(tiny(seed=seed), CPU)
        terms.append(gan.step(batch()))
        after.append(all_weights(gan))
    assert terms[0] == terms[1] != terms[2]
    assert torch.equal(after[0], after[1])
    assert not torch.equal(after[0], after[2])


def test_the_random_numbers_of_others_do_not_matter(tiny: ConfigMaker) -> None:
    terms = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        gan = CycleGan(tiny(), CPU)
        terms.append([gan.step(batch()), gan.step(batch())])
    assert terms[0] == terms[1]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_changes_every_layer_of_every_network(
    tiny: ConfigMaker, name: str
) -> None:
    gan = CycleGan(tiny(generator={"filters": 4}), CPU)
    network = getattr(gan, name)
    before = [p.detach().clone() for p in network.parameters()]
    for seed in range(2):
        gan.step(batch(seed))
    unchanged = [
        torch.equal(p, b) for p, b in zip(network.parameters(), before, strict=True)
    ]
    assert not any(unchanged)


def test_judges_learn_again_after_the_generators_were_updated(
    tiny: ConfigMaker,
) -> None:
    gan = CycleGan(tiny(), CPU)
    gan.step(batch())
    for judge in (gan.judge_a, gan.judge_b):
        assert all(p.requires_grad for p in judge.parameters())


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["lsgan", "bce"])
def test_every_term_of_a_step_is_a_finite_number(
    tiny: ConfigMaker, scale: int, precision: str, kind: str
) -> None:
    config = tiny(scale=scale, precision=precision, loss={"adversarial": kind})
    terms = CycleGan(config, CPU).step(batch(scale=scale, size=2))
    expected = {"judge_a", "judge_b", "adversarial_a", "adversarial_b"}
    expected |= {"cycle_a", "cycle_b"} | ({"identity_b"} if scale == 1 else set())
    assert terms.keys() == expected
    assert all(math.isfinite(value) and value >= 0 for value in terms.values())


def test_work_in_bf16_gives_nearly_the_terms_of_fp32_and_weights_in_fp32(
    tiny: ConfigMaker,
) -> None:
    exact, short = (CycleGan(tiny(precision=p), CPU) for p in ("fp32", "bf16"))
    ours, theirs = exact.step(batch()), short.step(batch())
    assert ours != theirs
    assert theirs == pytest.approx(ours, rel=0.05, abs=0.01)
    assert {p.dtype for p in short.a_to_b.parameters()} == {torch.float32}


def test_a_preview_shows_both_cycles_and_leaves_the_training_untouched(
    tiny: ConfigMaker,
) -> None:
    looked, plain = CycleGan(tiny(scale=2), CPU), CycleGan(tiny(scale=2), CPU)
    first = looked.translate(batch(9, scale=2))
    again = looked.translate(batch(9, scale=2))
    sides = {name: image.shape[-1] for name, image in first.items()}
    assert sides == {
        "real_a": 12,
        "fake_b": 24,
        "cyclic_a": 12,
        "real_b": 24,
        "fake_a": 12,
        "cyclic_b": 24,
    }
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert looked.step(batch(scale=2)) == plain.step(batch(scale=2))
    assert torch.equal(all_weights(looked), all_weights(plain))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_loaded_state_goes_on_bit_for_bit(tiny: ConfigMaker, precision: str) -> None:
    config = tiny(precision=precision, seed=4)
    gan = CycleGan(config, CPU)
    for seed in range(3):
        gan.step(batch(seed))
    other = CycleGan(config, CPU)
    other.load_state_dict(copy.deepcopy(gan.state_dict()))
    assert other.steps_done == 3
    assert [gan.step(batch(s)) for s in (7, 8)] == [
        other.step(batch(s)) for s in (7, 8)
    ]
    assert torch.equal(all_weights(gan), all_weights(other))


def test_noise_reaches_the_generator_from_b_only(tiny: ConfigMaker) -> None:
    gan = CycleGan(tiny(), CPU)
    image = torch.zeros(2, 1, 12, 12, 12)
    channels = gan.with_noise(image)
    assert channels.shape == (2, 2, 12, 12, 12)
    assert torch.equal(channels[:, :1], image)
    assert channels[:, 1].std() == pytest.approx(1, abs=0.05)
    assert gan.a_to_b.inputs == 1
    silent = CycleGan(tiny(generator={"filters": 2, "noise": False}), CPU)
    assert torch.equal(silent.with_noise(image), image)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_model_keeps_a_running_mean_of_the_weights(
    tiny: ConfigMaker, ema: float
) -> None:
    gan = CycleGan(tiny(optim={"ema": ema}), CPU)
    expected = weights(gan.a_to_b)
    for step in range(1, 4):
        gan.step(batch(step))
        decay = min(ema, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weights(gan.a_to_b)
    torch.testing.assert_close(weights(gan.mean_a_to_b), expected)
    assert torch.equal(weights(gan.mean_a_to_b), weights(gan.a_to_b)) == (ema == 0)


def test_a_pool_shows_each_image_once_or_twice_and_keeps_no_more_than_its_size() -> (
    None
):
    pool = ReplayPool(5, torch.Generator().manual_seed(0))
    numbers = [
        int(pool.exchange(torch.full((1, 1, 2, 2, 2), float(n))).mean())
        for n in range(400)
    ]
    assert numbers[:5] == [0, 1, 2, 3, 4]
    assert len(pool.images) == 5
    older = sum(number < n for n, number in enumerate(numbers[5:], 5))
    assert 150 < older < 250
    assert max(numbers.count(n) for n in range(400)) <= 2


def test_a_pool_of_no_size_shows_every_image_as_it_is() -> None:
    pool = ReplayPool(0, torch.Generator())
    image = torch.rand(2, 1, 3, 3, 3)
    assert pool.exchange(image) is image
    assert pool.images == []


def test_an_image_in_the_pool_does_not_change_with_its_source() -> None:
    pool = ReplayPool(1, torch.Generator())
    image = torch.zeros(1, 1, 2, 2, 2)
    pool.exchange(image)
    image += 1
    assert (pool.images[0] == 0).all()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 1, 1, 0.02]),
        ("cosine", [1, 0.5 + 0.5 / math.sqrt(2), 0.5, 0.000247]),
    ],
)
def test_the_learning_rate_follows_its_schedule(
    tiny: ConfigMaker, schedule: str, expected: list[float]
) -> None:
    config = tiny(steps=100, optim={"schedule": schedule})
    factors = [schedule_factor(config, step) for step in (0, 25, 50, 99)]
    assert factors == pytest.approx(expected, abs=1e-6)


def test_both_optimisers_use_the_rate_of_the_schedule(tiny: ConfigMaker) -> None:
    rates: dict[str, Any] = {"lr_generator": 1e-3, "lr_discriminator": 1e-4}
    gan = CycleGan(tiny(steps=4, optim={**rates, "schedule": "linear"}), CPU)
    for step in range(4):
        gan.step(batch(step))
    assert gan.generator_optimiser.param_groups[0]["lr"] == pytest.approx(5e-4)
    assert gan.judge_optimiser.param_groups[0]["lr"] == pytest.approx(5e-5)
