import sys
import threading
import time

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d import prepare
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare import STEPS, PrepareDone

FAST = {"shrink": 2, "levels": 2, "iterations": 30}
SHAPE = (24, 40, 36)


@pytest.fixture(scope="module")
def head() -> tuple[Volume, np.ndarray]:
    """Two tissues in a slowly changing light, and that light."""
    pytest.importorskip("SimpleITK", reason="N4 is SimpleITK's")
    random = np.random.default_rng(1)
    z, y, x = (np.linspace(-1, 1, size) for size in SHAPE)
    radius = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2
    tissue = gaussian_filter(random.normal(size=SHAPE), 2) > 0
    light = np.exp(0.5 * x * np.ones(SHAPE) + 0.3 * y[:, None])
    grey = (radius < 0.9) * (400 + 300 * tissue) * light + 5 * random.random(SHAPE)
    return Volume(grey.astype(np.int16), name="head"), light


def test_the_field_is_the_light_and_the_tissues_become_even(
    head: tuple[Volume, np.ndarray],
) -> None:
    volume, light = head
    field = prepare.run(volume, "n4", result="field", **FAST).read()
    inside = volume.read() > 200
    assert np.corrcoef(np.log(field[inside]), np.log(light[inside]))[0, 1] > 0.97
    corrected = prepare.run(volume, "n4", **FAST)
    assert corrected.dtype == np.float32
    np.testing.assert_allclose(corrected.read(), volume.read() / field, rtol=1e-5)


def test_a_mask_on_another_grid_says_where_to_look(
    head: tuple[Volume, np.ndarray],
) -> None:
    volume, light = head
    half = np.zeros((12, 20, 18), np.uint8)
    half[3:9, 5:15, 4:14] = 1
    mask = Volume(volume.array).resampled(half, 1)
    mask = Volume(half, np.diag([2.0, 2, 2, 1]), name="mask")
    field = prepare.run(volume, "n4", mask, result="field", **FAST).read()
    inside = np.s_[8:16, 12:28, 10:26]
    found = np.corrcoef(np.log(field[inside]).ravel(), np.log(light[inside]).ravel())
    assert found[0, 1] > 0.9


def test_flat_volumes_and_odd_numbers_are_no_problem(
    head: tuple[Volume, np.ndarray],
) -> None:
    volume = head[0]
    grey = volume.read().astype(np.float32)
    grey[0, 0, :5] = np.nan
    grey[1, 1, :5] = -50
    corrected = prepare.run(Volume(grey), "n4", **FAST).read()
    assert np.isnan(corrected).sum() == 5
    flat = prepare.run(Volume(grey[12:15]), "n4", **FAST)
    assert flat.shape == (3, 40, 36)


def test_n4_can_be_left_at_any_time(
    head: tuple[Volume, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    before, hook = threading.active_count(), sys.excepthook
    settings = STEPS["n4"].settings(shrink=1, levels=4, iterations=1000, tolerance=1e-9)
    events = prepare.prepared(head[0], "n4", settings)
    for _ in range(3):
        assert not isinstance(next(events), PrepareDone)
    start = time.monotonic()
    events.close()
    assert time.monotonic() - start < 20
    assert threading.active_count() == before
    assert sys.excepthook is hook
    assert "Traceback" not in capsys.readouterr().err


def test_volumes_without_a_positive_voxel_are_refused() -> None:
    pytest.importorskip("SimpleITK", reason="N4 is SimpleITK's")
    dark = Volume(np.full(SHAPE, -3.0), name="dark")
    with pytest.raises(InputError, match="dark: no voxel in the mask is above 0"):
        prepare.run(dark, "n4")


def test_without_simpleitk_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(InputError, match=r"N4 needs SimpleITK.*napari-cyclegan3d\[mri"):
        prepare.run(Volume(np.ones(SHAPE)), "n4")
