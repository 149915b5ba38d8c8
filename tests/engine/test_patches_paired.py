from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d.engine import patches
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.degrade import degraded
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.patches import Batch, NormalisedVolume, PatchSampler
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.volume import Volume

INTENSITY = Intensity(offset=100.0, gain=20.0)
AS_IT_IS = Intensity(offset=0.0, gain=1.0)
CHANGES = {"angle": 20, "zoom": 0.3, "contrast": 0.3, "gamma": 0.3}


def settings(**changes: Any) -> TrainConfig:
    values = {
        "patch": (8, 8, 8),
        "precision": "fp32",
        "discriminator": {"kind": "critic", "layers": 1},
        "sampling": {"min_content": 0, "pairs": True},
        "augment": {"flips": False, "rotations": False},
    }
    return parse(TrainConfig, values | changes)


def srgan(**changes: Any) -> TrainConfig:
    values = {"method": "srgan", "loss": {"paired": 1}, "sampling": {"min_content": 0}}
    return settings(**(values | changes))


def volume(name: str, *shape: int, seed: int = 0) -> Volume:
    grey = np.random.default_rng(seed).normal(100, 20, shape)
    return Volume(grey.astype(np.float32), name=name)


def sampler(
    a: list[Volume],
    b: list[Volume],
    config: TrainConfig,
    intensity: Intensity = AS_IT_IS,
) -> PatchSampler:
    domains = (
        [NormalisedVolume(one, intensity) for one in domain] for domain in (a, b)
    )
    return PatchSampler(*domains, config, seed=0)


def arrays(batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return batch.real_a[:, 0].numpy(), batch.real_b[:, 0].numpy()


def enlarged(one: Volume, scale: int, name: str) -> Volume:
    grey = one.read()
    for axis in range(3):
        grey = grey.repeat(scale, axis)
    return Volume(grey, one.resampled(grey, scale).affine, name=name)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_both_patches_of_a_pair_show_the_same_place(scale: int) -> None:
    a = [volume(f"sub-{n}_T1w", 10, 11, 12, seed=n) for n in range(3)]
    b = [enlarged(a[n], scale, f"sub-{n}_T2w") for n in (2, 0, 1)]
    config = settings(scale=scale, augment={"flips": True, "rotations": True})
    batch = sampler(a, b, config).draw(30)
    assert batch.paired
    real_a, real_b = arrays(batch)
    for axis in (1, 2, 3):
        real_a = real_a.repeat(scale, axis)
    np.testing.assert_array_equal(real_a, real_b)


def test_every_change_is_the_same_for_both_members_of_a_pair() -> None:
    a = volume("x_T1", 12, 13, 14)
    b = Volume(a.read(), name="x_T2")
    config = settings(augment=CHANGES | {"flips": True, "rotations": True})
    both = sampler([a], [b], config)
    for _ in range(10):
        real_a, real_b = arrays(both.draw(2))
        np.testing.assert_array_equal(real_a, real_b)


@pytest.mark.parametrize("pairs", [True, False])
def test_noise_goes_to_a_alone(pairs: bool) -> None:
    a = Volume(np.zeros((40, 40, 40)), name="x_T1")
    b = Volume(np.zeros((40, 40, 40)), name="x_T2")
    config = settings(
        sampling={"min_content": 0, "pairs": pairs},
        augment={"flips": False, "rotations": False, "noise": 0.4},
    )
    real_a, real_b = arrays(sampler([a], [b], config).draw(50))
    assert (real_b == 0).all()
    deviations = real_a.std((1, 2, 3))
    assert deviations.max() == pytest.approx(0.4, abs=0.05)
    assert deviations.min() == pytest.approx(0, abs=0.05)


def test_a_pair_of_which_one_member_shows_nothing_is_drawn_again() -> None:
    full = volume("x_T1", 40, 8, 8)
    empty = full.read().copy()
    empty[:20] = 5
    config = settings(sampling={"min_content": 0.1, "pairs": True})
    for a, b in [(full.read(), empty), (empty, full.read())]:
        both = sampler([Volume(a, name="x_T1")], [Volume(b, name="x_T2")], config)
        real_a, real_b = arrays(both.draw(30))
        assert min(real_a.std((1, 2, 3)).min(), real_b.std((1, 2, 3)).min()) > 0


def test_a_turned_patch_shows_what_lies_beside_it_in_the_volume() -> None:
    ramp = np.broadcast_to(np.arange(60.0), (60, 60, 60))
    config = settings(
        augment={"flips": False, "rotations": False, "angle": 45},
        sampling={"min_content": 0, "pairs": False},
    )
    real_a, _ = arrays(sampler([Volume(ramp)], [Volume(ramp)], config).draw(60))
    # mirrored borders bend the ramp; they are met by the few patches that lie there
    bends = [
        max(np.abs(np.diff(patch, 2, axis)).max() for axis in range(3))
        for patch in real_a
    ]
    assert np.mean(np.array(bends) < 1e-3) > 0.7
    assert (
        len({round(float(patch[0, 0, 1] - patch[0, 0, 0]), 3) for patch in real_a}) > 9
    )


@pytest.mark.parametrize("cache", [2**31, 0])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_made_from_b_is_that_part_of_the_whole_degraded_volume(
    scale: int, cache: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patches, "CACHE_BYTES", cache)
    side = 8 * scale
    b = volume("scan", side + scale - 1, side + 3 * scale, side + 2 * scale + 1)
    kind = "unet" if scale == 1 else "srresnet"
    config = srgan(scale=scale, generator={"kind": kind}, degrade={"blur": 1.3})
    expected = INTENSITY.apply(degraded(b, scale, config.degrade, seed=0).read())
    fine = INTENSITY.apply(b.read())
    batch = sampler([], [b], config, INTENSITY).draw(25)
    assert batch.paired
    seen = set()
    for real_a, real_b in zip(*arrays(batch), strict=True):
        start = np.argwhere(fine == real_b[0, 0, 0])[0]
        coarse = tuple(slice(n // scale, n // scale + 8) for n in start)
        assert (start % scale == 0).all()
        exact = tuple(slice(n, n + side) for n in start)
        np.testing.assert_array_equal(real_b, fine[exact])
        np.testing.assert_allclose(real_a, expected[coarse], atol=1e-5)
        seen.add(tuple(start // scale))
    # the borders, where nothing may be invented, are among them
    assert {0, 3} <= {y for _, y, _ in seen}


def test_the_noise_of_a_made_from_b_is_new_in_every_patch() -> None:
    b = volume("scan", 20, 20, 20)
    config = srgan(
        scale=2,
        generator={"kind": "srresnet"},
        patch=(10, 10, 10),
        degrade={"noise": 0.5},
    )
    real_a, real_b = arrays(sampler([], [b], config, INTENSITY).draw(12))
    quiet = srgan(scale=2, generator={"kind": "srresnet"}, patch=(10, 10, 10))
    clean, same = arrays(sampler([], [b], quiet, INTENSITY).draw(12))
    np.testing.assert_array_equal(real_b, same)  # the patch is the whole volume
    noise = real_a - clean
    assert noise.std() == pytest.approx(0.5 * b.read().std() / 20, rel=0.05)
    assert np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1] < 0.1


def test_srgan_with_a_given_takes_pairs_by_name() -> None:
    a = [volume("sub-1_lowres", 9, 9, 9), volume("sub-2_lowres", 9, 9, 9, seed=1)]
    b = [enlarged(a[1], 2, "sub-2_fine"), enlarged(a[0], 2, "sub-1_fine")]
    config = srgan(scale=2, generator={"kind": "srresnet"})
    real_a, real_b = arrays(sampler(a, b, config).draw(10))
    np.testing.assert_array_equal(real_a, real_b[:, ::2, ::2, ::2])
    with pytest.raises(
        InputError, match=r"^sub-2_lowres of A: B has no volume of sub-2"
    ):
        sampler(a, b[1:], config)


def test_pairs_are_known_by_their_numbers() -> None:
    config = srgan(augment=CHANGES | {"noise": 0.2}, degrade={"blur": 1, "noise": 0.3})
    one, other = (sampler([], [volume("scan", 12, 13, 14)], config) for _ in range(2))
    one.draw(3)
    expected = arrays(one.draw(2))
    np.testing.assert_array_equal(arrays(other.numbered([3, 4])), expected)


def test_a_b_too_small_to_make_patches_of_a_is_refused_by_its_own_patch() -> None:
    config = srgan(scale=2, generator={"kind": "srresnet"})
    with pytest.raises(InputError, match=r"^scan: patch \(16, 16, 16\) is larger .*13"):
        sampler([], [volume("scan", 13, 40, 40)], config)
