"""Files that leave something open, opened as a user opens them: in napari, by drops."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
import pytest
from napari.components import ViewerModel
from npe2 import PluginManager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QDialog, QDialogButtonBox, QWidget

from napari_cyclegan3d import io
from napari_cyclegan3d.gui.choosing import Asker
from napari_cyclegan3d.gui.datasets import Candidate, ChoiceDialog
from napari_cyclegan3d.gui.domains.inspector import Inspector
from napari_cyclegan3d.gui.domains.lists import DomainList
from napari_cyclegan3d.gui.domains.viewer import ShownSources
from napari_cyclegan3d.gui.enhance.dock import EnhanceDock
from napari_cyclegan3d.gui.raw_dialog import RawDialog
from napari_cyclegan3d.gui.raw_guess import guessed
from napari_cyclegan3d.gui.raw_picture import SIDE, grey_picture
from napari_cyclegan3d.gui.source import Source
from napari_cyclegan3d.gui.worker import start_engine

PLUGIN = "napari-cyclegan3d"
PATIENCE = 20_000
Dialog = TypeVar("Dialog", bound=QDialog)
Button = QDialogButtonBox.StandardButton


class Answers:
    """Answers dialogs that wait for the user, and counts them."""

    def __init__(self, qtbot: QtBot) -> None:
        self.asked: list[str] = []
        self._qtbot = qtbot
        self._timer = QTimer()
        self._answers: dict[type[QDialog], Callable[[Any], None]] = {}
        self._timer.timeout.connect(self._look)
        self._timer.start(20)

    def give(self, kind: type[Dialog], answer: Callable[[Dialog], None]) -> None:
        self._answers[kind] = answer

    def stop(self) -> None:
        self._timer.stop()

    def _look(self) -> None:
        dialog = QApplication.activeModalWidget()
        for kind, answer in self._answers.items():
            if isinstance(dialog, kind):
                self.asked.append(dialog.windowTitle())
                answer(dialog)


@pytest.fixture
def answers(qtbot: QtBot) -> Any:
    given = Answers(qtbot)
    yield given
    given.stop()


@pytest.fixture
def viewer() -> ViewerModel:
    """What a window shows, without the window, which takes seconds to open."""
    PluginManager.instance().discover()
    return ViewerModel()


def cancelled(dialog: QDialog) -> None:
    dialog.reject()


def voxels(shape: tuple[int, int, int] = (4, 6, 10)) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 4000, shape).astype(np.uint16)


def raw_file(folder: Path, name: str = "scan.raw") -> Path:
    voxels().astype("<u2").tofile(folder / name)
    return folder / name


def two_datasets(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["first"] = voxels()
        file["group/second"] = voxels() + 1
    return path


def press_open(dialog: RawDialog | ChoiceDialog) -> None:
    button = dialog.buttons.button(Button.Open)
    assert button.isEnabled()
    button.click()


def fill_in(dialog: RawDialog) -> None:
    dialog.editors["dtype"].set_value("uint16")
    dialog.editors["shape"].set_value((4, 6, 10))
    dialog.editors["spacing"].set_value((2.0, 1.0, 1.5))
    dialog.unit.setCurrentText("micrometer")
    press_open(dialog)


@pytest.mark.parametrize(
    ("name", "size", "shape", "dtype", "order"),
    [
        ("scan_10x6x4_u16.raw", 480, (4, 6, 10), "uint16", "little"),
        ("scan_10x6x4.raw", 240, (4, 6, 10), "uint8", "little"),
        ("scan_10x6x4_float.raw", 960, (4, 6, 10), "float32", "little"),
        ("scan 10X6X4 16bit BE.vol", 480, (4, 6, 10), "uint16", "big"),
        ("cube.raw", 2 * 5**3, (5, 5, 5), "uint16", "little"),
        ("anything.raw", 14, (1, 1, 7), "uint16", "little"),
        ("empty.raw", 0, (1, 1, 1), "uint16", "little"),
    ],
)
def test_name_and_size_of_a_raw_file_give_a_first_guess(
    name: str,
    size: int,
    shape: tuple[int, int, int],
    dtype: str,
    order: str,
    tmp_path: Path,
) -> None:
    (tmp_path / name).write_bytes(bytes(size))
    guess = guessed(tmp_path / name)
    assert (guess["shape"], guess["dtype"], guess["byte_order"]) == (
        shape,
        dtype,
        order,
    )


def test_the_layout_used_last_is_the_guess_if_it_fits(tmp_path: Path) -> None:
    last = {"shape": [4, 6, 10], "dtype": "uint16", "offset": 3}
    (tmp_path / "a.raw").write_bytes(bytes(483))
    (tmp_path / "b.raw").write_bytes(bytes(480))
    assert guessed(tmp_path / "a.raw", last) == last
    assert guessed(tmp_path / "b.raw", last)["shape"] == (1, 1, 240)


def test_a_layout_that_does_not_fit_is_refused_with_one_that_does(
    tmp_path: Path, qtbot: QtBot
) -> None:
    dialog = RawDialog(raw_file(tmp_path))
    qtbot.addWidget(dialog)
    button = dialog.buttons.button(Button.Open)
    dialog.editors["shape"].set_value((4, 6, 9))
    assert not button.isEnabled()
    assert "480 bytes" in dialog.said.text()
    assert "shape [4, 6, 10]" in dialog.said.text()
    dialog.editors["shape"].set_value((4, 6, 10))
    assert button.isEnabled()
    assert dialog.said.text() == "fits: 480 bytes"
    dialog.editors["offset"].set_value(8)
    assert not button.isEnabled()
    dialog.reject()


def test_the_picture_is_a_slice_as_the_layout_has_it(
    tmp_path: Path, qtbot: QtBot
) -> None:
    dialog = RawDialog(raw_file(tmp_path))
    qtbot.addWidget(dialog)
    dialog.editors["shape"].set_value((4, 6, 10))
    assert (dialog.picture.place.minimum(), dialog.picture.place.maximum()) == (0, 3)
    qtbot.waitUntil(lambda: dialog.picture.caption.text() == "slice 2 of 4")

    def shown() -> np.ndarray:
        picture = dialog.picture.image.pixmap().toImage()
        step = SIDE // 10
        return np.array(
            [
                [
                    picture.pixelColor(x * picture.width() // 10 + step // 2, y).red()
                    for x in range(10)
                ]
                for y in (
                    row * picture.height() // 6 + picture.height() // 12
                    for row in range(6)
                )
            ]
        )

    def is_shown(plane: np.ndarray) -> bool:
        # a display may have no more than 5 bits for a colour
        return np.allclose(shown(), grey_picture(plane).astype(int), atol=9)

    assert is_shown(voxels()[2])
    dialog.picture.place.setValue(3)
    qtbot.waitUntil(lambda: is_shown(voxels()[3]))
    dialog.editors["byte_order"].set_value("big")
    qtbot.waitUntil(lambda: is_shown(voxels()[3].byteswap()))
    dialog.reject()


@pytest.mark.parametrize(
    "plane",
    [
        np.full((3, 4), np.nan),
        np.full((3, 4), 7.0),
        np.array([[np.inf, 1.0], [2.0, np.nan]]),
        np.array([[-1.7e308, 1.7e308], [0, 0]]),
    ],
)
def test_a_slice_of_any_numbers_can_be_shown(plane: np.ndarray) -> None:
    assert grey_picture(plane).shape == plane.shape


def test_a_raw_file_without_a_sidecar_is_asked_about_once(
    tmp_path: Path, viewer: ViewerModel, answers: Answers
) -> None:
    path = raw_file(tmp_path)
    answers.give(RawDialog, fill_in)
    (layer,) = viewer.open(path, plugin=PLUGIN)
    assert np.array_equal(layer.data, voxels())
    assert np.allclose(layer.scale, (2, 1, 1.5))
    assert {str(unit) for unit in layer.units} == {"micrometer"}
    assert answers.asked == ["scan.raw"]
    assert Source(layer).text() == str(path)
    assert np.array_equal(io.read(path).read(), voxels())
    viewer.open(path, plugin=PLUGIN)
    assert answers.asked == ["scan.raw"]


def test_the_sidecar_is_only_written_if_the_user_wants_it(
    tmp_path: Path, viewer: ViewerModel, answers: Answers
) -> None:
    def open_only(dialog: RawDialog) -> None:
        dialog.keep.setChecked(False)
        fill_in(dialog)

    path = raw_file(tmp_path)
    answers.give(RawDialog, open_only)
    (layer,) = viewer.open(path, plugin=PLUGIN)
    assert np.array_equal(layer.data, voxels())
    assert list(tmp_path.glob("scan*")) == [path]


def test_a_question_that_is_declined_opens_nothing(
    tmp_path: Path, viewer: ViewerModel, answers: Answers
) -> None:
    answers.give(RawDialog, cancelled)
    answers.give(ChoiceDialog, cancelled)
    viewer.open(raw_file(tmp_path), plugin=PLUGIN)
    viewer.open(two_datasets(tmp_path / "scan.h5"), plugin=PLUGIN)
    assert len(viewer.layers) == 0
    assert answers.asked == ["scan.raw", "scan.h5"]
    assert sorted(one.name for one in tmp_path.glob("scan*")) == ["scan.h5", "scan.raw"]


def second(dialog: ChoiceDialog) -> None:
    dialog.list.setCurrentItem(dialog.list.topLevelItem(1))
    press_open(dialog)


def test_one_of_several_datasets_is_chosen(
    tmp_path: Path, viewer: ViewerModel, answers: Answers
) -> None:
    answers.give(ChoiceDialog, second)
    path = two_datasets(tmp_path / "scan.h5")
    (layer,) = viewer.open(path, plugin=PLUGIN)
    assert np.array_equal(layer.data, voxels() + 1)
    assert answers.asked == ["scan.h5"]


def test_a_file_with_its_voxels_in_the_usual_place_is_not_asked_about(
    tmp_path: Path, viewer: ViewerModel, answers: Answers
) -> None:
    answers.give(ChoiceDialog, cancelled)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["exchange/data"], file["other"] = voxels(), voxels() + 1
    (layer,) = viewer.open(tmp_path / "scan.h5", plugin=PLUGIN)
    assert np.array_equal(layer.data, voxels())
    assert answers.asked == []


def dicom_series(folder: Path, number: int, slices: int = 3) -> None:
    sitk = pytest.importorskip("SimpleITK")
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    folder.mkdir(exist_ok=True)
    for z in range(slices):
        image = sitk.GetImageFromArray(np.full((1, 6, 8), 10 * number + z, np.int16))
        image.SetSpacing((1.5, 1.0, 2.0))
        image.SetOrigin((0.0, 0.0, 2.0 * z))
        for key, text in (
            ("0008|0060", "MR"),
            ("0008|103e", f"scan {number}"),
            ("0020|000e", f"1.2.826.0.1.{number}"),
            ("0020|000d", "1.2.826.0.2"),
            ("0008|0018", f"1.2.826.0.3.{number}.{z + 1}"),
            ("0020|0013", str(z + 1)),
            ("0020|0032", f"0\\0\\{2.0 * z}"),
            ("0020|0037", "1\\0\\0\\0\\1\\0"),
        ):
            image.SetMetaData(key, text)
        writer.SetFileName(str(folder / f"{number}_{z}.dcm"))
        writer.Execute(image)


def test_one_of_several_series_of_a_dicom_folder_is_chosen(
    tmp_path: Path, viewer: ViewerModel, answers: Answers
) -> None:
    for number in (1, 2):
        dicom_series(tmp_path / "patient", number)
    seen: list[str] = []

    def look(dialog: ChoiceDialog) -> None:
        item = dialog.list.topLevelItem(1)
        seen.extend(item.text(column) for column in range(4))
        second(dialog)

    answers.give(ChoiceDialog, look)
    (layer,) = viewer.open(tmp_path / "patient", plugin=PLUGIN)
    assert seen == ["1.2.826.0.1.2", "scan 2", "MR", "3"]
    assert set(np.unique(layer.data)) == {20, 21, 22}


def test_the_list_of_volumes_is_filtered_and_only_what_is_seen_is_opened(
    qtbot: QtBot,
) -> None:
    many = [Candidate(f"entry/{n:02}", ("1 × 2 × 3", "uint8")) for n in range(20)]
    dialog = ChoiceDialog(Path("scan.h5"), ("Dataset", "Shape", "Type"), many)
    qtbot.addWidget(dialog)
    assert not dialog.line.isHidden()
    assert dialog.key() == "entry/00"
    dialog.line.setText("17")
    assert dialog.key() == "entry/17"
    dialog.line.setText("nowhere")
    assert dialog.key() is None
    assert not dialog.buttons.button(Button.Open).isEnabled()
    dialog.line.clear()
    assert dialog.key() == "entry/00"


@pytest.fixture
def domain(qtbot: QtBot) -> DomainList:
    shown = ShownSources(None, start_engine)
    made = DomainList("Domain A", shown, Inspector(start_engine))
    qtbot.addWidget(made)
    return made


def test_what_is_dropped_on_a_domain_is_asked_about_and_opens_in_a_training(
    domain: DomainList, tmp_path: Path, answers: Answers, qtbot: QtBot
) -> None:
    answers.give(ChoiceDialog, second)
    answers.give(RawDialog, fill_in)
    io.write(io.read(two_datasets(tmp_path / "a.h5"), "first"), tmp_path / "a.tif")
    files = [
        tmp_path / "a.tif",
        tmp_path / "a.h5",
        two_datasets(tmp_path / "b.h5"),
        raw_file(tmp_path),
    ]
    domain.add_bar.chosen.emit(files)
    assert [source.name for source in domain.sources()] == ["a.tif"]
    qtbot.waitUntil(lambda: len(domain.sources()) == 4, timeout=PATIENCE)
    assert answers.asked == ["a.h5", "scan.raw"]  # one answer is enough for both files
    texts = [source.text() for source in domain.sources()]
    assert texts[1:3] == [
        f"{tmp_path / name}::group/second" for name in ("a.h5", "b.h5")
    ]
    read = [volume.read() for volume in domain.value()]
    for found, expected in zip(read, (0, 1, 1, 0), strict=True):
        assert np.array_equal(found, voxels() + expected)
    qtbot.waitUntil(lambda: None not in domain.facts(), timeout=PATIENCE)


def test_what_is_dropped_on_the_queue_is_asked_about(
    tmp_path: Path, answers: Answers, qtbot: QtBot
) -> None:
    answers.give(ChoiceDialog, second)
    dock = EnhanceDock(None)
    qtbot.addWidget(dock)
    path = two_datasets(tmp_path / "a.h5")
    dock.add([path])
    qtbot.waitUntil(lambda: bool(dock.queue.waiting), timeout=PATIENCE)
    (source,) = dock.queue.sources()
    assert source.text() == f"{path}::group/second"
    assert np.array_equal(source.volumes()[0].read(), voxels() + 1)


def test_a_widget_that_is_gone_is_asked_nothing(
    tmp_path: Path, answers: Answers, qtbot: QtBot
) -> None:
    widget = QWidget()
    got: list[Any] = []
    Asker(widget).ask([two_datasets(tmp_path / "a.h5")], got.append, got.append)
    widget.deleteLater()
    qtbot.wait(500)
    assert (got, answers.asked) == ([], [])
