"""The benchmarks measure what they say, and compare like with like."""

import json
import math
import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="they read /proc, which Linux has"
)


@pytest.fixture(autouse=True)
def _their_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_the_memory_of_a_block_is_what_it_took_beyond_what_was_there() -> None:
    from measure import measured

    # from the system: what malloc gives may be memory that the process has kept
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    before = np.frombuffer(mmap.mmap(-1, 40_000_000, flags=private), dtype=np.uint8)
    before[:] = 1
    with measured("cpu") as cost:
        held = np.frombuffer(mmap.mmap(-1, 200_000_000, flags=private), dtype=np.uint8)
        for _ in range(20):
            held += 1
    assert len(before) < len(held)
    assert 190 < cost.memory_mb < 240


def test_core_seconds_do_not_count_waiting() -> None:
    from measure import measured

    with measured("cpu") as cost:
        subprocess.run(["sleep", "0.5"], check=True)
    assert cost.wall_s > 0.5 > 2 * cost.core_s


def test_the_plain_step_is_the_mathematics_of_ours() -> None:
    from napari_cyclegan3d.engine.cyclegan import CycleGan
    from napari_cyclegan3d.engine.patches import Batch
    from train import settings
    from train_rivals import plain_step

    narrow = {"generator": {"filters": 2}, "discriminator": {"filters": 2}}
    task = {"patch": 40, "batch": 1, "device": "cpu"}
    gan = CycleGan(settings(task, "fp32", **narrow), torch.device("cpu"))
    plain = plain_step("cpu", 2, 2)
    judges = gan.judges["judge_a"], gan.judges["judge_b"]
    ours = (*gan.generators.values(), *judges)
    for mine, theirs in zip(ours, (*plain.generators, *plain.judges), strict=True):
        for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
            one.data += 0.1 * torch.randn_like(one)  # far from a trivial start
            other.data.copy_(one)
    real_a, real_b = torch.randn(2, 1, 1, 40, 40, 40)
    for _ in range(3):
        expected = plain.step(real_a, real_b)
        found = gan.step(Batch(real_a, real_b))
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-4), name


def test_a_step_at_the_borders_shows_in_the_seam_metric_and_noise_does_not() -> None:
    from enhance import seam

    image = np.random.default_rng(0).standard_normal((8, 64, 48)).astype(np.float32)
    assert seam(image, [16, 32]) == pytest.approx(1, abs=0.1)
    image[..., 16:32] += 3
    assert seam(image, [16, 32]) > 2


def _figures_of(script: str, *options: str, folder: Path) -> dict[str, float]:
    """What a benchmark writes, at a size without meaning."""
    path = folder / "figures.json"
    command = [sys.executable, str(BENCHMARKS / script), "--quick", "--device", "cpu"]
    subprocess.run(
        [*command, *options, "--json", str(path)], check=True, capture_output=True
    )
    found = json.loads(path.read_text(encoding="utf-8"))
    return {name: one for name, one in found.items() if not isinstance(one, str)}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("bench")
    return _figures_of("enhance.py", "--size", "24", folder=folder)


def test_the_figures_of_enhancement_are_finite_numbers_under_plain_keys(
    figures: dict[str, float],
) -> None:
    assert {
        "cpu_ratio_vs_onepass",
        "cpu_memory_ratio_vs_onepass",
        "max_diff_fp32_std",
        "rms_bf16_std",
        "memory_mb",
        "memory_mb_deep",
        "conv_peak_share",
    } <= set(figures)
    assert all(math.isfinite(value) and value > 0 for value in figures.values())


def test_enhancement_equals_one_pass_in_the_benchmark(
    figures: dict[str, float],
) -> None:
    assert figures["max_diff_fp32_std"] < 1e-5
    assert 0 < figures["rms_bf16_std"] < 1e-2


def test_what_is_around_a_step_is_measured_part_by_part() -> None:
    # in a process of its own, as the parts are watched for good
    narrow = {"generator": {"filters": 2}, "discriminator": {"filters": 2}}
    program = f"""if True:
        import json, train
        usual = train.settings
        train.settings = lambda *args, **more: usual(*args, **more, **{narrow})
        task = dict(do="run", patch=40, batch=1, device="cpu")
        print(json.dumps(train.child(task)))
    """
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, cwd=BENCHMARKS)
    around = json.loads(done.stdout.splitlines()[-1])
    assert set(around) == {"step", "sampling", "preview", "checkpoint", "rest"}
    assert all(seconds > 0 for seconds in around.values())
    assert around["step"] > around["sampling"]


def test_scaling_gives_cost_and_memory_for_each_size(tmp_path: Path) -> None:
    options = ("--largest", "64", "--filters", "2")
    figures = _figures_of("scaling.py", *options, folder=tmp_path)
    for name in ("s_per_mvoxel_64", "memory_mb_64"):
        assert figures[name] > 0


def test_the_cost_of_an_inspection_comes_stage_by_stage_and_with_its_memory(
    tmp_path: Path,
) -> None:
    figures = _figures_of("inspect_cost.py", "--side", "40", folder=tmp_path)
    stages = ("fit", "passes", "sweep", "calibration", "card", "ranking")
    seconds = [figures[f"{stage}_s"] for stage in stages]
    assert all(one > 0 for one in seconds)
    assert sum(seconds) == pytest.approx(figures["wall_s"], rel=0.05)
    assert 0 < figures["networks_s"] < figures["wall_s"]
    assert figures["structures"] > 10
    assert figures["peak_mb"] > figures["memory_mb"] > 1
