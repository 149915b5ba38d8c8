"""What the settings will cost, beside the settings."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QSpinBox

from napari_cyclegan3d.engine import memory
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.trial import Trial
from napari_cyclegan3d.gui.train.estimate import cost
from napari_cyclegan3d.gui.train.settings_page import SettingsPage

PATIENCE = 60_000


@pytest.fixture
def page(qtbot: QtBot, tiny: Callable[..., TrainConfig]) -> SettingsPage:
    """A page that can be seen, with settings of a small training."""
    page = SettingsPage()
    qtbot.addWidget(page)
    page.form.set_value(tiny())
    return page


def wait_until_known(qtbot: QtBot, page: SettingsPage) -> str:
    estimate = page.estimate
    qtbot.waitUntil(
        lambda: estimate.line.text().startswith("Needs") and not estimate.is_busy,
        timeout=PATIENCE,
    )
    return estimate.line.text()


def test_memory_is_told_by_itself_when_settings_can_be_seen_and_after_changes(
    page: SettingsPage, qtbot: QtBot
) -> None:
    qtbot.wait(1000)
    assert page.estimate.line.text() == "", "nobody looks"
    page.show()
    first = wait_until_known(qtbot, page)
    assert "GB" in first
    assert "step" not in first
    page.form.findChild(QSpinBox, "batch").setValue(64)
    qtbot.waitUntil(
        lambda: page.estimate.line.text() not in (first, "Estimating …"),
        timeout=PATIENCE,
    )
    assert wait_until_known(qtbot, page) != first


def test_a_trial_tells_the_speed_and_leaves_the_random_numbers_alone(
    page: SettingsPage, qtbot: QtBot
) -> None:
    page.show()
    wait_until_known(qtbot, page)
    before = torch.get_rng_state()
    page.estimate.look(0.2)
    assert not page.estimate.try_button.isEnabled()
    told = wait_until_known(qtbot, page)
    assert "steps/s" in told or "s a step" in told
    assert torch.equal(torch.get_rng_state(), before)
    assert page.estimate.try_button.isEnabled()


def test_nothing_is_tried_while_something_is_trained(
    page: SettingsPage, qtbot: QtBot
) -> None:
    page.estimate.allow(allowed=False)
    page.show()
    page.estimate.look(0.2)
    qtbot.wait(1200)
    assert page.estimate.line.text() == ""
    assert not page.estimate.try_button.isEnabled()
    page.estimate.allow(allowed=True)
    wait_until_known(qtbot, page)


def test_what_does_not_fit_can_be_made_to_fit(
    page: SettingsPage, at_once: Any, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = page.value().model_copy(update={"batch": 64})
    needed = memory.training_memory(large, torch.device("cpu"))
    monkeypatch.setattr(memory, "free_memory", lambda _: needed // 2)
    page.form.set_value(large)
    page.show()
    button = page.estimate.remedy_button
    qtbot.waitUntil(button.isVisible, timeout=PATIENCE)
    assert "GB free" in page.estimate.line.text()
    button.click()
    assert page.value().batch < 64
    wait_until_known(qtbot, page)
    assert not button.isVisible()


def test_costs_are_told_in_words() -> None:
    found = Trial(3_100_000_000, 12_000_000_000, 1 / 4.2, "cuda:0")
    text = cost(found, 10_000)
    assert text == "Needs about 3.1 GB of 12.0 GB; 4.2 steps/s, about 40 min"
    slow = cost(Trial(30_000_000, None, 3.0, "mps"), 7200)
    assert slow == "Needs about 0.03 GB; 3.0 s a step, about 6.0 h"
