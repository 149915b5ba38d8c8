"""Ctrl+C and termination, on a real process."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cyclegan3d import io
from napari_cyclegan3d.engine import sources
from napari_cyclegan3d.engine.volume import Volume

MAIN = "import sys; from napari_cyclegan3d.cli import main; sys.exit(main())"
LONG = 10**6
Start = Callable[..., subprocess.Popen[str]]


def wait_until(condition: Callable[[], object], running: subprocess.Popen[str]) -> None:
    give_up = time.monotonic() + 100
    while not condition():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.02)


def last_step(run: Path) -> int:
    return int(
        (run / "metrics.csv").read_text(encoding="utf-8").splitlines()[-1].split(",")[0]
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_is_saved_and_goes_on_bit_for_bit_as_if_it_had_not_been(
    number: signal.Signals,
    command: Callable[..., Any],
    start: Start,
    scans: Path,
    tiny: list[str],
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    volumes = ["--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    # a constant learning rate does not depend on how many steps are to come
    options = [*tiny, "--patch=12,12,12", "--optim.schedule=constant"]
    options += ["--preview-every=2", "--checkpoint-every=1000000"]
    running = start(MAIN, "train", *volumes, "--run", run, *options, f"--steps={LONG}")
    wait_until(lambda: list(run.glob("previews/*.png")), running)
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert f"go on with the same volumes and: --run {run} --resume" in err
    assert "Traceback" not in err
    assert "model: " not in out

    step = last_step(run)
    state = run / "checkpoints" / f"state_{step:08d}.pt"
    assert list(state.parent.iterdir()) == [state]
    assert not list(run.rglob(".*"))
    steps = f"--steps={step + 3}"
    resumed = command("train", *volumes, "--run", run, "--resume", steps)
    assert resumed.code == 0, resumed.err
    straight = command(
        "train", *volumes, "--run", tmp_path / "straight", *options, steps
    )
    assert straight.code == 0, straight.err
    for name in ("model.safetensors", "metrics.csv", "config.yaml"):
        assert (run / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


def test_a_stopped_enhancement_writes_nothing_and_keeps_the_older_output(
    start: Start, run_1x: Path, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 96), dtype=np.uint8)
    io.write(Volume(noise), tmp_path / "large.tif")
    output = tmp_path / "out.tif"
    output.write_bytes(b"an older result")
    before = set(tmp_path.iterdir())
    # thousands of tiles
    arguments = [tmp_path / "large.tif", "--model", run_1x / "model.safetensors"]
    options = ["-o", output, "--overwrite", "--tile=4,4,4"]
    running = start(MAIN, "enhance", *arguments, *options)
    assert running.stdout is not None
    assert "exact tiles" in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "stopped; nothing was written" in err
    assert "Traceback" not in err
    assert output.read_bytes() == b"an older result"
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_ome_zarr_goes_on_to_the_same_voxels_and_only_for_its_own_job(
    number: signal.Signals,
    command: Callable[..., Any],
    start: Start,
    run_1x: Path,
    tmp_path: Path,
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 140, 140), dtype=np.uint8)
    io.write(Volume(noise), tmp_path / "large.tif")
    output, options = tmp_path / "out.zarr", ["--memory=4", "--precision=fp32"]
    arguments = ["enhance", tmp_path / "large.tif", *options]
    arguments += ["--model", run_1x / "model.safetensors"]
    running = start(MAIN, *arguments, "-o", output)
    wait_until(lambda: len(list(output.glob("0/c/*/*/?"))) > 8, running)
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    if number == signal.SIGINT:
        assert f"{output} is not finished: the same command goes on" in err
    kept = [file for file in output.glob("0/c/*/*/?") if file.stat().st_size]
    before = {file: file.stat().st_mtime_ns for file in kept}
    assert 8 < len(before) < 52

    for change in ("--direction=b_to_a", "--precision=bf16"):
        other = command(*arguments, "-o", output, change)
        assert "another job" in other.sentence
    outcome = command(*arguments, "-o", output)
    assert outcome.code == 0, outcome.err
    assert {file: file.stat().st_mtime_ns for file in kept} == before
    assert command(*arguments, "-o", tmp_path / "straight.zarr").code == 0
    straight = io.read(tmp_path / "straight.zarr").read()
    assert np.array_equal(io.read(output).read(), straight)
    assert "exists already" in command(*arguments, "-o", output).sentence


def test_a_training_that_was_killed_goes_on_from_its_last_saved_state(
    command: Callable[..., Any],
    start: Start,
    scans: Path,
    tiny: list[str],
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    volumes = ["--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    options = [*tiny, "--patch=12,12,12", "--optim.schedule=constant"]
    options += ["--preview-every=0", "--checkpoint-every=2"]
    running = start(MAIN, "train", *volumes, "--run", run, *options, f"--steps={LONG}")
    wait_until(lambda: list(run.glob("checkpoints/state_*.pt")), running)
    running.kill()
    running.wait()
    states = sorted((run / "checkpoints").glob("state_*.pt"))
    step = int(states[-1].stem.removeprefix("state_"))
    resume = ["train", *volumes, "--run", run, "--resume", f"--steps={step + 2}"]
    outcome = command(*resume)
    assert outcome.code == 0, outcome.err
    lines = (run / "metrics.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == [
        str(one) for one in range(1, step + 3)
    ]
    command("train", *volumes, "--run", tmp_path / "straight", *options, resume[-1])
    model = (run / "model.safetensors").read_bytes()
    assert model == (tmp_path / "straight" / "model.safetensors").read_bytes()


@pytest.fixture
def interrupt_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A function: so many signals will come while the volumes are read."""

    def arrange(signals: int) -> None:
        left, fit = [signal.SIGINT] * signals, sources.fit_intensity

        def interrupted_fit(*given: Any) -> Any:
            if left:
                signal.raise_signal(left.pop())
            return fit(*given)

        monkeypatch.setattr(sources, "fit_intensity", interrupted_fit)

    return arrange


def test_a_training_stopped_before_its_first_step_can_be_resumed_or_started_anew(
    command: Callable[..., Any],
    interrupt_reading: Callable[[int], None],
    scans: Path,
    tiny: list[str],
    tmp_path: Path,
) -> None:
    arguments = ["train", "--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    arguments += ["--run", tmp_path / "run", *tiny]
    interrupt_reading(1)
    stopped = command(*arguments)
    assert stopped.code == 1
    again = [*arguments, "--resume"] if "--resume" in stopped.err else arguments
    outcome = command(*again)
    assert outcome.code == 0, outcome.err


def test_a_second_signal_interrupts_at_once(
    command: Callable[..., Any],
    interrupt_reading: Callable[[int], None],
    scans: Path,
    tiny: list[str],
    tmp_path: Path,
) -> None:
    arguments = ["train", "--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    interrupt_reading(2)
    try:
        stopped = command(*arguments, "--run", tmp_path / "run", *tiny)
    except KeyboardInterrupt:
        pytest.fail("the signal came through")
    assert (stopped.code, stopped.sentence) == (1, "interrupted")
    assert not list(tmp_path.iterdir())
