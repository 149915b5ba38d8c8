import numpy as np
import pytest
import torch
from torch import Tensor

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.statistics import sample_patches
from napari_cyclegan3d.engine.volume import Shape, Volume

PLAIN = Intensity(offset=0.0, gain=1.0)


def places(shape: Shape) -> Volume:
    """Every voxel says where it is."""
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return Volume(array, name="scan")


def starts(patches: list[Tensor], shape: Shape) -> np.ndarray:
    first = [int(one.flatten()[0]) for one in patches]
    return np.stack(np.unravel_index(first, shape), 1)


def test_patches_are_the_same_at_every_call_and_reach_all_parts_of_a_volume() -> None:
    shape, patch = (40, 60, 50), (8, 8, 8)
    patches = list(sample_patches(places(shape), PLAIN, patch, 64, 3, 1))
    again = list(sample_patches(places(shape), PLAIN, patch, 64, 3, 1))
    assert len(patches) == 64
    assert all(one.shape == (1, 1, 8, 8, 8) for one in patches)
    assert all(torch.equal(a, b) for a, b in zip(patches, again, strict=True))
    at = starts(patches, shape)
    spaces = np.array(shape) - patch + 1
    # 4 parts along each axis get nearly the same number; no octant is left out
    quarters = (4 * at / spaces).astype(int)
    for axis in range(3):
        assert np.bincount(quarters[:, axis], minlength=4).min() >= 14
    octants = (2 * at / spaces).astype(int) @ (4, 2, 1)
    assert np.bincount(octants, minlength=8).min() >= 4
    # the patches are of neighbouring voxels
    assert float(patches[0][0, 0, 0, 0, 1] - patches[0][0, 0, 0, 0, 0]) == 1


def test_patches_are_normalised_and_channels_of_noise_are_zero() -> None:
    intensity = Intensity(offset=100.0, gain=20.0)
    volume = places((9, 9, 9))
    (plain,) = sample_patches(volume, PLAIN, (4, 4, 4), 1, 3, 1)
    (patch,) = sample_patches(volume, intensity, (4, 4, 4), 1, 3, 2)
    assert patch.shape == (1, 2, 4, 4, 4)
    assert patch.dtype == torch.float32
    assert torch.allclose(patch[:, :1], (plain - 100) / 20)
    assert not patch[:, 1:].any()


def test_a_2d_network_gets_slices() -> None:
    patches = list(sample_patches(places((9, 20, 20)), PLAIN, (1, 8, 12), 20, 2, 2))
    assert all(one.shape == (1, 2, 8, 12) for one in patches)
    assert len(set(starts(patches, (9, 20, 20))[:, 0])) == 9


def test_patches_that_show_nothing_or_miss_voxels_are_passed_over() -> None:
    volume = places((32, 32, 32))
    array = volume.read().copy()
    array[:16] = 7
    array[16:, :16] = np.nan
    volume = Volume(array, name="scan")
    patches = list(sample_patches(volume, PLAIN, (4, 4, 4), 30, 3, 1))
    assert len(patches) == 30
    for one in patches:
        assert one.isfinite().all()
        assert one.max() > one.min()


def test_a_volume_that_shows_nothing_anywhere_is_refused() -> None:
    volume = Volume(np.full((8, 8, 8), 3, np.uint8), name="empty scan")
    with pytest.raises(InputError, match=r"empty scan: 16 patches of .* all hold one"):
        list(sample_patches(volume, PLAIN, (4, 4, 4), 2, 3, 1))


def test_a_volume_smaller_than_a_patch_is_mirrored() -> None:
    volume = places((3, 20, 20))
    (patch,) = sample_patches(volume, PLAIN, (5, 4, 4), 1, 3, 1)
    assert patch.shape == (1, 1, 5, 4, 4)
    assert torch.equal(patch[0, 0, 3:], patch[0, 0, [1, 0]])
