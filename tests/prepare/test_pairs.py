import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.pairing import matched
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare.pairs import PairDone, PairSettings, paired

PLAIN = {"n4": False, "margin": 1}
TURNED = np.array([[0.9, -0.3, 0, 8], [0.3, 0.9, 0, -6], [0, 0, 1.1, -1], [0, 0, 0, 1]])


def texture(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The same landscape, seen on a grid: a ball with waves in it."""
    places = np.stack([*np.indices(shape), np.ones(shape)], -1) @ affine.T
    z, y, x = np.moveaxis(places[..., :3], -1, 0)
    ball = (z - 20) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 < 150
    waves = np.sin(z / 3) + np.sin(y / 4) + np.sin(x / 5)
    return gaussian_filter((ball * (500 + 100 * waves)).astype("f4"), 1)


@pytest.fixture
def scans() -> tuple[Volume, Volume]:
    a = Volume(texture(np.eye(4), (40, 44, 42)), np.eye(4), "millimeter", name="x_T1")
    grey = 1000 - texture(TURNED, (36, 48, 38))
    return a, Volume(grey, TURNED, "millimeter", name="x_T2")


def done(a: Volume, b: Volume, **settings: object) -> PairDone:
    *_, last = paired(a, b, PairSettings(**{**PLAIN, **settings}))
    assert isinstance(last, PairDone)
    return last


def test_both_lie_on_the_grid_of_the_first_whose_voxels_stay(
    scans: tuple[Volume, Volume],
) -> None:
    result = done(*scans, crop="overlap")
    assert matched([result.a], [result.b]) == [(0, 0)]
    first = np.linalg.inv(scans[0].affine) @ result.a.affine
    start = first[:3, 3].round().astype(int)
    np.testing.assert_allclose(first[:3, :3], np.eye(3))
    place = tuple(
        slice(low, low + size) for low, size in zip(start, result.a.shape, strict=True)
    )
    np.testing.assert_array_equal(result.a.read(), scans[0].read()[place])
    inside = result.b.read() > 0
    apart = np.abs(result.a.read() - (1000 - result.b.read()))[inside]
    assert np.median(apart) < 10


def test_what_both_show_is_kept(scans: tuple[Volume, Volume]) -> None:
    a, b = scans
    b = Volume(1000 - b.read(), b.affine, b.unit, name=b.name)
    result = done(a, b)
    sizes = [(a.read() > 250).any(axis=axes).sum() for axes in ((1, 2), (0, 2), (0, 1))]
    for size, least in zip(result.a.shape, sizes, strict=True):
        assert abs(size - least) <= 4
    whole = done(a, b, crop="none")
    assert whole.a.shape == whole.b.shape == a.shape


def test_a_common_spacing_holds_for_both(scans: tuple[Volume, Volume]) -> None:
    result = done(*scans, spacing=(2, 2, 2), crop="overlap")
    np.testing.assert_allclose(result.a.spacing, 2)
    assert matched([result.a], [result.b]) == [(0, 0)]


def test_each_step_is_in_the_records_of_both(scans: tuple[Volume, Volume]) -> None:
    result = done(*scans, spacing=(2, 2, 2), crop="overlap")
    steps = [
        [record.step for record in one.metadata["prepared"]]
        for one in (result.a, result.b)
    ]
    assert steps == [["resample", "crop"], ["to-grid", "crop"]]


def test_volumes_that_have_nothing_in_common_are_refused(
    scans: tuple[Volume, Volume],
) -> None:
    a, b = scans
    away = b.affine.copy()
    away[0, 3] += 500
    with pytest.raises(InputError, match="does not overlap with x_T1"):
        done(a, Volume(b.array, away, b.unit, name="x_T2"))
    left, right = np.zeros(a.shape), np.zeros(a.shape)
    left[:9], right[-9:] = 100, 100
    one, other = (Volume(grey, a.affine, a.unit, name="v") for grey in (left, right))
    with pytest.raises(InputError, match="show nothing at the same place"):
        done(one, other)
