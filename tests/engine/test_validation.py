from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.patches import Batch, NormalisedVolume, PatchSampler
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.validation import Validator
from napari_cyclegan3d.engine.volume import Volume

Change = Callable[[Tensor], Tensor]


def blobs(seed: int, side: int) -> np.ndarray:
    """Bright blobs that fill a fifth of a cube."""
    noise = np.random.default_rng(seed).normal(size=(side, side, side))
    field = gaussian_filter(noise, 1.5, mode="wrap")
    image = gaussian_filter((field > np.percentile(field, 80)).astype(float), 0.5)
    return ((image - image.mean()) / image.std()).astype(np.float32)


def domain(
    *seeds: int, name: str = "scan_{}", side: int = 36
) -> list[NormalisedVolume]:
    plain = Intensity(offset=0, gain=1)
    return [
        NormalisedVolume(Volume(blobs(seed, side), name=name.format(n)), plain)
        for n, seed in enumerate(seeds)
    ]


def validator(
    pairs: bool = True, dims: int = 3, patches: int = 5, **changes: Any
) -> Validator:
    values: dict[str, Any] = {
        "dims": dims,
        "patch": (16, 16, 16) if dims == 3 else (1, 24, 24),
        "batch": 2,
        "validation": {"patches": patches},
        "sampling": {"pairs": pairs},
        "augment": {"flips": False, "rotations": False},
        "discriminator": {"layers": 1},
    }
    config = parse(TrainConfig, values | changes)
    # paired: of A and B the same; unpaired: other blobs of one look
    domain_b = (
        domain(1, 2, side=36 * config.scale) if pairs else domain(3, 4, name="other_{}")
    )
    return Validator(config, PatchSampler(domain(1, 2), domain_b, config, 0))


def networks(change: Change, cyclic: Change | None = None) -> Callable[..., Any]:
    """Networks that translate A to B by `change`, and there and back by `cyclic`."""

    def translate(batch: Batch) -> dict[str, Tensor]:
        return {
            "real_a": batch.real_a,
            "real_b": batch.real_b,
            "fake_b": change(batch.real_a),
            "cyclic_a": (cyclic or (lambda real: real))(batch.real_a),
        }

    return translate


def same(image: Tensor) -> Tensor:
    return image


def inverted(image: Tensor) -> Tensor:
    return -image


def blurred(image: Tensor) -> Tensor:
    sigmas = (0, 0, *(1.0,) * (image.ndim - 2))
    return torch.from_numpy(gaussian_filter(image.numpy(), sigmas))


def noisy(image: Tensor) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return image + 0.5 * torch.randn(image.shape, generator=random)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize("change", [inverted, blurred, noisy])
def test_inversion_blur_and_noise_lower_the_score(
    change: Change, pairs: bool, dims: int
) -> None:
    # looks of unpaired patches can be told apart where there are enough of them
    one = validator(pairs, dims, patches=5 if pairs else 30)
    worse = one.score(networks(change))["score"]
    assert worse < one.score(networks(same))["score"] - 0.05


def test_pairs_that_are_equal_have_the_best_score() -> None:
    assert validator().score(networks(same)) == {
        "psnr": np.inf,
        "ssim": pytest.approx(1),
        "score": pytest.approx(1),
    }


def test_paired_scores_are_those_of_scikit_image() -> None:
    one = validator()
    scores = one.score(networks(noisy))
    real = np.concatenate([batch.real_b[:, 0] for batch in one.batches])
    fake = np.concatenate([noisy(batch.real_a)[:, 0] for batch in one.batches])
    span = real.max() - real.min()
    expected = [
        structural_similarity(
            f.astype(np.float64),
            r.astype(np.float64),
            gaussian_weights=True,
            use_sample_covariance=False,
            data_range=span,
        )
        for f, r in zip(fake, real, strict=True)
    ]
    assert len(expected) == 5
    assert scores["ssim"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert scores["score"] == scores["ssim"]
    expected_psnr = peak_signal_noise_ratio(real, fake, data_range=span)
    assert scores["psnr"] == pytest.approx(expected_psnr, abs=1e-4)


def test_without_pairs_a_cycle_that_loses_the_image_lowers_the_score() -> None:
    one = validator(pairs=False)
    kept, lost = (
        one.score(networks(same, cyclic)) for cyclic in (same, torch.zeros_like)
    )
    assert kept["cycle"] == 0
    reals = torch.cat([batch.real_a for batch in one.batches])
    assert lost["cycle"] == pytest.approx(float(reals.abs().mean()), rel=1e-5)
    assert lost["distance"] == kept["distance"]
    assert lost["score"] == pytest.approx(kept["score"] - lost["cycle"])


def test_fakes_need_not_show_what_unpaired_patches_of_b_show() -> None:
    """Other blobs of the same look are much closer than the same blobs blurred."""
    one = validator(pairs=False, patches=30)
    other = one.score(networks(same))["distance"]
    assert other < 0.5 * one.score(networks(blurred))["distance"]


@pytest.mark.parametrize("pairs", [True, False])
def test_equal_networks_get_equal_scores(pairs: bool) -> None:
    one = validator(pairs)
    first = one.score(networks(noisy))
    one.score(networks(inverted))
    assert one.score(networks(noisy)) == first
    assert validator(pairs).score(networks(noisy)) == first


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_all_patches_are_scored_in_batches_of_the_training(batch: int) -> None:
    seen: list[int] = []

    def translate(given: Batch) -> Any:
        seen.append(len(given.real_a))
        return networks(same)(given)

    validator(batch=batch).score(translate)
    assert sum(seen) == 5
    assert max(seen) == min(batch, 5)


def test_scores_need_no_gradients() -> None:
    recorded: list[bool] = []

    def translate(batch: Batch) -> Any:
        recorded.append(torch.is_grad_enabled())
        return networks(same)(batch)

    validator().score(translate)
    assert not any(recorded)


def test_pairs_smaller_than_the_window_of_ssim_are_refused() -> None:
    with pytest.raises(InputError, match=r"patch \(5, 5, 5\).*11 voxels"):
        validator(
            method="srgan",
            scale=2,
            patch=(5, 5, 5),
            generator={"kind": "srresnet"},
            discriminator={"kind": "critic", "layers": 1},
            loss={"paired": 1},
        )
