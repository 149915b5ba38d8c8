"""What the benchmarks measure by, on a machine that others use at the same time.

The primary figure on a CPU is core-seconds: user and system time of a process of its
own, whose waiting threads sleep (OMP_WAIT_POLICY=PASSIVE). It stays the same within a
few percent whatever else runs, which wall time does not. On a CUDA device it is wall
time, the device synchronised. Every sample comes from a fresh process, and the variants
take turns over the rounds, so that a slow minute meets all of them.
"""

import argparse
import json
import os
import platform
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from statistics import median
from typing import Any, Self

import torch
from torch.nn import functional

Task = dict[str, Any]
Sample = dict[str, Any]
Child = Callable[[Task], Sample]
PERIOD = 0.005  # seconds between looks at the memory
PEAK_CHANNELS, PEAK_SIDE, PEAK_SECONDS = 64, 64, 0.7
TICKS = os.sysconf("SC_CLK_TCK")
STATUS = Path("/proc/self/status")
IMPORTED_LATE = ("monai.inferers", "monai.losses", "monai.networks.nets")


@dataclass
class Cost:
    """What a piece of work took.

    Attributes:
        core_s: User and system time of this process, in seconds.
        wall_s: Time on the clock.
        foreign: Cores that others used meanwhile.
        memory_mb: Most memory beyond what there was before: anonymous pages of the
            process, or on a CUDA device what PyTorch allocated there.
        resident_mb: The same with the pages of mapped files.
    """

    core_s: float = 0.0
    wall_s: float = 0.0
    foreign: float = 0.0
    memory_mb: float = 0.0
    resident_mb: float = 0.0


@contextmanager
def measured(device: str) -> Iterator[Cost]:
    """Fill a Cost with what the block takes on `device`."""
    cost, on_gpu = Cost(), device.startswith("cuda")
    if on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        allocated = torch.cuda.memory_allocated(device)
    with _MemoryWatch() as watch:
        busy, core, wall = _busy_seconds(), _core_seconds(), time.perf_counter()
        yield cost
        if on_gpu:
            torch.cuda.synchronize(device)
        cost.wall_s = time.perf_counter() - wall
        used = _core_seconds() - core
        cost.foreign = max(0.0, (_busy_seconds() - busy - used) / cost.wall_s)
    cost.core_s = used - watch.own_s
    cost.memory_mb, cost.resident_mb = watch.anonymous_mb, watch.resident_mb
    if on_gpu:
        peak = torch.cuda.max_memory_allocated(device)
        cost.memory_mb = (peak - allocated) / 1e6


class _MemoryWatch:
    """A thread that looks at the memory of the process every few milliseconds."""

    def __enter__(self) -> Self:
        self.before = self.peak = _memory()
        self.own_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(PERIOD):
            now = _memory()
            self.peak = max(self.peak[0], now[0]), max(self.peak[1], now[1])
            self.own_s = time.thread_time()

    @property
    def anonymous_mb(self) -> float:
        return (self.peak[0] - self.before[0]) / 1e6

    @property
    def resident_mb(self) -> float:
        return (self.peak[1] - self.before[1]) / 1e6


def _memory() -> tuple[int, int]:
    """Bytes in anonymous pages, and in all pages, of this process."""
    lines = dict(
        line.split(":", 1) for line in STATUS.read_text(encoding="utf-8").splitlines()
    )
    anonymous, resident = (int(lines[one].split()[0]) for one in ("RssAnon", "VmRSS"))
    return anonymous * 1024, resident * 1024


def available_bytes() -> int:
    """Memory that a new process may take on this machine."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    found = next(line for line in lines if line.startswith("MemAvailable"))
    return int(found.split()[1]) * 1024


def _core_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _busy_seconds() -> float:
    """Time that all cores of the machine have worked since it started."""
    first = (
        Path("/proc/stat").read_text(encoding="utf-8").partition("\n")[0].split()[1:]
    )
    user, nice, system, _, _, irq, softirq = (int(one) for one in first[:7])
    return (user + nice + system + irq + softirq) / TICKS


def convolution_peaks(device: str) -> Sample:
    """What 3×3×3 convolutions of 64 channels reach here, in the better layout.

    Returns:
        fp32, bf16: 10⁹ operations per core-second, on a CUDA device per second.
    """
    best = {"fp32": 0.0, "bf16": 0.0}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        for layout in (torch.contiguous_format, torch.channels_last_3d):
            reached = _convolution_speed(device, dtype, layout)
            best[precision] = max(best[precision], reached)
    return best


@torch.inference_mode()
def _convolution_speed(
    device: str, dtype: torch.dtype, layout: torch.memory_format
) -> float:
    c, n = PEAK_CHANNELS, PEAK_SIDE
    image, weight = (
        torch.randn(shape, device=device, dtype=dtype).contiguous(memory_format=layout)
        for shape in ((1, c, n, n, n), (c, c, 3, 3, 3))
    )
    functional.conv3d(image, weight, padding=1)
    calls = 0
    with measured(device) as cost:
        started = time.perf_counter()
        while time.perf_counter() - started < PEAK_SECONDS:
            functional.conv3d(image, weight, padding=1)
            calls += 1
    return 2 * 27 * c * c * n**3 * calls / 1e9 / primary(asdict(cost), device)


def primary(sample: Mapping[str, Any], device: str) -> float:
    """The seconds that ratios are made of."""
    return float(sample["wall_s" if device.startswith("cuda") else "core_s"])


def in_rounds(
    do: Child, tasks: Mapping[str, Task], rounds: int
) -> dict[str, list[Sample]]:
    """Samples of each task by name, the tasks taking turns."""
    samples: dict[str, list[Sample]] = {name: [] for name in tasks}
    for number in range(1, rounds + 1):
        for name, task in tasks.items():
            sample = in_fresh_process(do, task)
            samples[name].append(sample)
            core, wall = sample.get("core_s", 0.0), sample.get("wall_s", 0.0)
            sys.stderr.write(
                f"round {number} of {rounds}: {name}, {core:.1f} core-s, {wall:.1f} s\n"
            )
    return samples


def in_fresh_process(do: Child, task: Task) -> Sample:
    """What a function of the script gives in a process that has done nothing yet."""
    try:
        with ProcessPoolExecutor(1, _processes()) as pool:
            return pool.submit(do, task).result()
    except BrokenProcessPool:
        sys.exit(f"{task}: the process was ended, perhaps for want of memory")


@cache
def _processes() -> BaseContext:
    """Processes that have imported the script, and have never computed."""
    script = Path(sys.argv[0]).resolve()
    # both are read when the server starts that all processes are forked from
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    paths = [str(script.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    context = get_context("forkserver")
    context.set_forkserver_preload([script.stem, *IMPORTED_LATE])  # those there are
    return context


def typical(samples: Sequence[Sample]) -> Sample:
    """The median of every number."""
    numbers = [key for key, one in samples[0].items() if isinstance(one, int | float)]
    return {key: median(sample[key] for sample in samples) for key in numbers}


def parser_of(description: str | None, rounds: int = 3) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--quick", action="store_true", help="end within a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What was asked for, with the device that is there."""
    options = parser.parse_args()
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.quick:
        options.rounds = 1
    return options


def machine(device: str) -> dict[str, str]:
    """What the figures belong to."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    found = {
        "processor": names[0] if names else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "device": device,
    }
    if device.startswith("cuda"):
        found["gpu"] = torch.cuda.get_device_name(device)
        found["cudnn"] = str(torch.backends.cudnn.version())
    return found


def write_json(path: Path | None, device: str, figures: Mapping[str, Any]) -> None:
    """Plain keys beside those of the machine."""
    if path is not None:
        text = json.dumps(machine(device) | dict(figures), indent=2)
        path.write_text(text + "\n", encoding="utf-8")


def print_table(rows: Sequence[Mapping[str, str]]) -> None:
    """Rows of the same keys, as a table of Markdown."""
    heads = list(rows[0])
    widths = [max(len(head), *(len(row[head]) for row in rows)) for head in heads]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    print(line(heads))
    print(line(["-" * width for width in widths]))
    for row in rows:
        print(line([row[head] for head in heads]))
    print()  # two tables one after the other are two
