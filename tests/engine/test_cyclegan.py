import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.cyclegan import (
    CycleGan,
    ReplayPool,
    build_generators,
    with_noise,
)
from napari_cyclegan3d.engine.patches import Batch

NETWORKS = ("a_to_b", "b_to_a", "judge_a", "judge_b")
ConfigMaker = Callable[..., TrainConfig]
CPU = torch.device("cpu")


def batch(seed: int = 0, scale: int = 1, size: int = 1) -> Batch:
    random = torch.Generator().manual_seed(seed)
    a, b = (
        torch.randn((size, 1, side, side, side), generator=random)
        for side in (12, 12 * scale)
    )
    return Batch(a, b, paired=False)


def weights(network: nn.Module) -> Tensor:
    return torch.cat([p.detach().reshape(-1) for p in network.parameters()])


def all_weights(gan: CycleGan) -> Tensor:
    return torch.cat(
        [weights(n) for n in (*gan.networks.values(), *gan.means.values())]
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
    network = gan.networks[name]
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
    for judge in gan.judges.values():
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
    expected |= {"cycle_a", "cycle_b", "identity_b", "contrast_a", "contrast_b"}
    expected |= {f"{k}_{d}_seen_real" for k in ("real", "fake") for d in "ab"}
    assert terms.keys() == expected
    assert all(math.isfinite(value) for value in terms.values())
    for name, value in terms.items():
        low, high = (-1, 1) if "contrast" in name else (0, math.inf)
        assert low <= value <= (1 if "seen" in name else high), name


def test_work_in_bf16_gives_nearly_the_terms_of_fp32_and_weights_in_fp32(
    tiny: ConfigMaker,
) -> None:
    exact, short = (CycleGan(tiny(precision=p), CPU) for p in ("fp32", "bf16"))
    ours, theirs = exact.step(batch()), short.step(batch())
    assert ours != theirs
    assert theirs == pytest.approx(ours, rel=0.05, abs=0.01)
    assert {p.dtype for p in short.generators["a_to_b"].parameters()} == {torch.float32}


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
    a_to_b, b_to_a = build_generators(tiny())
    random = torch.Generator().manual_seed(0)
    image = torch.zeros(2, 1, 12, 12, 12)
    channels = with_noise(image, b_to_a, random)
    assert channels.shape == (2, 2, 12, 12, 12)
    assert torch.equal(channels[:, :1], image)
    assert channels[:, 1].std() == pytest.approx(1, abs=0.05)
    assert with_noise(image, a_to_b, random) is image
    silent = build_generators(tiny(generator={"filters": 2, "noise": False}))
    assert with_noise(image, silent[1], random) is image


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_model_keeps_a_running_mean_of_the_weights(
    tiny: ConfigMaker, ema: float
) -> None:
    gan = CycleGan(tiny(optim={"ema": ema}), CPU)
    expected = weights(gan.generators["a_to_b"])
    for step in range(1, 4):
        gan.step(batch(step))
        decay = min(ema, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weights(gan.generators["a_to_b"])
    torch.testing.assert_close(weights(gan.means["a_to_b"]), expected)
    assert torch.equal(
        weights(gan.means["a_to_b"]), weights(gan.generators["a_to_b"])
    ) == (ema == 0)


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


def test_both_optimisers_use_the_rate_of_the_schedule(tiny: ConfigMaker) -> None:
    rates: dict[str, Any] = {"lr_generator": 1e-3, "lr_discriminator": 1e-4}
    gan = CycleGan(tiny(steps=4, optim={**rates, "schedule": "linear"}), CPU)
    for step in range(4):
        gan.step(batch(step))
    assert gan.optimisers["lr_generator"].param_groups[0]["lr"] == pytest.approx(5e-4)
    assert gan.optimisers["lr_discriminator"].param_groups[0]["lr"] == pytest.approx(
        5e-5
    )


def test_generators_that_answer_at_once_see_the_judges_before_their_update(
    tiny: ConfigMaker,
) -> None:
    late, at_once = (
        CycleGan(tiny(optim={"update": update, "lr_discriminator": 0.05}), CPU)
        for update in ("alternating", "simultaneous")
    )
    answers = [gan.step(batch()) for gan in (late, at_once)]
    assert answers[0]["judge_b"] == answers[1]["judge_b"]
    assert answers[0]["adversarial_b"] != answers[1]["adversarial_b"]
    fresh = CycleGan(tiny(), CPU)
    fake_b = fresh.generators["a_to_b"](batch().real_a)
    unmoved = fresh._convincing("judge_b", fake_b)
    assert answers[1]["adversarial_b"] == pytest.approx(float(unmoved), abs=1e-6)
    for name in NETWORKS[2:]:
        ours, theirs = (weights(gan.networks[name]) for gan in (late, at_once))
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_kickstarted_cycle_comes_back_from_the_resized_source(
    tiny: ConfigMaker, scale: int
) -> None:
    optim = {"kickstart": 1, "kickstart_chance": 1.0}
    gan = CycleGan(
        tiny(scale=scale, optim=optim, generator={"filters": 2, "noise": False}), CPU
    )
    source = batch(scale=scale)
    with torch.no_grad():  # untrained generators give hardly anything
        for weight in gan.generators["b_to_a"].parameters():
            weight.mul_(3)
    resized = nn.functional.interpolate(
        source.real_a, scale_factor=float(scale), mode="trilinear", align_corners=False
    )
    expected = (gan.generators["b_to_a"](resized) - source.real_a).abs().mean()
    first, second = gan.step(source), gan.step(source)
    assert first["cycle_a"] == pytest.approx(float(expected), rel=1e-5)
    assert second["cycle_a"] != pytest.approx(first["cycle_a"], rel=1e-2)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_identity_terms_compare_with_the_image_that_was_resized_before(
    tiny: ConfigMaker, scale: int
) -> None:
    config = tiny(
        scale=scale,
        loss={"identity_a": 1, "identity_b": 1},
        generator={"filters": 2, "noise": False},
    )
    gan, source = CycleGan(config, CPU), batch(scale=scale)
    size = nn.functional
    shrunk = size.avg_pool3d(source.real_b, scale)
    enlarged = size.interpolate(
        source.real_a, scale_factor=float(scale), mode="trilinear", align_corners=False
    )
    expected_b = (gan.generators["a_to_b"](shrunk) - source.real_b).abs().mean()
    expected_a = (gan.generators["b_to_a"](enlarged) - source.real_a).abs().mean()
    terms = gan.step(source)
    assert terms["identity_b"] == pytest.approx(float(expected_b), rel=1e-5)
    assert terms["identity_a"] == pytest.approx(float(expected_a), rel=1e-5)


def test_pairs_are_compared_only_where_a_batch_has_them(tiny: ConfigMaker) -> None:
    config = tiny(loss={"paired": 3.0}, sampling={"pairs": True, "pool": 2})
    plain = batch()
    paired = Batch(plain.real_a, plain.real_b, paired=True)
    gan = CycleGan(config, CPU)
    fake_b = gan.generators["a_to_b"](plain.real_a)
    expected = float((fake_b - plain.real_b).abs().mean().detach())
    assert gan.step(paired)["paired"] == pytest.approx(expected, rel=1e-5)
    assert "paired" not in CycleGan(config, CPU).step(plain)


def test_each_term_moves_the_generators_by_its_weight(tiny: ConfigMaker) -> None:
    """Without its adversarial and cycle terms a generator has nothing to follow."""
    nothing = dict.fromkeys(
        ("adversarial_a", "adversarial_b", "cycle_a", "cycle_b", "identity_b"), 0.0
    )
    for name in nothing:
        gan = CycleGan(tiny(loss=nothing | {name: 1.0}), CPU)
        before = weights(gan.generators["a_to_b"]).clone()
        gan.step(batch())
        moved = not torch.equal(before, weights(gan.generators["a_to_b"]))
        assert moved == (name != "adversarial_a"), name
    still = CycleGan(tiny(loss=nothing), CPU)
    before = weights(still.generators["a_to_b"]).clone()
    still.step(batch())
    assert torch.equal(before, weights(still.generators["a_to_b"]))


def test_weights_and_rates_that_were_changed_are_part_of_the_state(
    tiny: ConfigMaker,
) -> None:
    gan = CycleGan(tiny(), CPU)
    gan.step(batch())
    gan.weights["cycle_b"], gan.rates["lr_generator"] = 7.0, 1e-5
    other = CycleGan(tiny(), CPU)
    other.load_state_dict(copy.deepcopy(gan.state_dict()))
    assert other.step(batch(3)) == gan.step(batch(3))
    assert other.weights["cycle_b"] == 7.0
    assert other.optimisers["lr_generator"].param_groups[0]["lr"] < 1.01e-5


@pytest.mark.parametrize(
    "generator",
    [
        {"kind": "unet11"},
        {"kind": "resnet", "norm": "instance", "output": "tanh"},
        {
            "kind": "unet_strided",
            "encoder": [4, 8],
            "decoder": [4],
            "norm": "instance_affine",
        },
        {"kind": "resnet", "norm": "batch"},
    ],
    ids=lambda generator: "-".join(map(str, list(generator.values())[:2])),
)
def test_2d_networks_of_every_kind_learn_slices(
    tiny: ConfigMaker, generator: dict[str, Any]
) -> None:
    side = 32 if generator["kind"] == "unet11" else 12
    config = tiny(
        dims=2, patch=(1, side, side), generator={"filters": 2, "blocks": 1} | generator
    )
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn((3, 1, side, side), generator=random) for _ in "ab")
    gan = CycleGan(config, CPU)
    before = all_weights(gan)
    terms = gan.step(Batch(a, b, paired=False))
    assert all(math.isfinite(value) for value in terms.values())
    assert not torch.equal(before, all_weights(gan))
    assert gan.translate(Batch(a, b, paired=False))["cyclic_b"].shape == b.shape


def test_the_mean_keeps_the_statistics_of_batch_norm(tiny: ConfigMaker) -> None:
    gan = CycleGan(tiny(generator={"filters": 2, "norm": "batch"}), CPU)
    gan.step(batch())
    ours, theirs = gan.means["a_to_b"].buffers(), gan.generators["a_to_b"].buffers()
    pairs = list(zip(ours, theirs, strict=True))
    assert pairs
    assert all(torch.equal(mean, now) for mean, now in pairs)
    assert not gan.means["a_to_b"].training


@pytest.mark.parametrize(
    ("scale", "wanted", "steps"), [(1, None, 0), (2, None, 150), (4, 0, 0), (1, 7, 7)]
)
def test_a_kickstart_is_automatic_where_the_size_changes(
    tiny: ConfigMaker, scale: int, wanted: int | None, steps: int
) -> None:
    gan = CycleGan(tiny(scale=scale, optim={"kickstart": wanted}), CPU)
    assert gan.kickstart == steps


def test_trained_networks_need_no_kickstart_also_after_a_resume(
    tiny: ConfigMaker,
) -> None:
    config = tiny(optim={"kickstart": 9})
    gan, trained, resumed = (CycleGan(config, CPU) for _ in range(3))
    gan.take_weights(trained.networks)
    assert gan.kickstart == 0
    resumed.load_state_dict(copy.deepcopy(gan.state_dict()))
    assert resumed.kickstart == 0


@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_gradients_of_the_generators_are_no_longer_than_the_clip(
    tiny: ConfigMaker, clip: float
) -> None:
    gan = CycleGan(tiny(optim={"clip": clip}), CPU)
    gan.step(batch())
    squares = [
        float(weight.grad.square().sum())
        for network in gan.generators.values()
        for weight in network.parameters()
        if weight.grad is not None
    ]
    length = math.sqrt(sum(squares))
    assert (length <= 0.0101) == (clip > 0)
    assert length > 0
