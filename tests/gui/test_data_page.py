"""The Data page: what is trained on, what is kept for validation, and what is odd."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.domains.page import DataPage

Viewers = Callable[..., Any]
KEYS = ("a", "b", "validate_a", "validate_b")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(3)
    paths = [tmp_path / f"{name}.tif" for name in ("one", "two", "three", "four")]
    for path in paths:
        noise = rng.normal(size=(15, 16, 17)).astype(np.float32)
        io.write(Volume(noise, unit="micrometer"), path)
    return paths


@pytest.fixture
def page(qtbot: QtBot, at_once: Any) -> DataPage:
    page = DataPage(None, at_once)
    qtbot.addWidget(page)
    return page


def names(volumes: object) -> list[str]:
    return [volume.name for volume in volumes]  # type: ignore[attr-defined]


def test_each_list_fills_its_part_of_the_domains(
    page: DataPage, files: list[Path]
) -> None:
    page.set_sources({key: [file] for key, file in zip(KEYS, files, strict=True)})
    domains, left_out = page.domains()
    assert left_out == []
    assert names(domains.a) == ["one.tif"]
    assert names(domains.b) == ["two.tif"]
    assert names(domains.validate_a) == ["three.tif"]
    assert names(domains.validate_b) == ["four.tif"]


def test_sources_come_back_as_they_were_set(page: DataPage, files: list[Path]) -> None:
    layer = Image(np.zeros((4, 5, 6)))
    page.set_sources(
        {"a": [f"{files[0]}[0:8,:,:]", None, layer], "validate_b": [str(files[1])]}
    )
    sources = page.sources()
    assert [source.text() for source in sources["a"]] == [f"{files[0]}[0:8,:,:]", None]
    page.set_sources(sources)
    assert page.sources() == sources
    page.set_sources({})
    assert page.sources() == {key: [] for key in KEYS}


def test_what_is_trained_on_is_not_validated_on_and_that_is_told(
    page: DataPage, files: list[Path]
) -> None:
    page.set_sources(
        {
            "a": [files[0]],
            "b": [files[1]],
            "validate_a": [files[0], files[2]],
            "validate_b": [files[1]],
        }
    )
    domains, left_out = page.domains()
    assert names(domains.validate_a) == ["three.tif"]
    assert names(domains.validate_b) == []
    assert len(left_out) == 2
    assert "one.tif" in left_out[0]
    assert "two.tif" in left_out[1]
    assert "one.tif" in page.warnings.text()


def test_layers_are_told_apart_by_what_they_hold(page: DataPage) -> None:
    rng = np.random.default_rng(4)
    trained, kept = (Image(rng.normal(size=(5, 6, 7)), name=n) for n in ("one", "two"))
    page.set_sources({"b": [trained], "validate_b": [trained, kept]})
    domains, left_out = page.domains()
    assert names(domains.validate_b) == ["two"]
    assert len(left_out) == 1


def test_domain_a_may_be_empty_and_what_is_missing_is_told(
    page: DataPage, files: list[Path], qtbot: QtBot
) -> None:
    assert page.missing("cyclegan") == "both domains"
    assert page.missing("srgan") == "domain B"
    with qtbot.waitSignal(page.changed):
        page.domain_b.add(files[0])
    assert page.missing("cyclegan") == "domain A"
    assert page.missing("srgan") == ""
    assert names(page.domains()[0].a) == []


def test_settings_that_do_not_go_with_the_volumes_are_warned_of(
    page: DataPage, files: list[Path], tiny: Any
) -> None:
    page.set_sources({"a": [files[0]], "b": [files[1]]})
    assert page.warnings.isHidden()
    page.check(tiny(patch=(16, 16, 16)))
    assert "patch (16, 16, 16)" in page.warnings.text()
    assert page.domain_a.view.item(0).text().startswith("⚠")
    page.check(tiny())
    assert page.warnings.isHidden()
    page.domain_b.set_value([f"{files[1]}[0:3,:,:]"])
    assert "3, 16, 17" in page.warnings.text()


def test_a_long_list_of_warnings_is_cut_and_says_so(page: DataPage) -> None:
    page.domain_a.add_all([Image(np.zeros((4, 5, 6)), name=f"n{n}") for n in range(9)])
    assert page.warnings.text().count("⚠") == 3
    assert "and 6 more" in page.warnings.text()


def test_grey_values_are_shown_as_soon_as_there_are_any(
    page: DataPage, files: list[Path]
) -> None:
    assert page.histogram_fold.isHidden()
    page.domain_a.add(files[0])
    a, b = page.histograms.curves
    edges, heights = a.getData()
    assert not page.histogram_fold.isHidden()
    assert (a.isVisible(), b.isVisible()) == (True, False)
    assert heights.max() == 1
    page.domain_b.add(Image(np.random.default_rng(0).normal(9, 1, (15, 16, 17))))
    assert b.isVisible()
    assert b.getData()[0].max() > edges.max()
    page.set_sources({})
    assert page.histogram_fold.isHidden()


def test_the_preview_places_are_those_of_both_domains(
    page: DataPage, files: list[Path]
) -> None:
    page.set_sources({"a": [files[0]], "b": [files[1], files[2]]})
    page.domain_b.view.setCurrentRow(1)
    page.domain_b.editor.place.setText("7, 8, 9")
    page.domain_b.editor.place.editingFinished.emit()
    assert page.preview_places() == (None, (1, 7, 8, 9))
    assert page.validate_a.editor.place.isHidden()


def test_the_page_is_narrow_and_nothing_of_it_stays_behind(
    make_napari_viewer_proxy: Viewers, files: list[Path], qtbot: QtBot
) -> None:
    viewer = make_napari_viewer_proxy()
    layer = viewer.add_image(np.random.default_rng(0).normal(size=(15, 16, 17)))
    page = DataPage(viewer)
    viewer.window.add_dock_widget(page, name="data")
    page.set_sources({"a": [layer], "b": files})
    known = lambda: all(page.domain_a.facts() + page.domain_b.facts())  # noqa: E731
    qtbot.waitUntil(known, timeout=10_000)
    assert page.sizeHint().width() <= 420
    before = len(viewer.mouse_drag_callbacks)
    page.domain_a.view.setCurrentRow(0)
    page.domain_a.editor.box_button.click()
    page.domain_a.editor.pick_button.click()
    assert page.minimumSizeHint().width() <= 420
    assert len(viewer.layers) == 2
    page.end()
    assert list(viewer.layers) == [layer]
    assert len(viewer.mouse_drag_callbacks) == before
    viewer.theme = "light"


def test_a_page_that_is_closed_while_it_reads_answers_no_more(
    files: list[Path], qtbot: QtBot
) -> None:
    page = DataPage(None)
    qtbot.addWidget(page)
    page.domain_b.add_all(files)
    page.end()
    facts = page.domain_b.facts()
    qtbot.wait(200)
    assert page.domain_b.facts() == facts
