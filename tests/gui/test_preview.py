"""Previews as they are drawn."""

from itertools import pairwise

import numpy as np
import pyqtgraph as pg
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_cyclegan3d.gui.progress.preview import CyclePreview

SIZES = {
    "real_a": 1,
    "fake_b": 2,
    "cyclic_a": 1,
    "real_b": 2,
    "fake_a": 1,
    "cyclic_b": 2,
}


def cycle(scale: int) -> dict[str, np.ndarray]:
    """Volumes whose slice k shows the number k, in voxels of A."""
    images = {}
    for name, size in SIZES.items():
        factor = scale if size == 2 else 1
        planes = np.repeat(np.arange(8, dtype=np.float32), factor)
        shape = (8 * factor, 10 * factor, 12 * factor)
        images[name] = np.broadcast_to(planes[:, None, None], shape).copy()
    return images


def items(preview: CyclePreview) -> list[pg.ImageItem]:
    found = preview.canvas.scene().items()
    return [item for item in found if isinstance(item, pg.ImageItem)]


@pytest.fixture
def preview(qtbot: QtBot) -> CyclePreview:
    preview = CyclePreview()
    qtbot.addWidget(preview)
    return preview


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_all_six_images_show_the_same_place_at_the_same_size(
    scale: int, preview: CyclePreview
) -> None:
    preview.set_images(cycle(scale))
    assert len(items(preview)) == 6
    for position in range(8):
        preview.slider.setValue(position * scale)
        assert {int(item.image[0, 0]) for item in items(preview)} == {position}
    rects = [item.mapRectToView(item.boundingRect()) for item in items(preview)]
    assert all(one == other for one, other in pairwise(rects))
    views = [item.getViewBox().viewRect() for item in items(preview)]
    assert all(one == other for one, other in pairwise(views))


def test_contrast_and_slice_stay_from_one_preview_to_the_next(
    preview: CyclePreview,
) -> None:
    preview.set_images(cycle(1))
    levels = {tuple(item.levels) for item in items(preview)}
    assert len(levels) == 1
    preview.slider.setValue(2)
    brighter = {name: 10 * image for name, image in cycle(1).items()}
    preview.set_images(brighter)
    assert {tuple(item.levels) for item in items(preview)} == levels
    assert {int(item.image[0, 0]) for item in items(preview)} == {20}
    preview.clear()
    assert all(item.image is None for item in items(preview))
    preview.slider.setValue(1)
    preview.set_images(brighter)
    assert {tuple(item.levels) for item in items(preview)} != levels


def test_an_enlargement_shows_three_images_and_the_cycles_come_back_after_it(
    preview: CyclePreview,
) -> None:
    both = cycle(2)
    preview.set_images(both)
    preview.clear()
    preview.set_images({name: both[name] for name in ("real_a", "fake_b", "real_b")})
    assert len(items(preview)) == 3
    preview.slider.setValue(6)
    assert {int(item.image[0, 0]) for item in items(preview)} == {3}
    rects = {item.mapRectToView(item.boundingRect()).width() for item in items(preview)}
    assert rects == {24}
    preview.set_images(both)
    assert len(items(preview)) == 6


def test_slices_are_shown_whole_and_have_no_slider(preview: CyclePreview) -> None:
    slices = {name: image[3, :, :-1] for name, image in cycle(1).items()}
    preview.show()
    preview.set_images(slices)
    assert {item.image.shape for item in items(preview)} == {(10, 11)}
    assert {int(item.image[0, 0]) for item in items(preview)} == {3}
    assert not preview.slider.isVisible()
    preview.set_images(cycle(1))
    assert preview.slider.isVisible()


def ranges(preview: CyclePreview) -> list[np.ndarray]:
    views = [item.getViewBox() for item in items(preview)]
    return [np.array(view.state["targetRange"]) for view in views]


def test_images_keep_their_size_however_often_the_dock_is_resized(
    preview: CyclePreview, qtbot: QtBot
) -> None:
    preview.resize(480, 330)
    with qtbot.waitExposed(preview):
        preview.show()
    preview.set_images(cycle(1))

    def voxel() -> float:
        QApplication.processEvents()
        return items(preview)[0].getViewBox().viewPixelSize()[0]

    before = voxel()
    for height in (300, 330) * 5:
        preview.resize(480, height)
        QApplication.processEvents()
    assert voxel() == pytest.approx(before)


def test_all_images_are_zoomed_and_moved_as_one_until_a_double_click(
    preview: CyclePreview, qtbot: QtBot
) -> None:
    preview.resize(480, 330)
    with qtbot.waitExposed(preview):
        preview.show()
    preview.set_images(cycle(1))
    whole = ranges(preview)
    view = items(preview)[4].getViewBox()
    view.setRange(xRange=(2, 5), yRange=(1, 4), padding=0)
    view.sigRangeChangedManually.emit([True, True])
    zoomed = ranges(preview)
    assert all(np.allclose(one, view.viewRange()) for one in zoomed)
    assert not np.allclose(zoomed[0], whole[0])
    canvas, left = preview.canvas.viewport(), Qt.MouseButton.LeftButton
    qtbot.mouseDClick(canvas, left, pos=canvas.rect().center())
    qtbot.mouseRelease(canvas, left, pos=canvas.rect().center())
    assert np.allclose(ranges(preview), whole)


def voxel_numbers(factor: int = 1) -> dict[str, np.ndarray]:
    """Volumes of 4 × 6 × 8 voxels of A, whose voxels show 100 z + 10 y + x of A."""
    images = {}
    for name, size in SIZES.items():
        f = factor if size == 2 else 1
        z, y, x = np.indices((4 * f, 6 * f, 8 * f)) // f
        images[name] = (100 * z + 10 * y + x).astype(np.float32)
    return images


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize(
    ("axis", "size", "corners"),
    [(0, (6, 8), (300, 357)), (1, (4, 8), (30, 337)), (2, (4, 6), (3, 353))],
)
def test_slices_go_along_all_three_axes(
    factor: int,
    axis: int,
    size: tuple[int, int],
    corners: tuple[int, int],
    preview: CyclePreview,
) -> None:
    preview.set_images(voxel_numbers(factor))
    preview.directions.button(axis).click()
    preview.slider.setValue(3 * factor)
    assert preview.slider.maximum() == factor * (4, 6, 8)[axis] - 1
    shapes = {item.image.shape for item in items(preview)}
    assert shapes == {size, tuple(factor * n for n in size)}
    assert {int(item.image[0, 0]) for item in items(preview)} == {corners[0]}
    assert {int(item.image[-1, -1]) for item in items(preview)} == {corners[1]}


def test_the_direction_stays_from_one_preview_to_the_next(
    preview: CyclePreview,
) -> None:
    preview.set_images(voxel_numbers())
    preview.directions.button(2).click()
    preview.slider.setValue(6)
    preview.set_images(voxel_numbers())
    assert {int(item.image[0, 0]) for item in items(preview)} == {6}


def test_slices_alone_have_one_direction_only(preview: CyclePreview) -> None:
    preview.set_images(voxel_numbers())
    preview.directions.button(1).click()
    preview.clear()
    preview.set_images({name: image[0] for name, image in voxel_numbers().items()})
    assert {item.image.shape for item in items(preview)} == {(6, 8)}
    assert preview.directions.checkedId() == 0


def test_what_a_cycle_loses_stands_beside_it_with_half_the_contrast(
    preview: CyclePreview,
) -> None:
    images = voxel_numbers()
    images["cyclic_a"] = images["real_a"] + 3
    images["cyclic_b"] = images["real_b"] - 2
    preview.set_images(images)
    preview.contrast.low.setValue(0)
    preview.contrast.high.setValue(50)
    preview.difference.setChecked(True)
    shown = items(preview)
    assert len(shown) == 8
    off = [item for item in shown if tuple(item.levels) == (0, 25)]
    assert sorted(float(item.image.max()) for item in off) == [2, 3]
    assert all(item.image.min() == item.image.max() for item in off)
    preview.difference.setChecked(False)
    assert len(items(preview)) == 6


def test_an_enlargement_is_compared_with_what_it_should_be(
    preview: CyclePreview,
) -> None:
    every = voxel_numbers(2)
    images = {name: every[name] for name in ("real_a", "fake_b", "real_b")}
    images["fake_b"] = images["fake_b"] + 4
    preview.difference.setChecked(True)
    preview.set_images(images)
    shown = items(preview)
    assert len(shown) == 4
    assert {float(shown[k].image.max()) for k in range(4)} >= {4}


def test_contrast_is_one_for_all_and_follows_slider_and_numbers(
    preview: CyclePreview,
) -> None:
    preview.set_images(voxel_numbers())

    def levels() -> list[float]:
        (found,) = {tuple(map(float, item.levels)) for item in items(preview)}
        return list(found)

    auto = levels()
    preview.contrast.slider.setValue((10, 60))
    assert levels() == pytest.approx([10, 60])
    assert preview.contrast.high.value() == pytest.approx(60)
    preview.contrast.high.setValue(900)
    assert levels() == pytest.approx([10, 900])
    assert preview.contrast.slider.value()[1] == pytest.approx(900)
    preview.contrast.auto_button.click()
    assert levels() == pytest.approx(auto)


def test_images_without_contrast_or_numbers_are_shown_all_the_same(
    preview: CyclePreview,
) -> None:
    for value in (0.0, np.nan):
        preview.clear()
        flat = {name: np.full((4, 4, 4), value, np.float32) for name in SIZES}
        preview.set_images(flat)
        low, high = preview.contrast.value()
        assert low < high


def test_the_keyboard_zooms_all_images_as_one(
    preview: CyclePreview, qtbot: QtBot
) -> None:
    preview.resize(480, 330)
    with qtbot.waitExposed(preview):
        preview.show()
    preview.set_images(cycle(1))
    whole = ranges(preview)
    for key in (Qt.Key.Key_Plus, Qt.Key.Key_Left, Qt.Key.Key_Down):
        before = ranges(preview)[0]
        qtbot.keyClick(preview.canvas, key)
        now = ranges(preview)
        assert not np.allclose(now[0], before)
        assert all(np.allclose(one, now[0]) for one in now)
    qtbot.keyClick(preview.canvas, Qt.Key.Key_A)
    assert np.allclose(ranges(preview), whole)


def test_difference_is_remembered(preview: CyclePreview, qtbot: QtBot) -> None:
    preview.difference.setChecked(True)
    again = CyclePreview()
    qtbot.addWidget(again)
    again.set_images(cycle(1))
    assert len(items(again)) == 8
