"""Closing docks and windows while something runs in them."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from napari.settings import get_settings
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QDockWidget,
    QMainWindow,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from close_window import click_x
from napari_cyclegan3d.gui.closing import CLOSE_BUTTON, DockGuard, Work

ENDS_AFTER_MS = 60


class Busy(QWidget):
    """A dock in which something runs that takes a moment to end."""

    ended = Signal()

    def __init__(self, viewer: Any, question: str = "Counting runs.") -> None:
        super().__init__()
        QVBoxLayout(self)
        self.runs = True
        self.ended.connect(self._on_ended)
        self.guard = DockGuard(
            self,
            viewer,
            Work(lambda: question, lambda: self.runs, self.end, "Save", "Keep"),
        )

    def end(self) -> None:
        """A thread that tells the GUI thread when it is through, as workers do."""
        threading.Thread(target=self._save).start()

    def _save(self) -> None:
        time.sleep(ENDS_AFTER_MS / 1000)
        self.ended.emit()

    def _on_ended(self) -> None:
        self.runs = False


@pytest.fixture
def shown(make_napari_viewer: Callable[..., Any], qtbot: QtBot) -> Iterator[Any]:
    """A viewer on the screen, and a dock in which something runs."""
    viewer = make_napari_viewer(show=True)
    dock = Busy(viewer)
    viewer.window.add_dock_widget(dock, name="busy")
    window = above(dock, QMainWindow)
    closed: list[bool] = []
    window.destroyed.connect(lambda: closed.append(True))
    qtbot.waitUntil(lambda: dock.guard.is_docked)
    del window  # it would keep the canvas
    yield viewer, dock
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    # napari's fixture would close again what a user has closed
    if closed and hasattr(viewer.window, "_qt_window"):
        del viewer.window._qt_window


@pytest.fixture
def napari_asks() -> Iterator[None]:
    settings = get_settings().application
    before = settings.confirm_close_window
    settings.confirm_close_window = True
    yield
    settings.confirm_close_window = before


def above(widget: QWidget, kind: type[Any]) -> Any:
    while not isinstance(widget, kind):
        widget = widget.parentWidget()
    return widget


class Answers:
    """Presses a button of every dialog that opens, and keeps what was asked."""

    def __init__(self, button: str) -> None:
        self.asked: list[str] = []
        self._button = button
        self._timer = QTimer()
        self._timer.timeout.connect(self._answer)
        self._timer.start(20)

    def _answer(self) -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QMessageBox):
            self.asked.append(dialog.text())
            (button,) = (b for b in dialog.buttons() if b.text() == self._button)
            button.click()
        elif isinstance(dialog, QDialog):
            self.asked.append(dialog.windowTitle())
            dialog.accept() if self._button == "Save" else dialog.reject()

    def stop(self) -> list[str]:
        self._timer.stop()
        return self.asked


def close_by_window_manager(window: QMainWindow) -> None:
    if QApplication.platformName() != "xcb":
        pytest.skip("asks an X server")
    click_x(window)


def test_the_x_of_the_window_asks_once_and_closes_when_all_has_ended(
    shown: Any, qtbot: QtBot, napari_asks: None
) -> None:
    viewer, dock = shown
    window = above(dock, QMainWindow)
    viewer.add_image(np.zeros((4, 4, 4)))
    answers = Answers("Save")
    closed: list[bool] = []
    window.destroyed.connect(lambda: closed.append(True))
    close_by_window_manager(window)
    qtbot.waitUntil(lambda: bool(closed))
    assert answers.stop() == ["Counting runs."]
    assert not dock.runs


def test_the_x_of_the_window_can_be_taken_back_and_asks_again_the_next_time(
    shown: Any, qtbot: QtBot
) -> None:
    _, dock = shown
    window = above(dock, QMainWindow)
    for times in (1, 2):
        answers = Answers("Keep")
        close_by_window_manager(window)
        qtbot.waitUntil(lambda: bool(answers.asked))  # noqa: B023
        qtbot.wait(3 * ENDS_AFTER_MS)
        assert answers.stop() == ["Counting runs."], times
        assert window.isVisible()
        assert dock.runs
    dock.runs = False


@pytest.mark.parametrize("layers", [0, 1])
def test_the_menu_asks_once_be_it_napari_or_the_dock(
    layers: int, shown: Any, napari_asks: None
) -> None:
    viewer, dock = shown
    window = above(dock, QMainWindow)
    for _ in range(layers):
        viewer.add_image(np.zeros((4, 4, 4)))
    answers = Answers("Save")
    window.close(quit_app=False, confirm_need=True)  # what File ▸ Close Window does
    assert answers.stop() == [["Counting runs."], ["Close Window?"]][layers]
    assert not dock.runs


def test_two_docks_in_which_something_runs_ask_one_question(
    shown: Any, qtbot: QtBot
) -> None:
    viewer, dock = shown
    window = above(dock, QMainWindow)
    other = Busy(viewer, "Reading runs.")
    viewer.window.add_dock_widget(other, name="other")
    qtbot.waitUntil(lambda: other.guard.is_docked)
    answers = Answers("Save")
    window.close()
    (question,) = answers.stop()
    assert sorted(question.splitlines()) == ["Counting runs.", "Reading runs."]
    assert not dock.runs
    assert not other.runs


def test_what_is_not_worth_a_question_is_ended_without_one(shown: Any) -> None:
    viewer, dock = shown
    window = above(dock, QMainWindow)
    quiet = Busy(viewer, "")
    viewer.window.add_dock_widget(quiet, name="quiet")
    QApplication.processEvents()
    dock.runs = False
    answers = Answers("Keep")
    window.close()
    assert answers.stop() == []
    assert not quiet.runs


@pytest.mark.parametrize("floating", [False, True])
@pytest.mark.parametrize("answer", ["Save", "Keep"])
def test_the_x_of_a_dock_asks_before_the_dock_goes(
    answer: str, floating: bool, shown: Any, qtbot: QtBot
) -> None:
    _, dock = shown
    holder = above(dock, QDockWidget)
    holder.setFloating(floating)
    qtbot.wait(50)
    button = holder.titleBarWidget().findChild(QPushButton, CLOSE_BUTTON)
    answers = Answers(answer)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert answers.stop() == ["Counting runs."]
    kept = answer == "Keep"
    assert dock.runs == kept
    assert dock.guard.is_docked == kept
    dock.runs = False


def test_a_hidden_dock_goes_on_and_asks_nothing(shown: Any, qtbot: QtBot) -> None:
    viewer, dock = shown
    answers = Answers("Save")
    above(dock, QDockWidget).close()
    qtbot.wait(3 * ENDS_AFTER_MS)
    assert answers.stop() == []
    assert dock.runs
    viewer.close()
    assert not dock.runs


@pytest.mark.parametrize("show", [True, False])
def test_a_script_that_closes_the_viewer_is_asked_nothing_and_all_has_ended(
    show: bool, make_napari_viewer_proxy: Callable[..., Any], qtbot: QtBot
) -> None:
    viewer = make_napari_viewer_proxy(show=show)
    viewer.add_image(np.zeros((4, 4, 4)))
    dock = Busy(viewer)
    viewer.window.add_dock_widget(dock, name="busy")
    qtbot.waitUntil(lambda: dock.guard.is_docked)
    answers = Answers("Keep")
    viewer.close()
    assert answers.stop() == []
    assert not dock.runs


def test_a_script_that_takes_the_dock_away_ends_what_runs_and_nothing_is_left(
    shown: Any, qtbot: QtBot
) -> None:
    viewer, dock = shown
    deleted: list[bool] = []
    dock.destroyed.connect(lambda: deleted.append(dock.runs))
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: bool(deleted))
    assert deleted == [False]
