from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_cyclegan3d.engine import degrade
from napari_cyclegan3d.engine.degrade import degraded, reduced
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.sections.patches import DegradeConfig
from napari_cyclegan3d.engine.volume import Volume

AFFINE = np.array(
    [[0.9, -0.4, 0.3, 12], [0.5, 1.7, -0.2, -7], [-0.1, 0.6, 3.1, 0.2], [0, 0, 0, 1]]
)


def random_volume(*shape: int) -> Volume:
    grey = np.random.default_rng(0).normal(100, 20, shape)
    return Volume(grey.astype(np.float32), AFFINE, unit="mm", name="fine")


def smooth(size: int) -> NDArray[np.float64]:
    """A wide Gaussian whose middle is that of the volume."""
    axis = (np.arange(size) - (size - 1) / 2) / (size / 6)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.exp(-(z**2 + y**2 + x**2) / 2)


def test_without_blur_reduction_and_noise_nothing_changes() -> None:
    volume = random_volume(5, 6, 7)
    result = degraded(volume, 1, DegradeConfig(blur=0, noise=0), seed=0)
    np.testing.assert_array_equal(result.read(), volume.read())
    np.testing.assert_allclose(result.affine, volume.affine, rtol=0, atol=0)


@pytest.mark.parametrize("scale", [2, 4])
def test_a_voxel_of_the_result_is_the_mean_of_the_block_that_it_covers(
    scale: int,
) -> None:
    volume = random_volume(9, 13, 11)  # the last voxels fill no block
    result = degraded(volume, scale, DegradeConfig(blur=0), seed=0)
    assert result.shape == (9 // scale, 13 // scale, 11 // scale)
    grey = volume.read()
    for index in np.ndindex(result.shape):
        block = tuple(slice(n * scale, (n + 1) * scale) for n in index)
        assert result.read()[index] == pytest.approx(grey[block].mean(), rel=1e-5)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_result_lies_over_its_source_in_the_world(scale: int) -> None:
    volume = random_volume(8, 8, 8)
    result = degraded(volume, scale, DegradeConfig(), seed=0)
    np.testing.assert_allclose(
        result.spacing, np.array(volume.spacing) * scale, rtol=1e-12
    )
    middle = (scale - 1) / 2
    np.testing.assert_allclose(
        result.affine @ [0, 0, 0, 1], volume.affine @ [middle, middle, middle, 1]
    )
    assert (result.unit, result.name) == ("mm", "fine")


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_enlarging_the_result_brings_no_shift(scale: int) -> None:
    grey = smooth(32)
    result = degraded(Volume(grey), scale, DegradeConfig(blur=1), seed=0).read()
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(result)[None, None], scale_factor=scale, mode="trilinear"
    )[0, 0].numpy()
    for axis in range(3):
        places = np.arange(32).reshape([32 if n == axis else 1 for n in range(3)])
        centre = (enlarged * places).sum() / enlarged.sum()
        assert centre == pytest.approx(15.5, abs=0.01)


def test_the_blur_has_the_width_asked_for_along_every_axis() -> None:
    grey = np.zeros((31, 31, 31))
    grey[15, 15, 15] = 1
    result = degraded(Volume(grey), 1, DegradeConfig(blur=2), seed=0).read()
    for axis in range(3):
        profile = result.sum(tuple(n for n in range(3) if n != axis))
        width = np.sqrt((profile * (np.arange(31) - 15) ** 2).sum())
        assert width == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("blur", [0.0, 0.7, 3.0])
def test_a_region_read_lazily_equals_that_part_of_the_whole(
    scale: int, blur: float
) -> None:
    clean = reduced(random_volume(25, 22, 31), scale, DegradeConfig(blur=blur))
    whole = clean.read()
    depth, height, width = clean.shape
    for region in [
        (slice(0, 2), slice(1, 3), slice(2, 5)),
        (slice(depth - 1, depth), slice(0, height), slice(width - 2, None)),
        (slice(2, 4), slice(2, 3), slice(3, 4)),
    ]:
        np.testing.assert_allclose(clean.read(region), whole[region], rtol=1e-6)


def test_reading_slab_by_slab_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    volume, config = random_volume(17, 8, 8), DegradeConfig(blur=1.5, noise=0.5)
    whole = degraded(volume, 2, config, seed=1).read()
    monkeypatch.setattr(degrade, "SLAB_VOXELS", 3 * 8 * 8)
    np.testing.assert_allclose(
        degraded(volume, 2, config, seed=1).read(), whole, rtol=1e-6
    )


def test_noise_is_a_share_of_the_deviation_of_the_fine_volume() -> None:
    volume = random_volume(40, 40, 40)
    clean = degraded(volume, 2, DegradeConfig(blur=1), seed=0).read()
    noise = degraded(volume, 2, DegradeConfig(blur=1, noise=0.5), seed=0).read() - clean
    assert noise.std() == pytest.approx(0.5 * volume.read().std(), rel=0.05)
    # white: neighbours know nothing of each other
    assert np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1] < 0.05


def test_the_seed_decides_the_noise() -> None:
    volume, config = random_volume(8, 8, 8), DegradeConfig(noise=0.5)
    first, again, other = (
        degraded(volume, 2, config, seed).read() for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


def test_a_voxel_without_a_value_spoils_only_what_is_near_it() -> None:
    volume = random_volume(24, 24, 24)
    grey: Any = volume.read().copy()
    grey[0, 0, 0] = np.nan
    result = degraded(Volume(grey), 2, DegradeConfig(blur=1), seed=0).read()
    assert np.isnan(result[0, 0, 0])
    expected = degraded(volume, 2, DegradeConfig(blur=1), seed=0).read()
    np.testing.assert_array_equal(result[3:, 3:, 3:], expected[3:, 3:, 3:])


def test_a_volume_smaller_than_a_block_is_refused_by_its_name() -> None:
    with pytest.raises(InputError, match=r"^fine: shape \(8, 3, 8\) cannot be reduced"):
        degraded(random_volume(8, 3, 8), 4, DegradeConfig(), seed=0)
