"""Splits by subject in the Prepare dock, with real files and windows."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from npe2 import PluginManager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton

from napari_cyclegan3d import io
from napari_cyclegan3d.__main__ import main
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.prepare.dock import PrepareDock
from napari_cyclegan3d.io.domains import open_domain
from napari_cyclegan3d.prepare.splitting import PARTS, SplitSettings

PATIENCE = 60_000
PLUGIN = "napari-cyclegan3d"
SUBJECTS = [f"sub-{number:02}" for number in range(1, 7)]
LISTS = ["a.json", "a_test.json", "b.json", "b_test.json"]


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """A folder with T1 and T2 of six subjects."""
    folder = tmp_path / "heads"
    folder.mkdir()
    for number, name in enumerate(SUBJECTS):
        for contrast in ("T1w", "T2w"):
            noise = np.random.default_rng([number, len(contrast)]).random((4, 5, 6))
            volume = Volume(noise.astype("f4"), unit="millimeter")
            io.write(volume, folder / f"{name}_{contrast}.nii")
    return folder


@pytest.fixture
def viewer() -> ViewerModel:
    """What a window shows, without the window, which takes seconds to open."""
    PluginManager.instance().discover()
    return ViewerModel()


@pytest.fixture
def dock(
    viewer: ViewerModel, heads: Path, tmp_path: Path, qtbot: QtBot
) -> Iterator[PrepareDock]:
    """The page of splits with both domains chosen."""
    dock = PrepareDock(viewer)
    qtbot.addWidget(dock)
    viewer.layers.events.inserted.connect(dock.reset_choices)
    fill(dock, heads, tmp_path / "split")
    yield dock
    dock.cancel()
    wait(qtbot, dock)
    dock.split_page.end()


def fill(dock: PrepareDock, heads: Path, folder: Path) -> None:
    dock.tabs.setCurrentIndex(2)
    for side, contrast in (("a", "T1w"), ("b", "T2w")):
        dock.split_page.domains[side].add(str(heads / f"*_{contrast}.nii"))
    dock.split_page.folder.value = folder
    set_values(dock, validation=0.3, test=0.2)


def set_values(dock: PrepareDock, **values: Any) -> None:
    dock.split_page.form.set_value(SplitSettings(**values))


def click(qtbot: QtBot, button: QPushButton) -> None:
    assert button.isEnabled()
    assert not button.isHidden()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def wait(qtbot: QtBot, dock: PrepareDock) -> None:
    qtbot.waitUntil(lambda: not dock.is_busy, timeout=PATIENCE)
    assert not dock.cancel_button.isEnabled()


def split(qtbot: QtBot, dock: PrepareDock) -> None:
    click(qtbot, dock.split_button)
    wait(qtbot, dock)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_lists_are_those_of_the_command_and_the_table_says_who_is_where(
    dock: PrepareDock, heads: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    assert dock.split_page.table.isHidden()
    split(qtbot, dock)
    words = ["prepare", "split", "--a", str(heads / "*_T1w.nii"), "--b"]
    words += [str(heads / "*_T2w.nii"), "-o", str(tmp_path / "told")]
    assert main([*words, "--validation=0.3", "--test=0.2"]) == 0
    made, told = tmp_path / "split", tmp_path / "told"
    assert names(made) == names(told) == sorted([*LISTS, "split.yaml"])
    for name in LISTS:
        assert (made / name).read_text(encoding="utf-8") == (told / name).read_text(
            encoding="utf-8"
        )
    assert not dock.split_page.table.isHidden()
    shown = dock.split_page.table.subjects()
    assert sorted(name for one in shown.values() for name in one) == SUBJECTS
    assert [len(shown[part]) for part in PARTS] == [3, 2, 1]
    held = {f"{one}_T1w.nii" for one in shown["test"]}
    listed = json.loads((made / "a_test.json").read_text(encoding="utf-8"))["validate"]
    assert {Path(one["path"]).name for one in listed} == held
    assert dock.status.text().startswith(f"Wrote {made}: ")


def test_lists_that_are_there_are_replaced_only_if_one_agrees(
    dock: PrepareDock, tmp_path: Path, qtbot: QtBot
) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    (folder / "b.json").write_text("of somebody else", encoding="utf-8")
    split(qtbot, dock)
    assert names(folder) == ["b.json"]
    assert (folder / "b.json").read_text(encoding="utf-8") == "of somebody else"
    assert dock.status.text() == (
        f"{folder}: holds b.json already; nothing was written."
    )
    assert len(dock.split_page.table.subjects()["train"]) == 3
    click(qtbot, dock.offer.accept_button)
    wait(qtbot, dock)
    assert names(folder) == sorted([*LISTS, "split.yaml"])
    assert "train" in json.loads((folder / "b.json").read_text(encoding="utf-8"))


def test_an_offer_to_replace_is_withdrawn_when_something_else_is_chosen(
    dock: PrepareDock, tmp_path: Path, qtbot: QtBot
) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    (folder / "a.json").write_text("of somebody else", encoding="utf-8")
    split(qtbot, dock)
    assert not dock.offer.isHidden()
    dock.split_page.folder.value = tmp_path / "elsewhere"
    assert dock.offer.isHidden()
    assert dock.split_page.table.isHidden()


def test_one_domain_is_split_alone(
    dock: PrepareDock, tmp_path: Path, qtbot: QtBot
) -> None:
    dock.split_page.domains["b"].set_value([])
    set_values(dock, validation=0.3, test=0.0)
    split(qtbot, dock)
    assert names(tmp_path / "split") == ["a.json", "split.yaml"]
    assert dock.split_page.table.subjects()["test"] == []


def test_names_that_tell_no_subject_are_remarked(
    dock: PrepareDock, tmp_path: Path, qtbot: QtBot
) -> None:
    for side in ("a", "b"):
        folder = tmp_path / side
        folder.mkdir()
        for number in range(4):
            noise = np.random.default_rng(number).random((4, 5, 6)).astype("f4")
            io.write(Volume(noise), folder / f"{side * (number + 1)}.nii")
        dock.split_page.domains[side].set_value([folder])
    split(qtbot, dock)
    assert "the names do not say which volumes" in dock.split_page.remarks.text()
    assert not dock.split_page.remarks.isHidden()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"validation": 0.6, "test": 0.5}, "leave nothing to train on"),
        ({"few": True}, "too few subjects"),
        ({"missing": True}, "no such file"),
        ({"file": True}, "cannot be made"),
        ({"layer": True}, "is in no file as it is now"),
    ],
)
def test_what_cannot_be_split_is_told_in_one_sentence_and_nothing_is_written(
    values: dict[str, Any],
    sentence: str,
    dock: PrepareDock,
    viewer: ViewerModel,
    tmp_path: Path,
    heads: Path,
    qtbot: QtBot,
) -> None:
    page, folder = dock.split_page, tmp_path / "split"
    if "validation" in values:
        set_values(dock, **values)
    if "few" in values:
        page.domains["a"].set_value([heads / "sub-01_T1w.nii"])
    if "missing" in values:
        page.domains["a"].set_value([tmp_path / "gone.nii"])
    if "file" in values:
        (tmp_path / "file").write_text("no folder", encoding="utf-8")
        page.folder.value = folder = tmp_path / "file" / "split"
    if "layer" in values:
        page.domains["a"].add(viewer.add_image(np.ones((4, 5, 6)), name="new"))
    with qtbot.capture_exceptions() as uncaught:
        split(qtbot, dock)
    assert not uncaught
    assert sentence in dock.status.text()
    assert "\n" not in dock.status.text()
    assert not folder.exists()


def test_a_layer_stands_for_its_file(
    dock: PrepareDock, viewer: ViewerModel, heads: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    layers = viewer.open(sorted(heads.glob("*_T1w.nii")), plugin=PLUGIN)
    dock.split_page.domains["b"].set_value([])
    dock.split_page.domains["a"].set_value([])
    assert not dock.split_button.isEnabled()
    dock.drop(layers)
    split(qtbot, dock)
    listed = json.loads((tmp_path / "split" / "a.json").read_text(encoding="utf-8"))
    assert len(open_domain([str(tmp_path / "split" / "a.json")])) == 3
    assert len(listed["validate"]) == 2


def test_without_a_folder_nothing_is_written(dock: PrepareDock, qtbot: QtBot) -> None:
    dock.split_page.folder.line_edit.value = ""
    click(qtbot, dock.split_button)
    assert not dock.is_busy
    assert dock.status.text() == "Choose a folder for the lists."


def test_what_is_cancelled_writes_all_lists_or_none(
    dock: PrepareDock, tmp_path: Path, qtbot: QtBot
) -> None:
    click(qtbot, dock.split_button)
    assert dock.is_busy
    qtbot.keyClick(dock, Qt.Key.Key_Escape)
    wait(qtbot, dock)
    folder = tmp_path / "split"
    if folder.exists():
        assert names(folder) == sorted([*LISTS, "split.yaml"])
        assert dock.status.text().startswith("Wrote ")
    else:
        assert dock.status.text() == "Cancelled; nothing was changed."


def test_shares_and_folder_are_remembered(
    dock: PrepareDock, viewer: ViewerModel, tmp_path: Path, qtbot: QtBot
) -> None:
    again = PrepareDock(viewer)
    qtbot.addWidget(again)
    assert again.tabs.currentIndex() == 2
    assert again.split_page.form.value() == SplitSettings(validation=0.3, test=0.2)
    assert Path(str(again.split_page.folder.value)) == tmp_path / "split"


def test_in_a_window_the_lists_are_trained_and_validated_on(
    make_napari_viewer: Callable[..., Any], heads: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    viewer = make_napari_viewer(show=True)
    holder, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Prepare")
    fill(dock, heads, tmp_path / "split")
    split(qtbot, dock)
    assert dock.minimumSizeHint().width() <= 420
    area = dock.tabs.currentWidget()
    qtbot.waitUntil(lambda: area.widget().width() <= area.viewport().width())
    table = dock.split_page.table
    qtbot.waitUntil(lambda: not table.visibleRegion().isEmpty())
    _, train = viewer.window.add_plugin_dock_widget(PLUGIN, "Train", tabify=True)
    train.data.set_sources({"a": [heads / "sub-01_T1w.nii"], "validate_b": [heads]})
    click(qtbot, dock.offer.accept_button)
    texts = {
        key: [str(one.item) for one in some]
        for key, some in train.data.sources().items()
    }
    a, b = str(tmp_path / "split" / "a.json"), str(tmp_path / "split" / "b.json")
    assert texts == {"a": [a], "b": [b], "validate_a": [a], "validate_b": [b]}
    domains, left_out = train.data.domains()
    counts = [len(domains.a), len(domains.b)]
    counts += [len(domains.validate_a), len(domains.validate_b)]
    assert counts == [3, 3, 2, 2]
    assert not left_out
    assert not train.settings.value().sampling.pairs
    with qtbot.waitSignal(dock.destroyed, timeout=PATIENCE):
        viewer.window.remove_dock_widget(holder)
