import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.settings import load_yaml, parse

pytest.importorskip("optuna", reason="the extra search is not installed")

Command = Callable[..., Any]
PROGRAM = "import sys; from napari_cyclegan3d.cli import main; sys.exit(main())"


@pytest.fixture
def arguments(scans: Path, tiny: list[str], tmp_path: Path) -> list[object]:
    """A search among two settings, each trial of which takes a moment."""
    fast, slow = scans / "fast.tif", scans / "slow.tif"
    return [
        "search",
        *("--a", f"{fast}[:12,:,:]", "--b", f"{slow}[:12,:,:]"),
        *("--validate-a", f"{fast}[12:,:,:]", "--validate-b", f"{slow}[12:,:,:]"),
        *(
            "--out",
            tmp_path / "out",
            *tiny,
            "--patch=12,12,12",
            "--validation.patches=1",
        ),
        *("--trial-steps=2", "--vary", "optim.lr_generator=1e-4..1e-2:log"),
        *("--vary", "loss.cycle_b=5..40"),
    ]


def test_a_search_prints_its_trials_and_writes_settings_that_train_takes(
    command: Command, arguments: list[object], tmp_path: Path
) -> None:
    outcome = command(*arguments, "--trials=2")
    assert outcome.code == 0, outcome.err
    lines = re.findall(
        r"^(trial \d|best: trial \d).*: optim.lr_generator .*, loss.cycle_b .*$",
        outcome.out,
        re.MULTILINE,
    )
    assert lines[:2] == ["trial 1", "trial 2"]
    assert lines[2].startswith("best: trial ")
    best = tmp_path / "out" / "best.yaml"
    assert parse(TrainConfig, load_yaml(best)).steps == 3
    volumes = arguments[1:5]
    run = tmp_path / "run"
    outcome = command("train", *volumes, "--run", run, "--config", best, "--steps=1")
    assert outcome.code == 0, outcome.err


def test_the_same_command_goes_on(
    command: Command, arguments: list[object], tmp_path: Path
) -> None:
    assert command(*arguments, "--trials=1").code == 0
    outcome = command(*arguments, "--trials=2")
    assert outcome.code == 0, outcome.err
    assert "trial 2: score" in outcome.out
    assert "trial 1: score" not in outcome.out


def test_ctrl_c_stops_a_search_between_two_steps_and_keeps_it(
    start: Callable[..., "subprocess.Popen[str]"],
    command: Command,
    arguments: list[object],
    tmp_path: Path,
) -> None:
    process = start(PROGRAM, *arguments, "--trials=500")
    table = tmp_path / "out" / "trials.csv"
    while not table.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "the same command goes on" in err
    assert "Traceback" not in err
    done = len(table.read_text(encoding="utf-8").splitlines()) - 1
    outcome = command(*arguments, f"--trials={done + 1}")
    assert outcome.code == 0, outcome.err
    assert len(table.read_text(encoding="utf-8").splitlines()) - 1 == done + 1


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--vary=optim.beta3=0..1", "optim.beta3: no such setting"),
        ("--vary=optim.beta1", "write NAME=VALUES"),
        ("--vary=loss.cycle_b=1..2", "is given twice"),
        ("--trials=0", "trials = 0"),
        ("--minutes=-1", "minutes = -1"),
    ],
)
def test_an_impossible_search_is_refused_in_one_sentence(
    command: Command,
    arguments: list[object],
    tmp_path: Path,
    option: str,
    words: str,
) -> None:
    outcome = command(*arguments, option)
    assert outcome.code == 1
    assert words in outcome.sentence
    assert not (tmp_path / "out").exists()


def test_a_search_without_volumes_to_score_on_names_the_options(
    command: Command, arguments: list[object]
) -> None:
    without = arguments[:5] + arguments[9:]
    outcome = command(*without)
    assert outcome.code == 1
    assert "--validate-a and --validate-b" in outcome.sentence
