"""What is shown around a finding: the same part of the world in all volumes."""

from dataclasses import replace

import numpy as np
import pytest

from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import Finding, OperatorFit
from napari_cyclegan3d.engine.hallucination.operator import Operator
from napari_cyclegan3d.engine.hallucination.reduction import reduced
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.inspection.crops import (
    LEAST,
    MOST,
    Volumes,
    matched_limits,
    surroundings,
)
from napari_cyclegan3d.inspection.figures import outline, residual_colours, shades
from napari_cyclegan3d.inspection.profiles import across

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def at(finding: Finding, box: Box) -> Finding:
    centre = tuple((start + stop) // 2 for start, stop in box)
    return finding.model_copy(update={"box": box, "centre": centre})


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_raw_and_enhanced_crops_cover_each_other_and_hold_the_finding(
    scale: int, inspected: Inspected
) -> None:
    shape = (30, 44, 36)
    fine = np.arange(np.prod(shape) * scale**3, dtype=np.float32)
    fine = fine.reshape([n * scale for n in shape])
    labels = np.zeros(fine.shape, np.int32)
    box = tuple((n // 3, n // 3 + 2 * scale) for n in fine.shape)
    labels[tuple(slice(*one) for one in box)] = 1
    raw = Volume(reduced(fine, scale), np.diag([2, 1, 1, 1.0]), "micrometer")
    fit = inspected.inspection.operator.model_copy(update={"scale": scale})
    result = replace(
        inspected,
        inspection=inspected.inspection.model_copy(update={"operator": fit}),
        maps={"residual": raw},
        labels=raw.resampled(labels, scale),
    )
    finding = at(inspected.inspection.findings[0], box)
    volumes = Volumes(result, raw, raw.resampled(fine, scale))
    crop = volumes.crop(finding)
    assert np.array_equal(crop.raw, reduced(crop.enhanced, scale))
    assert crop.residual is not None
    assert np.array_equal(crop.residual, crop.raw)
    assert crop.inside.sum() == (2 * scale) ** 3
    assert crop.inside[crop.centre]
    assert crop.enhanced[crop.centre] == fine[finding.centre]


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize(
    "box",
    [
        ((0, 2), (0, 2), (0, 2)),
        ((4, 6), (298, 300), (297, 300)),
        ((0, 16), (0, 300), (0, 300)),
        ((7, 9), (120, 180), (150, 151)),
    ],
)
def test_what_is_shown_stays_in_the_volume_and_is_never_large(
    box: Box, scale: int, inspected: Inspected
) -> None:
    shape, spacing = (16, 300, 300), (5.0, 1.0, 1.0)
    whole = tuple((a * scale, b * scale) for a, b in box)
    finding = at(inspected.inspection.findings[0], whole)
    region = surroundings(finding, shape, spacing, scale)
    for part, size, centre in zip(region, shape, finding.centre, strict=True):
        assert 0 <= part.start <= centre // scale < part.stop <= size
        assert part.stop - part.start <= MOST // scale
    sides = [part.stop - part.start for part in region]
    assert sides[1] >= min(LEAST, MOST // scale)


@pytest.mark.parametrize("gain", [2.0, -0.5])
def test_one_shade_means_the_same_in_raw_and_enhanced(
    gain: float, inspected: Inspected
) -> None:
    fit = OperatorFit.model_copy(
        inspected.inspection.operator, update={"gain": gain, "offset": 30.0}
    )
    enhanced = np.random.default_rng(0).normal(100, 20, (8, 8, 8)).astype(np.float32)
    raw = (gain * enhanced + 30).astype(np.float32)
    of_raw, of_enhanced = matched_limits(raw, enhanced, fit)
    shown = [shades(raw, of_raw), shades(enhanced, of_enhanced)]
    assert np.abs(np.subtract(*(one.astype(int) for one in shown))).max() <= 1
    assert np.ptp(shown[1]) > 200


def test_modalities_and_constant_crops_have_limits_of_their_own(
    inspected: Inspected,
) -> None:
    fit = inspected.inspection.operator
    curve = ((0.0, 9.0), (1.0, 5.0))
    other = fit.model_copy(update={"relation": "modality", "curve": curve})
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(4, 4, 4)
    of_raw, of_enhanced = matched_limits(9 - 4 * ramp, ramp, other)
    assert of_raw == pytest.approx((5, 9), abs=0.05)
    assert of_enhanced == pytest.approx((0, 1), abs=0.05)
    flat = np.full((4, 4, 4), 7, np.float32)
    for limits in matched_limits(flat, flat, other):
        assert limits[1] > limits[0]


def test_voxels_without_a_number_do_not_spoil_the_rest(
    inspected: Inspected, pair: tuple[Volume, Volume]
) -> None:
    raw, enhanced = (volume.read().copy() for volume in pair)
    raw[3, 4, 24] = np.nan
    enhanced[:, :5] = np.inf
    volumes = Volumes(
        inspected, replace(pair[0], array=raw), replace(pair[1], array=enhanced)
    )
    crop = volumes.crop(inspected.inspection.findings[0])
    assert np.isfinite(crop.raw).all()
    assert np.isfinite(crop.enhanced).all()
    assert np.isfinite([*crop.limits_raw, *crop.limits_enhanced]).all()


def test_an_outline_follows_the_edges_of_voxels() -> None:
    inside = np.zeros((5, 6), bool)
    inside[0, 0] = inside[2:4, 2:5] = True
    path = outline(inside, 2.0, 3.0)
    # perimeters of a square of 1 and a rectangle of 2 × 3 voxels
    assert path.count("h3.0") == 2 + 6
    assert path.count("v2.0") == 2 + 4
    assert path.startswith("M0.0 0.0h3.0")
    assert outline(np.zeros((5, 6), bool), 1, 1) == "M0 0"


def test_a_residual_is_white_at_0_blue_above_and_orange_below() -> None:
    colours = residual_colours(np.array([[0, 100, -100]], np.float32), 50.0)
    white, blue, orange = colours[0].tolist()
    assert white == [255, 255, 255]
    assert blue[2] > blue[1] > blue[0]
    assert orange[0] > orange[1] > orange[2]


def test_a_profile_crosses_a_structure_where_it_is_thin(inspected: Inspected) -> None:
    finding = inspected.inspection.findings[0]
    assert across(at(finding, ((0, 4), (0, 9), (0, 9))), (1, 1, 1)) == 0
    assert across(at(finding, ((0, 4), (0, 9), (0, 9))), (5, 1, 1)) == 2
    assert across(at(finding, ((0, 9), (0, 3), (0, 9))), (1, 1, 1)) == 1


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_lines_of_a_profile_lie_over_each_other_on_both_grids(
    scale: int, inspected: Inspected
) -> None:
    from napari_cyclegan3d.inspection.profiles import _points

    shape = tuple(24 * scale for _ in range(3))
    ramp = np.broadcast_to(np.arange(24 * scale, dtype=np.float32), shape)
    fit = inspected.inspection.operator.model_copy(
        update={"scale": scale, "gain": 1.0, "offset": 0.0, "shift": (0, 0, 0)}
    )
    raw = Volume(Operator(fit.model_copy(update={"blur": (0, 0, 0)})).apply(ramp))
    enhanced = raw.resampled(ramp, scale)
    labels = raw.resampled(np.zeros(shape, np.int32), scale)
    result = replace(
        inspected,
        inspection=inspected.inspection.model_copy(update={"operator": fit}),
        maps={},
        labels=labels,
    )
    box = ((9 * scale, 12 * scale),) * 3
    finding = at(inspected.inspection.findings[0], box)
    crop = Volumes(result, raw, enhanced).crop(finding)
    for block in (crop.raw, crop.enhanced):
        for distance, value in _points(crop, block, 2)[2:-2]:
            assert value * enhanced.spacing[2] == pytest.approx(
                distance + finding.centre[2] * enhanced.spacing[2], abs=1e-3
            )
