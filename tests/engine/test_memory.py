import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_cyclegan3d.engine import memory
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.errors import MemoryShortageError
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.training import Domains, train

ConfigMaker = Callable[..., TrainConfig]
CPU = torch.device("cpu")

GROWTH = """
import sys
import torch
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.cyclegan import CycleGan
from napari_cyclegan3d.engine.devices import tune_allocator
from napari_cyclegan3d.engine.patches import Batch

def most():
    lines = dict(line.split(":") for line in open("/proc/self/status"))
    return int(lines["VmHWM"].split()[0]) * 1024

tune_allocator()
torch.set_num_threads(1)
config = TrainConfig.model_validate_json(sys.argv[1])
torch.nn.Conv3d(1, 16, 3)(torch.zeros(1, 1, 8, 8, 8)).sum().backward()
gan, before = CycleGan(config, torch.device("cpu")), most()
for _ in range(2):
    gan.step(Batch(*(torch.randn(config.batch, 1, *config.patch) for _ in "ab")))
print(most() - before)
"""


def needed(**changes: Any) -> int:
    values: dict[str, Any] = {
        "patch": (32, 32, 32),
        "precision": "fp32",
        "sampling": {"pool": 0},
    }
    return memory.training_memory(parse(TrainConfig, values | changes), CPU)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_plan_is_near_to_what_a_training_really_takes(precision: str) -> None:
    config = parse(
        TrainConfig,
        {
            "patch": (48, 48, 48),
            "batch": 2,
            "precision": precision,
            "sampling": {"pool": 0},
        },
    )
    command = [sys.executable, "-c", GROWTH, config.model_dump_json()]
    out = subprocess.run(command, capture_output=True, check=True, encoding="utf-8")
    planned = memory.training_memory(config, CPU)
    assert planned == pytest.approx(int(out.stdout), rel=0.25)


def test_twice_the_voxels_take_twice_the_memory() -> None:
    # small images share a pass, larger ones do not: compare large with larger
    assert needed(batch=16) == pytest.approx(2 * needed(batch=8), rel=0.15)
    large, small = (needed(patch=(64, 64, side), precision="bf16") for side in (64, 32))
    assert large == pytest.approx(2 * small, rel=0.15)


def test_less_is_kept_where_less_is_asked_for() -> None:
    plain = needed(batch=2)
    assert needed(batch=2, precision="bf16") < 0.9 * plain
    assert needed(batch=2, optim={"recompute": True}) < 0.7 * plain
    assert needed(batch=2, optim={"accumulate": 8}) < 1.2 * plain
    assert needed(batch=2, sampling={"pool": 100}) == plain + 100 * 2 * 4 * 32**3


def test_a_plan_leaves_no_trace_in_random_numbers(tiny: ConfigMaker) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    memory.training_memory(tiny(patch=(16, 12, 12)), CPU)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"batch": 4}, r"try batch \d, or optim.recompute true"),
        ({"patch": (24, 16, 20)}, r"try patch \(\d+, 1[26], \d+\), or optim.recompute"),
        ({"optim": {"recompute": True}}, "try fewer filters$"),
    ],
    ids=["batch", "patch", "filters"],
)
def test_a_training_that_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path,
    tiny: ConfigMaker,
    blobs: Domains,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    remedy: str,
) -> None:
    config = tiny(**changes)
    half = memory.training_memory(config, CPU) // 2
    monkeypatch.setattr(memory, "free_memory", lambda _: half)
    with pytest.raises(MemoryShortageError, match=rf"^batch .* free; {remedy}"):
        next(train(config, Domains(blobs.a, blobs.a), tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": 6},
        {"patch": (64, 48, 32)},
        {"batch": 2, "patch": (48, 48, 48), "precision": "bf16"},
        {"dims": 2, "patch": (1, 512, 512), "optim": {"recompute": True}},
    ],
    ids=["batch", "patch", "both", "slices"],
)
@pytest.mark.parametrize("share", [0.8, 0.3])
def test_what_a_shortage_proposes_fits_and_is_what_it_says(
    changes: dict[str, Any], share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parse(TrainConfig, {"precision": "fp32"} | changes)
    free = int(share * memory.training_memory(config, CPU))
    monkeypatch.setattr(memory, "free_memory", lambda _: free)
    with pytest.raises(MemoryShortageError) as caught:
        memory.check_memory(config, CPU)
    proposed = caught.value.settings
    for key, value in proposed.items():
        assert f"{key} {value}" in str(caught.value)
    smaller = parse(TrainConfig, config.model_dump() | proposed)
    assert 0 < memory.check_memory(smaller, CPU) < free


def test_nothing_is_proposed_where_nothing_fits(
    tiny: ConfigMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda _: 1000)
    with pytest.raises(MemoryShortageError) as caught:
        memory.check_memory(tiny(batch=2), CPU)
    assert caught.value.settings == {}


def test_a_step_without_memory_is_explained_and_other_errors_are_not(
    tiny: ConfigMaker,
) -> None:
    config = tiny(batch=4)
    with (
        pytest.raises(MemoryShortageError, match="try batch 2") as caught,
        memory.explained_shortage(config, CPU),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert caught.value.settings == {"batch": 2}
    with (
        pytest.raises(RuntimeError, match="mat1"),
        memory.explained_shortage(config, CPU),
    ):
        raise RuntimeError("mat1 and mat2 do not fit")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_that_is_released_goes_back_to_the_system() -> None:
    def resident() -> int:
        lines = dict(
            line.split(":")
            for line in Path("/proc/self/status")
            .read_text(encoding="utf-8")
            .splitlines()
        )
        return int(lines["VmRSS"].split()[0]) * 1024

    # a cycle of small blocks, which neither counting nor glibc frees on its own
    held: list[Any] = [b"%064d" % i + bytes(10_000) for i in range(10_000)]
    held.append(held)
    before = resident()
    del held
    memory.release_memory()
    assert resident() < before - 80_000_000


def test_free_memory_is_that_of_the_computer() -> None:
    free = memory.free_memory(CPU)
    assert free is None or 10**7 < free < 10**14
    assert memory.free_memory(torch.device("meta")) is None
