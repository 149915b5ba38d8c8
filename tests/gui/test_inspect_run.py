"""Inspections that are really computed: in the dock, and right after enhancing."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QFileDialog
from scipy.ndimage import gaussian_filter

from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.hallucination.facts import model_facts
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.enhance import checking
from napari_cyclegan3d.gui.enhance.dock import EnhanceDock
from napari_cyclegan3d.gui.enhance.task import Result, Task
from napari_cyclegan3d.gui.inspect.dock import InspectDock
from napari_cyclegan3d.gui.inspect.provenance import maker_of
from napari_cyclegan3d.gui.layers import to_layer_data

PATIENCE = 120_000
PLUGIN = "napari-cyclegan3d"
CPU = EnhanceConfig(device="cpu", precision="fp32")
SHAPE = (32, 40, 40)
INVENTED, DELETED = (13, 16, 20), (19, 8, 30)  # between the others


def rods() -> np.ndarray:
    """Bright rods on dark ground, as what is to be seen."""
    random = np.random.default_rng(1)
    voxels = np.zeros(SHAPE, np.float32)
    for z in range(4, 30, 6):
        for y in range(4, 38, 8):
            x = int(random.integers(4, 24))
            voxels[z : z + 2, y : y + 2, x : x + 12] = 1
    return voxels


@pytest.fixture(scope="module")
def scans() -> list[Volume]:
    """A noisy scan, and what a network made of it: one rod more and one less."""
    random = np.random.default_rng(2)
    true = rods()
    enhanced = true.copy()
    z, y, x = DELETED
    true[z : z + 2, y : y + 2, x - 6 : x + 6] = 1
    z, y, x = INVENTED
    enhanced[z : z + 2, y : y + 2, x - 6 : x + 6] = 1
    raw = 100 * gaussian_filter(true, 1.0) + random.normal(0, 4, SHAPE)
    affine = np.diag([2.0, 1.0, 1.5, 1.0])
    return [
        Volume(voxels.astype(np.float32), affine, "micrometer", name=name)
        for name, voxels in (
            ("scan", raw),
            ("scan enhanced", 100 * gaussian_filter(enhanced, 0.5)),
        )
    ]


@pytest.fixture
def viewer(scans: list[Volume]) -> ViewerModel:
    viewer = ViewerModel()
    for volume in scans:
        data, attributes, _ = to_layer_data(volume)
        viewer.add_image(data, **attributes)
    return viewer


@pytest.fixture
def dock(viewer: ViewerModel, qtbot: QtBot) -> Iterator[InspectDock]:
    dock = InspectDock(viewer)
    qtbot.addWidget(dock)
    dock.reset_choices()
    dock.choice.layers["enhanced"].value = viewer.layers["scan enhanced"]
    dock.choice.layers["raw"].value = viewer.layers["scan"]
    yield dock
    dock.controller.browser.release()
    wait(qtbot, dock)


@pytest.fixture
def enhance_dock(viewer: ViewerModel, qtbot: QtBot, model_1x: Path) -> EnhanceDock:
    """The Enhance dock with a model and the scan."""
    dock = EnhanceDock(viewer)
    qtbot.addWidget(dock)
    dock.form.set_value(CPU)
    dock.source.layer_choice.choices = [viewer.layers["scan"]]
    dock.select_model(model_1x)
    qtbot.waitUntil(lambda: not dock.model.is_reading, timeout=PATIENCE)
    return dock


def wait(qtbot: QtBot, dock: InspectDock) -> None:
    work = dock.controller._guard.work
    qtbot.waitUntil(lambda: not work.is_running(), timeout=PATIENCE)


def set_mode(dock: InspectDock, mode: str) -> None:
    config = InspectConfig(mode=mode, enhance=CPU)
    dock.choice.form.set_value(config)


def enhanced(qtbot: QtBot, dock: EnhanceDock, viewer: ViewerModel) -> Image:
    """The layer of a new enhancement."""
    dock.enhance()
    qtbot.waitUntil(lambda: not dock.is_busy, timeout=PATIENCE)
    return viewer.layers[-1]


def test_a_rod_that_was_invented_is_found_and_listed_where_it_is(
    dock: InspectDock, viewer: ViewerModel, qtbot: QtBot
) -> None:
    set_mode(dock, "quick")
    assert "no pass of the network" in dock.choice.cost.text()
    with qtbot.capture_exceptions() as uncaught:
        dock.inspect()
        assert not dock.choice.isEnabled()
        wait(qtbot, dock)
    assert not uncaught
    assert dock.status.text().startswith("Inspected scan enhanced")
    findings = dock.findings.model.shown
    invented = viewer.layers["suspects"].data[INVENTED]
    assert invented in [one.id for one in findings[:3]]
    (found,) = [one for one in findings if one.id == invented]
    assert found.verdict == "contradicted"
    missing = [one.centre for one in findings if one.verdict == "missing"]
    apart = np.abs(np.subtract(missing, DELETED)).max(axis=1)
    assert apart.min() <= 6
    assert dock.inspect_button.isEnabled()
    assert dock.choice.isEnabled()


def test_a_model_of_another_program_is_chosen_and_run_again(
    dock: InspectDock,
    foreign_package: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
) -> None:
    folder = foreign_package(1)
    path = Path(shutil.make_archive(str(folder), "zip", folder))
    content = {one.name for one in folder.parent.iterdir()}

    def choose(*arguments: Any) -> tuple[str, str]:
        assert "*.zip" in arguments[-1]
        return str(path), ""

    monkeypatch.setattr(QFileDialog, "getOpenFileName", choose)
    dock.choice.model_button.click()
    set_mode(dock, "standard")
    assert "about 5 passes" in dock.choice.cost.text()
    dock.inspect()
    wait(qtbot, dock)
    assert dock.status.text().startswith("Inspected scan enhanced")
    inspection = dock.controller.browser.session.inspection
    assert inspection.model.name == "denoiser"
    assert {one.name for one in folder.parent.iterdir()} == content


def test_cancel_leaves_the_viewer_and_the_earlier_list_as_they_were(
    dock: InspectDock, viewer: ViewerModel, qtbot: QtBot
) -> None:
    set_mode(dock, "quick")
    before = list(viewer.layers), viewer.dims.point
    dock.inspect()
    qtbot.waitUntil(lambda: "Measuring" in dock.status.text(), timeout=PATIENCE)
    dock.cancel_button.click()
    wait(qtbot, dock)
    assert dock.status.text() == "Cancelled; nothing was changed."
    assert (list(viewer.layers), viewer.dims.point) == before
    assert dock.findings.model.rowCount() == 0
    assert not dock.progress.isVisibleTo(dock)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda voxels: voxels[:20], "1, 2 or 4 times as large"),
        (lambda voxels: voxels[:8, :8, :8], "at least 16 voxels"),
        (np.zeros_like, "scan"),
    ],
)
def test_volumes_that_cannot_be_inspected_get_one_sentence(
    change: Callable[[Any], Any],
    reason: str,
    dock: InspectDock,
    viewer: ViewerModel,
    qtbot: QtBot,
) -> None:
    viewer.add_image(change(viewer.layers["scan"].data), name="another scan")
    dock.reset_choices()
    dock.choice.layers["raw"].value = viewer.layers["another scan"]
    set_mode(dock, "quick")
    layers = list(viewer.layers)
    with qtbot.capture_exceptions() as uncaught:
        dock.inspect()
        wait(qtbot, dock)
    assert not uncaught
    assert reason in dock.status.text()
    assert "\n" not in dock.status.text()
    assert list(viewer.layers) == layers


def test_a_result_tells_the_inspection_its_source_model_and_settings(
    enhance_dock: EnhanceDock,
    dock: InspectDock,
    viewer: ViewerModel,
    model_1x: Path,
    qtbot: QtBot,
) -> None:
    config = CPU.model_copy(update={"tile": (16, 16, 16)})
    enhance_dock.form.set_value(config)
    enhance_dock.target.cycle.setChecked(True)
    viewer.layers["scan enhanced"].name = "another"
    dock.choice.layers["raw"].value = viewer.layers["another"]
    enhanced(qtbot, enhance_dock, viewer)
    result, back = viewer.layers["scan enhanced"], viewer.layers["scan cyclic"]
    maker = maker_of(result)
    assert maker is not None
    assert maker.path == model_1x
    assert maker.sha256 == model_facts(load_model(model_1x)).sha256
    assert maker_of(back) is None
    dock.reset_choices()
    dock.choose(result)
    assert dock.choice.layer("raw").name == "scan"
    assert dock.choice.model_path == model_1x
    assert dock.choice.model_sha256 == maker.sha256
    assert dock.choice.config().enhance == config
    dock.choice.model.setText("other.safetensors")
    assert dock.choice.model_sha256 == ""


def test_enhance_can_inspect_at_once_and_tells_the_count(
    enhance_dock: EnhanceDock, viewer: ViewerModel, qtbot: QtBot
) -> None:
    enhance_dock.target.inspect.setChecked(True)
    result = enhanced(qtbot, enhance_dock, viewer)
    text = enhance_dock.status.text()
    assert text.startswith(f"Added layer {result.name!r}")
    assert text.endswith(("suspicious structures", "nothing was flagged"))
    assert enhance_dock.offer.isVisibleTo(enhance_dock)
    assert enhance_dock.target.state()["inspect"]


def test_what_is_inspected_at_once_is_not_taken_for_the_file_of_its_source(
    scans: list[Volume], model_1x: Path
) -> None:
    raw = replace(scans[0], metadata={"files": ("scan.tif",)})
    task = Task(Path("scan.tif"), load_model(model_1x), CPU, inspect=True)
    result = Result("enhanced", None, raw, Fraction(1), (0, 0, 0), scans[1].read())
    list(checking.inspected(task, result, [raw]))
    assert result.inspected is not None
    inspection = result.inspected.inspection
    assert (inspection.raw.name, inspection.raw.source) == ("scan", "scan.tif")
    assert inspection.enhanced.name == "scan enhanced"
    assert inspection.enhanced.source is None


def test_a_result_that_cannot_be_inspected_is_there_all_the_same(
    enhance_dock: EnhanceDock, viewer: ViewerModel, qtbot: QtBot
) -> None:
    small = viewer.add_image(viewer.layers["scan"].data[:12, :12, :12], name="small")
    enhance_dock.source.layer_choice.choices = [small]
    enhance_dock.target.inspect.setChecked(True)
    result = enhanced(qtbot, enhance_dock, viewer)
    assert result.name == "small enhanced"
    assert "not inspected: small: shape (12, 12, 12)" in enhance_dock.status.text()
    assert not enhance_dock.offer.isVisibleTo(enhance_dock)


def test_standard_mode_repeats_the_enhancement(
    enhance_dock: EnhanceDock, dock: InspectDock, viewer: ViewerModel, qtbot: QtBot
) -> None:
    result = enhanced(qtbot, enhance_dock, viewer)
    dock.reset_choices()
    dock.choose(result)
    config = InspectConfig(enhance=CPU)
    dock.choice.form.set_value(config)
    assert "about 5 passes" in dock.choice.cost.text()
    dock.inspect()
    wait(qtbot, dock)
    session = dock.controller.browser.session
    assert session is not None
    assert session.inspection.passes == 5
    assert session.inspection.model is not None
    maker = maker_of(result)
    assert maker is not None
    assert session.inspection.model.sha256 == maker.sha256
