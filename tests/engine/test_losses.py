import itertools
import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn import functional

from napari_cyclegan3d.engine import losses
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.losses import AdversarialKind, ImageTerm

# FSC
from napari_cyclegan3d.engine.metrics import fsc
from napari_cyclegan3d.engine.sections.losses import TERM, LossConfig

SHAPES = [(2, 1, 12, 14, 16), (2, 2, 16, 13), (1, 1, 4, 5, 4)]
KINDS = sorted(losses.KINDS)
ZERO_FOR_EQUALS = [kind for kind in KINDS if kind != "tv"]
NETWORK_TERMS = [
    f"{term}_{side}"
    for term, side in itertools.product(("adversarial", "cycle", "judge"), "ab")
]


def images(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def labels(
    n: int, *, real: bool, random: torch.Generator | None = None, **config: Any
) -> Tensor:
    return losses.label_targets(
        torch.zeros(n, 1, 2, 2, 2),
        LossConfig(**config),
        real=real,
        random=random or torch.Generator().manual_seed(0),
    )


# adversarial


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_a_judge_that_is_never_wrong_has_no_loss(target: float) -> None:
    targets = torch.full((1, 1, 3, 3, 3), target)
    assert losses.adversarial(targets, targets, "lsgan") == 0
    assert losses.adversarial(200 * targets - 100, targets, "bce") < 1e-30


@pytest.mark.parametrize("kind", ["lsgan", "bce"])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_a_judge_that_is_wrong_loses_more_than_one_that_is_undecided(
    kind: AdversarialKind, target: float
) -> None:
    undecided = 0.5 if kind == "lsgan" else 0.0
    wrong = undecided - 3 if target else undecided + 3
    targets = torch.full((4,), target)
    doubt = float(losses.adversarial(torch.full((4,), undecided), targets, kind))
    assert doubt == pytest.approx(0.25 if kind == "lsgan" else math.log(2))
    assert losses.adversarial(torch.full((4,), wrong), targets, kind) > doubt


def test_cross_entropy_of_logits_is_that_of_a_network_that_ends_in_a_sigmoid() -> None:
    logits = images((3, 1, 2, 2, 2)).requires_grad_()
    targets = labels(3, real=True, label_real=(0.7, 1.0))
    one = losses.adversarial(logits, targets, "bce")
    other = functional.binary_cross_entropy(torch.sigmoid(logits), targets)
    assert one.item() == pytest.approx(other.item(), rel=1e-6)
    (slope,) = torch.autograd.grad(one, logits)
    torch.testing.assert_close(slope, torch.autograd.grad(other, logits)[0])


@pytest.mark.parametrize(("kind", "share"), [("lsgan", 0.25), ("bce", 0.75)])
def test_the_share_seen_as_real_counts_decisions_above_the_threshold(
    kind: AdversarialKind, share: float
) -> None:
    assert losses.seen_as_real(torch.tensor([-1.0, 0.2, 0.4, 0.7]), kind) == share


# labels


@pytest.mark.parametrize("real", [True, False])
def test_hard_labels_are_ones_and_zeros_and_draw_no_random_numbers(real: bool) -> None:
    random = torch.Generator().manual_seed(5)
    before = random.get_state()
    assert (labels(7, real=real, random=random) == float(real)).all()
    assert torch.equal(random.get_state(), before)


def test_soft_labels_of_fakes_are_fake_and_of_reals_real() -> None:
    soft = {"label_real": (0.7, 1.2), "label_fake": (0.0, 0.3)}
    for real, (low, high) in ((True, soft["label_real"]), (False, soft["label_fake"])):
        drawn = labels(2000, real=real, **soft)[:, 0, 0, 0, 0]
        assert low <= drawn.min() < low + 0.01
        assert high - 0.01 < drawn.max() <= high
        assert float(drawn.mean()) == pytest.approx((low + high) / 2, abs=0.02)


def test_a_sample_has_one_label_and_other_samples_have_others() -> None:
    drawn = labels(5, real=True, label_real=(0.7, 1.2))
    assert drawn.shape == (5, 1, 2, 2, 2)
    assert (drawn == drawn[:, :1, :1, :1, :1]).all()
    assert len(drawn[:, 0, 0, 0, 0].unique()) == 5


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("soft", [{}, {"label_real": (0.7, 1.2)}])
def test_labels_are_flipped_as_often_as_stated_and_anew_at_each_call(
    real: bool, soft: dict[str, Any]
) -> None:
    random = torch.Generator().manual_seed(0)
    calls = [
        labels(1, real=real, random=random, label_flip=0.1, **soft)[0, 0, 0, 0, 0]
        for _ in range(2000)
    ]
    called_real = torch.stack(calls) > 0.5
    flips = called_real != real
    assert float(flips.float().mean()) == pytest.approx(0.1, abs=0.02)
    within = labels(2000, real=real, label_flip=0.1, **soft)[:, 0, 0, 0, 0] > 0.5
    assert float((within != real).float().mean()) == pytest.approx(0.1, abs=0.02)


def test_labels_come_as_the_logits_are() -> None:
    logits = torch.zeros(2, 1, 3, 3, dtype=torch.float64)
    random = torch.Generator().manual_seed(0)
    drawn = losses.label_targets(logits, LossConfig(), real=True, random=random)
    assert (drawn.shape, drawn.dtype) == (logits.shape, torch.float64)


# weights


def test_the_weights_of_3dcyclegan_are_rescaled_to_200() -> None:
    config = LossConfig(
        adversarial_a=10, adversarial_b=10, cycle_a=100, cycle_b=100, total=200
    )
    weights = losses.loss_weights(config, NETWORK_TERMS)
    assert list(weights) == NETWORK_TERMS
    expected = {"adversarial": 9.009, "cycle": 90.09, "judge": 0.9009}
    for name, weight in weights.items():
        assert weight == pytest.approx(expected[name[:-2]], rel=1e-4)
    assert sum(weights.values()) == pytest.approx(200)


def test_weights_are_as_they_are_set_without_a_total() -> None:
    config = LossConfig(identity_a=3, paired=4, judge=0.5)
    names = ["judge_b", "paired", "identity_a", "cycle_b"]
    assert losses.loss_weights(config, names) == {
        "judge_b": 0.5,
        "paired": 4.0,
        "identity_a": 3.0,
        "cycle_b": config.cycle_b,
    }


def test_weights_that_are_all_zero_stay_so_whatever_the_total() -> None:
    config = LossConfig(paired=0, total=200)
    assert losses.loss_weights(config, ["paired"]) == {"paired": 0}


# comparisons of images


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_equal_images_cost_nothing_and_unequal_ones_do(
    kind: str, shape: tuple[int, ...]
) -> None:
    image = images(shape)
    same = float(losses.image_loss([kind], image, image.clone()))
    other = float(losses.image_loss([kind], image, images(shape, 1)))
    assert other > 0.1
    if kind in ZERO_FOR_EQUALS:
        assert same == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.7, -3.0])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_finite_on_images_of_one_value(
    kind: str, level: float, shape: tuple[int, ...]
) -> None:
    image = torch.full(shape, level, requires_grad=True)
    for target in (torch.full(shape, level), torch.zeros(shape), images(shape)):
        loss = losses.image_loss([kind], image, target)
        (slope,) = torch.autograd.grad(loss, image)
        assert torch.isfinite(loss)
        assert torch.isfinite(slope).all()
    equal = losses.image_loss([kind], image, image.detach().clone())
    assert equal.item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_slope_of_a_comparison_is_its_finite_difference(
    kind: str, shape: tuple[int, ...]
) -> None:
    image, target = images(shape, 2).requires_grad_(), images(shape, 1)
    (slope,) = torch.autograd.grad(losses.image_loss([kind], image, target), image)
    step = 1e-2 * slope / slope.norm()
    with torch.no_grad():
        change = losses.image_loss([kind], image + step, target) - losses.image_loss(
            [kind], image - step, target
        )
    assert slope.norm() > 0
    assert float(change) == pytest.approx(0.02 * float(slope.norm()), rel=0.05)


@pytest.mark.parametrize("error", [0.25, -0.25])
def test_a_constant_error_costs_its_size_or_its_square(error: float) -> None:
    image = images(SHAPES[0])
    assert losses.image_loss(["l1"], image + error, image).item() == pytest.approx(0.25)
    assert losses.image_loss(["mse"], image + error, image).item() == pytest.approx(
        0.0625
    )


def test_a_ramp_along_one_axis_has_the_slopes_of_that_axis_alone() -> None:
    ramp = torch.arange(6.0).view(1, 1, 1, 6, 1).expand(1, 1, 6, 6, 6)
    flat = torch.zeros_like(ramp)
    # a slope of 3 along one of three axes; the sign of a slope is not compared
    assert float(losses.image_loss(["tv"], 3 * ramp, flat)) == pytest.approx(1)
    assert float(losses.image_loss(["gradient"], 3 * ramp, flat)) == pytest.approx(3)
    assert float(losses.image_loss(["gradient"], 3 * ramp, -3 * ramp)) == 0
    assert float(losses.image_loss(["gradient"], 3 * ramp, ramp)) == pytest.approx(
        4 / 3
    )


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_ssim_is_that_of_scikit_image_for_a_range_of_two(
    shape: tuple[int, ...],
) -> None:
    target = images(shape)
    image = target + 0.5 * images(shape, 1)
    expected = np.mean(
        [
            structural_similarity(
                one.double().numpy(),
                other.double().numpy(),
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                data_range=2.0,
            )
            for one, other in zip(
                image.flatten(0, 1), target.flatten(0, 1), strict=True
            )
        ]
    )
    assert 0.3 < expected < 0.95
    loss = losses.image_loss(["ssim"], image, target)
    assert float(loss) == pytest.approx(1 - expected, abs=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 12, 14, 16), (1, 1, 15, 17), (1, 1, 9, 9, 9)])
def test_shell_correlation_is_that_of_the_metric(shape: tuple[int, ...]) -> None:
    target = images(shape)
    image = target + images(shape, 1)
    _, correlation = fsc(image[0, 0].numpy(), target[0, 0].numpy())
    assert 0.3 < correlation.mean() < 0.9
    loss = losses.image_loss(["fsc"], image, target)
    assert float(loss) == pytest.approx(1 - correlation.mean(), abs=1e-5)


def test_shell_correlation_tells_channels_and_samples_apart() -> None:
    target = images((2, 2, 8, 8))
    swapped = target.flip(1)
    each = [
        losses.image_loss(["fsc"], swapped[n : n + 1, [c]], target[n : n + 1, [c]])
        for n, c in itertools.product(range(2), range(2))
    ]
    together = losses.image_loss(["fsc"], swapped, target)
    assert float(together) == pytest.approx(float(torch.stack(each).mean()), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_comparisons_are_computed_in_fp32(kind: str, dtype: torch.dtype) -> None:
    image, target = images(SHAPES[0]).to(dtype), images(SHAPES[0], 1).to(dtype)
    loss = losses.image_loss([kind], image, target)
    assert loss.dtype == torch.float32
    assert loss == losses.image_loss([kind], image.float(), target.float())


def test_terms_add_up_by_their_weights() -> None:
    image, target = images(SHAPES[1]), images(SHAPES[1], 1)
    l1, ssim = (losses.image_loss([kind], image, target) for kind in ("l1", "ssim"))
    both = losses.image_loss(["l1*2", "ssim*5e-1"], image, target)
    assert float(both) == pytest.approx(float(2 * l1 + ssim / 2))


def test_a_term_compares_the_channels_that_it_names() -> None:
    image, target = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    image[:, 0], image[:, 1], image[:, 2] = 1, 10, 100
    assert losses.image_loss(["l1"], image, target) == 37
    assert losses.image_loss(["l1[1]"], image, target) == 10
    assert losses.image_loss(["l1[0+2]"], image, target) == 50.5


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("l1", ImageTerm("l1")),
        ("ssim*0.5", ImageTerm("ssim", None, 0.5)),
        ("mse[0+12]", ImageTerm("mse", (0, 12))),
        ("gradient[3]*.25", ImageTerm("gradient", (3,), 0.25)),
        ("fsc*2e-3", ImageTerm("fsc", None, 0.002)),
        ("tv*0", ImageTerm("tv", None, 0.0)),
    ],
)
def test_terms_are_read_as_written(text: str, term: ImageTerm) -> None:
    assert losses.parse_term(text) == term


def test_the_settings_know_the_kinds_that_there_are() -> None:
    named = re.match(r"\(([^)]*)\)", TERM)
    assert named
    assert named[1].split("|") == list(losses.KINDS)


@pytest.mark.parametrize("text", ["l2", "l1[]", "l1*", "l1*-1", "ssim[0", "l1 ", ""])
def test_what_is_no_term_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"no loss; use l1, mse, gradient"):
        losses.parse_term(text)


@pytest.mark.parametrize("weight", ["1e999", "12345", "-1", "nan"])
def test_a_weight_beyond_all_measure_is_no_term(weight: str) -> None:
    with pytest.raises(InputError, match="no loss"):
        losses.parse_term(f"l1*{weight}")


def test_a_channel_that_is_not_there_is_refused_by_name() -> None:
    image = torch.zeros(1, 2, 4, 4)
    with pytest.raises(InputError, match=r"l1\[0\+2\].*no channel 2.*up to 1"):
        losses.image_loss(["l1[0+2]"], image, image)


# sizes and contrast


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("factor", [2, 4])
def test_an_enlarged_ramp_keeps_its_slope_and_its_edges(dims: int, factor: int) -> None:
    places = torch.arange(8.0) + 0.5  # voxel centres from the outer edge
    shape = (1, 1, *(8,) * dims)
    ramp = places.view(1, 1, *(1,) * (dims - 1), 8).expand(shape)
    large = losses.resized(ramp, Fraction(factor))
    assert large.shape == (1, 1, *(8 * factor,) * dims)
    expected = (torch.arange(8.0 * factor) + 0.5) / factor
    inner = slice(factor, -factor)  # past the last centres there is nothing to join
    assert torch.allclose(
        large[..., inner], expected[inner].expand_as(large[..., inner])
    )


@pytest.mark.parametrize("dims", [2, 3])
def test_a_reduced_image_holds_the_means_of_its_blocks(dims: int) -> None:
    image = images((2, 3, *(8, 4, 12)[:dims]))
    small = losses.resized(image, Fraction(1, 4))
    assert small.shape == (2, 3, *(2, 1, 3)[:dims])
    corner = image[(..., *(slice(0, 4),) * dims)]
    assert torch.allclose(
        small[(..., *(0,) * dims)], corner.flatten(2).mean(-1), atol=1e-6
    )
    assert torch.allclose(
        small.flatten(2).mean(-1), image.flatten(2).mean(-1), atol=1e-6
    )


def test_an_image_at_its_own_size_is_the_image() -> None:
    image = images(SHAPES[0])
    assert losses.resized(image, Fraction(1)) is image


def test_an_image_that_does_not_divide_into_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(8, 6, 8\).*1/4"):
        losses.resized(torch.zeros(1, 1, 8, 6, 8), Fraction(1, 4))


def test_contrast_is_the_correlation_of_numpy_and_knows_inversion() -> None:
    image = images(SHAPES[0])
    other = image + images(SHAPES[0], 1)
    expected = np.corrcoef(image.flatten().numpy(), other.flatten().numpy())[0, 1]
    assert 0.5 < expected < 0.9
    assert float(losses.contrast(image, other)) == pytest.approx(expected, abs=1e-5)
    assert float(losses.contrast(3 * image + 5, image)) == pytest.approx(1)
    assert float(losses.contrast(5 - 3 * image, image)) == pytest.approx(-1)


def test_an_image_of_one_value_has_no_contrast() -> None:
    flat = torch.full(SHAPES[0], 0.1)
    assert losses.contrast(flat, images(SHAPES[0])) == 0
    assert losses.contrast(images(SHAPES[0]), flat) == 0
    assert losses.contrast(flat, flat) == 0
