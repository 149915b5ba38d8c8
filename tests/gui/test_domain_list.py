"""The list of one domain: rows, regions, warnings, and the place of the preview."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.contributions import layers_of
from napari_cyclegan3d.gui.domains.inspector import Inspector
from napari_cyclegan3d.gui.domains.lists import DomainList
from napari_cyclegan3d.gui.domains.viewer import ShownSources
from napari_cyclegan3d.gui.source import Source
from napari_cyclegan3d.io.series import write_series

PART = (slice(2, 10), slice(0, 18), slice(None))


@pytest.fixture
def viewer() -> Any:
    return ViewerModel()  # a viewer without its window


@pytest.fixture
def rows(viewer: Any, at_once: Any, qtbot: QtBot) -> DomainList:
    rows = DomainList("A", ShownSources(viewer, at_once), Inspector(at_once))
    qtbot.addWidget(rows)
    return rows


@pytest.fixture
def file(upright: Volume, tmp_path: Path) -> Path:
    io.write(upright, tmp_path / "scan.tif")
    return tmp_path / "scan.tif"


def noise(name: str, seed: int = 0) -> Image:
    voxels = np.random.default_rng(seed).normal(size=(16, 18, 20))
    return Image(voxels.astype(np.float32), name=name)


def text(rows: DomainList, row: int) -> str:
    return str(rows.view.item(row).text())


def choose(rows: DomainList, row: int) -> None:
    rows.view.setCurrentRow(row)


def write(line: Any, text: str) -> None:
    line.setText(text)
    line.editingFinished.emit()


def drop(widget: Any, *paths: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    move, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    keys = Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), move, mime, left, keys)
    QApplication.sendEvent(widget, enter)
    QApplication.sendEvent(widget, QDropEvent(QPointF(5, 5), move, mime, left, keys))


def test_a_row_shows_picture_name_shape_voxel_size_and_type(
    rows: DomainList, file: Path
) -> None:
    rows.add(file)
    assert text(rows, 0) == "scan.tif\n16 × 18 × 20 · 2 × 1 × 1.5 µm · float32"
    pixels = rows.view.item(0).icon().pixmap(40, 40).toImage()
    assert len({pixels.pixel(x, 20) for x in range(5, 35)}) > 5


def test_several_files_dropped_at_once_are_added(
    rows: DomainList, file: Path, tmp_path: Path
) -> None:
    io.write(Volume(np.ones((3, 4, 5), np.uint8)), tmp_path / "other.tif")
    rows.show()
    drop(rows, file, tmp_path / "other.tif")
    assert [source.name for source in rows.sources()] == ["scan.tif", "other.tif"]


def test_what_is_dropped_on_the_rows_themselves_is_added_too(
    rows: DomainList, file: Path
) -> None:
    rows.show()
    drop(rows.view.viewport(), file)
    assert [source.name for source in rows.sources()] == ["scan.tif"]


def test_the_same_thing_is_added_once_but_two_regions_of_it_twice(
    rows: DomainList, file: Path
) -> None:
    layer = noise("layer")
    rows.add_all([file, layer, str(file), layer, f"{file}[0:8,:,:]"])
    assert [source.region for source in rows.sources()][:2] == [None, None]
    assert len(rows.sources()) == 3


@pytest.mark.parametrize(
    ("layer", "word"),
    [
        (Image(np.zeros((40, 40, 3), np.uint8), rgb=True, name="photo"), "colour"),
        (Image(np.zeros((2, 2, 3, 4, 5)), name="films"), "5 axes"),
        (Image(np.zeros((4, 5)), name="flat"), "2 axes"),
    ],
)
def test_a_layer_that_cannot_be_used_is_refused_when_it_is_added(
    layer: Image, word: str, rows: DomainList, file: Path
) -> None:
    rows.add_all([layer, file])
    assert [source.name for source in rows.sources()] == ["scan.tif"]
    assert word in rows.note.text()
    rows.add(noise("other"))
    assert rows.note.text() == ""


def test_all_frames_of_a_series_layer_are_volumes_of_the_domain(
    rows: DomainList, viewer: Any, file: Path
) -> None:
    film = viewer.add_image(
        np.random.default_rng(0).normal(size=(3, 16, 18, 20)).astype(np.float32),
        name="film",
        scale=(2.5, 2, 1, 1.5),
        translate=(0, 10, -20, 30),
        units=("second", *["micrometer"] * 3),
    )
    assert rows.add_bar.offered() == [film]
    rows.add_all([Source(film, PART), file])
    assert "3 volumes · 8 × 18 × 20 · 2 × 1 × 1.5 µm" in text(rows, 0)
    *frames, other = rows.value()
    for frame, voxels in zip(frames, film.data, strict=True):
        assert np.array_equal(frame.read(), voxels[PART])
        assert frame.origin == (14, -20, 30)  # where the region begins
        assert frame.unit == other.unit == "micrometer"
    choose(rows, 1)
    write(rows.editor.place, "5, 6, 7")
    assert rows.preview_place() == (3, 5, 6, 7)


def test_region_and_place_are_drawn_in_a_series_layer(
    rows: DomainList, viewer: Any
) -> None:
    film = viewer.add_image(
        np.zeros((3, 16, 18, 20)), name="film", scale=(2.5, 2, 1, 1.5)
    )
    rows.add(Source(film, PART))
    choose(rows, 0)
    rows.editor.box_button.click()
    (outline,) = (one for one in viewer.layers if one is not film)
    corner = np.asarray(outline.data[0])[0]
    world = film.data_to_world((0, *corner))
    assert np.allclose(outline.data_to_world(corner), world[1:])
    rows.editor.box_button.click()
    rows.editor.pick_button.click()
    assert "of its first frame" in rows.note.text()

    class Press:
        position = film.data_to_world((2, 4, 5, 6))

    viewer.mouse_drag_callbacks[-1](viewer, Press())
    assert rows.preview_place() == (0, 2, 5, 6)


def test_the_box_of_a_series_file_is_drawn_in_its_layer(
    rows: DomainList, viewer: Any, upright: Volume, tmp_path: Path
) -> None:
    path = tmp_path / "film.nii"
    write_series([upright, upright], path)
    for data, attributes, _ in layers_of(str(path)):
        viewer.add_image(data, **attributes)
    rows.add(path)
    choose(rows, 0)
    rows.editor.box_button.click()
    assert [one.name for one in viewer.layers] == ["film", "region of film"]


def test_the_menu_offers_the_layers_there_are_and_says_why_not_the_others(
    rows: DomainList, viewer: Any
) -> None:
    viewer.add_image(np.zeros((4, 5, 6)), name="R&D")
    viewer.add_image(np.zeros((5, 6)), name="flat")
    viewer.add_labels(np.zeros((4, 5, 6), int))
    rows.add_bar.menu.aboutToShow.emit()
    first, second, *_ = rows.add_bar.menu.actions()
    assert first.text() == "R&&D"
    assert first.isEnabled()
    assert not second.isEnabled()
    assert "2 axes" in second.toolTip()
    assert [layer.name for layer in rows.add_bar.offered()] == ["R&D"]
    first.trigger()
    assert rows.sources() == [Source(viewer.layers[0])]


def test_a_pattern_is_typed(rows: DomainList, file: Path, qtbot: QtBot) -> None:
    line = rows.add_bar.line
    line.setText(str(file.parent / "*.tif"))
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert line.text() == ""
    assert [volume.shape for volume in rows.value()] == [(16, 18, 20)]


def test_a_region_that_is_no_region_is_refused_and_nothing_is_lost(
    rows: DomainList, file: Path
) -> None:
    rows.add(file)
    rows.add("scan.tif[1:2]")
    assert "three ranges" in rows.note.text()
    choose(rows, 0)
    write(rows.editor.region, "[1:2]")
    assert "three ranges" in rows.note.text()
    assert rows.sources() == [Source(str(file))]


def test_a_typed_region_is_what_is_trained_on_and_shown(
    rows: DomainList, file: Path, qtbot: QtBot
) -> None:
    rows.add_all([noise("other"), file])
    choose(rows, 1)
    with qtbot.waitSignal(rows.changed):
        write(rows.editor.region, "2:10, 0:18, :")
    assert text(rows, 1).startswith("scan.tif [2:10,0:18,:]\n8 × 18 × 20 · ")
    assert rows.value()[1].shape == (8, 18, 20)
    write(rows.editor.region, "")
    assert text(rows, 1).startswith("scan.tif\n16 × 18 × 20 · ")


def test_the_box_in_the_viewer_and_the_typed_region_are_one(
    rows: DomainList, viewer: Any
) -> None:
    layer = viewer.add_layer(noise("scan"))
    rows.add(Source(layer, PART))
    choose(rows, 0)
    rows.editor.box_button.click()
    (outline,) = (one for one in viewer.layers if one is not layer)
    assert set(np.asarray(outline.data[0])[:, 1]) == {0, 17}
    write(rows.editor.region, "[2:10,4:9,:]")
    assert set(np.asarray(outline.data[0])[:, 1]) == {3.5, 8.5}
    corners = np.asarray(outline.data[0]).copy()
    corners[:, 2] = [4.5, 12.5, 12.5, 4.5]
    outline.data = [corners]
    assert rows.editor.region.text() == "[2:10,4:9,5:13]"
    assert rows.value()[0].shape == (8, 5, 8)
    rows.editor.box_button.click()
    assert list(viewer.layers) == [layer]
    assert rows.editor.region.text() == "[2:10,4:9,5:13]"


@pytest.mark.parametrize("how", ["another row", "removed", "outline deleted", "end"])
def test_the_outline_goes_with_what_it_belongs_to(
    how: str, rows: DomainList, viewer: Any
) -> None:
    layers = [viewer.add_layer(noise(name)) for name in ("one", "two")]
    rows.add_all(layers)
    choose(rows, 0)
    rows.editor.box_button.click()
    assert len(viewer.layers) == 3
    if how == "another row":
        choose(rows, 1)
    elif how == "removed":
        rows.remove_button.click()
    elif how == "outline deleted":
        viewer.layers.remove(viewer.layers[2])
    else:
        rows.end()
    assert list(viewer.layers) == layers
    assert not rows.editor.box_button.isChecked()


def test_a_file_is_opened_in_the_viewer_once_to_draw_its_box(
    rows: DomainList, viewer: Any, file: Path
) -> None:
    rows.add(Source(str(file), PART))
    choose(rows, 0)
    for _ in range(2):
        rows.editor.box_button.click()
        assert [one.name for one in viewer.layers] == ["scan", "region of scan"]
        rows.editor.box_button.click()
        assert [one.name for one in viewer.layers] == ["scan"]
    assert viewer.layers[0].data.shape == (16, 18, 20)


def test_what_cannot_be_drawn_in_is_refused_in_a_sentence(
    rows: DomainList, file: Path, tmp_path: Path
) -> None:
    io.write(Volume(np.ones((3, 4, 5), np.uint8)), tmp_path / "two.tif")
    rows.add_all([tmp_path, noise("gone")])
    choose(rows, 0)
    rows.editor.box_button.click()
    assert "2 volumes" in rows.note.text()
    choose(rows, 1)
    rows.editor.pick_button.click()
    assert "no longer in the viewer" in rows.note.text()
    assert not rows.editor.box_button.isChecked()
    assert not rows.editor.pick_button.isChecked()


def test_the_place_of_the_preview_counts_volumes_and_voxels_of_the_region(
    rows: DomainList, file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("one.tif", "two.tif"):
        io.write(Volume(np.ones((3, 4, 5), np.uint8)), folder / name)
    rows.add_all([folder, Source(str(file), PART)])
    assert rows.preview_place() is None
    choose(rows, 1)
    write(rows.editor.place, "5, 6, 7")
    assert rows.preview_place() == (2, 3, 6, 7)
    assert text(rows, 1).endswith(" · preview")
    choose(rows, 0)
    assert rows.editor.place.text() == ""
    choose(rows, 1)
    assert rows.editor.place.text() == "5, 6, 7"
    write(rows.editor.place, "")
    assert rows.preview_place() is None


def test_a_preview_beside_its_region_is_refused(rows: DomainList, file: Path) -> None:
    rows.add(Source(str(file), PART))
    choose(rows, 0)
    write(rows.editor.place, "12, 6, 7")
    with pytest.raises(InputError, match="2:10 along z"):
        rows.preview_place()
    write(rows.editor.place, "one, 2, 3")
    assert "three numbers" in rows.note.text()


def test_a_row_that_is_removed_takes_its_preview_along(
    rows: DomainList, file: Path
) -> None:
    rows.add_all([file, noise("other")])
    choose(rows, 0)
    write(rows.editor.place, "5, 6, 7")
    rows.show()
    QTest.keyClick(rows.view, Qt.Key.Key_Delete)
    assert [source.name for source in rows.sources()] == ["other"]
    assert rows.preview_place() is None


def test_a_click_in_the_viewer_is_the_place(rows: DomainList, viewer: Any) -> None:
    layer = viewer.add_layer(noise("scan"))
    layer.scale = (2, 1, 1)
    rows.add(layer)
    choose(rows, 0)
    rows.editor.pick_button.click()
    assert "Click" in rows.note.text()
    click: Callable[..., Any] = viewer.mouse_drag_callbacks[-1]

    class Press:
        position = layer.data_to_world((4, 5, 6))

    click(viewer, Press())
    assert rows.preview_place() == (0, 4, 5, 6)
    assert not rows.editor.pick_button.isChecked()
    assert click not in viewer.mouse_drag_callbacks
    assert rows.note.text() == ""


def test_warned_rows_are_marked_and_say_why(rows: DomainList, file: Path) -> None:
    rows.add_all([file, noise("other")])
    rows.show_warnings({1: ["too small", "too dark"]})
    assert not text(rows, 0).startswith("⚠")
    assert text(rows, 1).startswith("⚠ other")
    assert "too small\ntoo dark" in rows.view.item(1).toolTip()
    rows.show_warnings({})
    assert not text(rows, 1).startswith("⚠")


def test_a_row_has_the_name_that_its_layer_has_now(rows: DomainList) -> None:
    layer = noise("before")
    rows.add(layer)
    layer.name = "after"
    rows.refresh()
    assert text(rows, 0).startswith("after\n")


def test_an_answer_about_another_region_is_not_shown(
    viewer: Any, file: Path, qtbot: QtBot
) -> None:
    asked: list[Any] = []

    def later(events: Any, on_event: Any, on_error: Any, on_finished: Any) -> Any:
        def answer() -> None:
            for event in events:
                on_event(event)
            on_finished()

        asked.append(answer)

    rows = DomainList("A", ShownSources(viewer, later), Inspector(later))
    qtbot.addWidget(rows)
    rows.add(file)
    choose(rows, 0)
    write(rows.editor.region, "[2:10,:,:]")
    asked.pop(0)()
    assert rows.facts() == [None]
    asked.pop(0)()
    assert text(rows, 0).startswith("scan.tif [2:10,:,:]\n8 × 18 × 20")
