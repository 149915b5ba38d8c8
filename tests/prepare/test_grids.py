from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d import io, prepare
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare.grids import on_grid

Blob = Callable[..., np.ndarray]
SHAPE = (20, 26, 24)
OBLIQUE = np.array(
    [
        [2.0, 0.3, 0.0, -30.0],
        [-0.45, 1.2, 0.2, 12.0],
        [0.1, -0.2, 1.4, 7.5],
        [0, 0, 0, 1],
    ]
)


def world(volume: Volume, place: tuple[float, float, float]) -> np.ndarray:
    return (volume.affine @ [*place, 1.0])[:3]


def ramp(shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    """A value that is linear in the world: interpolation finds it exactly."""
    z, y, x = np.indices(shape)
    places = np.stack([z, y, x, np.ones(shape)], -1) @ affine.T
    return (places[..., :3] @ [1.0, 0.5, -0.25]).astype("f4")


def test_values_come_from_the_same_place_in_the_world() -> None:
    turned = np.array(
        [[1.5, 0.2, 0.1, -5], [-0.3, 1.1, 0, 15], [0, 0.2, 1.3, 12], [0, 0, 0, 1]]
    )
    source = Volume(ramp((40, 40, 40), OBLIQUE), OBLIQUE, "millimeter")
    grid = Volume(np.zeros((12, 13, 14)), turned, "millimeter")
    for interpolation in ("linear", "cubic"):
        found = on_grid(source, grid, interpolation, outside=np.float32(-1e6)).read()
        inside = found > -1e6
        assert inside.mean() > 0.5
        wanted = ramp(grid.shape, turned)
        # of a cubic spline, half a voxel at the border is off
        far = 0.3 if interpolation == "cubic" else 1e-3
        assert np.quantile(np.abs(found - wanted)[inside], 0.99) < far


def test_units_are_converted(ball: Volume) -> None:
    metres = np.diag([1e-3, 1e-3, 1e-3, 1])
    grid = Volume(np.zeros(SHAPE), metres @ OBLIQUE, "meter")
    np.testing.assert_array_equal(on_grid(ball, grid, "linear").read(), ball.read())


def test_grids_that_differ_by_whole_voxels_are_copied() -> None:
    counts = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    volume = Volume(counts, OBLIQUE, "millimeter")
    part = volume.crop((slice(3, 9), slice(2, 20), slice(5, 8)))
    found = on_grid(volume, part, "cubic")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found.read(), part.read())
    back = on_grid(part, volume, "linear", outside=7)
    assert back.read()[0, 0, 0] == 7
    np.testing.assert_array_equal(back.read()[3:9, 2:20, 5:8], part.read())


def test_a_region_is_what_it_is_in_the_whole(blob: Blob) -> None:
    shape = (30, 110, 100)
    volume = Volume(blob(shape), OBLIQUE, "millimeter")
    turned = OBLIQUE @ np.diag([1.7, 1.3, 1.2, 1])
    turned[:3, :2] += 0.05
    grid = Volume(np.zeros((17, 100, 80)), turned, "millimeter")
    for interpolation in ("linear", "cubic", "nearest"):
        lazy = on_grid(volume, grid, interpolation)
        part = (slice(5, 9), slice(11, 97), slice(40, 41))
        np.testing.assert_allclose(
            lazy.read(part), lazy.read()[part], rtol=1e-4, atol=1e-2
        )


def test_only_a_bounded_part_of_the_source_is_read_at_a_time(
    watched: Callable[[np.ndarray], Any],
) -> None:
    source = watched(np.zeros((200, 200, 200), np.uint8))
    turned = np.eye(4)
    turned[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    grid = Volume(np.zeros((200, 200, 200), np.uint8), turned)
    on_grid(Volume(source), grid, "linear").read()
    assert 0 < source.most < 100 * 150 * 150


def test_what_a_coarser_grid_cannot_show_is_not_aliased() -> None:
    stripes = np.zeros((64, 8, 8), np.float32)
    stripes[::2] = 1000
    coarse = prepare.run(Volume(stripes), "resample", spacing=(1.8, 1, 1))
    inner = coarse.read()[4:-4]
    assert inner.std() < 100
    assert abs(inner.mean() - 500) < 20


def test_a_spacing_is_reached_on_the_same_field_of_view(ball: Volume) -> None:
    result = prepare.run(ball, "resample", spacing=(1.0, 1.0, 1.0))
    np.testing.assert_allclose(result.spacing, 1.0)
    corner = (-0.5, -0.5, -0.5)
    np.testing.assert_allclose(world(result, corner), world(ball, corner), atol=1e-9)
    for axis in range(3):
        extent = result.shape[axis] - ball.shape[axis] * ball.spacing[axis]
        assert abs(extent) <= 0.5
    automatic = prepare.run(ball, "resample")
    np.testing.assert_allclose(automatic.spacing, min(ball.spacing))


def test_there_and_back_is_nearly_the_same(blob: Blob) -> None:
    smooth = gaussian_filter(blob((32, 32, 32)), 2)
    volume = Volume(smooth, np.diag([1, 1, 1, 1]), "millimeter")
    fine = prepare.run(volume, "resample", spacing=(0.5, 0.7, 0.6))
    back = prepare.run(fine, "undo", interpolation="cubic")
    assert back.shape == volume.shape
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-12)
    assert np.abs(back.read() - smooth)[4:-4, 4:-4, 4:-4].max() < 0.02 * smooth.max()


def test_labels_stay_labels(ball: Volume) -> None:
    labels = Volume((ball.read() > 400).astype(np.uint8) * 7, OBLIQUE, "millimeter")
    result = prepare.run(
        labels, "resample", spacing=(0.9, 0.9, 0.9), interpolation="nearest"
    )
    assert result.dtype == np.uint8
    assert set(np.unique(result.read())) == {0, 7}


def test_voxels_without_a_number_stay_holes() -> None:
    array = np.full((10, 10, 10), 5, np.float32)
    array[4:7, 4:7, 4:7] = np.nan
    fine = prepare.run(Volume(array), "resample", spacing=(0.5, 0.5, 0.5)).read()
    assert np.isnan(fine[9:13, 9:13, 9:13]).all()
    assert 0.5 < np.isnan(fine).sum() / (8 * 27) < 1.5
    np.testing.assert_allclose(fine[np.isfinite(fine)], 5, rtol=1e-5)


def test_the_grid_of_another_volume_is_that_of_its_file(
    tmp_path: Path, ball: Volume
) -> None:
    io.write(ball, tmp_path / "a.nii.gz")
    flipped = Volume(ball.array[::-1], OBLIQUE @ np.diag([0.5, 1, 1, 1]), "millimeter")
    io.write(flipped, tmp_path / "b.nii")
    a, b = (prepare.opened(str(tmp_path / one)) for one in ("a.nii.gz", "b.nii"))
    result = prepare.run(b, "to-grid", a)
    prepare.write(result, tmp_path / "out.nii.gz")
    again = io.read(tmp_path / "out.nii.gz")
    assert again.shape == a.shape
    np.testing.assert_allclose(again.affine, a.affine, atol=1e-5)


def test_volumes_that_do_not_meet_are_refused(ball: Volume) -> None:
    away = OBLIQUE.copy()
    away[0, 3] += 1000
    grid = Volume(np.zeros(SHAPE), away, "millimeter")
    with pytest.raises(InputError, match=r"does not overlap with .* in the world"):
        prepare.run(ball, "to-grid", grid)
    with pytest.raises(InputError, match=r"millimeter and pixel|pixel and millimeter"):
        prepare.run(ball, "to-grid", Volume(np.zeros(SHAPE), OBLIQUE))
    with pytest.raises(InputError, match="give a larger spacing"):
        prepare.run(ball, "resample", spacing=(1e-6, 1e-6, 1e-6))
    whole = Volume(np.zeros(SHAPE, np.uint8), OBLIQUE, "millimeter")
    with pytest.raises(InputError, match="outside -1000: voxels of type uint8"):
        prepare.run(whole, "to-grid", ball, outside=-1000)
