"""Several processes as users start them: with torchrun."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_cyclegan3d.engine.checkpoint import load_model

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="PyTorch without distributed"
)


@pytest.fixture
def in_two(
    scans: Path, tiny: list[str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that trains into tmp_path / "run" with two processes."""

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        launcher = ["-m", "torch.distributed.run", "--nproc_per_node=2"]
        launcher += ["--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]
        volumes = ["--a", scans / "fast.tif", "--b", scans / "slow.tif"]
        command = [sys.executable, *launcher, "-m", "--", "napari_cyclegan3d", "train"]
        return subprocess.run(
            [*command, *volumes, "--run", tmp_path / "run", *tiny, *options],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            encoding="utf-8",
            timeout=280,
        )

    return run


def test_torchrun_trains_with_two_processes_of_which_one_writes_and_speaks(
    in_two: Callable[..., subprocess.CompletedProcess[str]],
    command: Callable[..., Any],
    scans: Path,
    tiny: list[str],
    tmp_path: Path,
) -> None:
    # a pool, a sum over a batch, belongs to each process; without it they are as one
    options = ["--patch=12,12,12", "--sampling.pool=0"]
    done = in_two(*options)
    assert done.returncode == 0, done.stderr
    model = tmp_path / "run" / "model.safetensors"
    assert done.stdout.count(f"model: {model}") == 1
    assert done.stdout.count("training on cpu, as asked; needs about") == 1
    assert (
        len((tmp_path / "run" / "metrics.csv").read_text(encoding="utf-8").splitlines())
        == 1 + 3
    )

    volumes = ["--a", scans / "fast.tif", "--b", scans / "slow.tif"]
    alone = ["--run", tmp_path / "alone", *tiny, *options, "--batch=2"]
    assert command("train", *volumes, *alone).code == 0
    ours, expected = (
        load_model(tmp_path / run / "model.safetensors").a_to_b.state_dict()
        for run in ("run", "alone")
    )
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-5)


def test_torchrun_on_a_folder_that_holds_a_training_ends_with_one_sentence(
    in_two: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").touch()
    refused = in_two()
    assert refused.returncode != 0
    assert refused.stderr.count("error: ") == 1
    assert "already holds a training" in refused.stderr
