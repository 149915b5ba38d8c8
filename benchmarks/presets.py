"""Do the presets do what they promise? Makes the tables of docs/presets.md.

Without --data, only the table of the networks: their numbers of weights beside those
published. With --data, a short training of each preset on real volumes as well, and
with --quality what the presets reach within minutes. Results are kept as lines of JSON
in --out, so that an interrupted run goes on where it was.

    python benchmarks/presets.py --data DATA --out /tmp/presets
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from presets_data import Material, material
from presets_pages import replace_tables
from presets_quality import CHANGES, quality, trained
from presets_variants import KNOWN, VARIANTS, Variant
from torch import nn

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.devices import tune_allocator
from napari_cyclegan3d.engine.inference import EnhanceDone, enhance
from napari_cyclegan3d.engine.networks import (
    Generator,
    build_discriminator,
    measure_halo,
)
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.evaluate.cases import Reference

Line = dict[str, Any]
STEPS, EDGE = 30, 10
PAGE = Path(__file__).parents[1] / "docs" / "presets.md"
# side of the part of the held back volume that a short training is looked at by
LOOKED_AT = 48


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the real volumes")
    parser.add_argument("--out", type=Path, default=Path("out/presets"))
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--only", metavar="PRESET", help="leave the others out")
    parser.add_argument("--seed", type=int, default=0, help="seed of --quality")
    options = parser.parse_args()
    tune_allocator()
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.jsonl"
    lines = [json.loads(one) for one in results.open()] if results.exists() else []
    networks = [line for one in VARIANTS for line in network_lines(one)]
    with results.open("a") as file:
        for line in new_lines(options, lines):
            file.write(json.dumps(line) + "\n")
            file.flush()
            lines.append(line)
    replace_tables(PAGE, networks, lines)
    wrong = [line for line in networks if line["wrong"]]
    for line in wrong:
        sys.stderr.write(f"{line['name']}, {line['network']}: {line['wrong']}\n")
    return 1 if wrong else 0


def new_lines(options: argparse.Namespace, done: Sequence[Line]) -> Iterator[Line]:
    """What is asked for and not yet known."""
    if options.data is None:
        return
    keys = {(one["table"], one["name"], one.get("seed")) for one in done}
    if not options.quality:
        for variant in VARIANTS:
            wanted = variant.small and options.only in (None, variant.preset)
            if wanted and ("short", variant.name, None) not in keys:
                yield short_training(options.data, options.out, variant)
        return
    for name in CHANGES:
        wanted = options.only in (None, name)
        if wanted and ("quality", name, options.seed) not in keys:
            yield from quality(options.data, options.out, name, options.seed)


def network_lines(variant: Variant) -> list[Line]:
    """Each network's number of weights beside the published one, and its reach."""
    config = variant.config()
    lines: list[Line] = []
    for name, network in built(config, variant.channels).items():
        weights = sum(one.numel() for one in network.parameters())
        published = variant.published.get(name)
        more, why = KNOWN.get((variant.name, name), (0, ""))
        wrong = ""
        if published is not None and weights != published + more:
            wrong = f"{weights} weights, published are {published}"
        line = {"name": variant.name, "network": name, "weights": weights}
        line |= {"published": published, "why": why, "wrong": wrong}
        line |= {"patch": _patches(config), "channels": variant.channels}
        if isinstance(network, Generator):
            line["halo"] = measure_halo(network)
        lines.append(line)
    return lines


def built(config: TrainConfig, channels: int) -> dict[str, nn.Module]:
    """The networks that differ, without memory and without noise."""
    scale, kind = Fraction(config.scale), config.generator
    dims = config.dims
    networks: dict[str, nn.Module] = {}
    with torch.device("meta"):
        for name, factor in (("a_to_b", scale), ("b_to_a", 1 / scale)):
            if name == "a_to_b" or config.method == "cyclegan":
                networks[name] = Generator(
                    factor, kind, noise=False, dims=dims, channels=channels
                )
        networks["judge_b"] = build_discriminator(
            config.discriminator, dims, config.patch_b, channels
        )
    return networks


def short_training(data: Path, out: Path, variant: Variant) -> Line:
    """A few steps of a preset with its own networks: do they learn at all?"""
    quiet = {"preview_every": 0, "checkpoint_every": 1000, "seed": 0}
    config = variant.config({"steps": STEPS, **quiet, **(variant.small or {})})
    stuff = material(data, variant.preset, config)
    terms: list[dict[str, float]] = []
    started = time.perf_counter()
    model, seconds = trained(config, stuff, out / "short", terms.append)
    leading = ["paired"] if config.method == "srgan" else ["cycle_a", "cycle_b"]

    def mean(part: Sequence[dict[str, float]]) -> float:
        return float(np.mean([step[name] for step in part for name in leading]))

    sys.stderr.write(f"{variant.name}: {time.perf_counter() - started:.0f} s\n")
    contrast = [step["contrast_b"] for step in terms[-EDGE:] if "contrast_b" in step]
    return {
        "table": "short",
        "name": variant.name,
        "data": stuff.note,
        "patch": _patches(config),
        "batch": config.batch,
        "small": variant.small,
        "steps": config.steps,
        "seconds": round(seconds, 1),
        "leading": " + ".join(leading),
        "first": round(mean(terms[:EDGE]), 4),
        "last": round(mean(terms[-EDGE:]), 4),
        "contrast": round(float(np.mean(contrast)), 3) if contrast else None,
        **looked_at(model, stuff, config),
    }


def looked_at(model: Model, stuff: Material, config: TrainConfig) -> Line:
    """The model's output in the middle of the fresh part, beside the truth."""
    reference = Reference(stuff.cases[1], Fraction(config.scale), config.degrade, 1)
    scale = config.scale
    # few slices for networks of slices, which are coronal
    axes, side = ((0, 1, 2), LOOKED_AT) if config.dims == 3 else ((1,), 4)
    source = _middle(reference.input, side // scale, scale, axes)
    expected = _middle(reference.truth, side, 1, axes).read()
    for event in enhance(source, model, EnhanceConfig(device="cpu")):
        if isinstance(event, EnhanceDone):
            image = event.volume.read()
    spread = float(image.std() / expected.std())
    correlation = np.corrcoef(image.ravel(), expected.ravel())[0, 1] if spread else 0
    return {"spread": round(spread, 3), "correlation": round(float(correlation), 3)}


def _middle(volume: Volume, side: int, scale: int, axes: Sequence[int]) -> Volume:
    """The middle `side` voxels along the axes, of a volume reduced by `scale`."""
    region = [slice(None)] * 3
    for axis in axes:
        # the same place in A and B: a multiple of 4 voxels of B
        fine = (volume.shape[axis] - side) * scale // 2
        start = fine // 4 * 4 // scale
        region[axis] = slice(start, start + side)
    return volume.crop((region[0], region[1], region[2]))


def _patches(config: TrainConfig) -> list[list[int]]:
    return [list(config.patch), list(config.patch_b)]


if __name__ == "__main__":
    sys.exit(main())
