import math

import pytest
import torch

from napari_cyclegan3d.engine import losses
from napari_cyclegan3d.engine.losses import AdversarialKind

SHAPE = (1, 1, 8, 9, 10)


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


def test_a_cycle_that_comes_back_exactly_has_no_loss() -> None:
    image = images(SHAPE)
    assert losses.cycle(image, image.clone()) == 0


@pytest.mark.parametrize("error", [0.25, -0.25])
def test_a_constant_error_costs_its_size(error: float) -> None:
    image = images(SHAPE)
    assert float(losses.cycle(image + error, image)) == pytest.approx(0.25)
