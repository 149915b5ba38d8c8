"""The Inspect dock in a real viewer: its list, layers, view and report."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.key_bindings import KeymapHandler
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_cyclegan3d.engine.hallucination.events import Inspected
from napari_cyclegan3d.engine.hallucination.findings import (
    HONESTY,
    Inspection,
    Review,
)
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.inspect.dock import InspectDock
from napari_cyclegan3d.gui.layers import to_layer_data
from napari_cyclegan3d.inspection import load

PATIENCE = 60_000
PLUGIN = "napari-cyclegan3d"
NAMES = ["fast scan", "fast scan enhanced"]
ADDED = ["residual", "suspicion", "suspects", "suspect centres"]


@pytest.fixture
def volumes(inspected: Inspected) -> list[Volume]:
    """Volumes that an inspection of these findings could be about."""
    labels = inspected.labels
    random = np.random.default_rng(4)
    enhanced = (random.normal(100, 5, labels.shape)).astype(np.float32)
    enhanced[labels.read() > 0] += 50
    raw = enhanced + random.normal(0, 5, labels.shape).astype(np.float32)
    return [
        Volume(voxels, labels.affine, labels.unit, name=name)
        for voxels, name in zip((raw, enhanced), NAMES, strict=True)
    ]


def add(viewer: Any, volumes: list[Volume]) -> None:
    for volume in volumes:
        data, attributes, _ = to_layer_data(volume)
        viewer.add_image(data, **attributes)


@pytest.fixture
def viewer(volumes: list[Volume]) -> ViewerModel:
    """What a window shows, without the window, which takes seconds to open."""
    viewer = ViewerModel()
    add(viewer, volumes)
    return viewer


@pytest.fixture
def lone(viewer: ViewerModel, qtbot: QtBot) -> Iterator[InspectDock]:
    """The dock, with layers but without an inspection."""
    dock = InspectDock(viewer)
    qtbot.addWidget(dock)
    for signal in (viewer.layers.events.inserted, viewer.layers.events.removed):
        signal.connect(dock.reset_choices)  # as napari does
    dock.reset_choices()
    yield dock
    dock.controller.browser.release()
    wait(qtbot, dock)


@pytest.fixture
def dock(lone: InspectDock, inspected: Inspected, qtbot: QtBot) -> InspectDock:
    """The same with an inspection."""
    show(qtbot, lone, inspected, *lone.viewer.layers)
    return lone


@pytest.fixture
def window(
    make_napari_viewer_proxy: Callable[..., Any],
    volumes: list[Volume],
    inspected: Inspected,
    qtbot: QtBot,
) -> tuple[Any, InspectDock]:
    """A real window, with the dock in it."""
    viewer = make_napari_viewer_proxy(show=True)
    add(viewer, volumes)
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Inspect")
    show(qtbot, dock, inspected, *viewer.layers)
    return viewer, dock


def show(qtbot: QtBot, dock: InspectDock, inspected: Inspected, *layers: Image) -> None:
    dock.show_inspection(inspected, *layers)
    wait(qtbot, dock)


def wait(qtbot: QtBot, dock: InspectDock) -> None:
    """Until nothing is computed, read or written any more."""
    work = dock.controller._guard.work
    qtbot.waitUntil(lambda: not work.is_running(), timeout=PATIENCE)


def chosen(dock: InspectDock) -> int | None:
    return dock.findings.current.id if dock.findings.current else None


def review(dock: InspectDock) -> Review:
    """What was decided about the chosen finding."""
    finding = dock.findings.current
    assert finding is not None
    assert finding.review is not None
    return finding.review


def press(viewer: ViewerModel, key: str) -> None:
    """A key with the focus in the canvas, as napari handles it."""
    handler = KeymapHandler()
    active = viewer.layers.selection.active
    handler.keymap_providers = [viewer] if active is None else [active, viewer]
    handler.press_key(key)


def centre(viewer: ViewerModel) -> list[float]:
    camera = getattr(viewer, "scene", viewer).camera
    return [float(viewer.dims.point[0]), *(float(one) for one in camera.center[1:])]


def test_an_inspection_shows_its_layers_over_its_volumes(
    dock: InspectDock, viewer: ViewerModel, inspected: Inspected
) -> None:
    assert [layer.name for layer in viewer.layers] == [*NAMES, *ADDED]
    raw, enhanced, residual, suspicion, suspects, centres = viewer.layers
    for layer in (residual, suspicion):
        assert np.allclose(layer.extent.world, raw.extent.world)
        assert not layer.visible
    assert np.allclose(suspects.extent.world, enhanced.extent.world)
    assert suspects.contour == 1
    for finding, place in zip(inspected.inspection.findings, centres.data, strict=True):
        assert suspects.data[tuple(place.astype(int))] == finding.id
        assert np.allclose(centres.data_to_world(place), finding.world)
    assert list(suspects.features["id"]) == [0, 1, 2, 3, 4, 5, 6]
    assert list(centres.features["verdict"])[:2] == ["contradicted", "missing"]
    assert dock.honesty.text() == HONESTY
    assert dock.honesty.isVisibleTo(dock)


def test_the_layers_of_a_finer_result_lie_over_it(
    lone: InspectDock,
    viewer: ViewerModel,
    inspected: Inspected,
    volumes: list[Volume],
    qtbot: QtBot,
) -> None:
    coarse = volumes[1].read()[::2, ::2, ::2]
    affine = volumes[1].affine @ np.diag([2.0, 2, 2, 1])
    affine[:3, 3] += volumes[1].affine[:3, :3] @ np.full(3, 0.5)
    data, attributes, _ = to_layer_data(Volume(coarse, affine, "micrometer", name="r"))
    raw = viewer.add_image(data, **attributes)
    maps = {
        name: Volume(one.read()[::2, ::2, ::2], affine, "micrometer")
        for name, one in inspected.maps.items()
    }
    enhanced = viewer.layers[NAMES[1]]
    finer = Inspected(inspected.inspection, maps, inspected.labels)
    show(qtbot, lone, finer, raw, enhanced)
    residual, suspects = viewer.layers["residual"], viewer.layers["suspects"]
    edges = [
        [
            layer.data_to_world([-0.5] * 3),
            layer.data_to_world(np.array(layer.data.shape) - 0.5),
        ]
        for layer in (residual, suspects, enhanced)
    ]
    assert np.allclose(edges[0], edges[2])
    assert np.allclose(edges[1], edges[2])


def test_stepping_moves_slice_and_camera_and_selects_in_both_layers(
    dock: InspectDock, viewer: ViewerModel, inspected: Inspected, qtbot: QtBot
) -> None:
    first, second, *_ = inspected.inspection.findings
    assert chosen(dock) == 1
    assert np.allclose(centre(viewer), first.world, atol=1)
    press(viewer, "N")
    assert chosen(dock) == 2
    assert np.allclose(centre(viewer), second.world, atol=1)
    assert viewer.layers["suspects"].selected_label == 2
    assert set(viewer.layers["suspect centres"].selected_data) == {1}
    press(viewer, "P")
    assert chosen(dock) == 1


def test_in_3d_the_camera_goes_to_the_finding(
    dock: InspectDock, viewer: ViewerModel, inspected: Inspected
) -> None:
    viewer.dims.ndisplay = 3
    press(viewer, "N")
    camera = getattr(viewer, "scene", viewer).camera
    assert np.allclose(camera.center, inspected.inspection.findings[1].world)
    assert viewer.dims.ndisplay == 3


def test_the_contrast_suits_the_surroundings_and_comes_back(
    dock: InspectDock, viewer: ViewerModel, inspected: Inspected, qtbot: QtBot
) -> None:
    raw, enhanced = (viewer.layers[name] for name in NAMES)
    low, high = enhanced.contrast_limits
    assert 80 < low < 110
    assert 130 < high < 175
    fit = inspected.inspection.operator
    expected = [fit.gain * one + fit.offset for one in (low, high)]
    assert np.allclose(raw.contrast_limits, expected)
    before = [raw.contrast_limits_range, enhanced.contrast_limits_range]
    enhanced.contrast_limits = (90, 100)  # the user
    dock.controller.browser.close()
    assert tuple(enhanced.contrast_limits) == (90, 100)
    assert np.allclose(raw.contrast_limits, before[0], atol=1)


def test_a_label_or_a_point_that_is_chosen_is_chosen_in_the_list(
    dock: InspectDock, viewer: ViewerModel, inspected: Inspected
) -> None:
    viewer.layers["suspects"].selected_label = 4
    assert chosen(dock) == 4
    assert viewer.dims.point[0] == inspected.inspection.findings[3].world[0]
    viewer.layers["suspect centres"].selected_data = {4}
    assert chosen(dock) == 5
    assert viewer.layers["suspects"].selected_label == 5
    viewer.layers["suspects"].selected_label = 0
    assert chosen(dock) == 5


@pytest.mark.parametrize("active", [*NAMES, *ADDED, None])
def test_keys_decide_whatever_layer_is_active(
    active: str | None, dock: InspectDock, viewer: ViewerModel, qtbot: QtBot
) -> None:
    viewer.layers.selection.active = viewer.layers[active] if active else None
    points = len(viewer.layers["suspect centres"].data)
    for key, decision in (
        ("1", "real"),
        ("2", "hallucination-impactful"),
        ("3", "hallucination-benign"),
        ("4", "artefact"),
        ("0", "unsure"),
    ):
        press(viewer, key)
        assert review(dock).decision == decision
    assert len(viewer.layers["suspect centres"].data) == points
    wait(qtbot, dock)


def test_the_keys_are_the_users_again_when_the_dock_is_closed(
    window: tuple[Any, InspectDock], qtbot: QtBot
) -> None:
    viewer, dock = window
    providers = [viewer, *viewer.layers]
    assert all(one.keymap for one in providers)
    callbacks = len(viewer.mouse_drag_callbacks)
    viewer.window.remove_dock_widget(dock)
    assert not any(one.keymap for one in providers)
    assert len(viewer.mouse_drag_callbacks) == callbacks - 1
    assert [layer.name for layer in viewer.layers] == [*NAMES, *ADDED]


def test_keys_in_the_dock_act_except_where_one_types(
    window: tuple[Any, InspectDock], qtbot: QtBot
) -> None:
    viewer, dock = window
    viewer.window.activate()
    above = dock.window()
    assert above is not None
    qtbot.waitUntil(above.isActiveWindow, timeout=PATIENCE)
    dock.findings.table.setFocus()
    qtbot.waitUntil(dock.findings.table.hasFocus, timeout=PATIENCE)
    qtbot.keyClick(dock.findings.table, Qt.Key.Key_N)
    assert chosen(dock) == 2
    qtbot.keyClick(dock.findings.table, Qt.Key.Key_3)
    assert review(dock).decision == "hallucination-benign"
    dock.findings.comment.setFocus()
    qtbot.keyClicks(dock.findings.comment, "n1")
    assert chosen(dock) == 2
    assert dock.findings.comment.text() == "n1"
    qtbot.keyClick(dock.findings.comment, Qt.Key.Key_Return)
    assert review(dock).comment == "n1"
    assert review(dock).decision == "hallucination-benign"
    wait(qtbot, dock)


def test_decisions_are_kept_at_once_and_shown_when_the_volumes_come_again(
    dock: InspectDock,
    viewer: ViewerModel,
    inspected: Inspected,
    qtbot: QtBot,
    tmp_path: Path,
) -> None:
    dock.findings.reviewer.setText("ann")
    press(viewer, "1")
    wait(qtbot, dock)
    (kept,) = (tmp_path / "runs" / "inspections").iterdir()
    assert "ann" in kept.read_text(encoding="utf-8")
    assert list(viewer.layers["suspects"].features["decision"])[1] == "real"
    show(qtbot, dock, inspected, *(viewer.layers[name] for name in NAMES))
    assert review(dock).decision == "real"
    assert review(dock).reviewer == "ann"
    assert [layer.name for layer in viewer.layers] == [*NAMES, *ADDED]


def export(dock: InspectDock, folder: Path, qtbot: QtBot) -> Path:
    dock.export(folder)
    wait(qtbot, dock)
    (report,) = folder.iterdir()
    return report


def test_a_report_is_written_and_comes_back_with_the_decisions_made_since(
    dock: InspectDock, viewer: ViewerModel, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    press(viewer, "1")
    report = export(dock, folder, qtbot)
    assert dock.status.text() == f"Wrote {report}"
    assert dock.offer.isVisibleTo(dock)
    press(viewer, "N")
    press(viewer, "4")
    wait(qtbot, dock)
    found = load(report).inspection.findings
    decisions = [one.review.decision if one.review else None for one in found]
    assert decisions == ["real", "artefact", None, None, None, None]
    voxels = viewer.layers["suspects"].data
    dock.controller.browser.close()
    dock.load(report / "inspection.json")
    wait(qtbot, dock)
    assert [layer.name for layer in viewer.layers] == [*NAMES, *ADDED]
    assert np.array_equal(viewer.layers["suspects"].data, voxels)
    assert np.allclose(
        viewer.layers["suspects"].extent.world, viewer.layers[NAMES[1]].extent.world
    )
    assert review(dock).decision == "real"
    assert dock.views.views is not None


def test_a_report_that_is_dropped_on_the_viewer_opens_in_the_dock(
    window: tuple[Any, InspectDock], qtbot: QtBot, tmp_path: Path
) -> None:
    viewer, dock = window
    folder = tmp_path / "reports"
    folder.mkdir()
    report = export(dock, folder, qtbot)
    viewer.layers.clear()
    viewer.open(report / "inspection.json", plugin=PLUGIN)
    wait(qtbot, dock)
    assert [layer.name for layer in viewer.layers] == ADDED
    assert "open fast scan and fast scan enhanced" in dock.status.text()
    press(viewer, "N")
    assert chosen(dock) == 2
    wait(qtbot, dock)
    dock.export(folder)
    assert dock.status.text().startswith("Open fast scan and fast scan enhanced")
    assert list(folder.iterdir()) == [report]


def test_the_raw_volume_alone_is_not_taken_for_the_enhanced_one(
    dock: InspectDock, viewer: ViewerModel, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    report = export(dock, folder, qtbot)
    raw = viewer.layers[NAMES[0]]
    viewer.layers.clear()
    viewer.layers.append(raw)
    dock.reset_choices()
    dock.load(report)
    wait(qtbot, dock)
    session = dock.controller.browser.session
    assert session is not None
    assert (session.raw, session.enhanced) == (raw, None)
    assert f"open {NAMES[1]} and" in dock.status.text()


@pytest.mark.parametrize("content", ["", "{}", "[1]", "\0"])
def test_what_is_no_report_is_refused_in_one_sentence(
    content: str, dock: InspectDock, viewer: ViewerModel, qtbot: QtBot, tmp_path: Path
) -> None:
    path = tmp_path / "inspection.json"
    path.write_text(content, encoding="utf-8")
    with qtbot.capture_exceptions() as uncaught:
        dock.load(path)
        wait(qtbot, dock)
    assert not uncaught
    assert str(path) in dock.status.text()
    assert "\n" not in dock.status.text()
    assert [layer.name for layer in viewer.layers] == [*NAMES, *ADDED]


def test_a_volume_that_is_taken_away_ends_the_views_but_not_the_list(
    dock: InspectDock, viewer: ViewerModel, qtbot: QtBot
) -> None:
    assert dock.views.views is not None
    viewer.layers.remove(viewer.layers[NAMES[0]])
    qtbot.waitUntil(lambda: dock.views.views is None, timeout=PATIENCE)
    press(viewer, "N")
    assert chosen(dock) == 2
    viewer.layers.remove(viewer.layers["suspects"])
    viewer.layers.remove(viewer.layers["suspect centres"])
    dock.findings.step(1)
    assert chosen(dock) == 3
    wait(qtbot, dock)


def test_an_inspection_without_findings_says_so(
    dock: InspectDock, viewer: ViewerModel, inspected: Inspected, qtbot: QtBot
) -> None:
    changes: dict[str, Any] = {"findings": (), "counts": {}}
    empty: Inspection = inspected.inspection.model_copy(update=changes)
    labels = inspected.labels
    nothing = Volume(np.zeros(labels.shape, np.int32), labels.affine, labels.unit)
    raw, enhanced = (viewer.layers[name] for name in NAMES)
    show(qtbot, dock, Inspected(empty, inspected.maps, nothing), raw, enhanced)
    assert dock.findings.headline.text().startswith("no structures were found")
    assert chosen(dock) is None
    press(viewer, "N")
    press(viewer, "1")
    wait(qtbot, dock)


def test_the_dock_fits_a_narrow_column(dock: InspectDock, qtbot: QtBot) -> None:
    for page in (dock.choice, dock.findings):
        assert page.minimumSizeHint().width() <= 370
    assert dock.minimumSizeHint().width() <= 420


def test_layers_of_inspections_and_colour_layers_cannot_be_inspected(
    dock: InspectDock, viewer: ViewerModel, qtbot: QtBot
) -> None:
    offered = [one.name for one in dock.choice.layers["raw"].choices]
    assert offered == NAMES
    viewer.add_image(np.zeros((16, 16, 16, 3)), name="colour", rgb=True)
    viewer.add_image(np.zeros((3, 16, 16, 16)), name="series")
    raw = dock.choice.layers["raw"]
    dock.choice.layers["enhanced"].value = viewer.layers[NAMES[1]]
    for name, reason in (("colour", "colour image"), ("series", "has 4 axes")):
        raw.value = viewer.layers[name]
        dock.inspect()
        assert reason in dock.status.text()
        assert not dock.is_busy
    raw.value = viewer.layers[NAMES[1]]
    dock.inspect()
    assert "chosen as raw and as enhanced" in dock.status.text()
    raw.value = viewer.layers[NAMES[0]]
    dock.choice.model.setText("nowhere.safetensors")
    dock.inspect()
    assert "no such model file" in dock.status.text()
    dock.choice.model.clear()
    dock.choice.noise_region.setText("0:4")
    dock.inspect()
    assert "three ranges" in dock.status.text()


def test_an_empty_viewer_is_told_what_to_do(
    lone: InspectDock, viewer: ViewerModel
) -> None:
    viewer.layers.clear()
    lone.inspect()
    assert lone.status.text().startswith("Open the raw and the enhanced volume")
