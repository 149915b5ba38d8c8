from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import chisquare

from napari_cyclegan3d.engine import patches
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.patches import NormalisedVolume, PatchSampler
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.volume import Region, Shape, Volume

AS_IT_IS = Intensity(offset=0.0, gain=1.0)
PLAIN = parse(
    TrainConfig,
    {
        "patch": (4, 4, 4),
        "precision": "fp32",
        "discriminator": {"kind": "critic", "layers": 1},
        "sampling": {"min_content": 0},
        "augment": {"flips": False, "rotations": False},
    },
)


def changed(config: TrainConfig = PLAIN, **sections: Any) -> TrainConfig:
    """Settings with some values of some sections changed; patches of any shape."""
    values = {
        key: getattr(config, key).model_copy(update=value)
        if isinstance(value, dict)
        else value
        for key, value in sections.items()
    }
    return config.model_copy(update=values)


AUGMENTED = changed(augment={"flips": True, "rotations": True})


def numbered(shape: Shape, first: int = 0) -> Volume:
    """Every voxel holds its own number."""
    return Volume(np.arange(first, first + np.prod(shape)).reshape(shape))


def sampler(
    *volumes: Volume,
    config: TrainConfig = PLAIN,
    intensity: Intensity = AS_IT_IS,
    seed: int = 0,
) -> Callable[[], NDArray[np.float32]]:
    """A function that draws one patch of a domain A of these volumes."""
    domain = [NormalisedVolume(volume, intensity) for volume in volumes]
    other = [NormalisedVolume(numbered((8, 8, 8)), AS_IT_IS)]
    both = PatchSampler(domain, other, config, seed)
    return lambda: both.draw(1).real_a[0, 0].numpy()


def pair_sampler(seed: int, a: Volume, b: Volume, scale: int = 1) -> PatchSampler:
    domains = ([NormalisedVolume(volume, AS_IT_IS)] for volume in (a, b))
    return PatchSampler(*domains, changed(AUGMENTED, scale=scale), seed)


def region_at(origin: int, shape: Shape, patch: Shape) -> Region:
    starts = np.unravel_index(origin, shape)
    z, y, x = (slice(s, s + p) for s, p in zip(starts, patch, strict=True))
    return z, y, x


def test_a_patch_is_a_part_of_the_volume_after_normalisation() -> None:
    volume = numbered((6, 7, 8))
    one = sampler(
        volume,
        config=changed(patch=(4, 3, 5)),
        intensity=Intensity(offset=100.0, gain=4.0),
    )
    patch = one()
    grey = patch * 4 + 100
    region = region_at(int(grey[0, 0, 0]), volume.shape, (4, 3, 5))
    np.testing.assert_array_equal(grey, volume.read()[region])


def test_every_place_where_a_patch_fits_is_drawn_equally_often() -> None:
    # 3 · 2 · 4 places in one volume, 1 · 2 · 1 in the other
    first, second = numbered((6, 5, 7)), numbered((4, 5, 4), first=1000)
    draw = sampler(first, second)
    origins = [int(draw()[0, 0, 0]) for _ in range(2600)]
    _, counts = np.unique(origins, return_counts=True)
    assert len(counts) == 26
    assert chisquare(counts).pvalue > 0.001


def test_patches_of_a_and_b_are_drawn_independently() -> None:
    a, b = numbered((5, 5, 4)), numbered((4, 5, 5))
    both = PatchSampler(
        [NormalisedVolume(a, AS_IT_IS)], [NormalisedVolume(b, AS_IT_IS)], PLAIN, seed=0
    )
    drawn = [both.draw(1) for _ in range(1600)]
    origins_a = [int(one.real_a.flatten()[0]) for one in drawn]
    origins_b = [int(one.real_b.flatten()[0]) for one in drawn]
    for later in (origins_b, origins_b[1:], origins_b[2:]):
        for first, second in ((origins_a, later), (later, origins_a[1:])):
            seen = list(zip(first, second, strict=False))
            counts = [seen.count(both) for both in set(seen)]
            assert len(counts) == 16
            assert chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_batch_has_patches_of_a_and_scale_times_larger_ones_of_b(scale: int) -> None:
    batch = pair_sampler(0, numbered((6, 6, 6)), numbered((20, 20, 20)), scale).draw(3)
    assert batch.real_a.shape == (3, 1, 4, 4, 4)
    assert batch.real_b.shape == (3, 1, 4 * scale, 4 * scale, 4 * scale)
    assert not batch.paired


def drawn(one: PatchSampler, times: int = 5) -> NDArray[np.float32]:
    batches = [one.draw(2) for _ in range(times)]
    return np.array([[batch.real_a.numpy(), batch.real_b.numpy()] for batch in batches])


def test_the_same_seed_draws_the_same_patches_and_another_seed_others() -> None:
    a, b = numbered((6, 7, 8)), numbered((8, 7, 6))
    first = drawn(pair_sampler(3, a, b))
    np.testing.assert_array_equal(first, drawn(pair_sampler(3, a, b)))
    assert (first != drawn(pair_sampler(4, a, b))).any()


def test_a_patch_is_known_by_its_number_alone() -> None:
    a, b = numbered((6, 7, 8)), numbered((8, 7, 6))
    one, other = pair_sampler(3, a, b), pair_sampler(3, a, b)
    drawn(one)
    seventh = one.draw(1)
    assert torch.equal(other.numbered([10]).real_a, seventh.real_a)
    assert torch.equal(other.numbered([10]).real_b, seventh.real_b)


def test_no_voxel_outside_a_region_of_interest_is_drawn() -> None:
    volume = numbered((10, 11, 12))
    region = (slice(2, 8), slice(3, 8), slice(5, 11))
    one = sampler(volume.crop(region), config=AUGMENTED)
    seen = np.unique([one() for _ in range(300)])
    np.testing.assert_array_equal(seen, volume.read(region).ravel())


@pytest.mark.parametrize("patch", [(4, 4, 4), (2, 4, 4), (2, 3, 4)])
def test_flips_and_rotations_keep_the_voxels_and_the_shape_of_a_patch(
    patch: Shape,
) -> None:
    volume = numbered((8, 8, 8))
    one = sampler(volume, config=changed(AUGMENTED, patch=patch))
    turned = 0
    for _ in range(50):
        image = one()
        region = region_at(int(image.min()), volume.shape, patch)
        untouched = volume.read(region)
        assert image.shape == patch
        np.testing.assert_array_equal(np.unique(image), untouched.ravel())
        turned += (image != untouched).any()
    assert turned > 25


def slopes(volume: Volume, config: TrainConfig) -> set[tuple[int, ...]]:
    """In which directions the grey value rises, over many patches."""
    one = sampler(volume, config=config)
    found = set()
    for _ in range(100):
        image = one()
        found.add(tuple(int(np.diff(image, axis=n).mean()) for n in range(3)))
    return found


RAMP = np.broadcast_to(np.arange(8)[:, None, None], (8, 8, 8))


@pytest.mark.parametrize(
    ("config", "directions"),
    [
        (PLAIN, {(1, 0, 0)}),
        (changed(augment={"flips": True}), {(1, 0, 0), (-1, 0, 0)}),
        (
            changed(augment={"rotations": True}),
            {(n, 0, 0) for n in (1, -1)}
            | {(0, n, 0) for n in (1, -1)}
            | {(0, 0, n) for n in (1, -1)},
        ),
    ],
    ids=["plain", "flips", "rotations"],
)
def test_only_what_is_asked_for_is_done_to_a_patch(
    config: TrainConfig, directions: set[tuple[int, ...]]
) -> None:
    assert slopes(Volume(RAMP), config) == directions


def test_an_axis_of_other_voxel_size_is_never_turned_into_another() -> None:
    coarse_z = Volume(RAMP, np.diag([2.0, 1.0, 1.0, 1.0]))
    assert slopes(coarse_z, AUGMENTED) == {(1, 0, 0), (-1, 0, 0)}
    coarse_y = Volume(RAMP, np.diag([1.0, 2.0, 1.0, 1.0]))
    assert {n for n, _, _ in slopes(coarse_y, AUGMENTED)} == {-1, 0, 1}
    assert {n for _, n, _ in slopes(coarse_y, AUGMENTED)} == {0}


def test_one_volume_of_other_voxel_size_is_enough_to_keep_its_axis_in_place() -> None:
    domain = [Volume(RAMP), Volume(RAMP, np.diag([1.5, 1.0, 1.0, 1.0]))]
    one = sampler(*domain, config=AUGMENTED)
    for _ in range(100):
        image = one()
        np.testing.assert_array_equal(image.std(axis=(1, 2)), 0)


def half_empty(filling: float) -> Volume:
    grey = np.random.default_rng(0).normal(0, 1, (24, 8, 8)).astype(np.float32)
    grey[:12] = filling
    return Volume(grey)


@pytest.mark.parametrize("filling", [0.0, np.nan, np.inf])
def test_patches_that_show_nothing_or_miss_voxels_are_drawn_again(
    filling: float,
) -> None:
    one = sampler(
        half_empty(filling), config=changed(AUGMENTED, sampling={"min_content": 0.3})
    )
    for _ in range(100):
        image = one()
        assert image.std() >= 0.3
        if not np.isfinite(filling):
            assert (image != 0).all()


def test_with_the_rejection_off_empty_patches_are_drawn() -> None:
    one = sampler(half_empty(0.0))
    assert min(one().std() for _ in range(100)) == 0


def test_a_volume_that_shows_nothing_anywhere_still_gives_patches() -> None:
    one = sampler(
        Volume(np.zeros((8, 8, 8))), config=changed(sampling={"min_content": 1})
    )
    np.testing.assert_array_equal(one(), 0)


class Recorded:
    """An array that remembers what was read from it."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.sizes: list[int] = []

    def __getitem__(self, region: Region) -> NDArray[Any]:
        part = self.array[region]
        self.sizes.append(part.size)
        return part


def test_volumes_beyond_the_cache_are_read_patch_by_patch_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grey = numbered((6, 7, 8)).read()
    cached, lazy = Recorded(grey), Recorded(grey)
    one = sampler(Volume(cached))
    monkeypatch.setattr(patches, "CACHE_BYTES", 0)
    other = sampler(Volume(lazy))
    for _ in range(5):
        np.testing.assert_array_equal(one(), other())
    assert cached.sizes == [grey.size]
    assert lazy.sizes == [4**3] * 5


def test_a_patch_larger_than_a_volume_is_refused_by_the_name_of_the_volume() -> None:
    small = Volume(np.zeros((8, 3, 8)), name="small scan")
    with pytest.raises(InputError, match=r"^small scan: patch \(4, 4, 4\) is larger"):
        sampler(numbered((8, 8, 8)), small)


def test_a_volume_of_one_slice_is_refused_by_its_name() -> None:
    flat = Volume(np.zeros((1, 64, 64)), name="flat scan")
    with pytest.raises(InputError, match=r"^flat scan: .* is a single slice"):
        sampler(flat)


def test_a_patch_of_b_is_refused_where_scale_times_the_patch_does_not_fit() -> None:
    b = Volume(np.zeros((8, 7, 8)), name="slow scan")
    with pytest.raises(InputError, match=r"^slow scan: patch \(8, 8, 8\) is larger"):
        pair_sampler(0, numbered((8, 8, 8)), b, scale=2)
