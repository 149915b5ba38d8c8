"""Does a voxel cost the same in a small volume and in a large one, from disk to disk?

Enhances volumes of 64³, 128³ and so on up to 1024³ voxels, from a TIFF of 16 bits to
one of 32, with the default network of the package and its default memory. What should
come out: the same core-seconds for a million voxels, and no more memory.

    python benchmarks/scaling.py                       # 6.5 GB on disk, for a while
    python benchmarks/scaling.py --largest 512 --filters 32
    python benchmarks/scaling.py --quick --json scaling.json
"""

import json
import sys
import tempfile
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import numpy as np

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
from napari_cyclegan3d import io
from napari_cyclegan3d.engine.checkpoint import load_model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.devices import tune_allocator
from napari_cyclegan3d.engine.inference import enhance
from napari_cyclegan3d.engine.settings import parse
from napari_cyclegan3d.engine.volume import Planned, Volume
from workloads import Workload, images, write_model

SIZES = (64, 128, 256, 512, 1024)
QUICK = 128
BLOCK = 64
# grey values for one deviation, and their middle
CONTRAST, MIDDLE = 4000, 30000


def main() -> int:
    parser = parser_of(__doc__, rounds=1)
    parser.add_argument("--largest", type=int, choices=SIZES, default=SIZES[-1])
    parser.add_argument("--filters", type=int, default=8, help="width of the network")
    parser.add_argument("--precision", default="auto", help="auto, fp32 or bf16")
    parser.add_argument("--suffix", default=".tif", help="format of the output")
    options = parsed(parser)
    largest = min(QUICK, options.largest) if options.quick else options.largest
    sizes = [size for size in SIZES if size <= largest]
    rows: dict[int, Sample] = {}
    with tempfile.TemporaryDirectory() as folder:
        common = {
            "folder": folder,
            "device": options.device,
            "filters": options.filters,
            "precision": options.precision,
            "suffix": options.suffix,
        }
        in_fresh_process(child, common | {"do": "model"})
        for size in sizes:  # one after another: the files are large
            task = common | {"size": size}
            in_fresh_process(child, task | {"do": "volume"})
            samples = in_rounds(
                child, {f"{size}³": task | {"do": "enhance"}}, options.rounds
            )
            rows[size] = typical(samples[f"{size}³"])
    _print_rows(rows, options.device)
    figures = _figures(rows, options.device)
    print(json.dumps(figures, indent=2))
    write_json(options.json, options.device, figures)
    return 0


def child(task: Task) -> Sample:
    """One sample, in a process of its own."""
    folder = Path(task["folder"])
    if task["do"] == "model":
        workload = Workload({"filters": task["filters"]}, 0, 0, 32, 0)
        write_model(workload, folder / "model.safetensors")
    elif task["do"] == "volume":
        write_volume(folder / "in.tif", task["size"])
    else:
        return _enhance(task, folder)
    return {}


def write_volume(path: Path, size: int) -> None:
    """A block of structure and noise, repeated to a cube of `size` voxels a side."""
    _, noisy = images((BLOCK,) * 3, seed=0)
    block = (noisy * CONTRAST + MIDDLE).clip(0, 2**16 - 1).astype(np.uint16)
    planes = np.tile(block, (1, size // BLOCK, size // BLOCK))
    volume = Volume(Planned((size,) * 3, planes.dtype), name="synthetic")
    with io.create(volume, path) as sink:
        for start in range(0, size, BLOCK):
            sink[start : start + BLOCK, 0:size, 0:size] = planes


def _enhance(task: Task, folder: Path) -> Sample:
    tune_allocator()
    model = load_model(folder / "model.safetensors")
    config = parse(
        EnhanceConfig, {"device": task["device"], "precision": task["precision"]}
    )
    target = folder / f"out{task['suffix']}"
    with measured(task["device"]) as cost:
        volume = io.read(folder / "in.tif")
        planned = Planned(volume.shape, np.dtype("float32"))
        with io.create(volume.resampled(planned, Fraction(1)), target) as sink:
            for _ in enhance(volume, model, config, sink):
                pass
    return asdict(cost)


def _print_rows(rows: dict[int, Sample], device: str) -> None:
    print_table(
        [
            {
                "volume": f"{size}³",
                "core-s": f"{row['core_s']:.1f}",
                "wall s": f"{row['wall_s']:.1f}",
                "s per Mvoxel": f"{_per_million(size, row, device):.3f}",
                "extra MB": f"{row['memory_mb']:.0f}",
                "with mapped files": f"{row['resident_mb']:.0f}",
                "others' cores": f"{row['foreign']:.1f}",
            }
            for size, row in rows.items()
        ]
    )


def _per_million(size: int, row: Sample, device: str) -> float:
    return 1e6 * primary(row, device) / size**3


def _figures(rows: dict[int, Sample], device: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for size, row in rows.items():
        found[f"s_per_mvoxel_{size}"] = _per_million(size, row, device)
        found[f"memory_mb_{size}"] = row["memory_mb"]
        found[f"resident_mb_{size}"] = row["resident_mb"]
    costs = [_per_million(size, row, device) for size, row in rows.items()]
    found["cost_largest_over_cheapest"] = costs[-1] / min(costs)
    return {key: float(f"{value:.4g}") for key, value in found.items()}


if __name__ == "__main__":
    sys.exit(main())
