"""What a training says on the terminal."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_cyclegan3d.console import DONE, STOPPED, show_training
from napari_cyclegan3d.engine import events

MODEL = Path("run/model.safetensors")


def training(*others: events.TrainEvent) -> Iterator[events.TrainEvent]:
    yield events.Started(0, 2, "cpu, as asked")
    yield from others
    yield events.TrainingDone(2, MODEL)


def shown(
    capsys: pytest.CaptureFixture[str], run: Path, *others: events.TrainEvent
) -> tuple[list[str], str]:
    """The lines on the output, and all that went to the error stream."""
    assert show_training(training(*others), run) == DONE
    out, err = capsys.readouterr()
    return [line.strip() for line in out.splitlines()], err


def test_device_and_model_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines, _ = shown(capsys, tmp_path)
    assert lines == ["training on cpu, as asked", f"model: {MODEL}"]


def test_scores_are_a_line_and_a_model_that_is_kept_is_said_to_be(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scores = {"score": 0.87654321, "psnr_b": 21.5}
    lines, _ = shown(
        capsys,
        tmp_path,
        events.Validated(500, scores, best=True),
        events.Validated(1000, scores, best=False),
    )
    assert lines[1] == (
        "step 500: validation score 0.8765 psnr_b 21.5; among the best, kept"
    )
    assert lines[2] == "step 1000: validation score 0.8765 psnr_b 21.5"


def test_balancing_says_why_and_where_the_training_goes_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines, _ = shown(capsys, tmp_path, events.Balanced(250, "contrast is inverted"))
    assert lines[1] == "balanced, goes on after step 250: contrast is inverted"


def test_a_warning_goes_to_the_error_stream(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines, err = shown(capsys, tmp_path, events.Warned("voxels of A are larger"))
    assert len(lines) == 2
    assert "warning: voxels of A are larger\n" in err


def test_a_training_that_ends_early_leaves_no_state_and_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    only = iter([events.Started(0, 2, "cpu")])
    assert show_training((event for event in only), tmp_path) == STOPPED
    assert "nothing to go on from" in capsys.readouterr().err
