"""What a dock says when something fails, and what can be copied of it."""

from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.gui.status import StatusLine
from napari_cyclegan3d.gui.worker import Failure, failure_of


def failed() -> Failure:
    try:
        raise InputError("slow.tif: the disk was taken away")
    except InputError as error:
        return failure_of(error)


def test_a_failure_is_one_sentence_with_a_report_behind_a_button(qtbot: QtBot) -> None:
    line = StatusLine()
    qtbot.addWidget(line)
    line.say("Step 1")
    assert line.details_button.isHidden()
    line.fail(failed(), "patch: [8, 8, 8]")
    assert line.text() == "slow.tif: the disk was taken away"
    assert not line.details_button.isHidden()
    window = line.show_details()
    assert window is not None
    window.copy_button.click()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    report = clipboard.text()
    for part in (line.text(), "patch: [8, 8, 8]", "torch 2", "Traceback", "Python 3"):
        assert part in report
    window.close()


def test_the_next_sentence_takes_the_report_away(qtbot: QtBot) -> None:
    line = StatusLine()
    qtbot.addWidget(line)
    assert line.show_details() is None
    line.fail(failed())
    line.say("Step 2")
    assert line.details_button.isHidden()
    line.refuse("domain A is empty; give at least one volume")
    assert line.details_button.isHidden()
