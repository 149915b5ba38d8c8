"""Profiles along lines, against what the operator makes of whole volumes."""

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.operator import Operator
from napari_cyclegan3d.gui.views import profile_data
from napari_cyclegan3d.gui.views.grid import Grid
from napari_cyclegan3d.gui.views.profile_data import Source, profile, read

SHAPE = (20, 24, 28)
SPACING = np.array([2.0, 1.0, 0.5])


def sources(scale: int, seed: int = 0) -> tuple[Source, Source]:
    """A raw and an enhanced volume whose voxels' edges lie over each other."""
    random = np.random.default_rng(seed)
    fine = tuple(scale * size for size in SHAPE)
    smooth = gaussian_filter(random.normal(size=fine), 1.5 * scale).astype(np.float32)
    raw = Grid(SHAPE, SPACING, np.array([5.0, 6.0, 7.0]))
    origin = raw.origin + (1 / scale - 1) / 2 * SPACING
    shape = (fine[0], fine[1], fine[2])
    enhanced = Grid(shape, SPACING / scale, origin)
    return Source(random.normal(size=SHAPE), raw), Source(smooth, enhanced)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_what_is_expected_is_what_the_operator_makes_of_the_whole_volume(
    inspected: Inspected, scale: int
) -> None:
    raw, enhanced = sources(scale)
    fit = inspected.inspection.operator.model_copy(
        update={
            "gain": 3.0,
            "offset": 5.0,
            "scale": scale,
            "blur": (0.8, 1.2, 1.0),
            "shift": (0.3, -0.2, 0.0),
        }
    )
    inspection = inspected.inspection.model_copy(update={"operator": fit})
    whole = Operator(fit).apply(enhanced.voxels)
    ends = raw.grid.to_world([[10, 12, 4], [10, 12, 24]])
    (found,) = profile(raw, {"enhanced": enhanced}, inspection, ends)
    on_voxels = np.linspace(4, 24, len(found.distance))
    expected = np.interp(on_voxels, np.arange(28), whole[10, 12])
    assert found.expected is not None
    error = np.abs(found.expected - expected)
    assert error.max() < 0.1 * whole.std()
    assert np.corrcoef(found.expected, expected)[0, 1] > 0.99


def test_a_curve_of_grey_values_comes_before_the_blur(inspected: Inspected) -> None:
    raw, enhanced = sources(1)
    fit = inspected.inspection.operator.model_copy(
        update={"relation": "modality", "curve": ((-1.0, 1.0), (0.0, 0.0), (1.0, 1.0))}
    )
    inspection = inspected.inspection.model_copy(update={"operator": fit})
    ends = raw.grid.to_world([[10, 12, 4], [10, 12, 24]])
    (found,) = profile(raw, {"enhanced": enhanced}, inspection, ends)
    assert found.expected is not None
    assert found.expected.min() > 0
    assert np.allclose(found.others["enhanced"][0], abs(enhanced.voxels[10, 12, 4]))


def test_the_noise_of_the_band_grows_with_the_grey_value(inspected: Inspected) -> None:
    raw, enhanced = sources(1)
    noise = inspected.inspection.noise.model_copy(
        update={"sigma": 2.0, "level": 0.0, "slope": 0.5}
    )
    inspection = inspected.inspection.model_copy(update={"noise": noise})
    ends = raw.grid.to_world([[0, 0, 0], [19, 23, 27]])
    (found,) = profile(raw, {"enhanced": enhanced}, inspection, ends)
    assert found.deviation is not None
    assert found.expected is not None
    expected = np.sqrt(np.maximum(4 + 0.5 * found.expected, 0))
    assert np.allclose(found.deviation, expected)


def test_a_line_is_read_in_small_boxes_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw, _ = sources(1)
    boxes: list[int] = []

    class Watched:
        def __getitem__(self, region: Any) -> Any:
            box = raw.voxels[region]
            boxes.append(box.size)
            return box

    places = raw.grid.to_world(np.linspace((0, 0, 0), (19, 23, 27), 200))
    at_once = read(raw, places)
    monkeypatch.setattr(profile_data, "BOX", 200)
    assert np.allclose(read(Source(Watched(), raw.grid), places), at_once)
    assert len(boxes) >= 8
    assert max(boxes) <= 200


def test_beside_a_volume_there_are_no_values() -> None:
    raw, _ = sources(1)
    ends = raw.grid.to_world([[10, 12, -5], [10, 12, 5]])
    (found,) = profile(raw, {}, None, ends)
    outside = found.distance < 4.5 * 0.5
    assert np.isnan(found.raw[outside]).all()
    assert np.isfinite(found.raw[~outside]).all()
