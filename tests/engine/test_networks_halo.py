"""How far a generator sees, checked by changing what lies outside."""

import time
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.networks import Generator, initialise, measure_halo
from napari_cyclegan3d.engine.sections.networks import GeneratorConfig

SCALES = [Fraction(1), Fraction(2), Fraction(4), Fraction(1, 2), Fraction(1, 4)]
STRIDED = {"kind": "unet_strided", "encoder": (2, 3, 2), "decoder": (3, 2)}
UPSAMPLERS = ("subpixel", "subpixel_nn", "resize")
CASES: list[tuple[str, Fraction, dict[str, Any]]] = [
    *((f"unet {scale}x", scale, {}) for scale in SCALES),
    ("unet affine", Fraction(1), {"norm": "affine"}),
    ("unet11", Fraction(1), {"kind": "unet11"}),
    ("resnet", Fraction(1), {"kind": "resnet", "blocks": 2}),
    ("resnet batch", Fraction(1), {"kind": "resnet", "blocks": 1, "norm": "batch"}),
    ("strided", Fraction(1), STRIDED),
    *(
        (
            f"srresnet {upsampler} {scale}x",
            Fraction(scale),
            {"kind": "srresnet", "blocks": 1, "upsampler": upsampler},
        )
        for scale in (2, 4)
        for upsampler in UPSAMPLERS
    ),
]
every_case = pytest.mark.parametrize(
    ("scale", "config"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
HALOS = [(12, 16), (12, 16), (6, 8), (32, 40), (64, 80)]


def generator(
    scale: Fraction, *, f: int = 2, dims: int = 2, **config: Any
) -> Generator:
    settings = GeneratorConfig.model_validate({"filters": f, **config})
    return Generator(scale, settings, noise=False, dims=dims).eval()


@pytest.mark.parametrize("f", [2, 4, 32])
@pytest.mark.parametrize("norm", ["none", "instance", "batch"])
@pytest.mark.parametrize("output", ["linear", "tanh"])
def test_the_halo_of_the_1x_generator_is_known_and_the_same_at_every_width(
    f: int, norm: str, output: str
) -> None:
    network = generator(Fraction(1), f=f, dims=3, norm=norm, output=output)
    assert measure_halo(network) == (12, 16)


@pytest.mark.parametrize(
    ("scale", "halo"), list(zip(SCALES, HALOS, strict=True)), ids=map(str, SCALES)
)
@pytest.mark.parametrize("dims", [2, 3])
def test_the_halo_is_the_same_in_2d_and_3d_and_in_whole_strides(
    scale: Fraction, halo: tuple[int, int], dims: int
) -> None:
    network = generator(scale, dims=dims)
    assert measure_halo(network) == halo
    assert all(side % network.stride == 0 for side in halo)


def test_each_residual_block_of_a_resnet_sees_8_voxels_farther() -> None:
    halos = [
        measure_halo(generator(Fraction(1), kind="resnet", blocks=blocks))
        for blocks in (6, 7, 9, 32)
    ]
    assert halos == [(60, 60), (68, 68), (84, 84), (268, 268)]


@pytest.mark.parametrize("kind", ["unet11", "resnet"])
def test_the_largest_halo_is_measured_in_a_moment(kind: str) -> None:
    network = generator(Fraction(1), f=8, dims=2, kind=kind, blocks=32)
    started = time.process_time()
    assert sum(measure_halo(network)) > 250
    assert time.process_time() - started < 5


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

    def __init__(
        self, scale: Fraction, config: dict[str, Any], *, positive: bool
    ) -> None:
        self.network = generator(scale, **config).double()
        random = torch.Generator().manual_seed(1)
        initialise(self.network, random)
        for name, parameter in self.network.named_parameters():
            if parameter.ndim == 1:  # a bias, or the scale of a norm
                mean = float("weight" in name)
                nn.init.normal_(parameter, mean, std=0.3, generator=random)
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
        self.inside = slice(2 * stride, side - 2 * stride)
        self.reference = self.core(self.image)

    def core(self, image: Tensor, start: int | None = None) -> Tensor:
        """What the network gives at the core, which starts where it is said to."""
        scale, start = self.network.scale, self.start if start is None else start
        part = slice(int(start * scale), int((start + self.stride) * scale))
        return self.network(image)[..., part, part]


@every_case
@pytest.mark.parametrize("positive", [True, False])
def test_nothing_outside_the_halo_changes_the_core(
    scale: Fraction, config: dict[str, Any], positive: bool
) -> None:
    cut = Cut(scale, config, positive=positive)
    changed = cut.image + 100
    changed[..., cut.inside, cut.inside] = cut.image[..., cut.inside, cut.inside]
    torch.testing.assert_close(cut.core(changed), cut.reference, rtol=1e-11, atol=1e-14)


@every_case
def test_a_core_computed_from_its_halo_alone_equals_that_of_the_whole(
    scale: Fraction, config: dict[str, Any]
) -> None:
    cut = Cut(scale, config, positive=False)
    assert cut.reference.std() > 1e-6
    tile = cut.image[..., cut.inside, cut.inside]
    core = cut.core(tile, cut.before)
    torch.testing.assert_close(core, cut.reference, rtol=1e-11, atol=1e-14)


@every_case
@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("side", ["before", "after"])
def test_the_outermost_stride_of_the_halo_does_change_the_core(
    scale: Fraction, config: dict[str, Any], axis: int, side: str
) -> None:
    cut = Cut(scale, config, positive=True)
    first = (
        cut.start - cut.before
        if side == "before"
        else cut.start + cut.after  # one stride before the end of the halo
    )
    changed = cut.image.clone()
    changed.narrow(axis, first, cut.stride).add_(1e5)
    relative = (cut.core(changed) / cut.reference - 1).abs().max()
    assert relative > 1e-9
