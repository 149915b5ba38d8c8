from itertools import islice
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.samples.fibres import (
    FIBRE,
    MATRIX,
    PORE,
    Cylinder,
    Ellipsoid,
    add_shape,
    composite_phases,
    fibre_composite,
    pack_fibres,
)

Image = NDArray[Any]
Vector = tuple[float, float, float]
SMALL = (32, 40, 48)


def cylinder(axis: Vector, radius: float = 3.5, half_length: float = 12.0) -> Cylinder:
    middle = np.array([20.3, 19.6, 20.1])
    return Cylinder(middle, axis / np.linalg.norm(axis), radius, half_length)


def drawn(shape: Cylinder | Ellipsoid) -> Image:
    part = np.zeros((40, 40, 40), np.float32)
    add_shape(part, shape)
    return part


def test_the_same_seed_gives_the_same_voxels() -> None:
    first, second = fibre_composite(SMALL, 5), fibre_composite(SMALL, 5)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, second)


def test_another_seed_gives_other_voxels() -> None:
    assert (fibre_composite(SMALL, 5) != fibre_composite(SMALL, 6)).mean() > 0.1


@pytest.mark.parametrize("wanted", [0.10, 0.15])
def test_the_volume_holds_the_fraction_of_fibres_that_was_asked_for(
    wanted: float,
) -> None:
    fibre, _ = composite_phases((64, 64, 64), 3, fibre_fraction=wanted)
    assert wanted <= fibre.mean() < wanted + 0.01


def test_the_volume_holds_the_porosity_that_was_asked_for() -> None:
    _, pore = composite_phases((64, 64, 64), 3, fibre_fraction=0.1, porosity=0.03)
    assert 0.03 <= pore.mean() < 0.035


def test_fibre_and_pore_never_fill_more_than_a_voxel() -> None:
    fibre, pore = composite_phases(SMALL, 3)
    assert min(fibre.min(), pore.min()) >= 0
    assert (fibre + pore).max() <= 1 + 1e-6


def test_a_composite_lies_between_its_darkest_and_its_brightest_phase() -> None:
    density = fibre_composite((48, 48, 48), 4)
    assert density.min() == pytest.approx(PORE, abs=1e-6)
    assert density.max() == pytest.approx(FIBRE, abs=1e-6)
    assert np.median(density) == pytest.approx(MATRIX)


def test_a_fibre_has_the_same_round_section_along_its_whole_length() -> None:
    part = drawn(cylinder((1, 0, 0)))
    sections = part.sum((1, 2))[10:31]
    assert sections == pytest.approx(np.pi * 3.5**2, rel=0.02)
    assert sections.std() < 1e-3
    spread_y, spread_x = (
        np.average((np.arange(40) - centre) ** 2, weights=part[20].sum(axis))
        for axis, centre in ((1, 19.6), (0, 20.1))
    )
    assert spread_y == pytest.approx(spread_x, rel=0.02)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0.3, 1, 0.4), (1, -1, 1)])
def test_a_fibre_has_the_volume_of_a_cylinder_in_every_direction(axis: Vector) -> None:
    assert drawn(cylinder(axis)).sum() == pytest.approx(np.pi * 3.5**2 * 24, rel=0.02)


def test_a_fibre_ends_flat() -> None:
    part = drawn(cylinder((1, 0, 0)))
    area = np.pi * 3.5**2
    assert part[33:].sum() == 0
    assert part[31].sum() == pytest.approx(area, rel=0.03)


def test_voxels_cut_by_a_surface_get_the_part_that_lies_inside() -> None:
    part = drawn(cylinder((1, 0, 0)))[20]
    cut = (part > 0) & (part < 1)
    assert 0.3 < cut.sum() / (2 * np.pi * 3.5) < 2
    assert len(np.unique(part[cut])) > 5


def test_a_shape_partly_outside_is_cut_at_the_border() -> None:
    whole, moved = cylinder((0, 1, 0)), cylinder((0, 1, 0))
    moved.centre[2] -= 20
    np.testing.assert_allclose(
        drawn(moved)[:, :, :20], drawn(whole)[:, :, 20:], atol=1e-5
    )


def test_a_pore_has_the_volume_of_an_ellipsoid() -> None:
    frame = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    pore = Ellipsoid(np.array([19.7, 20.2, 20.4]), frame, np.array([4.0, 6.0, 8.0]))
    assert drawn(pore).sum() == pytest.approx(4 / 3 * np.pi * 4 * 6 * 8, rel=0.03)


def test_the_distance_to_a_pore_is_true_within_a_voxel_of_its_surface() -> None:
    semi_axes = np.array([3.0, 6.0, 9.0])
    pore = Ellipsoid(np.zeros(3), np.eye(3), semi_axes)
    for step in (-0.5, 0.0, 0.5):
        np.testing.assert_allclose(
            pore.distance(np.diag(semi_axes + step)), step, atol=1e-9
        )


def test_no_fibre_enters_another_one() -> None:
    packing = pack_fibres((48, 64, 64), np.random.default_rng(1))
    fibres = list(islice(packing, 60))
    for fibre in fibres:
        along = np.linspace(-1, 1, 60)[:, None] * fibre.half_length
        line = fibre.centre + along * fibre.axis
        others = [other for other in fibres if other is not fibre]
        nearest = min(other.distance(line - other.centre).min() for other in others)
        assert nearest > fibre.radius


def test_fibres_lie_mostly_in_the_plane_and_along_y() -> None:
    packing = pack_fibres((96, 128, 128), np.random.default_rng(2))
    axes = np.array([next(packing).axis for _ in range(100)])
    z, y, x = (axes**2).mean(0)
    assert z < x < y
    assert z < 0.15
    assert y > 0.55


def test_fibre_diameters_scatter_about_seven_voxels() -> None:
    packing = pack_fibres((96, 128, 128), np.random.default_rng(2))
    diameters = np.array([2 * next(packing).radius for _ in range(100)])
    assert diameters.mean() == pytest.approx(7, abs=0.3)
    assert 0.4 < diameters.std() < 1


def test_more_fibres_than_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "napari_cyclegan3d.samples.fibres._MAX_PROPOSALS", 2_000
    )  # the same refusal, sooner
    with pytest.raises(InputError, match=r"fibre fraction 0\.6: no room"):
        fibre_composite(SMALL, 0, fibre_fraction=0.6)


def test_more_pores_than_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_cyclegan3d.samples.fibres._MAX_PORES", 50)
    with pytest.raises(InputError, match=r"porosity 0\.95: not reached"):
        fibre_composite(SMALL, 0, fibre_fraction=0.1, porosity=0.95)
