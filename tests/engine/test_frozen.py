from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from napari_cyclegan3d.engine.networks import Generator, freeze_norms, with_norm
from napari_cyclegan3d.engine.networks.layers import ChannelAffine, InstanceNorm
from napari_cyclegan3d.engine.sections.networks import GeneratorConfig

# kind, scale, dims, side of a patch
NETWORKS: list[tuple[str, Fraction, int, int]] = [
    ("unet", Fraction(1), 3, 16),
    ("unet", Fraction(2), 3, 12),
    ("unet", Fraction(4), 3, 8),
    ("unet", Fraction(1, 2), 3, 16),
    ("unet11", Fraction(1), 2, 64),
    ("resnet", Fraction(1), 3, 16),
    ("resnet", Fraction(1), 2, 24),
    ("unet_strided", Fraction(1), 2, 32),
    ("srresnet", Fraction(2), 3, 8),
]
every_network = pytest.mark.parametrize(
    ("kind", "scale", "dims", "side"),
    NETWORKS,
    ids=[f"{n[0]}-{n[1]}" for n in NETWORKS],
)
both_norms = pytest.mark.parametrize("norm", ["instance", "instance_affine"])


def generator(
    kind: str, scale: Fraction = Fraction(1), dims: int = 3, **changes: Any
) -> Generator:
    """Random weights everywhere, also in norms."""
    values: dict[str, Any] = {
        "kind": kind,
        "filters": 4,
        "blocks": 2,
        "norm": "instance",
        "encoder": (4, 8, 8),
        "decoder": (8, 4),
    }
    torch.manual_seed(3)
    config = GeneratorConfig(**(values | changes))
    network = Generator(scale, config, noise=True, dims=dims)
    for module in network.modules():
        if isinstance(module, InstanceNorm):
            for parameter in module.parameters():
                nn.init.uniform_(parameter, 0.5, 2)
    return network.eval().requires_grad_(False)


def patches(count: int, dims: int, side: int) -> list[Tensor]:
    """Of different means and contrasts, as those of a real volume are."""
    random = torch.Generator().manual_seed(5)
    return [
        torch.randn(1, 2, *(side,) * dims, generator=random) * (0.5 + 0.5 * number)
        + number / 2
        for number in range(count)
    ]


def distance(result: Tensor, reference: Tensor) -> float:
    return float((result - reference).abs().max() / reference.std())


@every_network
@both_norms
def test_frozen_on_one_patch_a_network_gives_what_instance_norm_gave_of_it(
    kind: str, scale: Fraction, dims: int, side: int, norm: str
) -> None:
    network = generator(kind, scale, dims, norm=norm)
    (patch,) = patches(1, dims, side)
    frozen = freeze_norms(network, [patch])
    assert distance(frozen(patch), network(patch)) < 1e-4


@both_norms
def test_a_frozen_network_is_one_of_norm_affine_and_the_original_stays(
    norm: str,
) -> None:
    network = generator("resnet", norm=norm)
    weights = {key: value.clone() for key, value in network.state_dict().items()}
    (patch,) = patches(1, 3, 16)
    before = network(patch)
    frozen = freeze_norms(network, patches(3, 3, 16))
    assert (frozen.config.norm, frozen.tile_dependent) == ("affine", False)
    assert frozen.config.model_copy(update={"norm": norm}) == network.config
    # what a model file needs: it loads into a network of the settings
    Generator(Fraction(1), frozen.config, noise=True).load_state_dict(
        frozen.state_dict()
    )
    assert (network.config.norm, network.tile_dependent) == (norm, True)
    assert all(torch.equal(network.state_dict()[k], v) for k, v in weights.items())
    assert torch.equal(network(patch), before)


def test_a_frozen_network_no_longer_cares_what_else_is_in_the_image() -> None:
    network = generator("resnet")
    frozen = freeze_norms(network, patches(3, 3, 16))
    wide = torch.zeros(1, 2, 64, 16, 16)
    wide[:, :, :32] = patches(1, 3, 32)[0][..., :16, :16]
    other = wide.clone()
    other[:, :, 60:] = 9
    near = slice(None), slice(None), slice(8)  # farther than the network sees
    assert distance(frozen(other)[near], frozen(wide)[near]) < 1e-5
    assert distance(network(other)[near], network(wide)[near]) > 1e-2


def test_patches_one_by_one_or_in_a_batch_give_the_same_statistics() -> None:
    network, images = generator("unet"), patches(3, 3, 16)
    one_by_one = freeze_norms(network, images).state_dict()
    together = freeze_norms(network, [torch.cat(images)]).state_dict()
    for key, value in one_by_one.items():
        assert torch.allclose(value, together[key], rtol=1e-4, atol=1e-5), key


def test_all_patches_count_and_none_more_than_another() -> None:
    network, images = generator("unet"), patches(3, 3, 16)
    first = freeze_norms(network, images).state_dict()
    turned = freeze_norms(network, images[::-1]).state_dict()
    fewer = freeze_norms(network, images[:2]).state_dict()
    norms = [key for key in first if not torch.equal(first[key], fewer[key])]
    assert norms
    assert all(torch.allclose(first[key], turned[key]) for key in first)


def test_each_norm_is_the_scale_and_shift_closest_to_what_it_made_of_the_patches() -> (
    None
):
    network, images = generator("resnet"), patches(4, 3, 16)
    frozen = freeze_norms(network, images)
    name, norm = next(
        (name, layer)
        for name, layer in network.named_modules()
        if isinstance(layer, InstanceNorm)
    )
    seen: list[Tensor] = []
    hook = norm.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    for image in images:
        network(image)
    hook.remove()
    voxels = torch.stack([one[0, 0].flatten() for one in seen]).double()
    wanted = torch.stack([norm(one)[0, 0].flatten() for one in seen]).double()
    design = torch.stack([voxels.flatten(), torch.ones(voxels.numel())], 1)
    scale, shift = torch.linalg.lstsq(design, wanted.flatten()[:, None]).solution
    found = frozen.get_submodule(name)
    assert isinstance(found, ChannelAffine)
    assert float(found.weight[0]) == pytest.approx(float(scale), rel=1e-3)
    assert float(found.bias[0]) == pytest.approx(float(shift), rel=1e-3, abs=1e-4)


def test_a_network_can_go_to_scales_and_shifts_and_back() -> None:
    network = generator("resnet", norm="instance").requires_grad_(True)
    (patch,) = patches(1, 3, 16)
    affine = with_norm(network, "affine")
    assert all(one.requires_grad for one in affine.parameters())
    assert affine.state_dict().keys() > network.state_dict().keys()
    back = with_norm(affine, "instance")
    assert back.tile_dependent
    assert torch.equal(back(patch), network(patch))


@pytest.mark.parametrize("norm", ["none", "affine", "batch"])
def test_what_has_no_instance_norm_cannot_be_frozen(norm: str) -> None:
    with pytest.raises(ValueError, match=f"generator.norm {norm}: nothing to freeze"):
        freeze_norms(generator("unet", norm=norm), patches(1, 3, 16))


def test_nothing_can_be_measured_without_images() -> None:
    with pytest.raises(ValueError, match="give at least one"):
        freeze_norms(generator("unet"), [])
