"""Presets and the form that they fill."""

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QLineEdit, QSpinBox

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.presets import load_preset, preset_names
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.gui.train.settings_page import SettingsPage

DEVICE = {"device": "cuda:7"}


@pytest.fixture
def page(qtbot: QtBot) -> SettingsPage:
    page = SettingsPage()
    qtbot.addWidget(page)
    page.show()
    return page


def test_a_new_page_shows_the_defaults_and_offers_all_presets(
    page: SettingsPage,
) -> None:
    assert page.value() == TrainConfig()
    shown = [page.preset.itemText(index) for index in range(page.preset.count())]
    assert shown == ["Defaults", *preset_names()]
    assert page.preset.currentIndex() == 0
    for index, name in enumerate(preset_names(), 1):
        preset = load_preset(name)
        tip = page.preset.itemData(index, Qt.ItemDataRole.ToolTipRole)
        assert preset.summary.split()[0] in tip
        assert preset.source in tip


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_sets_all_settings_and_tells_what_it_is(
    name: str, page: SettingsPage
) -> None:
    page.form.set_value(parse(TrainConfig, DEVICE))
    page.choose(name)
    preset = load_preset(name)
    assert page.value() == parse(TrainConfig, preset.settings)
    assert page.preset.currentText() == name
    assert preset.source in page.about.text()
    assert preset.summary.splitlines()[0] in page.about.text()


def test_a_changed_preset_keeps_its_name_until_it_is_chosen_again(
    page: SettingsPage,
) -> None:
    name = preset_names()[0]
    page.choose(name)
    steps = page.form.findChild(QSpinBox, "steps")
    before = steps.value()
    steps.setValue(before + 1)
    assert page.preset.currentText() == f"{name} (changed)"
    steps.setValue(before)
    assert page.preset.currentText() == name
    steps.setValue(before + 1)
    page.choose(name)
    assert page.preset.currentText() == name
    assert steps.value() == before
    steps.setValue(before + 1)
    page.choose("Defaults")
    assert page.preset.currentText() == "Defaults"
    shown = [page.preset.itemText(index) for index in range(page.preset.count())]
    assert shown == ["Defaults", *preset_names()]


def test_what_contradicts_itself_is_told_to_be_changed(page: SettingsPage) -> None:
    name = preset_names()[0]
    page.choose(name)
    line = page.form.findChild(QLineEdit, "cycle_losses")
    line.setText("l1, l3")
    assert page.preset.currentText() == f"{name} (changed)"
    assert load_preset(name).source in page.about.text()
    line.setText("l1")
    assert page.preset.currentText() == name


def test_the_preset_stands_in_one_column_with_the_settings(page: SettingsPage) -> None:
    page.resize(500, 700)
    page.choose(preset_names()[0])
    QApplication.processEvents()
    steps = page.form.findChild(QSpinBox, "steps")
    left, right = (widget.mapTo(page, QPoint()).x() for widget in (page.preset, steps))
    assert left == right
    assert page.preset.width() == steps.width()


def test_a_run_shows_its_own_settings_and_no_preset(page: SettingsPage) -> None:
    page.choose(preset_names()[0])
    page.show_settings("As in run-007", parse(TrainConfig, DEVICE))
    assert page.value() == parse(TrainConfig, DEVICE)
    assert page.preset.currentIndex() == -1
    assert page.preset.placeholderText() == "As in run-007"
    page.form.findChild(QSpinBox, "seed").setValue(5)
    assert page.preset.placeholderText() == "As in run-007 (changed)"
