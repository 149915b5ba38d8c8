from fractions import Fraction

import pytest
import torch
from torch import nn

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.networks import (
    Generator,
    PatchDiscriminator,
    initialise,
    measure_halo,
)
from napari_cyclegan3d.engine.sections import DiscriminatorConfig, GeneratorConfig

SCALES = [Fraction(1), Fraction(2), Fraction(4), Fraction(1, 2), Fraction(1, 4)]
NAMES = [str(scale) for scale in SCALES]
every_scale = pytest.mark.parametrize("scale", SCALES, ids=NAMES)
both_dims = pytest.mark.parametrize("dims", [2, 3])


def generator(
    scale: Fraction, *, f: int = 2, dims: int = 2, **config: object
) -> Generator:
    settings = GeneratorConfig.model_validate({"filters": f, **config})
    return Generator(scale, settings, noise=False, dims=dims)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("scale", "published"),
    list(zip(SCALES, [707137, 1011361, 1149697, 3721281, 3721281], strict=True)),
    ids=NAMES,
)
def test_generators_have_as_many_parameters_as_those_of_3dcyclegan(
    scale: Fraction, published: int
) -> None:
    assert parameters(generator(scale, f=32, dims=3, norm="none")) == published


def test_the_discriminator_has_as_many_parameters_as_that_of_3dcyclegan() -> None:
    config = DiscriminatorConfig(filters=64, layers=3, norm="affine")
    assert parameters(PatchDiscriminator(config)) == 11048769


@every_scale
@both_dims
@pytest.mark.parametrize("noise", [False, True])
def test_a_generator_gives_scale_times_as_many_voxels_per_axis(
    scale: Fraction, dims: int, noise: bool
) -> None:
    network = Generator(scale, GeneratorConfig(filters=2), noise=noise, dims=dims)
    sides = [network.stride * n for n in (1, 2, 3)[:dims]]
    out = network(torch.zeros(2, 1 + noise, *sides))
    assert out.shape == (2, 1, *(int(side * scale) for side in sides))
    assert network.inputs == 1 + noise


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@both_dims
def test_a_discriminator_judges_the_smallest_patch_that_the_settings_allow(
    layers: int, dims: int
) -> None:
    config = DiscriminatorConfig(filters=2, layers=layers)
    side = TrainConfig(patch=(96, 96, 96), discriminator=config).smallest_patch
    logits = PatchDiscriminator(config, dims)(torch.zeros(1, 1, *(side,) * dims))
    assert logits.shape[:2] == (1, 1)
    assert logits.numel() >= 1


@pytest.mark.parametrize("norm", ["none", "instance", "affine"])
def test_only_instance_norm_makes_the_result_depend_on_the_tile(norm: str) -> None:
    assert generator(Fraction(1), norm=norm).tile_dependent == (norm == "instance")


@every_scale
def test_a_generator_starts_in_the_middle_of_the_range(scale: Fraction) -> None:
    network, random = generator(scale, f=4), torch.Generator().manual_seed(0)
    initialise(network, random)
    image = torch.randn((1, 1, 64, 64), generator=random)
    assert 0 < network(image).abs().mean() < 0.03


def test_a_discriminator_starts_undecided() -> None:
    judge, random = PatchDiscriminator(DiscriminatorConfig(), 2), torch.Generator()
    initialise(judge, random.manual_seed(0))
    logits = judge(torch.randn((1, 1, 64, 64), generator=random))
    assert 0 < logits.abs().mean() < 0.7


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    weights = []
    for seed in (5, 5, 6):
        network = generator(Fraction(1), dims=3)
        initialise(network, torch.Generator().manual_seed(seed))
        weights.append(nn.utils.parameters_to_vector(network.parameters()))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


HALOS = [(12, 16), (12, 16), (6, 8), (32, 40), (64, 80)]


@pytest.mark.parametrize("f", [2, 4, 32])
def test_the_halo_of_the_1x_generator_is_known_and_the_same_at_every_width(
    f: int,
) -> None:
    assert measure_halo(generator(Fraction(1), f=f, dims=3)) == (12, 16)


@pytest.mark.parametrize(
    ("scale", "halo"), list(zip(SCALES, HALOS, strict=True)), ids=NAMES
)
@both_dims
def test_the_halo_is_the_same_in_2d_and_3d_and_in_whole_strides(
    scale: Fraction, halo: tuple[int, int], dims: int
) -> None:
    network = generator(scale, dims=dims)
    assert measure_halo(network) == halo
    assert all(side % network.stride == 0 for side in halo)


def test_measuring_the_halo_changes_no_weight_and_no_random_state() -> None:
    network = generator(Fraction(1))
    before = nn.utils.parameters_to_vector(network.parameters()).clone()
    state = torch.get_rng_state()
    measure_halo(network)
    assert torch.equal(before, nn.utils.parameters_to_vector(network.parameters()))
    assert torch.equal(state, torch.get_rng_state())


class Cut:
    """A core of one stride with its halo, inside an image two strides larger.

    With positive weights and a positive image nothing is lost in a ReLU and a brighter
    voxel passes every max pool: whatever can matter does.
    """

    def __init__(self, scale: Fraction, *, positive: bool) -> None:
        self.network = generator(scale).double()
        random = torch.Generator().manual_seed(1)
        for parameter in self.network.parameters():
            nn.init.normal_(parameter, std=0.3, generator=random)
            if positive:
                parameter.data.abs_()
        self.network.requires_grad_(False)
        stride = self.stride = self.network.stride
        self.before, self.after = measure_halo(self.network)
        self.start = 2 * stride + self.before  # of the core
        side = self.start + stride + self.after + 2 * stride
        self.image = torch.rand(
            (1, 1, side, side), generator=random, dtype=torch.float64
        )
        self.reference = self.core(self.image)

    def core(self, image: torch.Tensor) -> torch.Tensor:
        scale = self.network.scale
        start, stop = int(self.start * scale), int((self.start + self.stride) * scale)
        return self.network(image)[..., start:stop, start:stop]


@every_scale
@pytest.mark.parametrize("positive", [True, False])
def test_nothing_outside_the_halo_changes_the_core(
    scale: Fraction, positive: bool
) -> None:
    cut = Cut(scale, positive=positive)
    inside = slice(cut.start - cut.before, cut.start + cut.stride + cut.after)
    changed = cut.image + 100
    changed[..., inside, inside] = cut.image[..., inside, inside]
    torch.testing.assert_close(cut.core(changed), cut.reference, rtol=1e-12, atol=0)


@every_scale
@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("side", ["before", "after"])
def test_the_outermost_stride_of_the_halo_does_change_the_core(
    scale: Fraction, axis: int, side: str
) -> None:
    cut = Cut(scale, positive=True)
    first = (
        cut.start - cut.before
        if side == "before"
        else cut.start + cut.after  # one stride before the end of the halo
    )
    changed = cut.image.clone()
    changed.narrow(axis, first, cut.stride).add_(100)
    relative = (cut.core(changed) / cut.reference - 1).abs().max()
    assert relative > 1e-9
