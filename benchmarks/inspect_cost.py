"""How long does Inspect take for a volume full of fibres, and how much memory?

Standard mode, in a fresh process, on a mirrored block of the sample composite with
fibres of 3.5 voxels. In place of the network stands a filter; the time within it, which
with a real network depends on that network, is given apart.

    python benchmarks/inspect_cost.py                    # 256³ voxels: minutes
    python benchmarks/inspect_cost.py --side 128 --rounds 3 --json inspect-cost.json

Seconds of each stage are on the clock; on a busy machine look at the core-seconds.
"""

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from measure import (
    Sample,
    Task,
    in_rounds,
    measured,
    parsed,
    parser_of,
    typical,
    write_json,
)
from napari_cyclegan3d.engine.hallucination.events import InspectDone, Working
from napari_cyclegan3d.engine.hallucination.inspection import inspect
from napari_cyclegan3d.engine.hallucination.passes import Networks, plain
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.samples.fibres import FIBRE, MATRIX, fibre_composite

Array = NDArray[np.float32]
SIDE, QUICK = 256, 96
# of the composite, whose fibres are made half as thick
BLOCK = 128
BLUR, NOISE, SEED = 1.0, 0.1, 1
# the filter in place of a network
SMOOTH, STEEP = 1.0, 0.08
STAGES = {
    "measuring operator and noise": "fit_s",
    "repeating the enhancement": "passes_s",
    "comparing the volumes": "sweep_s",
    "calibrating": "calibration_s",
    "planting objects to see what would be found": "card_s",
    "ranking": "ranking_s",
}


def main() -> int:
    parser = parser_of(__doc__, rounds=1)
    parser.add_argument("--side", type=int, help="of the volume, in voxels")
    options = parsed(parser)
    side = options.side or (QUICK if options.quick else SIDE)
    samples = in_rounds(child, {f"{side}³": {"side": side}}, options.rounds)
    sample = typical(samples[f"{side}³"])
    figures = {key: float(f"{value:.4g}") for key, value in sample.items()}
    print(json.dumps(figures, indent=2))
    write_json(options.json, options.device, {"side": side} | figures)
    return 0


def child(task: Task) -> Sample:
    """One inspection, in a process of its own."""
    seen, network = scan(task["side"]), _Network()
    raw = Volume(seen)
    enhanced = raw.resampled(restored(seen), 1)
    networks = Networks(plain(network.forth), plain(network.back))
    seconds = dict.fromkeys(STAGES.values(), 0.0)
    stage, started = "", time.perf_counter()
    with measured("cpu") as cost:
        for event in inspect(raw, enhanced, networks, None, InspectConfig()):
            if isinstance(event, Working | InspectDone):
                now = time.perf_counter()
                if stage:
                    seconds[STAGES[stage]] += now - started
                stage, started = getattr(event, "stage", ""), now
            if isinstance(event, InspectDone):
                structures = sum(event.inspected.inspection.counts.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return (
        asdict(cost)
        | seconds
        | {
            "networks_s": network.wall_s,
            "beyond_networks_s": cost.wall_s - network.wall_s,
            "beyond_networks_core_s": cost.core_s - network.core_s,
            "structures": structures,
            "peak_mb": peak,
        }
    )


def scan(side: int) -> Array:
    """A blurred, noisy cube of fibres."""
    block = fibre_composite((BLOCK,) * 3, SEED).reshape((BLOCK // 2, 2) * 3)
    clean = np.pad(block.mean((1, 3, 5)), (0, max(0, side - BLOCK // 2)), "symmetric")
    noise = np.random.default_rng(SEED).standard_normal((side,) * 3, np.float32)
    cut = clean[:side, :side, :side].astype(np.float32)
    return np.asarray(gaussian_filter(cut, BLUR) + np.float32(NOISE) * noise)


def restored(raw: Array) -> Array:
    """Smoothed, and steeper between the grey values of matrix and fibres."""
    smooth = gaussian_filter(raw, SMOOTH)
    share = 1 / (1 + np.exp(((MATRIX + FIBRE) / 2 - smooth) / np.float32(STEEP)))
    return np.asarray(MATRIX + (FIBRE - MATRIX) * share, np.float32)


@dataclass
class _Network:
    """A filter each way, and the time within them."""

    wall_s: float = 0.0
    core_s: float = 0.0

    def forth(self, raw: Array) -> Array:
        with self._timed():
            return restored(raw)

    def back(self, enhanced: Array) -> Array:
        with self._timed():
            return np.asarray(gaussian_filter(enhanced, BLUR))

    @contextmanager
    def _timed(self) -> Iterator[None]:
        wall, core = time.perf_counter(), time.process_time()
        yield
        self.wall_s += time.perf_counter() - wall
        self.core_s += time.process_time() - core


if __name__ == "__main__":
    sys.exit(main())
