import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d.engine import losses
from napari_cyclegan3d.engine.losses import AdversarialKind

SHAPES = [(1, 1, 18, 20, 22), (2, 1, 18, 20)]


def images(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("real", [True, False])
def test_a_judge_that_is_never_wrong_has_no_loss(real: bool) -> None:
    logits = torch.full((1, 1, 3, 3, 3), float(real))
    assert losses.adversarial(logits, "lsgan", real=real) == 0
    certain = torch.full((1, 1, 3, 3, 3), 100.0 if real else -100.0)
    assert losses.adversarial(certain, "bce", real=real) < 1e-30


@pytest.mark.parametrize("kind", ["lsgan", "bce"])
@pytest.mark.parametrize("real", [True, False])
def test_a_judge_that_is_wrong_loses_more_than_one_that_is_undecided(
    kind: AdversarialKind, real: bool
) -> None:
    undecided = 0.5 if kind == "lsgan" else 0.0
    wrong = undecided - 3 if real else undecided + 3
    doubt = float(losses.adversarial(torch.full((4,), undecided), kind, real=real))
    assert doubt == pytest.approx(0.25 if kind == "lsgan" else math.log(2))
    assert losses.adversarial(torch.full((4,), wrong), kind, real=real) > doubt


@pytest.mark.parametrize("blur", [0.0, 1.5])
def test_a_cycle_that_comes_back_exactly_has_no_loss(blur: float) -> None:
    image = images(SHAPES[0])
    assert losses.cycle(image, image.clone(), blur) == 0


@pytest.mark.parametrize("blur", [0.0, 1.5])
def test_a_constant_error_costs_its_size_whatever_the_blur(blur: float) -> None:
    image = images(SHAPES[0])
    assert float(losses.cycle(image + 0.25, image, blur)) == pytest.approx(0.25)


def test_a_blurred_cycle_forgives_noise_but_no_shift_of_brightness() -> None:
    image, noise = images(SHAPES[0]), images(SHAPES[0], 1)
    sharp = float(losses.cycle(image + noise, image))
    assert float(losses.cycle(image + noise, image, 2.0)) < 0.2 * sharp


@pytest.mark.parametrize("shape", SHAPES)
def test_a_blur_keeps_constants(shape: tuple[int, ...]) -> None:
    image = torch.full(shape, 3.25, dtype=torch.float64)
    torch.testing.assert_close(losses.gaussian_blur(image, 1.7), image)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_a_blur_is_the_gaussian_filter_of_scipy(
    shape: tuple[int, ...], sigma: float
) -> None:
    image = images(shape)
    blurred = losses.gaussian_blur(image, sigma)
    expected = [
        gaussian_filter(one[0], sigma, mode="mirror", radius=max(1, round(3 * sigma)))
        for one in image.numpy()
    ]
    np.testing.assert_allclose(blurred[:, 0].numpy(), expected, rtol=0, atol=1e-12)


def test_a_blur_wider_than_the_patch_is_cut_to_it() -> None:
    blurred = losses.gaussian_blur(images((1, 1, 4, 4, 4)), 8.0)
    assert blurred.shape == (1, 1, 4, 4, 4)
    assert torch.isfinite(blurred).all()
