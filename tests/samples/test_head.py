from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d.samples.head import (
    NOISE,
    SIGNAL_SCALE,
    T1_SIGNAL,
    T2_SIGNAL,
    TISSUES,
    head_mri,
    head_tissues,
)

Image = NDArray[Any]
SHAPE = (48, 64, 54)
SPACING = (3.6, 3.0, 3.0)


@pytest.fixture(scope="module")
def tissues() -> Image:
    return head_tissues(SHAPE, SPACING, 7)


def mean_signal(tissues: Image, image: Image, tissue: str) -> float:
    return image[tissues[TISSUES.index(tissue)] > 0.95].mean()


def test_the_same_seed_gives_the_same_voxels() -> None:
    first, second = (head_mri(SHAPE, SPACING, 7, T1_SIGNAL) for _ in range(2))
    assert first.dtype == np.int16
    np.testing.assert_array_equal(first, second)


def test_another_seed_gives_another_head(tissues: Image) -> None:
    other = head_tissues(SHAPE, SPACING, 8)
    assert np.abs(other - tissues).max(0).mean() > 0.05


def test_the_tissues_of_a_voxel_add_up_to_one(tissues: Image) -> None:
    assert tissues.min() >= 0
    np.testing.assert_allclose(tissues.sum(0), 1, atol=1e-5)


def test_every_tissue_is_there_and_air_surrounds_the_head(tissues: Image) -> None:
    assert (tissues.max((1, 2, 3)) > 0.95).all()
    air = tissues[TISSUES.index("air")]
    assert air[0, 0, 0] == air[-1, -1, -1] == 1
    assert air[:, :, [0, -1]].mean() > 0.95
    assert air[-1].mean() > 0.99


def test_the_cortex_lies_between_white_matter_and_fluid(tissues: Image) -> None:
    grey, white = (
        tissues[TISSUES.index(name)] for name in ("grey matter", "white matter")
    )
    bone = tissues[TISSUES.index("bone")]
    assert grey[32].sum() > 0.4 * white[32].sum()
    ray = 32, SHAPE[1] // 2  # from the left towards the middle of the brain
    first = [np.argmax(part[ray] > 0.3) for part in (bone, grey, white)]
    assert first == sorted(first)
    assert first[0] > 0


def test_white_matter_is_brightest_in_t1_and_fluid_is_darkest(tissues: Image) -> None:
    image = head_mri(SHAPE, SPACING, 7, T1_SIGNAL)
    white, deep, grey, fluid = (
        mean_signal(tissues, image, name)
        for name in ("white matter", "deep grey matter", "grey matter", "csf")
    )
    assert white > 1.1 * deep > 1.1 * grey > 1.5 * fluid


def test_fluid_is_brightest_in_t2_and_white_matter_is_darkest(tissues: Image) -> None:
    image = head_mri(SHAPE, SPACING, 7, T2_SIGNAL)
    fluid, grey, white = (
        mean_signal(tissues, image, name)
        for name in ("csf", "grey matter", "white matter")
    )
    assert fluid > 1.5 * grey > 1.1 * white


def test_air_has_the_noise_of_a_magnitude_image(tissues: Image) -> None:
    image = head_mri(SHAPE, SPACING, 7, T1_SIGNAL)
    air = image[tissues[0] == 1]
    scale = NOISE * SIGNAL_SCALE
    assert air.mean() == pytest.approx(scale * np.sqrt(np.pi / 2), rel=0.03)
    assert air.std() == pytest.approx(scale * np.sqrt(2 - np.pi / 2), rel=0.03)


def test_the_coil_sensitivity_varies_smoothly_within_a_tissue(tissues: Image) -> None:
    image = head_mri(SHAPE, SPACING, 7, T1_SIGNAL).astype(float)
    places = np.argwhere(tissues[TISSUES.index("white matter")] > 0.99)
    values = image[tuple(places.T)]
    plane = np.column_stack([places, np.ones(len(places))])
    trend = plane @ np.linalg.lstsq(plane, values, rcond=None)[0]
    assert 0.01 < trend.std() / values.mean() < 0.25
