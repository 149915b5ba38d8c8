"""How fast, how exact and in how much memory is a volume enhanced?

Compares `enhance` with MONAI's sliding windows (with its defaults, with the usual
overlap of a half, and as an expert would set it up) and with one pass over the whole
volume: the same weights, the same image, one run. Without MONAI, its rows are left out.

    python benchmarks/enhance.py                   # the 1x network of 3DCycleGaN, 192³
    python benchmarks/enhance.py --network all     # 2x, 4x, slices and ResNet as well
    python benchmarks/enhance.py --quick --json enhance.json
"""

import importlib.util
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enhance_variants import VARIANTS, Setting, enhance_mapped
from measure import (
    Sample,
    Task,
    available_bytes,
    convolution_peaks,
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
from workloads import LESSONS, WORKLOADS, Workload, images, write_model

Rows = dict[str, Sample]
DEEPER = 4
FEW_LESSONS = 10


@dataclass(frozen=True)
class Run:
    """One workload of one call.

    Attributes:
        name: Key of WORKLOADS.
        size: Side of the image, in voxels.
        device: "cpu" or "cuda".
        rounds: Samples of each variant.
        folder: For models and images.
        quick: Leave out what the goals do not need.
    """

    name: str
    size: int
    device: str
    rounds: int
    folder: Path
    quick: bool = False

    @property
    def workload(self) -> Workload:
        """Network and usual sizes."""
        return WORKLOADS[self.name]

    def task(self, **more: Any) -> Task:
        """What a child of this run is told."""
        return {
            "network": self.name,
            "size": self.size,
            "device": self.device,
            "folder": str(self.folder),
            **more,
        }


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--network", nargs="+", choices=[*WORKLOADS, "all"], default=["unet1x"]
    )
    parser.add_argument("--size", type=int, help="side of the image, in voxels")
    options = parsed(parser)
    names = list(WORKLOADS) if "all" in options.network else options.network
    figures: dict[str, float] = {}
    for name in names:
        usual = WORKLOADS[name].small if options.quick else WORKLOADS[name].size
        size = options.size or usual
        if size % 12:
            parser.error(f"--size {size}: give a multiple of 12, such as {usual}")
        with tempfile.TemporaryDirectory() as folder:
            place = (options.device, options.rounds, Path(folder))
            figures |= benchmark(Run(name, size, *place, quick=options.quick))
    print(json.dumps(figures, indent=2))
    write_json(options.json, options.device, figures)
    return 0


def benchmark(run: Run) -> dict[str, float]:
    """Measure, print the table, and give the figures."""
    lessons = FEW_LESSONS if run.quick else LESSONS
    in_fresh_process(child, run.task(do="prepare", lessons=lessons))
    chosen = _possible(run)
    tasks = {name: run.task(do="variant", variant=name) for name in chosen}
    tasks["peaks"] = run.task(do="peaks")
    if run.name == "unet1x":
        for times in (1, DEEPER):
            tasks[f"mapped {times}"] = run.task(do="mapped", deep=times)
    samples = in_rounds(child, tasks, run.rounds)
    rows = {name: typical(several) for name, several in samples.items()}
    for name in chosen:
        rows[name] |= _compared(run, name)
    _print_rows(run, chosen, rows)
    return _figures(run, rows)


def _possible(run: Run) -> list[str]:
    """The variants that can run here; says which cannot, and why."""
    every = [
        name for name, one in VARIANTS.items() if run.name == "unet1x" or one.always
    ]
    if run.quick and "ours_untuned" in every:
        every.remove("ours_untuned")
    if importlib.util.find_spec("monai") is None:
        every = [name for name in every if not name.startswith("monai")]
        sys.stderr.write("MONAI is missing, no rows of it: pip install monai\n")
    needed = run.workload.bytes * float(np.prod(run.workload.shape(run.size)))
    if run.device == "cpu" and needed > available_bytes():
        every.remove("one_pass")
        sys.stderr.write(f"one pass needs {needed / 1e9:.0f} GB: left out\n")
    return every


def child(task: Task) -> Sample:
    """One sample, in a process of its own."""
    folder = Path(task["folder"])
    workload: Workload = WORKLOADS[task["network"]]
    shape = workload.shape(task["size"])
    if task["do"] == "prepare":
        write_model(workload, folder / "model.safetensors", task["lessons"])
        np.save(folder / "image.npy", images(shape, seed=0)[1])
        return {}
    if task["do"] == "peaks":
        return convolution_peaks(task["device"])
    setting = Setting(folder, task["size"] // 3, task["device"])
    if task["do"] == "mapped":
        return enhance_mapped(setting, task["deep"])
    variant = VARIANTS[task["variant"]]
    image = np.load(folder / "image.npy")
    work = variant.prepare(setting)
    if task["device"] != "cpu":
        work(image)
    with measured(task["device"]) as cost:
        result = work(image)
    np.save(folder / f"{task['variant']}.npy", result)
    return asdict(cost)


def _compared(run: Run, name: str) -> Sample:
    """How far from one pass, in deviations of its output; and the seams."""
    image = np.load(run.folder / f"{name}.npy", mmap_mode="r")
    found = {"seam": seam(image, window_borders(run))}
    whole = run.folder / "one_pass.npy"
    if whole.exists():
        expected = np.load(whole, mmap_mode="r")
        spread = float(expected.std())
        parts = [
            np.abs(one - two) for one, two in zip(image, expected, strict=True)
        ]  # slice by slice
        found["max_diff"] = float(max(part.max() for part in parts)) / spread
        squares = np.mean([np.square(part, dtype=np.float64).mean() for part in parts])
        found["rms_diff"] = float(np.sqrt(squares)) / spread
    return found


def window_borders(run: Run) -> list[int]:
    """Where MONAI's windows of a third of the side, overlap .25, begin or end."""
    side, scale = run.size // 3, run.workload.scale
    starts = range(0, run.size, side - side // 4)
    inside = {min(start, run.size - side) for start in starts}
    borders = inside | {start + side for start in inside}
    return sorted(scale * one for one in borders if 0 < one < run.size)


def seam(image: NDArray[np.float32], borders: Sequence[int]) -> float:
    """Mean step across these planes of x, over that across all others."""
    steps = np.zeros(image.shape[-1] - 1)
    for plane in image:
        steps += np.abs(np.diff(plane, axis=-1)).mean(axis=0)
    at_border = np.isin(np.arange(1, image.shape[-1]), borders)
    return float(steps[at_border].mean() / steps[~at_border].mean())


def _print_rows(run: Run, names: Sequence[str], rows: Rows) -> None:
    voxels = float(np.prod(run.workload.shape(run.size)))
    unit = "core-s" if run.device == "cpu" else "s"
    base = rows.get("monai")
    table = []
    for name in names:
        row = rows[name]
        seconds = primary(row, run.device)
        table.append(
            {
                f"{run.name}, {run.size}": VARIANTS[name].label,
                "core-s": f"{row['core_s']:.1f}",
                "wall s": f"{row['wall_s']:.1f}",
                f"kvoxel/{unit}": f"{voxels / seconds / 1e3:.0f}",
                "x MONAI": f"{primary(base, run.device) / seconds:.2f}" if base else "",
                "% of peak": f"{100 * _share(run, name, rows):.0f}",
                "extra MB": f"{row['memory_mb']:.0f}",
                "max d": f"{row['max_diff']:.1e}" if "max_diff" in row else "",
                "rms d": f"{row['rms_diff']:.1e}" if "rms_diff" in row else "",
                "seam": f"{row['seam']:.3f}",
                "others' cores": f"{row['foreign']:.1f}",
            }
        )
    print_table(table)


def _share(run: Run, name: str, rows: Rows) -> float:
    """Useful operations per second over the convolution peak of the same precision."""
    work = run.workload.operations() * float(np.prod(run.workload.shape(run.size)))
    peak = rows["peaks"][VARIANTS[name].precision]
    return work / 1e9 / primary(rows[name], run.device) / float(peak)


def _figures(run: Run, rows: Rows) -> dict[str, float]:
    """Plain keys; those of other networks than unet1x begin with their name."""
    device = run.device.partition(":")[0]
    ours = rows["ours_bf16"]

    def ratio(rival: str, mine: Mapping[str, Any] = ours) -> float:
        return primary(rows[rival], run.device) / primary(mine, run.device)

    found: dict[str, float] = {}
    if "monai" in rows:
        found["ratio_vs_monai_default"] = ratio("monai")
        found["ratio_vs_monai_default_fp32"] = ratio("monai", rows["ours_fp32"])
    if "monai_tuned" in rows:
        found["ratio_vs_monai_tuned"] = ratio("monai_tuned")
        found["ratio_vs_monai_half_overlap"] = ratio("monai_half")
    if "one_pass" in rows:
        found["ratio_vs_onepass"] = ratio("one_pass")
        found["memory_ratio_vs_onepass"] = (
            rows["one_pass"]["memory_mb"] / ours["memory_mb"]
        )
    found = {f"{device}_{key}": value for key, value in found.items()}
    if "one_pass" in rows:
        found["max_diff_fp32_std"] = rows["ours_fp32"]["max_diff"]
        found["rms_bf16_std"] = ours["rms_diff"]
    found["conv_peak_share"] = _share(run, "ours_bf16", rows)
    if "mapped 1" in rows:
        found["memory_mb"] = rows["mapped 1"]["memory_mb"]
        found["memory_mb_deep"] = rows[f"mapped {DEEPER}"]["memory_mb"]
    rounded = {key: float(f"{value:.4g}") for key, value in found.items()}
    if run.name == "unet1x":
        return rounded
    return {f"{run.name}_{key}": value for key, value in rounded.items()}


if __name__ == "__main__":
    sys.exit(main())
