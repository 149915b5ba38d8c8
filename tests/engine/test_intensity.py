from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d.engine import intensity
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import Intensity, check_contrast, fit_intensity
from napari_cyclegan3d.engine.sections.patches import IntensityConfig
from napari_cyclegan3d.engine.volume import Region, Volume

METHODS = ("zscore", "percentile", "minmax")


def scan(seed: int, mean: float = 1000.0, dtype: str = "f4") -> Volume:
    rng = np.random.default_rng(seed)
    grey = rng.gamma(2.0, 50.0, (13, 11, 17)) + mean
    return Volume(grey.astype(dtype), name=f"scan {seed}")


def fitted(
    volumes: Sequence[Volume], method: str = "zscore", limits: tuple = (0.5, 99.5)
) -> Intensity:
    return fit_intensity(
        volumes,
        IntensityConfig.model_validate({"method": method, "percentiles": limits}),
    )


def expected(grey: NDArray[np.generic], method: str) -> tuple[float, float]:
    """Offset and gain of all finite voxels at once, by numpy."""
    values = grey[np.isfinite(grey)].astype(np.float64)
    if method == "zscore":
        return values.mean(), values.std()
    limits = (0.5, 99.5) if method == "percentile" else (0, 100)
    low, high = np.percentile(values, limits)
    return (low + high) / 2, (high - low) / 2


@pytest.mark.parametrize("dtype", ["u1", "i2", ">u2", "f2", "f4", "f8"])
@pytest.mark.parametrize("method", METHODS)
def test_applied_and_inverted_grey_values_come_back(method: str, dtype: str) -> None:
    volume = scan(1, mean=10, dtype=dtype)
    one = fitted([volume], method)
    back = one.invert(one.apply(volume.read()))
    assert back.dtype == np.float32
    grey = volume.read().astype(np.float64)
    np.testing.assert_allclose(back, grey, rtol=1e-6, atol=1e-5 * np.ptp(grey))


@pytest.mark.parametrize("slab_voxels", [1, 3 * 11 * 17, 5 * 11 * 17 + 4, 10**6])
@pytest.mark.parametrize("method", METHODS)
def test_a_fit_slab_by_slab_is_the_fit_over_the_whole_volume(
    monkeypatch: pytest.MonkeyPatch, method: str, slab_voxels: int
) -> None:
    monkeypatch.setattr(intensity, "SLAB_VOXELS", slab_voxels)
    volume = scan(1)
    one = fitted([volume], method)
    np.testing.assert_allclose(
        (one.offset, one.gain), expected(volume.read(), method), rtol=1e-9
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_fit_of_a_domain_is_the_fit_over_all_its_voxels_together(
    method: str,
) -> None:
    volumes = [scan(1, mean=0), scan(2, mean=300), scan(3, mean=-50, dtype="i2")]
    one = fitted(volumes, method)
    together = np.concatenate([v.read().astype(np.float64).ravel() for v in volumes])
    np.testing.assert_allclose(
        (one.offset, one.gain), expected(together, method), rtol=1e-6
    )


def test_a_variance_far_below_the_mean_is_still_found() -> None:
    volume = Volume(scan(1).read().astype(np.float64) + 1e9)
    assert fitted([volume]).gain == pytest.approx(volume.read().std(), rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_voxels_that_are_no_finite_numbers_count_for_nothing(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(intensity, "SLAB_VOXELS", 2 * 11 * 17)
    grey = scan(1).read().copy()
    grey[:3] = np.nan
    grey[5, 2:4] = np.inf
    grey[6, 2, 3] = -np.inf
    one = fitted([Volume(grey)], method)
    np.testing.assert_allclose(
        (one.offset, one.gain), expected(grey, method), rtol=1e-6
    )


def test_voxels_that_are_no_finite_numbers_become_the_middle_of_the_range() -> None:
    grey = np.array([[[np.nan, np.inf, -np.inf, 7.0]]])
    normalised = Intensity(offset=5.0, gain=2.0).apply(grey)
    np.testing.assert_array_equal(normalised, [[[0, 0, 0, 1]]])


def test_the_source_is_not_changed_by_apply() -> None:
    grey = np.array([[[np.nan, 7.0]]], np.float32)
    Intensity(offset=5.0, gain=2.0).apply(grey)
    np.testing.assert_array_equal(grey, [[[np.nan, 7.0]]])


def test_zscore_makes_mean_zero_and_deviation_one() -> None:
    normalised = fitted([scan(1)]).apply(scan(1).read())
    assert normalised.mean() == pytest.approx(0, abs=1e-5)
    assert normalised.std() == pytest.approx(1, abs=1e-5)


def test_minmax_makes_the_darkest_voxel_minus_one_and_the_brightest_one() -> None:
    normalised = fitted([scan(1)], "minmax").apply(scan(1).read())
    assert normalised.min() == pytest.approx(-1, abs=1e-5)
    assert normalised.max() == pytest.approx(1, abs=1e-5)


def test_the_percentiles_become_minus_one_and_one() -> None:
    limits = (5.0, 80.0)
    normalised = fitted([scan(1)], "percentile", limits).apply(scan(1).read())
    np.testing.assert_allclose(np.percentile(normalised, limits), (-1, 1), atol=1e-5)


def test_percentiles_of_a_sample_are_close_to_those_of_all_voxels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intensity, "SAMPLE_VOXELS", 500)
    volume = scan(1)
    one = fitted([volume], "percentile", (10, 90))
    low, high = np.percentile(volume.read(), (10, 90))
    assert one.offset == pytest.approx((low + high) / 2, abs=0.05 * (high - low))
    assert one.gain == pytest.approx((high - low) / 2, rel=0.1)


def test_a_sample_of_percentiles_shows_all_columns_of_a_volume(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grey = np.random.default_rng(0).normal(50, 5, (32, 32, 32))
    grey[:, :, 0] = 0  # air beside the object
    grey[3:5] = np.nan
    monkeypatch.setattr(intensity, "SLAB_VOXELS", 1)
    monkeypatch.setattr(intensity, "SAMPLE_VOXELS", grey.size // 32)
    one = fitted([Volume(grey)], "percentile", (10, 90))
    assert one.offset == pytest.approx(50, abs=1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 7.5, np.nan, np.inf])
def test_a_volume_that_shows_nothing_is_refused_by_its_name(
    method: str, value: float
) -> None:
    empty = Volume(np.full((4, 5, 6), value, np.float32), name="empty scan")
    with pytest.raises(InputError, match=r"^empty scan: .*it shows nothing"):
        fitted([scan(1), empty], method)


def test_percentiles_without_contrast_are_refused_with_the_names() -> None:
    grey = np.zeros((10, 10, 10), np.float32)
    grey[0, 0, 0] = 1
    with pytest.raises(InputError, match=r"^point: percentile .* finds no contrast"):
        fitted([Volume(grey, name="point")], "percentile")


@pytest.mark.parametrize("fill", [7, np.nan])
def test_a_volume_without_contrast_is_read_as_a_whole_only_if_it_is_small(
    fill: float,
) -> None:
    read: list[int] = []

    class Blank:
        shape, dtype = (4000, 4000, 4000), np.dtype(np.float32)

        def __getitem__(self, region: Region) -> np.ndarray:
            sides = [
                len(range(*p.indices(n)))
                for p, n in zip(region, self.shape, strict=True)
            ]
            read.append(int(np.prod(sides)))
            return np.full(sides, fill, np.float32)

    check_contrast(Volume(Blank()))
    assert sum(read) < 2**26
    with pytest.raises(InputError, match="shows nothing"):
        check_contrast(Volume(np.full((70, 80, 90), fill, np.float32)))
    grey = np.full((200, 210, 220), fill, np.float32)
    grey[70, 71, 72] = 9  # between the cubes that are looked into first
    grey[70, 71, 73] = 10
    check_contrast(Volume(grey))
