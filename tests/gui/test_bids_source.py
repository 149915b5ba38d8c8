"""Images of a BIDS folder in the lists of the Train dock."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.domains.inspector import Inspector
from napari_cyclegan3d.gui.domains.lists import DomainList
from napari_cyclegan3d.gui.domains.viewer import ShownSources
from napari_cyclegan3d.gui.source import Source
from napari_cyclegan3d.gui.train.dock import TrainDock


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two subjects with one T1w each."""
    for label in ("01", "02"):
        path = tmp_path / "ds" / f"sub-{label}" / "anat" / f"sub-{label}_T1w.nii"
        path.parent.mkdir(parents=True)
        io.write(Volume(np.zeros((6, 7, 8), np.uint8), unit="millimeter"), path)
    return tmp_path / "ds"


def test_a_source_means_the_same_images_from_any_folder(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dataset.parent)
    source = Source("bids:ds?suffix=T1w[0:3,:,:]")
    assert source.name == "ds?suffix=T1w"
    assert source.text() == f"bids:{dataset}?suffix=T1w[0:3,:,:]"
    monkeypatch.chdir("/")
    assert [volume.shape for volume in source.volumes()] == [(3, 7, 8)] * 2
    with pytest.raises(InputError, match="'sufix' is nothing to choose by"):
        Source("bids:ds?sufix=T1w")


def test_a_typed_text_is_one_row_with_all_its_images(
    dataset: Path, at_once: Any, qtbot: QtBot
) -> None:
    rows = DomainList("A", ShownSources(ViewerModel(), at_once), Inspector(at_once))
    qtbot.addWidget(rows)
    for suffix in ("T1w", "T2w"):
        rows.add_bar.line.setText(f"bids:{dataset}?suffix={suffix}")
        QTest.keyClick(rows.add_bar.line, Qt.Key.Key_Return)
    assert rows.texts() == [f"bids:{dataset}?suffix={one}" for one in ("T1w", "T2w")]
    first, second = (str(rows.view.item(row).text()) for row in range(2))
    assert "2 volumes" in first
    assert "no image has suffix=T2w; there are T1w (2)" in second


def test_a_text_is_there_again_at_the_next_start(
    train_dock_alone: TrainDock, dataset: Path, qtbot: QtBot
) -> None:
    text = f"bids:{dataset}?suffix=T1w"
    train_dock_alone.data.set_sources({"a": [text]})
    train_dock_alone.show()
    train_dock_alone.hide()
    later = TrainDock(None)
    qtbot.addWidget(later)
    assert later.data.texts()["a"] == [text]
