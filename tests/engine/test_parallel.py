"""Two processes on this machine train as one with the doubled batch."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_cyclegan3d.engine import parallel
from napari_cyclegan3d.engine.checkpoint import load_model, load_state
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.events import TrainingDone
from napari_cyclegan3d.engine.runs import RunFolder
from napari_cyclegan3d.engine.training import Domains

ConfigMaker = Callable[..., TrainConfig]
WORKER = Path(__file__).with_name("parallel_worker.py")


def in_two(job: str, folder: Path, config: TrainConfig, domains: Domains) -> list[Any]:
    """What a job of the worker gives in each of two processes that train together."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.save((job, config, domains), folder / "job.pt")
    common = {
        "TORCHELASTIC_RUN_ID": "test",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, WORKER, folder],
            env=os.environ | common | {"RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in "01"
    ]
    assert [one.wait(timeout=120) for one in processes] == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in "01"]


def alone(folder: Path, config: TrainConfig, domains: Domains) -> dict[str, Any]:
    """What the job "trained" gives in one process."""
    folder.mkdir()
    torch.save(("trained", config, domains), folder / "job.pt")
    subprocess.run([sys.executable, WORKER, folder], check=True, timeout=120)
    result: dict[str, Any] = torch.load(folder / "0.pt", weights_only=False)
    return result


@pytest.fixture(scope="module")
def together(
    tmp_path_factory: pytest.TempPathFactory, blobs: Domains
) -> tuple[Path, list[dict[str, Any]], dict[str, Any]]:
    """The folder, two processes with batch 1, and one with batch 2."""
    config = TrainConfig.model_validate(
        {
            "patch": (12, 12, 12),
            "steps": 4,
            "device": "cpu",
            "precision": "fp32",
            "preview_every": 2,
            "generator": {"filters": 2},
            "discriminator": {"filters": 4, "layers": 1},
            "sampling": {"pool": 0},
            "optim": {"accumulate": 2, "kickstart": 2},
            "loss": {"label_flip": 0.2, "label_real": (0.8, 1.0)},
        }
    )
    folder = tmp_path_factory.mktemp("together")
    both = in_two("trained", folder / "two", config, blobs)
    doubled = config.model_copy(update={"batch": 2})
    return folder / "two", both, alone(folder / "alone", doubled, blobs)


def test_after_each_step_all_processes_have_the_same_weights(together: Any) -> None:
    _, (first, second), _ = together
    for kind in ("weights", "means"):
        for name, weights in first[kind].items():
            for key, weight in weights.items():
                assert torch.equal(weight, second[kind][name][key]), (name, key)


def losses_of(terms: Mapping[str, float]) -> dict[str, float]:
    """Without correlations over a batch, which are no mean of those of its halves."""
    return {name: x for name, x in terms.items() if not name.startswith("contrast")}


def test_two_processes_report_what_one_does_with_the_doubled_batch(
    together: Any,
) -> None:
    _, both, one = together
    for result in both:
        assert len(result["terms"]) == 4
        for ours, expected in zip(result["terms"], one["terms"], strict=True):
            assert losses_of(ours) == pytest.approx(losses_of(expected), abs=1e-5)
    torch.testing.assert_close(both[0]["weights"], one["weights"], rtol=1e-3, atol=1e-5)


def test_processes_draw_different_patches_and_together_those_of_one(
    together: Any,
) -> None:
    _, (first, second), one = together
    # each batch of one process alone begins with the patches of the first process
    expected = one["drawn"].unflatten(0, (-1, 2))
    assert torch.equal(first["drawn"], expected[:, 0])
    assert torch.equal(second["drawn"], expected[:, 1])
    assert len({patch.numpy().tobytes() for patch in one["drawn"]}) == 16


def test_one_process_writes_and_draws_previews(together: Any) -> None:
    folder, (first, second), one = together
    assert not (folder / "run 1").exists()
    assert first["kinds"] == one["kinds"]
    assert second["kinds"] == [kind for kind in one["kinds"] if kind != "PreviewReady"]
    lines = (folder / "run 0" / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 4


def test_the_model_of_several_processes_loads_with_the_averaged_weights(
    together: Any,
) -> None:
    folder, (_, second), _ = together
    model = load_model(folder / "run 0" / "model.safetensors")
    assert model.header.provenance.steps == 4
    for name in ("a_to_b", "b_to_a"):
        ours = getattr(model, name).state_dict()
        torch.testing.assert_close(ours, second["means"][name], rtol=0, atol=0)


def test_processes_stop_together_and_resume_as_if_they_had_not(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    config = tiny(steps=5, batch=1, checkpoint_every=100)
    results = in_two("resumed", tmp_path / "two", config, blobs)
    folder = tmp_path / "two"
    assert [one["stopped"] for one in results] == [
        ["Started", "StepDone", "StepDone"]
    ] * 2
    done = TrainingDone(5, folder / "stopped" / "model.safetensors")
    assert [one["last"] for one in results] == [done, done]
    for name in ("model.safetensors", "metrics.csv"):
        ours, theirs = ((folder / run / name) for run in ("stopped", "whole"))
        assert ours.read_bytes() == theirs.read_bytes(), name
    (before, after) = RunFolder(folder / "stopped").states()
    assert (before.name, after.name) == ("state_00000002.pt", "state_00000005.pt")
    others, own = (
        load_state(after)["others"][0]["pool_a"],
        load_state(after)["gan"]["pool_a"],
    )
    assert len(others) == len(own) == config.sampling.pool
    assert all(not torch.equal(*both) for both in zip(others, own, strict=True))


def test_what_one_process_cannot_read_ends_all_with_its_sentence(
    tmp_path: Path, tiny: ConfigMaker, blobs: Domains
) -> None:
    results = in_two("refused", tmp_path / "two", tiny(steps=500), blobs)
    assert results[0] == results[1]
    assert results[0]["told"] == "slow scan: the disk was taken away"
    assert results[0]["done"] > 0


def test_a_gpu_for_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parallel.own_device("cuda:1") == "cuda:1"
    monkeypatch.setattr(parallel, "world", lambda: 2)
    monkeypatch.setattr(parallel, "_together", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert parallel.own_device("cuda") == "cuda:1"
    assert parallel.own_device("cpu") == "cpu"
    with pytest.raises(InputError, match=re.escape("device cuda:0 for 2 processes")):
        parallel.own_device("cuda:0")
