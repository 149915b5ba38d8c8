"""What happens when no more can be written."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from napari_cyclegan3d.engine.checkpoint import load_model

# an error while a generator is cleaned up is printed, not raised
pytestmark = pytest.mark.filterwarnings(
    "error::pytest.PytestUnraisableExceptionWarning"
)
Limited = Callable[[int], AbstractContextManager[None]]


@pytest.mark.parametrize("name", ["out.tif", "out.nii", "out.nii.gz", "out.h5"])
def test_enhance_on_a_full_disk_keeps_the_older_output(
    name: str,
    command: Callable[..., Any],
    limited: Limited,
    contents: Callable[[Path], dict[str, str]],
    scans: Path,
    run_1x: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / name).write_bytes(b"an older result")
    before = contents(tmp_path)
    arguments = [scans / "fast.tif", "--model", run_1x / "model.safetensors"]
    options = ["-o", tmp_path / name, "--overwrite"]
    with limited(5_000):
        outcome = command("enhance", *arguments, *options)
    assert outcome.code == 1
    assert f"{tmp_path / name}: could not be written" in outcome.sentence
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param(200, id="not even the settings fit"),
        pytest.param(3_000, id="no preview fits"),
        pytest.param(30_000, id="no model fits"),
        pytest.param(100_000, id="no state fits"),
    ],
)
def test_train_on_a_full_disk_ends_with_one_sentence_and_no_half_file(
    limit: int,
    command: Callable[..., Any],
    limited: Limited,
    scans: Path,
    tiny: list[str],
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    volumes = ["--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    with limited(limit):
        outcome = command("train", *volumes, "--run", run, *tiny)
    assert outcome.code == 1
    assert outcome.sentence
    assert not list(run.rglob(".*"))
    assert not list(run.rglob("*.pt"))
    if (run / "model.safetensors").exists():
        assert load_model(run / "model.safetensors")


def test_a_run_on_a_full_disk_keeps_its_last_state_and_goes_on_when_there_is_space(
    command: Callable[..., Any],
    limited: Limited,
    scans: Path,
    tiny: list[str],
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    volumes = ["--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    options = [*tiny, "--preview-every=0", "--optim.schedule=constant"]
    arguments = ["train", *volumes, "--run", run]
    assert command(*arguments, *options).code == 0
    states = {p.name: p.read_bytes() for p in (run / "checkpoints").iterdir()}
    with limited(30_000):
        full = command(*arguments, "--resume", "--steps=5")
    assert full.code == 1
    assert full.sentence
    for name, before in states.items():
        assert (run / "checkpoints" / name).read_bytes() == before
    assert command(*arguments, "--resume", "--steps=5").code == 0
    straight = tmp_path / "straight"
    command("train", *volumes, "--run", straight, *options, "--steps=5")
    model = (run / "model.safetensors").read_bytes()
    assert model == (straight / "model.safetensors").read_bytes()
