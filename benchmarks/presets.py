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
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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
from napari_cyclegan3d.engine.training import PreviewReady, StepDone, TrainEvent
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.evaluate.cases import Reference
from presets_data import Material, material
from presets_pages import replace_tables
from presets_quality import CHANGES, quality, trained
from presets_variants import KNOWN, VARIANTS, Variant

Line = dict[str, Any]
STEPS, EDGE = 30, 10
PAGE = Path(__file__).parents[1] / "docs" / "presets.md"
# side of the part of the held back volume that a short training is looked at by
LOOKED_AT = 40


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
    counted = [one for one in VARIANTS if one.published or not one.label]
    networks = [line for one in counted for line in network_lines(one)]
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
    small = {"steps": STEPS, **(variant.small or {})}
    quiet = {"preview_every": small["steps"], "checkpoint_every": 1000, "seed": 0}
    config = variant.config({**quiet, **small})
    stuff = material(data, variant.preset, config)
    terms: list[dict[str, float]] = []
    images: dict[str, NDArray[np.float32]] = {}

    def observe(event: TrainEvent) -> None:
        if isinstance(event, StepDone):
            terms.append(dict(event.terms))
        elif isinstance(event, PreviewReady):
            images.update(event.images)

    model, seconds = trained(config, stuff, out / "short", observe)
    sys.stderr.write(f"{variant.name}: {seconds:.0f} s\n")
    if config.method == "srgan":  # pairs, and enlarging volumes takes minutes
        found = _correlated(images["fake_b"], images["real_b"])
    else:
        found = correlation(model, stuff, config)
    leading = ["paired"] if config.method == "srgan" else ["cycle_a", "cycle_b"]

    def mean(part: Sequence[dict[str, float]], *names: str) -> float:
        return round(float(np.mean([[one[name] for name in names] for one in part])), 4)

    return {
        "table": "short",
        "name": variant.name,
        "data": stuff.note,
        "patch": _patches(config),
        "batch": config.batch,
        "small": variant.small,
        "steps": config.steps,
        "seconds": round(seconds, 1),
        "leading": " and ".join(leading),
        "first": mean(terms[:EDGE], *leading),
        "last": mean(terms[-EDGE:], *leading),
        "contrast": mean(terms[-EDGE:], "contrast_b") if "cycle_a" in leading else None,
        "spread": round(float(images["fake_b"].std() / images["real_b"].std()), 3),
        "correlation": round(found, 3),
    }


def correlation(model: Model, stuff: Material, config: TrainConfig) -> float:
    """Of the model's output with the truth, in the middle of a part held back."""
    reference = Reference(stuff.cases[0], Fraction(config.scale), config.degrade, 1)
    scale = config.scale
    # few slices for networks of slices, which are coronal
    axes, side = ((0, 1, 2), LOOKED_AT) if config.dims == 3 else ((1,), 4)
    source = _middle(reference.input, side // scale, scale, axes)
    expected = _middle(reference.truth, side, 1, axes).read()
    for event in enhance(source, model, EnhanceConfig(device="cpu")):
        if isinstance(event, EnhanceDone):
            image = event.volume.read()
    return _correlated(image, expected)


def _correlated(image: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    if image.min() == image.max():
        return 0.0
    return float(np.corrcoef(image.ravel(), truth.ravel())[0, 1])


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
