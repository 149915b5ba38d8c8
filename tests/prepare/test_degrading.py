from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d import prepare
from napari_cyclegan3d.engine.degrade import degraded
from napari_cyclegan3d.engine.sections.patches import DegradeConfig
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare.projections import from_projections

Blob = Callable[..., np.ndarray]
ALL = {
    "blur": 0.5,
    "projections": 12,
    "rings": 0.2,
    "photons": 100.0,
    "noise": 0.1,
}


def phantom(size: int = 64) -> np.ndarray:
    """Discs in discs, softened: what a slice of a scan looks like."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    slices = [
        200.0 * (y**2 + x**2 < 0.7)
        + 100.0 * ((y - 0.3) ** 2 + (x - shift) ** 2 < 0.05)
        - 150.0 * ((y + 0.3) ** 2 + (x + shift) ** 2 < 0.04)
        for shift in (0.2, 0.4)
    ]
    return np.asarray(gaussian_filter(slices, (0, 1, 1)) + 1000, dtype=np.float32)


def test_blur_and_binning_are_those_of_the_training(ball: Volume) -> None:
    result = prepare.run(ball, "degrade", binning=2, blur=1.0)
    wanted = degraded(ball, 2, DegradeConfig(blur=1.0, noise=0), seed=0)
    np.testing.assert_array_equal(result.read(), wanted.read())
    np.testing.assert_allclose(result.affine, wanted.affine)


def test_nothing_asked_for_changes_nothing(ball: Volume) -> None:
    np.testing.assert_array_equal(prepare.run(ball, "degrade").read(), ball.read())


def test_a_region_is_what_it_is_in_the_whole_and_the_seed_decides(
    ball: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prepare.run(ball, "degrade", **ALL).read()
    monkeypatch.setattr("napari_cyclegan3d.prepare.degrading.SLAB_VOXELS", 2000)
    lazy = prepare.run(ball, "degrade", **ALL)
    part = (slice(3, 11), slice(5, 20), slice(4, 6))
    np.testing.assert_allclose(lazy.read(part), whole[part], rtol=1e-5, atol=1e-2)
    np.testing.assert_array_equal(lazy.read(part), lazy.read(part))
    other = prepare.run(ball, "degrade", **ALL, seed=1)
    assert np.abs(other.read() - whole).mean() > 1


def test_noise_is_as_strong_as_asked_for() -> None:
    step = np.zeros((16, 48, 48), np.float32)
    step[:, :, 24:] = 1000
    volume = Volume(step)
    gauss = prepare.run(volume, "degrade", noise=0.2).read() - step
    assert abs(gauss.std() / (0.2 * step.std()) - 1) < 0.05
    poisson = prepare.run(volume, "degrade", photons=400).read()
    assert (poisson[:, :, :24] == 0).all()
    bright = poisson[:, :, 24:]
    assert abs(bright.mean() / 1000 - 1) < 0.01
    assert abs(bright.std() / 50 - 1) < 0.05


def test_rings_lie_around_the_middle() -> None:
    flat = np.zeros((3, 61, 61), np.float32)
    flat[:, :, :30] = 100
    rings = prepare.run(Volume(flat), "degrade", rings=0.3).read() - flat
    y, x = np.mgrid[-30:31, -30:31]
    radius = np.hypot(y, x)
    for number in (5, 13, 25):
        on_ring = np.isclose(radius, number)
        assert on_ring.sum() >= 4
        assert np.ptp(rings[1][on_ring]) < 1e-3
    assert abs(rings.std() / (0.3 * flat.std()) - 1) < 0.5
    assert np.abs(rings[0] - rings[1]).max() > 1


def test_many_projections_give_the_slice_back_and_few_do_not() -> None:
    slices = phantom()
    errors = [
        float(np.sqrt(np.mean((from_projections(slices, count) - slices) ** 2)))
        for count in (180, 40, 10)
    ]
    assert errors[0] < 0.06 * slices.std()
    assert errors[0] < errors[1] < errors[2]
    assert errors[2] > 4 * errors[0]
    again = from_projections(slices, 180)
    np.testing.assert_allclose(again.mean(), slices.mean(), rtol=1e-3)


def test_few_projections_cost_as_much_as_with_scikit_image() -> None:
    transform = pytest.importorskip("skimage.transform", reason="to compare with")
    piece = phantom()[:1] - 1000
    # beyond the circle, theirs is 0
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    circle = y**2 + x**2 < 0.9
    for count in (8, 16, 32):
        angles = 180 * np.arange(count) / count
        theirs = transform.iradon(transform.radon(piece[0], angles), angles)
        ours = from_projections(piece, count)[0]
        errors = [(one - piece[0])[circle].std() for one in (ours, theirs)]
        assert 0.5 < errors[0] / errors[1] < 2


def test_pixels_that_are_no_squares_are_projected_in_the_world() -> None:
    slices = phantom(96)
    narrow = slices[:, :, ::2]
    result = from_projections(narrow, 150, (1.0, 2.0))
    assert np.sqrt(np.mean((result - narrow) ** 2)) < 0.15 * narrow.std()


def test_holes_stay_holes(ball: Volume) -> None:
    grey = ball.read().copy()
    grey[4, 3:6, 3:6] = np.nan
    result = prepare.run(Volume(grey), "degrade", **{**ALL, "blur": 0.0}).read()
    np.testing.assert_array_equal(np.isnan(result), np.isnan(grey))


def test_memory_is_bounded(
    blob: Blob,
    watched: Callable[[np.ndarray], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("arrays", "degrading"):
        monkeypatch.setattr(f"napari_cyclegan3d.prepare.{module}.SLAB_VOXELS", 8000)
    source = watched(blob((40, 40, 40)))
    prepare.run(Volume(source), "degrade", noise=0.1).read((slice(0, 30),) * 3)
    assert 0 < source.most <= 8000
