"""Colours of napari's theme."""

import gc
from typing import Any

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_cyclegan3d.gui.progress.page import ProgressPage
from napari_cyclegan3d.gui.theme import Colours, follow_theme, theme_colours


class Painted(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Colours] = []

    def paint(self, colours: Colours) -> None:
        self.seen.append(colours)


def brightness(colour: str) -> float:
    return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5)) / 765


@pytest.mark.parametrize("theme", ["dark", "light", "system"])
def test_words_and_curves_can_be_read_on_the_ground_of_the_theme(theme: str) -> None:
    colours = theme_colours(theme)
    ground = brightness(colours.background)
    assert abs(brightness(colours.text) - ground) > 0.6
    assert all(abs(brightness(one) - ground) > 0.25 for one in colours.curves)
    assert len(set(colours.curves)) == len(colours.curves)


def test_a_widget_follows_the_theme_from_the_start(
    make_napari_viewer_proxy: Any, qtbot: Any
) -> None:
    viewer = make_napari_viewer_proxy()
    viewer.theme = "light"
    widget = Painted()
    qtbot.addWidget(widget)
    follow_theme(viewer, widget.paint)
    viewer.theme = "dark"
    assert widget.seen == [theme_colours("light"), theme_colours("dark")]


def test_without_a_viewer_the_theme_is_napari_s_own(qtbot: Any) -> None:
    widget = Painted()
    qtbot.addWidget(widget)
    follow_theme(None, widget.paint)
    assert widget.seen == [theme_colours("dark")]


def test_nothing_follows_the_theme_for_a_widget_that_is_gone(
    make_napari_viewer: Any,
) -> None:
    viewer = make_napari_viewer()
    before = len(viewer.events.theme.callbacks)
    deleted, dropped = ProgressPage(viewer), Painted()
    follow_theme(viewer, dropped.paint)
    assert len(viewer.events.theme.callbacks) > before
    deleted.deleteLater()
    QApplication.sendPostedEvents(deleted, QEvent.Type.DeferredDelete.value)
    del dropped
    gc.collect()
    viewer.theme = "light"
    assert len(viewer.events.theme.callbacks) == before


def test_plots_and_pictures_change_with_the_theme(
    make_napari_viewer_proxy: Any, qtbot: Any
) -> None:
    viewer = make_napari_viewer_proxy()
    page = ProgressPage(viewer)
    qtbot.addWidget(page)
    page.curves.add_terms(1, {"cycle_a": 1.0})
    for theme in ("light", "dark"):
        viewer.theme = theme
        colours = theme_colours(theme)
        page.curves.losses.redraw()
        for plot in (page.curves.losses.plot, page.preview.canvas):
            assert plot.backgroundBrush().color().name() == colours.background
        (line,) = page.curves.losses.plot.listDataItems()
        assert line.opts["pen"].color().name() == colours.curves[0]
        assert colours.text in page.curves.losses.names.text()
