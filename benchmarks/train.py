"""How much does a training step cost, and what is around it?

Compares the step of the preset fibre-ct-1x, at patches of 64³ and batch 1, with the
same step written plainly, as 3DCycleGaN does it, and with one made of MONAI's networks.
Ours has the allocator tuned, as on the command line; theirs as PyTorch comes, and once
tuned as well. Then what sampling, events, previews and checkpoints add at their default
rates. Without MONAI, its row is left out.

    python benchmarks/train.py
    python benchmarks/train.py --quick --json train.json
"""

import importlib.util
import json
import resource
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from measure import (
    Sample,
    Task,
    in_fresh_process,
    in_rounds,
    measured,
    parsed,
    parser_of,
    primary,
    print_table,
    typical,
    write_json,
)
from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.cyclegan import CycleGan
from napari_cyclegan3d.engine.devices import tune_allocator
from napari_cyclegan3d.engine.patches import Batch, PatchSampler
from napari_cyclegan3d.engine.prefetch import Prefetcher
from napari_cyclegan3d.engine.presets import load_preset
from napari_cyclegan3d.engine.session import Session
from napari_cyclegan3d.engine.settings import merged, parse
from napari_cyclegan3d.engine.training import Domains, StepDone, train
from napari_cyclegan3d.engine.volume import Volume
from train_rivals import MonaiStep, plain_step
from workloads import images

Clock = Callable[[], float]
LABELS = {
    "seed": "plain step as in 3DCycleGaN, fp32",
    "seed_tuned": "the same, allocator tuned",
    "monai": "MONAI's networks, fp32",
    "ours_fp32": "our step, fp32",
    "ours_bf16": "our step, bf16",
}
TUNED = ("seed_tuned", "ours_fp32", "ours_bf16")
WARM_UP, SHORT_RUN, PREVIEWS = 2, 8, 2
USUAL = TrainConfig()


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--patch", type=int, help="side of the patches, in voxels")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3, help="timed in each process")
    options = parsed(parser)
    if options.quick:
        options.steps = 1
    names = list(LABELS)
    if importlib.util.find_spec("monai") is None:
        names.remove("monai")
        sys.stderr.write("MONAI is missing, no row of it: pip install monai\n")
    common = {
        "device": options.device,
        "patch": options.patch or (40 if options.quick else 64),
        "batch": options.batch,
        "steps": options.steps,
    }
    tasks = {name: common | {"do": "step", "variant": name} for name in names}
    samples = in_rounds(child, tasks, options.rounds)
    rows = {name: typical(several) for name, several in samples.items()}
    around = in_fresh_process(child, common | {"do": "run"})
    _print_rows(rows, common)
    _print_around(around)
    figures = _figures(rows, around, options.device)
    print(json.dumps(figures, indent=2))
    write_json(options.json, options.device, figures)
    return 0


def child(task: Task) -> Sample:
    """One sample, in a process of its own."""
    return _timed_run(task) if task["do"] == "run" else _timed_steps(task)


def _timed_steps(task: Task) -> Sample:
    """Cost of one step, after some that are not counted."""
    if task["variant"] in TUNED:
        tune_allocator()
    device, steps = task["device"], task["steps"]
    torch.manual_seed(0)
    side = (task["patch"],) * 3
    real_a, real_b = (
        torch.randn(task["batch"], 1, *side, device=device) for _ in range(2)
    )
    with measured(device) as whole:
        step = _step_of(task)
        for _ in range(WARM_UP):
            step(real_a, real_b)
        with measured(device) as cost:
            for _ in range(steps):
                step(real_a, real_b)
    memory = {"memory_mb": whole.memory_mb, "resident_mb": whole.resident_mb}
    each = {"core_s": cost.core_s / steps, "wall_s": cost.wall_s / steps}
    return asdict(cost) | each | memory


def _step_of(task: Task) -> Callable[[torch.Tensor, torch.Tensor], object]:
    name, device = task["variant"], task["device"]
    if name == "monai":
        return MonaiStep(device).step
    if name in ("seed", "seed_tuned"):
        return plain_step(device).step
    gan = CycleGan(settings(task, name.removeprefix("ours_")), torch.device(device))
    return lambda real_a, real_b: gan.step(Batch(real_a, real_b))


def settings(task: Task, precision: str, **more: Any) -> TrainConfig:
    """The preset, at the size of the task; nothing is left to chance."""
    side = task["patch"]
    over = {
        "patch": [side, side, side],
        "batch": task["batch"],
        "precision": precision,
        "device": task["device"],
        "optim": {"kickstart": 0},
        **more,
    }
    return parse(TrainConfig, merged(load_preset("fibre-ct-1x").settings, over))


def _timed_run(task: Task) -> Sample:
    """A short training in bf16: what its parts cost, in seconds for each time."""
    tune_allocator()
    on_cpu = task["device"] == "cpu"
    clock = _core_seconds if on_cpu else time.perf_counter
    parts = _Parts(clock)
    parts.watch(CycleGan, "step", "step")
    parts.watch(CycleGan, "translate", "preview")
    parts.watch(Session, "save", "checkpoint")
    if on_cpu:  # a thread draws patches while a step computes
        parts.watch(PatchSampler, "numbered", "sampling", time.thread_time)
    else:  # what is drawn meanwhile costs nothing there
        parts.watch(Prefetcher, "step", "sampling")
    config = settings(
        task,
        "bf16",
        steps=SHORT_RUN,
        preview_every=SHORT_RUN // PREVIEWS,
        checkpoint_every=SHORT_RUN,
    )
    clean, noisy = images((2 * task["patch"],) * 3, seed=0)
    domains = Domains((Volume(noisy, name="a"),), (Volume(clean, name="b"),))
    with tempfile.TemporaryDirectory() as folder:
        events = train(config, domains, Path(folder) / "run")
        while not isinstance(event := next(events), StepDone) or event.step < WARM_UP:
            pass
        parts.clear()
        started = clock()
        for _ in events:
            pass
        total = clock() - started
    if on_cpu:
        parts.spent["step"] -= parts.spent["sampling"]
    rest = (total - sum(parts.spent.values())) / (SHORT_RUN - WARM_UP)
    return {**parts.mean(), "rest": max(0.0, rest)}


class _Parts:
    """Time spent in methods of classes, by the process unless a clock says else.

    What a part calls of another part counts for the first alone: a checkpoint draws
    previews for the model's thumbnails.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.spent: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self.within = threading.local()

    def watch(
        self, owner: type, method: str, part: str, clock: Clock | None = None
    ) -> None:
        inner, clock = getattr(owner, method), clock or self.clock

        def timed(*args: Any, **more: Any) -> Any:
            if getattr(self.within, "part", None):
                return inner(*args, **more)
            self.within.part = part
            started = clock()
            try:
                return inner(*args, **more)
            finally:
                self.within.part = None
                self.spent[part] += clock() - started
                self.calls[part] += 1

        setattr(owner, method, timed)

    def clear(self) -> None:
        self.spent.clear()
        self.calls.clear()

    def mean(self) -> dict[str, float]:
        return {part: self.spent[part] / calls for part, calls in self.calls.items()}


def _core_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _print_rows(rows: dict[str, Sample], common: Task) -> None:
    device, table = common["device"], []
    for name, row in rows.items():
        seconds = primary(row, device)
        table.append(
            {
                f"step, {common['patch']}³, batch {common['batch']}": LABELS[name],
                "core-s": f"{row['core_s']:.2f}",
                "wall s": f"{row['wall_s']:.2f}",
                "x plain step": f"{primary(rows['seed'], device) / seconds:.2f}",
                "extra MB": f"{row['memory_mb']:.0f}",
                "others' cores": f"{row['foreign']:.1f}",
            }
        )
    print_table(table)


def _rates() -> dict[str, float]:
    """How often each part is done for each step, by default."""
    return {
        "step": 1.0,
        "sampling": 1.0,
        "rest": 1.0,
        "preview": 1 / USUAL.preview_every,
        "checkpoint": 1 / USUAL.checkpoint_every,
    }


def _print_around(around: Sample) -> None:
    rates = _rates()
    total = sum(around[part] * rate for part, rate in rates.items())
    rows = [
        {
            "part of a run": part,
            "s each": f"{around[part]:.3f}",
            "every": f"{1 / rate:.0f} steps",
            "share": f"{100 * around[part] * rate / total:.2f} %",
        }
        for part, rate in rates.items()
    ]
    print_table(rows)


def _figures(rows: dict[str, Sample], around: Sample, device: str) -> dict[str, float]:
    def ratio(rival: str, mine: str = "ours_bf16") -> float:
        return primary(rows[rival], device) / primary(rows[mine], device)

    found = {
        "ratio_vs_seed_step": ratio("seed"),
        "ratio_vs_seed_step_fp32": ratio("seed", "ours_fp32"),
        "ratio_vs_seed_step_tuned": ratio("seed_tuned"),
    }
    if "monai" in rows:
        found["ratio_vs_monai_step"] = ratio("monai")
    kind = device.partition(":")[0]
    found = {f"{kind}_{key}": value for key, value in found.items()}
    found[f"{kind}_step_s"] = primary(rows["ours_bf16"], device)
    found["step_memory_mb"] = rows["ours_bf16"]["memory_mb"]
    rates = _rates()
    spent = {part: around[part] * rate for part, rate in rates.items()}
    found["overhead_share"] = 1 - spent["step"] / sum(spent.values())
    return {key: float(f"{value:.4g}") for key, value in found.items()}


if __name__ == "__main__":
    sys.exit(main())
