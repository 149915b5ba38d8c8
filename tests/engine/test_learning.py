import copy
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.cyclegan import CycleGan
from napari_cyclegan3d.engine.footprint import LiveBytes
from napari_cyclegan3d.engine.passes import Passes
from napari_cyclegan3d.engine.patches import Batch

ConfigMaker = Callable[..., TrainConfig]
CPU = torch.device("cpu")
EVERYTHING: dict[str, Any] = {
    "loss": {"identity_a": 1.0, "identity_b": 2.0},
    "optim": {"clip": 0.0},
    "sampling": {"pool": 0},
}


def batch(scale: int = 1, size: int = 1, seed: int = 0, side: int = 12) -> Batch:
    random = torch.Generator().manual_seed(seed)
    a, b = (
        torch.randn((size, 1, edge, edge, edge), generator=random)
        for edge in (side, side * scale)
    )
    return Batch(a, b)


def joined(*batches: Batch) -> Batch:
    return Batch(
        torch.cat([one.real_a for one in batches]),
        torch.cat([one.real_b for one in batches]),
    )


def gradients(gan: CycleGan) -> dict[str, Tensor]:
    """What the last step followed, by network and layer."""
    return {
        f"{name}.{layer}": weight.grad
        for name, network in gan.networks.items()
        for layer, weight in network.named_parameters()
        if weight.grad is not None
    }


def assert_same_step(
    ours: CycleGan,
    theirs: CycleGan,
    told: Mapping[str, float],
    expected: Mapping[str, float],
) -> None:
    """Same terms and gradients but for the rounding of sums in another order."""
    watched = {name for name in told if "contrast" in name}
    assert told.keys() == expected.keys()
    assert {k: told[k] for k in told.keys() - watched} == pytest.approx(
        {k: expected[k] for k in told.keys() - watched}, rel=1e-5, abs=1e-6
    )
    right = gradients(theirs)
    assert right
    assert gradients(ours).keys() == right.keys()
    for name, gradient in gradients(ours).items():
        error = (gradient - right[name]).norm() / right[name].norm().clamp_min(1e-6)
        assert error < 1e-4, name


@pytest.mark.parametrize("scale", [1, 2])
def test_passes_that_are_joined_give_what_single_passes_give(
    tiny: ConfigMaker, scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(scale=scale, **EVERYTHING)
    gan, alone = CycleGan(config, CPU), CycleGan(config, CPU)
    told = gan.step(batch(scale))

    def separate(
        self: Passes, network: nn.Module, images: Mapping[str, Tensor], *_: float
    ) -> dict[str, Tensor]:
        return {name: self.run(network, image) for name, image in images.items()}

    monkeypatch.setattr(Passes, "run_each", separate)
    assert_same_step(gan, alone, told, alone.step(batch(scale)))


class Calls(TorchDispatchMode):
    """Counts calls of operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        self.counts[name] = self.counts.get(name, 0) + 1
        return func(*args, **(kwargs or {}))


def runs(network: nn.Module) -> Callable[[], list[int]]:
    """The sizes of the batches that a network is run on from now on."""
    sizes: list[int] = []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    return lambda: sizes


def test_a_step_runs_each_network_as_rarely_as_its_order_allows(
    tiny: ConfigMaker,
) -> None:
    gan = CycleGan(tiny(**EVERYTHING), CPU)
    sizes = {name: runs(network) for name, network in gan.networks.items()}
    gan.step(batch())
    assert {name: seen() for name, seen in sizes.items()} == {
        "a_to_b": [2, 1],  # fake_b and identity, then the cycle of fake_a
        "b_to_a": [3],  # fake_a, the cycle of fake_b and identity
        "judge_a": [2, 1],  # real and fake, then the fake again after the update
        "judge_b": [2, 1],
    }


def test_large_images_have_passes_of_their_own_in_generators(tiny: ConfigMaker) -> None:
    side = 44
    gan = CycleGan(tiny(patch=(side, side, side), **EVERYTHING), CPU)
    sizes = {name: runs(network) for name, network in gan.networks.items()}
    gan.step(batch(side=side))
    assert {name: seen() for name, seen in sizes.items()} == {
        "a_to_b": [1, 1, 1],
        "b_to_a": [1, 1, 1],
        "judge_a": [2, 1],
        "judge_b": [2, 1],
    }


def test_batch_norm_sees_one_kind_of_image_at_a_time(tiny: ConfigMaker) -> None:
    batch_norm = {"norm": "batch"}
    config = tiny(
        generator={"filters": 2} | batch_norm,
        discriminator={"filters": 4, "layers": 1} | batch_norm,
    )
    gan = CycleGan(config, CPU)
    sizes = {name: runs(network) for name, network in gan.networks.items()}
    gan.step(batch(size=2))
    assert {size for seen in sizes.values() for size in seen()} == {2}


def test_no_number_is_waited_for_within_a_step(tiny: ConfigMaker) -> None:
    gan = CycleGan(tiny(**EVERYTHING), CPU)
    gan.step(batch())
    with Calls() as calls:
        gan.step(batch())
    assert calls.counts["convolution"] > 10
    assert calls.counts.keys().isdisjoint(
        {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal"}
    )


@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_batches_one_after_the_other_give_the_step_of_one_large_batch(
    tiny: ConfigMaker, update: str
) -> None:
    changes = EVERYTHING | {
        "generator": {"filters": 2, "noise": False},
        # the generators answer to discriminators that have changed a lot
        "optim": {"clip": 0.0, "update": update, "lr_discriminator": 0.01},
    }
    gan, large = CycleGan(tiny(**changes), CPU), CycleGan(tiny(**changes), CPU)
    batches = [batch(seed=seed) for seed in range(3)]
    told, expected = gan.step(*batches), large.step(joined(*batches))
    assert_same_step(gan, large, told, expected)
    assert gan.steps_done == 1


def test_noise_stays_the_same_where_a_fake_is_made_twice(tiny: ConfigMaker) -> None:
    gan = CycleGan(tiny(**EVERYTHING), CPU)
    with torch.no_grad():  # untrained generators hardly see the noise
        for weight in gan.generators["b_to_a"].parameters():
            weight.mul_(3)
    made: list[Tensor] = []
    gan.generators["b_to_a"].register_forward_hook(
        lambda _, inputs, out: made.append(out[:1].detach())
    )
    gan.step(batch(seed=1), batch(seed=2))
    fakes = {tuple(fake.flatten()[:20].tolist()) for fake in made}
    assert len(made) == 3  # the first batch's before and after that of the second
    torch.testing.assert_close(made[0], made[2])
    assert len({round(fake[0], 4) for fake in fakes}) == 2


def test_recomputing_changes_memory_but_not_the_step(tiny: ConfigMaker) -> None:
    changes = EVERYTHING | {"generator": {"filters": 8}}
    kept = CycleGan(tiny(**changes), CPU)
    changes = changes | {"optim": {"clip": 0.0, "recompute": True}}
    recomputed = CycleGan(tiny(**changes), CPU)
    with LiveBytes() as more:
        expected = kept.step(batch(side=16))
    with LiveBytes() as less:
        told = recomputed.step(batch(side=16))
    assert_same_step(recomputed, kept, told, expected)
    assert less.peak < 0.5 * more.peak


def test_recomputing_counts_no_image_twice_in_batch_norm(tiny: ConfigMaker) -> None:
    gans = [
        CycleGan(
            tiny(
                generator={"filters": 2, "norm": "batch"},
                optim={"recompute": recompute},
            ),
            CPU,
        )
        for recompute in (False, True)
    ]
    for gan in gans:
        gan.step(batch(size=2))
    ours, theirs = (dict(gan.generators["a_to_b"].named_buffers()) for gan in gans)
    means = [name for name in ours if name.endswith("running_mean")]
    assert means
    for name in means:
        torch.testing.assert_close(ours[name], theirs[name])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_state_of_accumulated_steps_goes_on_bit_for_bit(
    tiny: ConfigMaker, precision: str
) -> None:
    config = tiny(
        precision=precision, optim={"accumulate": 2, "recompute": True, "kickstart": 3}
    )
    gan, other = CycleGan(config, CPU), CycleGan(config, CPU)
    gan.step(batch(seed=1), batch(seed=2))
    other.load_state_dict(copy.deepcopy(gan.state_dict()))
    ours, theirs = (g.step(batch(seed=3), batch(seed=4)) for g in (gan, other))
    assert ours == theirs
    assert all(math.isfinite(value) for value in ours.values())
    pairs = itertools.chain.from_iterable(
        zip(gan.networks[name].parameters(), net.parameters(), strict=True)
        for name, net in other.networks.items()
    )
    assert all(torch.equal(one, another) for one, another in pairs)


@pytest.mark.parametrize(("before", "after"), [("bf16", "fp32"), ("fp32", "bf16")])
def test_a_resume_in_another_number_format_keeps_each_weight_its_own_moments(
    tiny: ConfigMaker, before: str, after: str
) -> None:
    first = CycleGan(tiny(precision=before), CPU)
    first.step(batch())
    fused, plain = (CycleGan(tiny(precision=after), CPU) for _ in "ab")
    for gan in (fused, plain):
        gan.load_state_dict(copy.deepcopy(first.state_dict()))
    for optimiser in plain.optimisers.values():
        for group in optimiser.param_groups:
            group["fused"] = False
    fused.step(batch(seed=1))
    plain.step(batch(seed=1))
    for name, network in fused.networks.items():
        for ours, right in zip(
            network.parameters(), plain.networks[name].parameters(), strict=True
        ):
            torch.testing.assert_close(ours, right, rtol=1e-5, atol=1e-6)


def test_a_change_of_number_format_between_steps_goes_on_as_a_resume_does(
    tiny: ConfigMaker,
) -> None:
    gan, resumed = CycleGan(tiny(precision="bf16"), CPU), CycleGan(tiny(), CPU)
    gan.step(batch())
    resumed.load_state_dict(copy.deepcopy(gan.state_dict()))
    gan.compute_in(torch.float32)
    assert gan.step(batch(seed=1)) == resumed.step(batch(seed=1))
    assert torch.equal(
        torch.cat([p.detach().flatten() for p in gan.judges["judge_a"].parameters()]),
        torch.cat(
            [p.detach().flatten() for p in resumed.judges["judge_a"].parameters()]
        ),
    )
