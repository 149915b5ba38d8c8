"""Volumes that are trained on, and volumes that are kept for validation."""

from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot

from napari_cyclegan3d import io
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.gui.data_page import DataPage


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(3)
    paths = [tmp_path / f"{name}.tif" for name in ("one", "two", "three", "four")]
    for path in paths:
        io.write(Volume(rng.normal(size=(5, 6, 7)).astype(np.float32)), path)
    return paths


@pytest.fixture
def page(qtbot: QtBot, tmp_path: Path) -> DataPage:
    page = DataPage(tmp_path / "run")
    qtbot.addWidget(page)
    return page


def names(volumes: object) -> list[str]:
    return [volume.name for volume in volumes]  # type: ignore[attr-defined]


def test_each_list_fills_its_part_of_the_domains(
    page: DataPage, files: list[Path]
) -> None:
    lists = (page.domain_a, page.domain_b, page.validate_a, page.validate_b)
    for part, file in zip(lists, files, strict=True):
        part.add(file)
    domains, left_out = page.domains()
    assert left_out == []
    assert names(domains.a) == ["one.tif"]
    assert names(domains.b) == ["two.tif"]
    assert names(domains.validate_a) == ["three.tif"]
    assert names(domains.validate_b) == ["four.tif"]


def test_what_is_trained_on_is_not_validated_on_and_that_is_told(
    page: DataPage, files: list[Path]
) -> None:
    page.domain_a.set_value([files[0]])
    page.domain_b.set_value([files[1]])
    page.validate_a.set_value([files[0], files[2]])
    page.validate_b.set_value([files[1]])
    domains, left_out = page.domains()
    assert names(domains.validate_a) == ["three.tif"]
    assert names(domains.validate_b) == []
    assert len(left_out) == 2
    assert "one.tif" in left_out[0]
    assert "two.tif" in left_out[1]


def test_layers_are_told_apart_by_what_they_hold(page: DataPage) -> None:
    rng = np.random.default_rng(4)
    trained, kept = (Image(rng.normal(size=(5, 6, 7)), name=n) for n in ("one", "two"))
    page.domain_b.set_value([trained])
    page.validate_b.set_value([trained, kept])
    domains, left_out = page.domains()
    assert names(domains.validate_b) == ["two"]
    assert len(left_out) == 1


def test_domain_a_may_be_empty_and_the_run_folder_is_the_one_proposed(
    page: DataPage, files: list[Path], tmp_path: Path
) -> None:
    page.domain_b.set_value([files[0]])
    domains, _ = page.domains()
    assert names(domains.a) == []
    assert page.run_path == tmp_path / "run"
