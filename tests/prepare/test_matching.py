import numpy as np
import pytest

from napari_cyclegan3d import prepare
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare.levels import otsu

METHODS = ("landmarks", "histogram", "percentiles")


@pytest.fixture
def pair(ball: Volume) -> tuple[Volume, Volume]:
    """One volume, and the same in other grey values."""
    grey = ball.read()
    return Volume(0.2 * grey - 30, name="dim"), Volume(grey, name="reference")


@pytest.mark.parametrize("method", METHODS)
def test_a_change_of_gain_and_offset_is_undone(
    pair: tuple[Volume, Volume], method: str
) -> None:
    dim, reference = pair
    matched = prepare.run(dim, "match", reference, method=method, foreground=False)
    np.testing.assert_allclose(matched.read(), reference.read(), atol=2)


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_grey_values_stays(
    pair: tuple[Volume, Volume], method: str
) -> None:
    dim, reference = pair
    curved = Volume(np.sqrt(np.maximum(reference.read(), 0)), name="curved")
    matched = prepare.run(curved, "match", reference, method=method).read().ravel()
    order = np.argsort(curved.read().ravel())
    assert (np.diff(matched[order]) >= -1e-3).all()
    assert dim.read().max() < matched.max() < 2 * reference.read().max()


@pytest.mark.parametrize("method", ["landmarks", "histogram"])
def test_a_curved_change_is_mostly_undone(
    pair: tuple[Volume, Volume], method: str
) -> None:
    reference = pair[1]
    bright = reference.read() > 300
    curved = Volume(reference.read() ** 2, name="curved")
    matched = prepare.run(curved, "match", reference, method=method).read()
    apart = np.abs(matched - reference.read())[bright]
    assert np.median(apart) < 0.02 * reference.read().max()


def test_integers_and_holes_are_fine(pair: tuple[Volume, Volume]) -> None:
    reference = pair[1]
    coarse = Volume((reference.read() / 200).astype(np.uint8), name="coarse")
    matched = prepare.run(coarse, "match", reference, method="histogram")
    assert matched.dtype == np.float32
    assert np.isfinite(matched.read()).all()
    grey = reference.read().copy()
    grey[0, 0, 0] = np.nan
    holes = prepare.run(Volume(grey), "match", reference).read()
    assert np.isnan(holes).sum() == 1


def test_otsu_parts_two_classes_where_scikit_image_does() -> None:
    filters = pytest.importorskip("skimage.filters", reason="to compare with")
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(10, 3, 30000), random.normal(40, 6, 9000)])
    assert abs(otsu(values) - filters.threshold_otsu(values)) < 1
    assert 0 < otsu(np.array([0.0] * 90 + [1.0] * 10)) < 1


def test_impossible_matches_are_refused(pair: tuple[Volume, Volume]) -> None:
    dim, reference = pair
    with pytest.raises(InputError, match="the first must be below the second"):
        prepare.run(dim, "match", reference, percentiles=(60, 40))
    step = np.zeros(dim.shape)
    step[0, 0, 0] = 1
    with pytest.raises(InputError, match="are both 0; spread them"):
        prepare.run(Volume(step, name="step"), "match", reference, foreground=False)
    with pytest.raises(InputError, match="flat: every voxel is 1"):
        prepare.run(dim, "match", Volume(np.ones(dim.shape), name="flat"))
