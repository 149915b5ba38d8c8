from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.networks import (
    CONVOLUTIONS,
    Generator,
    PatchDiscriminator,
    build_discriminator,
    initialise,
)
from napari_cyclegan3d.engine.networks.layers import (
    InstanceNorm,
    NearestTransposed,
    PixelShuffle,
)
from napari_cyclegan3d.engine.sections.networks import (
    DiscriminatorConfig,
    GeneratorConfig,
)

SCALES = [Fraction(1), Fraction(2), Fraction(4), Fraction(1, 2), Fraction(1, 4)]
NAMES = [str(scale) for scale in SCALES]
STARTS = ["kaiming", "normal", "xavier", "orthogonal"]
every_scale = pytest.mark.parametrize("scale", SCALES, ids=NAMES)
every_start = pytest.mark.parametrize("start", STARTS)
both_dims = pytest.mark.parametrize("dims", [2, 3])

# every kind of generator at every scale, as small as it can be
SMALL_STRIDED = {"kind": "unet_strided", "encoder": (2, 3, 2), "decoder": (3, 2)}
SMALL_SRRESNET = {"kind": "srresnet", "blocks": 1}
SMALL: list[tuple[Fraction, dict[str, Any]]] = [
    *((scale, {"kind": "unet"}) for scale in SCALES),
    (Fraction(1), {"kind": "unet11"}),
    (Fraction(1), {"kind": "resnet", "blocks": 1}),
    (Fraction(1), SMALL_STRIDED),
    *(
        (Fraction(scale), {**SMALL_SRRESNET, "upsampler": upsampler})
        for scale in (2, 4)
        for upsampler in ("subpixel", "subpixel_nn", "resize")
    ),
]
every_generator = pytest.mark.parametrize(("scale", "config"), SMALL)


def generator(
    scale: Fraction | int,
    *,
    f: int = 2,
    dims: int = 2,
    channels: int = 1,
    **config: Any,
) -> Generator:
    settings = GeneratorConfig.model_validate({"filters": f, **config})
    return Generator(
        Fraction(scale), settings, noise=False, dims=dims, channels=channels
    )


def parameters(make: Callable[[], nn.Module]) -> int:
    with torch.device("meta"):  # counts without memory
        network = make()
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("scale", "published"),
    list(zip(SCALES, [707137, 1011361, 1149697, 3721281, 3721281], strict=True)),
    ids=NAMES,
)
def test_pooled_u_nets_have_as_many_parameters_as_those_of_3dcyclegan(
    scale: Fraction, published: int
) -> None:
    count = parameters(lambda: generator(scale, f=32, dims=3, norm="none"))
    assert count == published


@pytest.mark.parametrize(
    ("published", "scale", "dims", "channels", "config"),
    [
        (68767777, 1, 3, 1, {"kind": "unet11", "f": 32}),
        (7825153, 1, 2, 1, {"kind": "resnet", "f": 64, "norm": "instance"}),
        (11365633, 1, 2, 1, {"kind": "resnet", "f": 64, "blocks": 9}),
        (6895841, 1, 2, 1, {"kind": "resnet", "f": 56, "blocks": 7}),
        (
            2501507,
            1,
            2,
            3,
            {"kind": "unet_strided", "norm": "instance_affine", "bias": False},
        ),
        (
            1452803,
            1,
            2,
            3,
            {
                "kind": "unet_strided",
                "norm": "instance_affine",
                "encoder": (64, 128, 256),
                "decoder": (128, 64),
            },
        ),
    ],
)
def test_deeper_generators_have_the_published_number_of_parameters(
    published: int, scale: int, dims: int, channels: int, config: dict[str, Any]
) -> None:
    make = lambda: generator(scale, dims=dims, channels=channels, **config)  # noqa: E731
    assert parameters(make) == published


@pytest.mark.parametrize(
    ("published", "scale", "f", "blocks", "upsampler"),
    [
        (431097, 4, 32, 6, "subpixel"),
        (417209, 2, 32, 6, "subpixel"),
        (750689, 4, 32, 6, "resize"),
        (529377, 2, 32, 6, "resize"),
        (1690593, 4, 32, 6, "subpixel_nn"),
        (805793, 2, 32, 6, "subpixel_nn"),
        (2771777, 2, 64, 8, "subpixel_nn"),
    ],
)
def test_srresnets_have_as_many_parameters_as_those_of_3d_gan_superresolution(
    published: int, scale: int, f: int, blocks: int, upsampler: str
) -> None:
    config = {"kind": "srresnet", "norm": "batch"}
    make = lambda: generator(  # noqa: E731
        scale, f=f, dims=3, blocks=blocks, upsampler=upsampler, **config
    )
    assert parameters(make) == published


STRIDES_001 = (2, 2, 2, 2, 1)


@pytest.mark.parametrize(
    ("published", "f", "dims", "channels", "config"),
    [
        (11048769, 64, 3, 1, {"norm": "affine"}),
        (
            2762689,
            64,
            2,
            1,
            {"norm": "instance", "bias": True, "strides": STRIDES_001},
        ),
        (
            2116297,
            56,
            2,
            1,
            {"norm": "instance", "bias": True, "strides": STRIDES_001},
        ),
        (2766529, 64, 2, 3, {"norm": "instance_affine", "bias": True}),
        # the checkpoints of mri-gan have no biases in the first layer either
        (2765569 + 64, 64, 2, 3, {"norm": "instance_affine", "bias": False}),
    ],
)
def test_patch_discriminators_have_the_published_number_of_parameters(
    published: int, f: int, dims: int, channels: int, config: dict[str, Any]
) -> None:
    settings = DiscriminatorConfig(filters=f, layers=3, **config)
    assert parameters(lambda: PatchDiscriminator(settings, dims, channels)) == published


def test_the_critic_has_as_many_parameters_as_that_of_3d_gan_superresolution() -> None:
    config = DiscriminatorConfig(
        kind="critic", filters=32, layers=4, norm="batch", head="dense"
    )
    make = lambda: build_discriminator(config, 3, (92, 128, 128))  # noqa: E731
    assert parameters(make) == 104180321


@every_generator
@both_dims
@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_generator_gives_scale_times_as_many_voxels_per_axis(
    scale: Fraction, config: dict[str, Any], dims: int, noise: bool, channels: int
) -> None:
    settings = GeneratorConfig(filters=2, **config)
    network = Generator(scale, settings, noise=noise, dims=dims, channels=channels)
    assert (network.scale, network.inputs) == (scale, channels + noise)
    side = max(network.stride, 8 if settings.kind == "resnet" else 1)
    sides = [side, 2 * side, side][:dims]
    with torch.no_grad():
        out = network(torch.zeros(2, channels + noise, *sides))
    assert out.shape == (2, channels, *(int(side * scale) for side in sides))


@pytest.mark.parametrize("kind", ["unet11", "resnet", "unet_strided"])
def test_a_kind_that_only_keeps_the_size_refuses_other_scales(kind: str) -> None:
    with pytest.raises(ValueError, match="does not exist at 2x"):
        generator(2, kind=kind)


@pytest.mark.parametrize("scale", [Fraction(1), Fraction(1, 2)])
def test_the_srresnet_only_enlarges(scale: Fraction) -> None:
    with pytest.raises(ValueError, match="srresnet does not exist"):
        generator(scale, kind="srresnet")


@every_generator
def test_tanh_keeps_the_output_within_its_range_and_changes_nothing_else(
    scale: Fraction, config: dict[str, Any]
) -> None:
    linear = generator(scale, **config)
    bounded = generator(scale, output="tanh", **config)
    for parameter in linear.parameters():
        nn.init.normal_(parameter, std=0.5)
    bounded.load_state_dict(linear.state_dict())
    with torch.no_grad():
        image = torch.randn(1, 1, 2 * linear.stride + 8 * 4, linear.stride * 8)
        image = image[..., : image.shape[-2] // linear.stride * linear.stride, :]
        torch.testing.assert_close(bounded(image), linear(image).tanh())


def followers(network: nn.Module) -> list[str]:
    """What comes after each convolution but the last: a norm, or n as in none."""
    leaves = [m for m in network.modules() if not list(m.children())]
    return [
        "norm" if isinstance(after, InstanceNorm) else "n"
        for layer, after in pairwise(leaves)
        if isinstance(layer, CONVOLUTIONS)
    ]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"kind": "resnet", "blocks": 1}, ["n", *["norm"] * 6]),
        (SMALL_STRIDED, ["n", *["norm"] * 4]),
        ({"kind": "unet"}, ["norm"] * 7),
    ],
)
def test_every_convolution_is_normalised_but_the_last_and_the_first_of_some_kinds(
    config: dict[str, Any], expected: list[str]
) -> None:
    found = followers(generator(1, norm="instance", **config))
    assert [name for name in found if name == "norm"] == [
        name for name in expected if name == "norm"
    ]
    assert found[0] == expected[0]


@pytest.mark.parametrize(
    "norm", ["none", "instance", "instance_affine", "batch", "affine"]
)
@every_generator
def test_instance_norms_and_no_others_make_the_result_depend_on_the_tile(
    norm: str, scale: Fraction, config: dict[str, Any]
) -> None:
    network = generator(scale, norm=norm, **config).eval().requires_grad_(False)
    assert network.tile_dependent == norm.startswith("instance")
    learned = {"instance_affine", "batch", "affine"}
    scales = [p for n, p in network.named_parameters() if p.ndim == 1 and "weight" in n]
    assert bool(scales) == (norm in learned)


def test_an_instance_norm_gives_mean_0_and_deviation_1_whatever_the_image() -> None:
    network = PatchDiscriminator(DiscriminatorConfig(norm="instance", layers=1), 3)
    norm = network.layers[3]
    image = 3 + 7 * torch.randn((2, 32, 4, 5, 6)) * (0.1 + torch.rand((2, 32, 1, 1, 1)))
    out = norm(image)
    torch.testing.assert_close(
        out.mean((2, 3, 4)), torch.zeros(2, 32), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        out.std((2, 3, 4), correction=0), torch.ones(2, 32), atol=1e-3, rtol=0
    )


@both_dims
def test_a_strided_u_net_with_instance_norm_takes_the_smallest_tile(dims: int) -> None:
    network = generator(1, dims=dims, norm="instance_affine", **SMALL_STRIDED)
    assert network(torch.rand(1, 1, *(8,) * dims)).isfinite().all()


def test_pixels_are_shuffled_as_by_numpy_from_the_definition() -> None:
    """Channel c·8 + 4i + 2j + k becomes voxel (2z + i, 2y + j, 2x + k) of channel c."""
    shuffle = next(
        m
        for m in generator(2, dims=3, **SMALL_SRRESNET).modules()
        if isinstance(m, PixelShuffle)
    )
    image = torch.randn((2, 24, 3, 4, 5))
    out = shuffle(image).numpy()
    assert out.shape == (2, 3, 6, 8, 10)
    for i in range(2):
        for j in range(2):
            for k in range(2):
                expected = image[:, 4 * i + 2 * j + k :: 8].numpy()
                assert (out[:, :, i::2, j::2, k::2] == expected).all()
    flat = torch.randn((2, 12, 4, 5))
    assert torch.equal(shuffle(flat), nn.functional.pixel_shuffle(flat, 2))


@every_start
@both_dims
def test_the_nearest_neighbour_upsampler_starts_without_a_checkerboard(
    start: Any, dims: int
) -> None:
    network = generator(2, f=4, dims=dims, upsampler="subpixel_nn", **SMALL_SRRESNET)
    initialise(network, torch.Generator().manual_seed(3), start)
    enlarge = next(m for m in network.modules() if isinstance(m, NearestTransposed))
    out = enlarge(torch.randn(1, 4, *(5,) * dims))
    assert out.std() > 1e-3
    blocks = out
    for axis in range(2, 2 + dims):
        blocks = blocks.unfold(axis, 2, 2)
    blocks = blocks.flatten(-dims)
    torch.testing.assert_close(blocks, blocks[..., :1].expand_as(blocks))


def test_the_transposed_kernel_is_free_to_leave_the_nearest_neighbour() -> None:
    network = generator(2, upsampler="subpixel_nn", **SMALL_SRRESNET)
    initialise(network, torch.Generator().manual_seed(3))
    network(torch.randn(1, 1, 5, 5))[..., 1::2].sum().backward()
    kernel = next(p for p in network.parameters() if p.shape[-1] == 6)
    assert kernel.grad is not None
    assert not torch.allclose(kernel.grad[..., ::2], kernel.grad[..., 1::2])


@every_scale
def test_a_generator_starts_in_the_middle_of_the_range(scale: Fraction) -> None:
    network, random = generator(scale, f=4), torch.Generator().manual_seed(0)
    initialise(network, random)
    image = torch.randn((1, 1, 64, 64), generator=random)
    assert 0 < network(image).abs().mean() < 0.03


@every_start
@pytest.mark.parametrize(("kind", "scale"), [("resnet", 1), ("srresnet", 2)])
def test_a_deep_residual_generator_without_norm_starts_within_the_range(
    kind: str, scale: int, start: Any
) -> None:
    network, random = generator(scale, f=8, kind=kind, blocks=16), torch.Generator()
    initialise(network, random.manual_seed(0), start)
    assert 0 < network(torch.randn((1, 1, 32, 32), generator=random)).std() < 1.5


@pytest.mark.parametrize("kind", ["patch", "critic"])
@every_start
def test_a_discriminator_starts_undecided(kind: Any, start: Any) -> None:
    config = DiscriminatorConfig(kind=kind, filters=16, layers=2)
    judge, random = build_discriminator(config, 2), torch.Generator()
    initialise(judge, random.manual_seed(0), start)
    logits = judge(torch.randn((1, 1, 64, 64), generator=random))
    assert 0 < logits.abs().mean() < 0.7


def weights(network: nn.Module) -> list[Tensor]:
    kinds = (*CONVOLUTIONS, nn.Linear)
    return [m.weight for m in network.modules() if isinstance(m, kinds)]


@every_start
@every_generator
def test_all_biases_start_at_0_and_all_norms_at_1(
    start: Any, scale: Fraction, config: dict[str, Any]
) -> None:
    network = generator(scale, f=4, norm="batch", **config)
    initialise(network, torch.Generator().manual_seed(0), start)
    assert all(not p.any() for n, p in network.named_parameters() if "bias" in n)
    norms = [p for n, p in network.named_parameters() if p.ndim == 1 and "weight" in n]
    assert norms
    assert all((p == 1).all() for p in norms)
    assert all(weight.std() > 0 for weight in weights(network))


def started(start: Any) -> nn.Module:
    network = generator(1, f=32, dims=3)
    initialise(network, torch.Generator().manual_seed(0), start)
    return network


@pytest.mark.parametrize(
    ("start", "deviation"),
    [
        ("kaiming", (2 / 1.04 / (64 * 27)) ** 0.5),
        ("normal", 0.02),
        ("xavier", (2 / 1.04) ** 0.5 * (2 / ((64 + 128) * 27)) ** 0.5),
    ],
)
def test_weights_start_with_the_deviation_of_their_scheme(
    start: str, deviation: float
) -> None:
    second = weights(started(start))[1]  # 64 to 128 channels
    assert second.std().item() == pytest.approx(deviation, rel=0.02)


def test_orthogonal_weights_are_orthogonal() -> None:
    second = weights(started("orthogonal"))[1].flatten(1)
    gain = 2 / 1.04
    torch.testing.assert_close(
        second @ second.T, gain * torch.eye(128), atol=1e-4, rtol=0
    )


@every_start
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    start: Any,
) -> None:
    vectors = []
    for seed in (5, 5, 6):
        network = generator(2, dims=3, upsampler="subpixel_nn", **SMALL_SRRESNET)
        initialise(network, torch.Generator().manual_seed(seed), start)
        vectors.append(nn.utils.parameters_to_vector(network.parameters()))
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[0], vectors[2])


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("strides", [None, 1, 2])
@both_dims
def test_a_discriminator_judges_the_smallest_patch_that_the_settings_allow(
    layers: int, strides: int | None, dims: int
) -> None:
    config = DiscriminatorConfig(
        filters=2, layers=layers, strides=strides and (strides,) * (layers + 2)
    )
    side = TrainConfig(patch=(192, 192, 192), discriminator=config).smallest_patch
    logits = PatchDiscriminator(config, dims)(torch.zeros(1, 1, *(side,) * dims))
    assert logits.shape[:2] == (1, 1)
    assert logits.numel() >= 1


def test_strides_decide_the_number_of_judgements() -> None:
    config = DiscriminatorConfig(filters=2, layers=3, strides=STRIDES_001)
    judge = PatchDiscriminator(config, 2)
    with torch.no_grad():
        assert judge(torch.zeros(1, 1, 128, 128)).shape == (1, 1, 7, 7)
        assert judge(torch.zeros(1, 1, 256, 256)).shape == (1, 1, 15, 15)


@pytest.mark.parametrize("kind", ["patch", "critic"])
def test_the_slope_is_that_of_every_leaky_relu(kind: Any) -> None:
    config = DiscriminatorConfig(kind=kind, filters=2, slope=0.3)
    slopes = [
        m.negative_slope
        for m in build_discriminator(config).modules()
        if isinstance(m, nn.LeakyReLU)
    ]
    assert len(slopes) >= 3
    assert set(slopes) == {0.3}


@both_dims
@pytest.mark.parametrize("head", ["pool", "dense"])
def test_a_critic_gives_one_logit_for_each_image(dims: int, head: Any) -> None:
    config = DiscriminatorConfig(kind="critic", filters=2, layers=2, head=head)
    patch = (1 if dims == 2 else 9, 12, 16)
    judge = build_discriminator(config, dims, patch, channels=3)
    image = torch.rand(2, 3, *patch[3 - dims :])
    logits = judge(image)
    assert logits.shape == (2, 1)
    assert not torch.isclose(logits[0], logits[1])
    torch.testing.assert_close(judge(image[1:]), logits[1:])


def test_only_a_pooling_critic_judges_patches_of_any_size() -> None:
    config = DiscriminatorConfig(kind="critic", filters=2, head="pool")
    judge = build_discriminator(config)
    assert judge(torch.zeros(1, 1, 8, 8, 8)).shape == (1, 1)
    assert judge(torch.zeros(1, 1, 12, 8, 9)).shape == (1, 1)
    dense = DiscriminatorConfig(kind="critic", filters=2, head="dense")
    with pytest.raises(ValueError, match="give the patch"):
        build_discriminator(dense)


def test_logits_are_not_bounded() -> None:
    judge = PatchDiscriminator(DiscriminatorConfig(filters=4, layers=1), 2)
    assert judge(1e4 * torch.randn(1, 1, 16, 16)).abs().max() > 2
