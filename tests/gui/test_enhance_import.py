"""Models of other programs, chosen or dropped in the Enhance dock."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.inference import EnhanceDone, enhance
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.enhance.dock import EnhanceDock
from napari_cyclegan3d.gui.layers import to_layer_data, to_volume

PATIENCE = 60_000
CPU = EnhanceConfig(device="cpu", precision="fp32")


@pytest.fixture
def folder(foreign_package: Callable[[int], Path]) -> Path:
    """A package of bioimage.io with a network that doubles the size."""
    return foreign_package(2)


def test_a_package_that_is_dropped_becomes_a_model_beside_it_and_enhances(
    make_napari_viewer_proxy: Callable[..., Any],
    qtbot: QtBot,
    folder: Path,
    upright: Volume,
) -> None:
    viewer = make_napari_viewer_proxy()
    data, attributes, _ = to_layer_data(upright)
    source = viewer.add_image(data, **attributes)
    _, dock = viewer.window.add_plugin_dock_widget("napari-cyclegan3d", "Enhance")
    dock.form.set_value(CPU)
    dock.controller.drop([folder / "rdf.yaml"])
    qtbot.waitUntil(lambda: not dock.model.is_reading, timeout=PATIENCE)
    path = folder / "denoiser.safetensors"
    assert dock.model.path == path
    assert dock.model.line.text() == str(path)
    text = dock.model.card.text.text()
    assert "imported: Enlarge &amp; &lt;denoise&gt;" in text
    assert "Anna Meier; MIT" in text
    assert "scale 2x, 3D TorchScript" in text
    qtbot.mouseClick(dock.enhance_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dock.is_busy, timeout=PATIENCE)
    *_, last = enhance(to_volume(source), load_model(path), CPU)
    assert isinstance(last, EnhanceDone)
    result = viewer.layers["fast scan enhanced"]
    assert np.array_equal(result.data, last.volume.read())
    assert np.allclose(result.scale, source.scale / 2)


def test_a_package_that_cannot_be_used_is_refused_in_a_sentence(
    qtbot: QtBot, folder: Path
) -> None:
    dock = EnhanceDock(None)
    qtbot.addWidget(dock)
    (folder / "weights.pt").write_bytes(b"no graph")
    dock.model.select(folder / "rdf.yaml")
    qtbot.waitUntil(lambda: not dock.model.is_reading, timeout=PATIENCE)
    assert dock.model.model is None
    assert "the TorchScript in it is damaged" in dock.status.text()
    assert not list(folder.glob("*.safetensors"))
