"""What the Enhance dock makes of layers, series, files and folders."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication, QComboBox

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.inference import EnhanceDone, enhance
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.enhance import output
from napari_cyclegan3d.gui.enhance.dock import EnhanceDock
from napari_cyclegan3d.gui.enhance.queue_list import State
from napari_cyclegan3d.gui.enhance.task import Result
from napari_cyclegan3d.gui.layers import source_name, to_layer_data, to_volume

CPU = EnhanceConfig(device="cpu", precision="fp32")


@pytest.fixture
def dock(qtbot: QtBot, at_once: Any) -> EnhanceDock:
    """A dock whose work is done within the call, with a viewer without a window."""
    dock = EnhanceDock(ViewerModel(), at_once)
    qtbot.addWidget(dock)
    dock.form.set_value(CPU)
    return dock


@pytest.fixture
def scan(dock: EnhanceDock, upright: Volume) -> Image:
    data, attributes, _ = to_layer_data(upright)
    return add(dock, data, **attributes)


def add(dock: EnhanceDock, data: Any, **attributes: Any) -> Image:
    layer = dock.viewer.add_image(data, **attributes)
    dock.source.layer_choice.choices = [
        one for one in dock.viewer.layers if isinstance(one, Image)
    ]
    dock.source.layer_choice.value = layer
    return layer


def result(volume: Volume, model: Path, **changes: Any) -> Volume:
    config = CPU.model_copy(update=changes)
    *_, last = enhance(volume, load_model(model), config)
    assert isinstance(last, EnhanceDone)
    return last.volume


def states(dock: EnhanceDock) -> list[State]:
    return [entry.state for entry in dock.source.queue.entries]


def box(layer: Image) -> np.ndarray:
    """World positions of two opposite outer corners of a layer."""
    data = layer.data[0] if layer.multiscale else layer.data
    first = [-0.5] * data.ndim
    return np.array(
        [layer.data_to_world(first), layer.data_to_world(first + np.array(data.shape))]
    )


def random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_series_is_enhanced_frame_by_frame_where_it_lies(
    scale: int, dock: EnhanceDock, request: pytest.FixtureRequest
) -> None:
    model: Path = request.getfixturevalue(f"model_{scale}x")
    data = random((5, 12, 14, 13))
    place = {"scale": (7, 2, 1, 1.5), "translate": (3, 1, 2, 3)}
    layer = add(dock, data, name="series", **place)
    dock.select_model(model)
    dock.source.frames.first.setValue(1)
    dock.source.frames.last.setValue(3)
    dock.enhance()
    made = dock.viewer.layers[-1]
    assert made.name == "series enhanced"
    for frame in (1, 2, 3):
        expected = result(to_volume(layer, frame), model)
        assert np.array_equal(made.data[frame - 1], expected.read())
    part = Image(data[1:4], **place)
    part.translate = layer.data_to_world((1, 0, 0, 0))
    assert np.allclose(box(made), box(part))
    assert made.axis_labels == layer.axis_labels


def test_all_frames_of_a_series_in_the_queue_are_enhanced(
    dock: EnhanceDock, model_1x: Path
) -> None:
    layer = add(dock, random((3, 12, 12, 12)), name="series")
    dock.select_model(model_1x)
    dock.add([layer])
    assert "series [0–2]" in dock.source.queue.entries[0].title
    dock.enhance()
    assert dock.viewer.layers[-1].data.shape == (3, 12, 12, 12)


@pytest.mark.parametrize("kind", ["multiscale", "dask", "dask series"])
def test_pyramids_and_arrays_on_disk_give_what_their_voxels_give(
    kind: str, dock: EnhanceDock, model_2x: Path
) -> None:
    data = random((12, 14, 16))
    shown: Any = {
        "multiscale": [data, data[::2, ::2, ::2]],
        "dask": dask.array.from_array(data, chunks=4),
        "dask series": dask.array.from_array(data[None], chunks=4),
    }[kind]
    layer = add(dock, shown, multiscale=kind == "multiscale", scale=None)
    dock.select_model(model_2x)
    dock.enhance()
    made = dock.viewer.layers[-1]
    expected = result(Volume(data), model_2x).read()
    assert np.array_equal(np.asarray(made.data).reshape(expected.shape), expected)
    assert np.allclose(box(made), box(layer))


def test_the_full_cycle_adds_the_way_back_over_the_source(
    dock: EnhanceDock, scan: Image, model_2x: Path
) -> None:
    dock.select_model(model_2x)
    dock.target.cycle.setChecked(True)
    dock.enhance()
    _, enhanced, cyclic = dock.viewer.layers
    assert [enhanced.name, cyclic.name] == ["fast scan enhanced", "fast scan cyclic"]
    there = result(to_volume(scan), model_2x)
    back = result(there, model_2x, direction="b_to_a")
    assert np.array_equal(enhanced.data, there.read())
    assert np.array_equal(cyclic.data, back.read())
    assert np.allclose(box(cyclic), box(scan))
    assert np.allclose(box(enhanced), box(scan))


def test_a_model_without_a_way_back_refuses_the_cycle_at_once(
    dock: EnhanceDock, scan: Image, model_srgan: Path
) -> None:
    dock.select_model(model_srgan)
    dock.target.cycle.setChecked(True)
    assert "has no generator from B to A" in dock.status.text()
    dock.target.cycle.setChecked(False)
    assert dock.status.text() == ""


@pytest.mark.parametrize("suffix", [".zarr", ".tif", ".nii.gz", ".h5"])
def test_a_result_on_disk_is_shown_over_its_source_and_read_from_there(
    suffix: str, dock: EnhanceDock, scan: Image, model_2x: Path, tmp_path: Path
) -> None:
    dock.select_model(model_2x)
    target = dock.target
    target.kind.setCurrentIndex(target.kind.findData("file"))
    target.suffix.setCurrentIndex(target.suffix.findData(suffix))
    target.folder.setText(str(tmp_path / "out"))
    dock.enhance()
    path = tmp_path / "out" / f"fast_scan_enhanced{suffix}"
    expected = result(to_volume(scan), model_2x)
    assert np.array_equal(io.read(path).read(), expected.read())
    assert np.allclose(io.read(path).affine, expected.affine, atol=1e-4)
    made = dock.viewer.layers[-1]
    assert isinstance(made.data, dask.array.Array)
    assert np.array_equal(np.asarray(made.data), expected.read())
    assert np.allclose(box(made), box(scan), atol=1e-4)
    assert str(path) in dock.status.text()
    # what is there is never replaced
    before = path.stat().st_mtime_ns
    dock.enhance()
    assert (tmp_path / "out" / f"fast_scan_enhanced_2{suffix}").exists()
    assert path.stat().st_mtime_ns == before


def test_the_frames_of_a_series_are_files_and_one_layer(
    dock: EnhanceDock, model_1x: Path, tmp_path: Path
) -> None:
    layer = add(dock, random((2, 12, 12, 12)), name="series")
    dock.select_model(model_1x)
    dock.target.kind.setCurrentIndex(dock.target.kind.findData("file"))
    dock.target.folder.setText(str(tmp_path / "out"))
    dock.enhance()
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["series_enhanced_t0000.zarr", "series_enhanced_t0001.zarr"]
    made = dock.viewer.layers[-1]
    expected = result(to_volume(layer, 1), model_1x)
    assert np.array_equal(np.asarray(made.data[1]), expected.read())


def test_files_and_folders_are_enhanced_beside_themselves_without_being_opened(
    dock: EnhanceDock, upright: Volume, model_1x: Path, tmp_path: Path
) -> None:
    one, folder = tmp_path / "one.tif", tmp_path / "two"
    folder.mkdir()
    io.write(upright, one)
    io.write(upright, folder / "left.tif")
    io.write(upright.resampled(random((16, 18, 20)), 1), folder / "right.tif")
    dock.select_model(model_1x)
    dock.add([one, folder])
    assert dock.enhance_button.text() == "Enhance 2 in the queue"
    dock.enhance()
    assert states(dock) == [State.DONE, State.DONE]
    assert not dock.viewer.layers
    for path in (one, folder / "left.tif", folder / "right.tif"):
        made = io.read(path.with_name(f"{path.stem}_enhanced.zarr"))
        assert np.array_equal(made.read(), result(io.read(path), model_1x).read())


def test_a_file_becomes_a_layer_where_layers_are_asked_for(
    dock: EnhanceDock, upright: Volume, model_1x: Path, tmp_path: Path
) -> None:
    io.write(upright, tmp_path / "one.tif")
    dock.select_model(model_1x)
    dock.target.kind.setCurrentIndex(dock.target.kind.findData("layer"))
    dock.add([tmp_path / "one.tif"])
    dock.enhance()
    (made,) = dock.viewer.layers
    assert made.name == "one enhanced"
    assert np.allclose(to_volume(made).affine, upright.affine, atol=1e-4)


def test_what_does_not_fit_the_memory_goes_to_disk_and_that_is_told_beforehand(
    dock: EnhanceDock,
    scan: Image,
    model_1x: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output, "free_memory", lambda _: 1000)
    dock.select_model(model_1x)
    dock.target.folder.setText(str(tmp_path / "out"))
    assert f"goes to {tmp_path / 'out'}" in dock.target.note.text()
    dock.target.kind.setCurrentIndex(dock.target.kind.findData("layer"))
    assert "choose a file for the result" in dock.target.note.text()
    dock.enhance()
    assert "choose a file for the result" in dock.status.text()
    assert list(dock.viewer.layers) == [scan]
    dock.target.kind.setCurrentIndex(dock.target.kind.findData("auto"))
    dock.enhance()
    assert (tmp_path / "out" / "fast_scan_enhanced.zarr").is_dir()


def test_one_failure_does_not_stop_the_queue_and_is_told(
    dock: EnhanceDock, scan: Image, model_1x: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.tif").write_bytes(b"no image")
    constant = dock.viewer.add_image(np.full((9, 9, 9), 7.0), name="constant")
    dock.select_model(model_1x)
    dock.add([tmp_path / "broken.tif", constant, scan])
    dock.enhance()
    assert states(dock) == [State.FAILED, State.FAILED, State.DONE]
    notes = [entry.note for entry in dock.source.queue.entries]
    assert "broken.tif" in notes[0]
    assert "every voxel is 7" in notes[1]
    assert "every voxel is 7" in dock.status.text()
    assert dock.status.details_button.isVisibleTo(dock)
    assert [one.name for one in dock.viewer.layers][-1] == "fast scan enhanced"


def test_what_cannot_be_enhanced_is_refused_when_it_is_added(
    dock: EnhanceDock, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no volume", encoding="utf-8")
    colours = Image(np.zeros((40, 40, 3), np.uint8), name="colours")
    dock.add([tmp_path / "notes.txt", colours])
    assert "notes.txt: no volume" in dock.status.text()
    assert "colours: a colour image" in dock.status.text()
    assert not dock.source.queue.entries


def test_rows_are_removed_by_key_and_by_button_but_not_what_is_left(
    dock: EnhanceDock, scan: Image, model_1x: Path, qtbot: QtBot
) -> None:
    queue = dock.source.queue
    dock.select_model(model_1x)
    dock.enhance()
    assert states(dock) == [State.DONE]
    dock.add([scan, scan])
    item = queue.topLevelItem(1)
    assert item is not None
    item.setSelected(True)
    qtbot.keyClick(queue, Qt.Key.Key_Delete)
    assert states(dock) == [State.DONE, State.WAITING]
    dock.source.clear_button.click()
    assert states(dock) == [State.WAITING]
    assert dock.enhance_button.text() == "Enhance 1 in the queue"


def test_a_dropped_model_is_chosen_and_everything_else_is_queued(
    dock: EnhanceDock, scan: Image, model_1x: Path, tmp_path: Path
) -> None:
    io.write(to_volume(scan), tmp_path / "one.tif")
    dock.controller.drop([model_1x, scan, tmp_path / "one.tif"])
    assert dock.model.path == model_1x
    assert dock.model.model is not None
    titles = [entry.title for entry in dock.source.queue.entries]
    assert titles == ["fast scan", "one.tif"]


def test_after_the_work_no_voxels_and_nothing_on_the_device_are_held(
    dock: EnhanceDock, scan: Image, model_1x: Path
) -> None:
    made: list[weakref.ref[Any]] = []
    note = Result.note

    def spied(self: Result, block: Any) -> None:
        made.append(weakref.ref(self))
        note(self, block)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Result, "note", spied)
        dock.select_model(model_1x)
        dock.enhance()
    dock.viewer.layers.clear()
    dock.source.layer_choice.choices = []
    dock.reset_choices()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QApplication.processEvents()
    gc.collect()
    assert made
    assert all(one() is None for one in made)
    assert not dock.source.queue.entries
    assert dock.model.model is not None
    for network in dock.model.model.networks.values():
        assert {one.device.type for one in network.parameters()} == {"cpu"}


def test_a_result_knows_its_source(
    dock: EnhanceDock, scan: Image, model_1x: Path
) -> None:
    dock.select_model(model_1x)
    dock.enhance()
    assert source_name(dock.viewer.layers[-1]) == scan.name
    assert source_name(scan) is None


def test_what_was_set_is_there_again_at_the_next_start(
    dock: EnhanceDock, model_1x: Path, qtbot: QtBot, at_once: Any
) -> None:
    dock.select_model(model_1x)
    dock.form.set_value(CPU.model_copy(update={"tile": (8, 9, 10), "memory": 3.5}))
    dock.target.kind.setCurrentIndex(dock.target.kind.findData("file"))
    dock.target.suffix.setCurrentIndex(dock.target.suffix.findData(".h5"))
    dock.target.folder.setText("/somewhere")
    dock.target.cycle.setChecked(True)
    again = EnhanceDock(ViewerModel(), at_once)
    qtbot.addWidget(again)
    assert again.model.path == model_1x
    assert again.model.model is not None
    assert again.form.value() == dock.form.value()
    assert again.target.state() == dock.target.state()


def test_a_remembered_model_that_is_gone_is_forgotten_in_silence(
    dock: EnhanceDock, model_1x: Path, qtbot: QtBot, at_once: Any, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(model_1x.read_bytes())
    dock.select_model(copy)
    copy.unlink()
    again = EnhanceDock(ViewerModel(), at_once)
    qtbot.addWidget(again)
    assert again.model.path is None
    assert again.status.text() == ""


def test_the_dock_is_no_wider_than_420_pixels_and_scrolls(
    dock: EnhanceDock, model_1x: Path, upright: Volume
) -> None:
    data, attributes, _ = to_layer_data(upright)
    add(dock, data, **{**attributes, "name": "a long name of a layer " * 5})
    dock.select_model(model_1x)
    dock.form.unfold(["more"])
    assert dock.sizeHint().width() <= 420
    assert dock.minimumSizeHint().width() <= 420
    assert dock.minimumSizeHint().height() <= 500


def test_what_is_put_into_the_queue_is_in_sight_however_low_the_dock_is(
    dock: EnhanceDock, model_1x: Path, slow: Path
) -> None:
    dock.select_model(model_1x)
    dock.resize(400, 260)
    dock.show()
    dock.add([slow])
    shown = dock.queue.visibleRegion().boundingRect()
    assert shown.height() == dock.queue.height() > 0


def test_the_directions_are_called_what_they_do(dock: EnhanceDock) -> None:
    (choice,) = dock.form.findChildren(QComboBox, "direction")
    assert [choice.itemText(n) for n in range(choice.count())] == ["A → B", "B → A"]


def test_a_dock_that_opens_beside_a_series_takes_all_of_its_frames(
    make_napari_viewer_proxy: Callable[..., Any], qtbot: QtBot
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    viewer.add_image(random((3, 6, 6, 6)), name="series")
    _, dock = viewer.window.add_plugin_dock_widget("napari-cyclegan3d", "Enhance")
    assert dock.source.layer_entry().frames == range(3)
    qtbot.waitUntil(dock.source.frames.isVisible)
    assert dock.source.frames.last.value() == 2
