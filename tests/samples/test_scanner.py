from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d.samples import scanner
from napari_cyclegan3d.samples.scanner import fast_scan, slow_scan

Image = NDArray[Any]
Scan = Callable[[Image, int], NDArray[np.uint16]]
SHAPE = (32, 64, 64)


def even(density: float, shape: tuple[int, int, int] = SHAPE) -> Image:
    return np.full(shape, density, np.float32)


@pytest.mark.parametrize("scan", [slow_scan, fast_scan])
def test_the_same_seed_gives_the_same_voxels(scan: Scan) -> None:
    first, second = scan(even(0.5), 1), scan(even(0.5), 1)
    assert first.dtype == np.uint16
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("scan", [slow_scan, fast_scan])
def test_another_seed_gives_other_noise(scan: Scan) -> None:
    assert (scan(even(0.5), 1) != scan(even(0.5), 2)).mean() > 0.9


def test_the_truth_has_the_grey_values_of_the_slow_scan_and_no_noise() -> None:
    truth = slow_scan(even(0.35), 1, noise=0)
    assert np.unique(truth).tolist() == [21_000]
    noisy = slow_scan(even(0.35), 1)
    assert noisy.mean() == pytest.approx(21_000, abs=20)
    assert noisy.std() == pytest.approx(600, rel=0.02)


def test_the_fast_scan_has_less_contrast_and_another_offset() -> None:
    dark, bright = (fast_scan(even(level), 1).mean() for level in (0.35, 0.75))
    assert dark == pytest.approx(14_000 + 26_000 * 0.35, rel=0.01)
    assert bright - dark == pytest.approx(26_000 * 0.4, rel=0.03)


def test_a_point_is_blurred_more_by_the_fast_scan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scanner, "FAST_NOISE", 0.0)
    monkeypatch.setattr(scanner, "FAST_PHOTONS", 1e12)
    monkeypatch.setattr(scanner, "RING_STRENGTH", 0.0)
    point = even(0.0)
    point[16, 32, 32] = 1
    width = []
    for image, offset in (
        (slow_scan(point, 1, noise=0), 0),
        (fast_scan(point, 1), 14e3),
    ):
        profile = image[16, 32].astype(float) - offset
        width.append(np.average((np.arange(64) - 32.0) ** 2, weights=profile))
    assert width[0] == pytest.approx(0.5**2, rel=0.2)
    assert width[1] == pytest.approx(1.0**2, rel=0.05)


def test_noise_grows_with_the_density_as_counting_noise_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scanner, "RING_STRENGTH", 0.0)
    low, high = (fast_scan(even(level), 1).var() / 26_000**2 for level in (0.1, 0.7))
    assert high - low == pytest.approx(0.6 / scanner.FAST_PHOTONS, rel=0.05)
    assert low == pytest.approx(
        0.1 / scanner.FAST_PHOTONS + scanner.FAST_NOISE**2, rel=0.05
    )


def test_noise_has_the_spectrum_of_filtered_back_projection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scanner, "RING_STRENGTH", 0.0)
    noise = fast_scan(even(0.5), 1).astype(float)
    power = (np.abs(np.fft.fftn(noise - noise.mean())) ** 2).mean(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64)))
    lowest = power[(frequency > 0) & (frequency < 0.05)].mean()
    middle = power[(frequency > 0.15) & (frequency < 0.25)].mean()
    highest = power[(frequency > 0.45) & (frequency < 0.5)].mean()
    assert middle > 1.5 * lowest
    assert middle > 1.5 * highest


def ring_profiles(seed: int) -> Image:
    """Mean grey value per slice and radius, without the slice's own mean."""
    scan = fast_scan(even(0.5, (128, 64, 64)), seed).astype(float)
    centred = np.arange(64) - 31.5
    radius = np.rint(np.hypot(centred[:, None], centred)).astype(int)
    radii = range(8, 31)
    profiles = np.stack([scan[:, radius == r].mean(1) for r in radii], 1)
    return profiles - profiles.mean(1, keepdims=True)


def test_rings_lie_about_the_z_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    with_rings = ring_profiles(3).std()
    monkeypatch.setattr(scanner, "RING_STRENGTH", 0.0)
    assert with_rings > 2 * ring_profiles(3).std()


def test_rings_persist_over_neighbouring_slices_and_change_over_distant_ones() -> None:
    profiles = ring_profiles(4)

    def likeness(apart: int) -> float:
        return np.corrcoef(profiles[apart:].ravel(), profiles[:-apart].ravel())[0, 1]

    assert likeness(1) > 0.8
    assert likeness(64) < 0.4


def test_some_rings_are_arcs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner, "FAST_NOISE", 0.0)
    monkeypatch.setattr(scanner, "FAST_PHOTONS", 1e12)
    scan = fast_scan(even(0.5), 5).astype(float) - (14_000 + 26_000 * 0.5)
    turned = np.rot90(scan, axes=(1, 2))
    assert np.abs(scan - turned).mean() > 0.1 * np.abs(scan).mean()
    assert np.corrcoef(scan.ravel(), turned.ravel())[0, 1] > 0.6


def test_grey_values_beyond_the_type_are_held_at_its_ends() -> None:
    assert slow_scan(even(2.0), 1).min() == 65_535
    assert slow_scan(even(0.0), 1).max() < 5_000
