from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_cyclegan3d import prepare
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare.records import Kept

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


@pytest.mark.parametrize("filled", ["constant", "edge", "reflect"])
def test_padding_is_what_numpy_calls_so_and_moves_nothing(
    ball: Volume, filled: str
) -> None:
    result = prepare.run(ball, "pad", margin=(1, 30, 2), multiple=8, filled=filled)
    assert all(size % 8 == 0 for size in result.shape)
    room = []
    for size, margin, before in zip(result.shape, (1, 30, 2), SHAPE, strict=True):
        low = margin + (size - before - 2 * margin) // 2
        room.append((low, size - before - low))
    np.testing.assert_array_equal(result.read(), np.pad(ball.read(), room, filled))
    start = tuple(low for low, _ in room)
    np.testing.assert_allclose(world(result, start), world(ball, (0, 0, 0)))
    part = (slice(2, 5), slice(0, 70), slice(9, 10))
    np.testing.assert_array_equal(result.read(part), result.read()[part])


def test_content_is_cropped_in_its_place(ball: Volume) -> None:
    result = prepare.run(ball, "crop", margin=1)
    bright = ball.read() > 300
    assert (result.read() > 300).sum() == bright.sum()
    for axis in range(3):
        others = tuple(one for one in range(3) if one != axis)
        assert result.shape[axis] == bright.any(axis=others).sum() + 2
    start = np.argwhere(bright).min(axis=0) - 1
    np.testing.assert_allclose(world(result, (0, 0, 0)), world(ball, tuple(start)))


def test_a_mask_on_another_grid_decides_what_is_cropped(ball: Volume) -> None:
    mask = prepare.run(
        Volume((ball.read() > 300).astype(np.uint8), OBLIQUE, "millimeter"),
        "resample",
        spacing=(0.8, 0.8, 0.8),
        interpolation="nearest",
    )
    by_mask = prepare.run(ball, "crop", mask, margin=1)
    by_itself = prepare.run(ball, "crop", margin=1)
    assert np.abs(np.subtract(by_mask.shape, by_itself.shape)).max() <= 1


def test_undo_brings_padding_and_cropping_back_to_the_voxel(ball: Volume) -> None:
    volume = prepare.run(ball, "pad", multiple=16)
    volume = prepare.run(volume, "crop", margin=0)
    back = prepare.run(volume, "undo")
    assert back.shape == ball.shape
    np.testing.assert_allclose(back.affine, ball.affine, atol=1e-12)
    inside = back.read() != 0
    assert inside.sum() == np.prod(volume.shape)
    np.testing.assert_array_equal(back.read()[inside], ball.read()[inside])
    one = prepare.run(volume, "undo", back=1)
    assert one.shape == (32, 32, 32)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_with_much_background_are_left_out(axis: int, blob: Blob) -> None:
    array = np.moveaxis(blob(), axis, 0).copy()
    array[array < 100] = 0
    array = np.moveaxis(array, 0, axis)
    volume = Volume(array, OBLIQUE, "millimeter")
    name = "zyx"[axis]
    result = prepare.run(volume, "slices", axis=name, background=0.7)
    others = tuple(one for one in range(3) if one != axis)
    shares = (array <= 0).mean(axis=others)
    kept = np.flatnonzero(shares < 0.7)
    assert 0 < kept.size < shares.size
    np.testing.assert_array_equal(result.read(), array.take(kept, axis))
    record = result.metadata["prepared"][-1]
    assert record.kept == Kept(axis=name, numbers=tuple(kept))
    start = [0, 0, 0]
    start[axis] = kept[0]
    np.testing.assert_allclose(world(result, (0, 0, 0)), world(volume, tuple(start)))


def test_gaps_between_slices_are_told_and_undone(blob: Blob) -> None:
    array = blob() + 1
    array[[3, 9, 10]] = 0
    volume = Volume(array, OBLIQUE, "millimeter")
    result = prepare.run(volume, "slices")
    record = result.metadata["prepared"][-1]
    assert result.shape[0] == 17
    assert "3 slices between" in record.remarks[0]
    back = prepare.run(result, "undo", outside=0)
    np.testing.assert_array_equal(back.read(), array)
    np.testing.assert_allclose(back.affine, OBLIQUE)


def test_slices_of_one_contrast_decide_for_the_other(blob: Blob) -> None:
    array = blob() + 1
    array[:4] = 0
    t1 = Volume(array, OBLIQUE, "millimeter", name="t1")
    t2 = Volume(np.ones(SHAPE, np.uint8), OBLIQUE, "millimeter", name="t2")
    assert prepare.run(t2, "slices", t1).shape == prepare.run(t1, "slices").shape
    assert prepare.run(t2, "slices").shape == SHAPE


@pytest.mark.parametrize("scale", [2, 4])
def test_an_enhanced_volume_goes_back_to_a_finer_earlier_grid(
    scale: int, blob: Blob
) -> None:
    array = blob() + 1
    array[[2, 8]] = 0
    volume = Volume(array, OBLIQUE, "millimeter")
    ready = prepare.run(prepare.run(volume, "slices"), "pad", multiple=8)
    fine = ready.read()
    for axis in range(3):
        fine = fine.repeat(scale, axis)
    enhanced = ready.resampled(fine, scale)
    enhanced = Volume(fine, enhanced.affine, "millimeter", name="enhanced")
    back = prepare.run(enhanced, "undo", ready)
    assert back.shape == tuple(scale * size for size in SHAPE)
    wanted = volume.resampled(back.array, scale)
    np.testing.assert_allclose(back.affine, wanted.affine, atol=1e-12)
    expected = array
    for axis in range(3):
        expected = expected.repeat(scale, axis)
    np.testing.assert_array_equal(back.read(), expected)


def test_only_slabs_are_read_at_a_time(
    monkeypatch: pytest.MonkeyPatch, blob: Blob, watched: Callable[[np.ndarray], Any]
) -> None:
    monkeypatch.setattr("napari_cyclegan3d.prepare.arrays.SLAB_VOXELS", 5000)
    source = watched(blob((40, 40, 40)))
    volume = prepare.run(Volume(source), "crop", margin=0)
    prepare.run(volume, "slices", background=0.99)
    assert 0 < source.most <= 5000


def test_what_shows_nothing_is_refused(ball: Volume) -> None:
    empty = Volume(np.zeros(SHAPE, np.uint8), OBLIQUE, "millimeter", name="empty")
    with pytest.raises(InputError, match="every voxel is 0; choose a volume"):
        prepare.run(empty, "crop")
    with pytest.raises(InputError, match="empty: shows nothing but background"):
        prepare.run(ball, "crop", empty)
    with pytest.raises(InputError, match=r"every slice across z has at least 1\.00"):
        prepare.run(empty, "slices")
    with pytest.raises(InputError, match=r"value 0\.5: voxels of type uint8"):
        prepare.run(empty, "pad", value=0.5)


def test_what_cannot_be_undone_is_refused(ball: Volume) -> None:
    with pytest.raises(InputError, match="nothing tells how it was prepared"):
        prepare.run(ball, "undo")
    padded = prepare.run(ball, "pad")
    with pytest.raises(InputError, match=r"back 3: steps of .* on record: 1;"):
        prepare.run(padded, "undo", back=3)
    with pytest.raises(InputError, match="is not 1, 2 or 4 times"):
        prepare.run(ball, "undo", padded)
