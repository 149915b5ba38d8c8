"""The way back through previews."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_cyclegan3d.gui.progress.frames import PreviewMemory
from napari_cyclegan3d.gui.progress.history import HistoryBar
from napari_cyclegan3d.io.previews import save_preview

NAMES = ("real_a", "fake_b", "cyclic_a", "real_b", "fake_a", "cyclic_b")


def images(step: int) -> dict[str, np.ndarray]:
    return {name: np.full((4, 4, 4), step, np.float32) for name in NAMES}


def saved(run: Path, *steps: int) -> Path:
    (run / "previews").mkdir(parents=True, exist_ok=True)
    for step in steps:
        save_preview(run, step, images(step))
    return run


class Seen(list[tuple[int, float]]):
    """Steps that were shown, with the grey value of what was shown."""

    def take(self, step: int, shown: Any) -> None:
        self.append((step, float(shown["real_a"].mean())))


@pytest.fixture
def shown() -> Seen:
    return Seen()


@pytest.fixture
def bar(qtbot: QtBot, at_once: Any, shown: Seen) -> HistoryBar:
    bar = HistoryBar(at_once)
    qtbot.addWidget(bar)
    bar.chosen.connect(shown.take)
    return bar


def test_the_newest_is_followed_until_one_goes_back_and_again_at_the_right_end(
    bar: HistoryBar, shown: Seen
) -> None:
    for step in (10, 20, 30):
        bar.add(step, images(step))
    assert bar.is_live
    assert bar.slider.value() == bar.slider.maximum() == 2
    bar.slider.setValue(0)
    bar.add(40, images(40))
    assert not bar.is_live
    assert (bar.slider.value(), bar.slider.maximum()) == (0, 3)
    assert bar.label.text() == "step 10"
    bar.slider.setValue(3)
    assert bar.is_live
    assert shown == [(10, 10), (40, 40)]
    bar.slider.setValue(1)
    bar.live_button.click()
    assert bar.is_live
    assert shown[2:] == [(20, 20), (40, 40)]


def test_what_is_not_in_memory_is_read_from_the_run(
    bar: HistoryBar, shown: Seen, tmp_path: Path
) -> None:
    bar.run = saved(tmp_path, 100, 200, 300)
    bar.set_saved([100, 200, 300])
    bar.add(400, images(400))
    bar.slider.setValue(1)
    assert shown == [(200, 200)]
    assert bar.label.text() == "step 200"


def test_instead_of_what_was_removed_meanwhile_the_nearest_is_shown(
    bar: HistoryBar, shown: Seen, tmp_path: Path
) -> None:
    bar.run = saved(tmp_path, 100, 400)
    bar.set_saved([100, 200, 300, 400])
    bar.add(500, images(500))
    bar.slider.setValue(1)
    assert shown == [(100, 100)]
    assert bar.label.text() == "step 100"
    assert bar.slider.maximum() == 2


def test_a_damaged_file_is_told_and_the_slider_goes_on(
    bar: HistoryBar, shown: Seen, tmp_path: Path
) -> None:
    bar.run = saved(tmp_path, 100, 200)
    bar.set_saved([100, 200])
    (tmp_path / "previews" / "step_00000100.npz").write_bytes(b"junk")
    told: list[str] = []
    bar.failed.connect(told.append)
    bar.slider.setValue(0)
    assert len(told) == 1
    assert "step_00000100.npz" in told[0]
    bar.go_live()
    assert shown == [(200, 200)]


def test_a_file_with_other_images_is_no_preview(
    bar: HistoryBar, shown: Seen, tmp_path: Path
) -> None:
    saved(tmp_path)
    save_preview(tmp_path, 100, {"anything": np.zeros((4, 4), np.float32)})
    bar.run = tmp_path
    bar.set_saved([100])
    told: list[str] = []
    bar.failed.connect(told.append)
    bar.show_step()
    assert shown == []
    assert "is no preview" in told[0]


def test_a_slider_that_is_dragged_fast_ends_at_what_is_under_it(
    qtbot: QtBot, shown: Seen, tmp_path: Path
) -> None:
    bar = HistoryBar()
    qtbot.addWidget(bar)
    bar.chosen.connect(shown.take)
    steps = list(range(10, 210, 10))
    bar.run = saved(tmp_path, *steps)
    bar.set_saved(steps)
    for position in range(18, -1, -1):
        bar.slider.setValue(position)
    qtbot.waitUntil(lambda: (10, 10) in shown, timeout=10_000)
    assert shown[-1] == (10, 10)
    assert len(shown) < 19


def test_a_step_back_of_the_training_shortens_the_history(
    bar: HistoryBar, shown: Seen
) -> None:
    for step in (10, 20, 30, 40):
        bar.add(step, images(step))
    bar.slider.setValue(2)
    bar.rewind(20)
    assert bar.is_live
    assert bar.step == 20
    assert bar.slider.maximum() == 1


def test_memory_has_a_bound_and_the_oldest_goes_to_the_disk(tmp_path: Path) -> None:
    size = sum(image.nbytes for image in images(0).values())
    for run, known in ((None, [30, 40]), (tmp_path, [10, 20, 30, 40])):
        memory = PreviewMemory(most=2 * size)
        memory.run = run
        for step in (10, 20, 30, 40):
            memory.add(step, images(step))
        assert memory.steps() == known
        assert [step for step in known if memory.images(step)] == [30, 40]
    memory.add(40, images(40))
    assert [step for step in known if memory.images(step)] == [30, 40]
