"""What outlives napari: small values, and the preferences of the plugin."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QSettings

from napari_cyclegan3d.gui.activity import Activity
from napari_cyclegan3d.gui.preferences import Preferences, preferences
from napari_cyclegan3d.gui.remembered import recall, remember


@pytest.mark.parametrize(
    "value", ["a, b = c;%20\n", 7, 0.25, True, None, ["x", "y"], {"a": [1, 2]}, "ü µm"]
)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    remember("train/value", value)
    assert recall("train/value", "nothing") == value


def test_what_is_missing_or_damaged_is_forgotten(tmp_path: Path) -> None:
    assert recall("train/never", 3) == 3
    remember("train/value", 5)
    (file,) = (tmp_path / "settings").rglob("*.ini")
    file.write_text("[train]\nvalue={broken\n", encoding="utf-8")
    QSettings(str(file), QSettings.Format.IniFormat).sync()
    assert recall("train/value", 4) == 4


def test_preferences_of_napari_are_followed(
    make_napari_viewer_proxy: Callable[[], Any],
) -> None:
    settings = pytest.importorskip("napari.settings")
    if not hasattr(settings, "get_plugin_settings"):
        pytest.skip("this napari keeps no settings of plugins")
    make_napari_viewer_proxy()
    assert preferences() == Preferences()
    chosen = settings.get_plugin_settings("napari-cyclegan3d").defaults
    chosen.preview_every = 7
    chosen.device = "cpu"
    assert preferences() == Preferences(device="cpu", preview_every=7)
    with pytest.raises(ValueError, match="memory"):
        chosen.memory = 0.0


def test_the_activity_dock_shows_how_far_a_job_is(qtbot: QtBot) -> None:
    from napari.utils import progress

    bar = Activity("training")
    (shown,) = (one for one in progress._all_instances if one.desc.startswith("train"))
    bar.show(3, 10)
    qtbot.waitUntil(lambda: (shown.n, shown.total) == (3, 10))
    bar.show(2, 10)  # a training that goes back
    qtbot.waitUntil(lambda: shown.n == 2)
    bar.end()
    assert shown not in progress._all_instances
