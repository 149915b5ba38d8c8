"""Previews as they are drawn."""

from itertools import pairwise

import numpy as np
import pyqtgraph as pg
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_cyclegan3d.gui.preview import CyclePreview

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
