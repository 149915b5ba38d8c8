"""Engines in a thread: what they yield, raise and clean up."""

import gc
import os
import sys
import threading
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QThread
from qtpy.QtWidgets import QApplication

from napari_cyclegan3d.engine.errors import InputError, MemoryShortageError
from napari_cyclegan3d.gui.worker import EngineWorker, Failure, start_engine

PATIENCE = 60_000


class Listener:
    """Notes what an engine says, and whether it says it on the GUI thread."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.errors: list[Failure] = []
        self.finished = 0
        self.off_thread = 0

    def start(self, engine: Iterator[Any]) -> EngineWorker:
        return start_engine(engine, self.on_event, self.on_error, self.on_finished)

    def on_event(self, event: Any) -> None:
        self._check()
        self.events.append(event)

    def on_error(self, failure: Failure) -> None:
        self._check()
        assert not self.finished
        self.errors.append(failure)

    def on_finished(self) -> None:
        self._check()
        self.finished += 1

    def _check(self) -> None:
        application = QApplication.instance()
        assert application is not None
        self.off_thread += QThread.currentThread() is not application.thread()


@pytest.fixture
def listener(qapp: QApplication) -> Listener:
    return Listener()


def wait_for_end(qtbot: QtBot, listener: Listener) -> None:
    qtbot.waitUntil(lambda: listener.finished > 0, timeout=PATIENCE)
    assert listener.finished == 1
    assert listener.off_thread == 0


def test_all_events_arrive_in_order_on_the_gui_thread(
    qtbot: QtBot, listener: Listener
) -> None:
    listener.start(number for number in range(500))
    wait_for_end(qtbot, listener)
    assert listener.events == list(range(500))
    assert not listener.errors


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("CUDA error: launch failed"), "CUDA error: launch failed"),
        (InputError("patch: too large"), "patch: too large"),
        (MemoryShortageError("try patch (8, 8, 8)"), "try patch (8, 8, 8)"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else "",
)
@pytest.mark.parametrize("steps", [0, 2], ids=["at once", "later"])
def test_an_error_is_told_once_and_the_end_too(
    steps: int, error: Exception, message: str, qtbot: QtBot, listener: Listener
) -> None:
    cleaned: list[int] = []

    def engine() -> Iterator[int]:
        try:
            yield from range(steps)
            raise error
        finally:
            cleaned.append(threading.get_ident())

    with qtbot.capture_exceptions() as uncaught:
        listener.start(engine())
        wait_for_end(qtbot, listener)
    assert len(listener.errors) == 1
    assert listener.errors[0].message == message
    assert listener.errors[0].details.endswith(f"{error}\n")
    assert "Traceback" in listener.errors[0].details
    assert listener.events == list(range(steps))
    assert not uncaught
    assert cleaned
    assert threading.get_ident() not in cleaned


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_quit_closes_the_engine_on_the_thread_on_which_it_ran(
    paused: bool, qtbot: QtBot, listener: Listener
) -> None:
    ran, cleaned = set(), []

    def engine() -> Iterator[int]:
        try:
            for number in range(10**9):
                ran.add(threading.get_ident())
                yield number
        finally:
            cleaned.append(threading.get_ident())

    worker = listener.start(engine())
    qtbot.waitUntil(lambda: len(listener.events) > 3, timeout=PATIENCE)
    if paused:
        with qtbot.waitSignal(worker.paused, timeout=PATIENCE):
            worker.pause()
    worker.quit()
    wait_for_end(qtbot, listener)
    assert cleaned == list(ran)
    assert threading.get_ident() not in ran
    assert not listener.errors


@pytest.mark.parametrize("error", [InputError("disk is full"), RuntimeError("broken")])
def test_an_error_while_the_engine_is_closed_is_told(
    error: Exception, qtbot: QtBot, listener: Listener
) -> None:
    def engine() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            raise error

    worker = listener.start(engine())
    qtbot.waitUntil(lambda: bool(listener.events), timeout=PATIENCE)
    worker.quit()
    wait_for_end(qtbot, listener)
    assert len(listener.errors) == 1
    assert listener.errors[0].message == str(error)


def test_what_is_sent_arrives_with_the_next_question(
    qtbot: QtBot, listener: Listener
) -> None:
    heard = []

    def engine() -> Generator[int, str | None, None]:
        for number in range(10**9):
            said = yield number
            if said is not None:
                heard.append(said)
                return

    worker = listener.start(engine())
    qtbot.waitUntil(lambda: bool(listener.events), timeout=PATIENCE)
    worker.send("save")
    wait_for_end(qtbot, listener)
    assert heard == ["save"]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority here")
def test_an_engine_leaves_the_processor_to_the_window(
    qtbot: QtBot, listener: Listener
) -> None:
    def engine() -> Iterator[int]:
        yield os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = os.getpriority(os.PRIO_PROCESS, 0)
    listener.start(engine())
    wait_for_end(qtbot, listener)
    assert listener.events[0] > before
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_garbage_is_collected_on_the_gui_thread_while_an_engine_runs(
    qtbot: QtBot, listener: Listener
) -> None:
    threads: list[int] = []

    class Cycle:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            threads.append(threading.get_ident())

    def engine() -> Iterator[int]:
        for number in range(10**9):
            Cycle()
            yield number

    worker = listener.start(engine())
    assert not gc.isenabled()
    qtbot.waitUntil(lambda: len(threads) > 10, timeout=PATIENCE)
    worker.quit()
    wait_for_end(qtbot, listener)
    assert set(threads) == {threading.get_ident()}
    assert gc.isenabled()
