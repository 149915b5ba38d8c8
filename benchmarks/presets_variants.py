"""The presets and their variants: what was published of them, and what is small enough.

Published numbers are trainable weights, counted in the projects' code or trained
states, with their number of channels and without a noise channel.
"""

from dataclasses import dataclass, field
from typing import Any

from napari_cyclegan3d.engine.config import TrainConfig
from napari_cyclegan3d.engine.presets import load_preset
from napari_cyclegan3d.engine.settings import merged, parse

Settings = dict[str, Any]
COMMITTED = {"encoder": [64, 128, 256], "decoder": [128, 64], "bias": True}
X2 = {"scale": 2, "patch": [46, 64, 64]}
# four layers would need patches larger than the slices of the head
SMALL_003 = {
    "patch": [1, 96, 96],
    "batch": 1,
    "discriminator": {"layers": 3, "strides": [2, 2, 2, 2, 1]},
}
# three layers would need patches of 40 voxels a side
SMALL_FIBRES = {"patch": [20, 20, 20], "batch": 1, "discriminator": {"layers": 2}}
SMALL_X4 = {"patch": [12, 12, 12], "batch": 1}
SMALL_X2 = {"patch": [16, 16, 16]}
# what does not fit the published number, and why
KNOWN = {
    ("mri-t1t2-unet", "judge_b"): (64, "the first layer always has biases"),
}


@dataclass(frozen=True)
class Variant:
    """A preset, or one with a few other settings.

    Attributes:
        preset: Its name.
        published: Numbers of weights by network, as far as they are known.
        over: The other settings.
        label: What distinguishes it from the preset.
        small: Settings for a short training on a CPU; None: there is none.
        channels: Channels of the images of the project.
    """

    preset: str
    published: dict[str, int]
    over: Settings = field(default_factory=dict)
    label: str = ""
    small: Settings | None = None
    channels: int = 1

    @property
    def name(self) -> str:
        """Preset and label."""
        return f"{self.preset} {self.label}".strip()

    def config(self, more: Settings | None = None) -> TrainConfig:
        """The settings, with others over them."""
        settings = merged(load_preset(self.preset).settings, self.over)
        return parse(TrainConfig, merged(settings, more or {}))


def _cyclegan(a_to_b: int, b_to_a: int, judge: int) -> dict[str, int]:
    return {"a_to_b": a_to_b, "b_to_a": b_to_a, "judge_b": judge}


VARIANTS = (
    Variant(
        "fibre-ct-1x",
        _cyclegan(707_137, 707_137, 11_048_769),
        small={"steps": 100, **SMALL_FIBRES},
    ),
    Variant(
        "fibre-ct-1x",
        {"a_to_b": 68_767_777},
        over={"generator": {"kind": "unet11"}},
        label="with generator.kind unet11",
    ),
    Variant(
        "fibre-ct-1x",
        {},
        over={"optim": {"kickstart": 0}},
        label="with optim.kickstart 0",
        small={"steps": 100, **SMALL_FIBRES},
    ),
    Variant(
        "fibre-ct-2x",
        _cyclegan(1_011_361, 3_721_281, 11_048_769),
        small={"steps": 60, **SMALL_FIBRES},
    ),
    Variant(
        "fibre-ct-4x",
        _cyclegan(1_149_697, 3_721_281, 11_048_769),
        small={"steps": 20, **SMALL_FIBRES},
    ),
    Variant(
        "mri-t1t2-resnet",
        _cyclegan(7_825_153, 7_825_153, 2_762_689),
        small={"patch": [1, 64, 64]},
    ),
    Variant(
        "mri-t1t2-resnet",
        _cyclegan(11_365_633, 11_365_633, 2_762_689),
        over={"generator": {"blocks": 9}},
        label="with 9 blocks",
    ),
    Variant(
        "mri-t1t2-resnet-optimised",
        _cyclegan(6_895_841, 6_895_841, 2_116_297),
        small={"patch": [1, 64, 64]},
    ),
    Variant(
        "mri-t1t2-unet",
        _cyclegan(2_501_507, 2_501_507, 2_765_569),
        small={"patch": [1, 96, 96], "batch": 2},
        channels=3,
    ),
    Variant(
        "mri-t1t2-unet",
        _cyclegan(1_452_803, 1_452_803, 2_766_529),
        over={"generator": COMMITTED, "discriminator": {"bias": True}},
        label="as in the project's code",
        small={"patch": [1, 96, 96], "batch": 2},
        channels=3,
    ),
    Variant("mri-t1t2-unet-003", {}, small=SMALL_003),
    Variant("mri-sr-srgan", {"a_to_b": 431_097}, small=SMALL_X4),
    Variant("mri-sr-srgan", {"a_to_b": 417_209}, X2, "2x", SMALL_X2),
    Variant(
        "mri-sr-srgan",
        {"a_to_b": 431_097, "judge_b": 104_180_321},
        over={"discriminator": {"head": "dense"}},
        label="with discriminator.head dense",
    ),
    Variant("mri-sr-srgan-nn", {"a_to_b": 1_690_593}, small=SMALL_X4),
    Variant("mri-sr-srgan-nn", {"a_to_b": 805_793}, X2, "2x", SMALL_X2),
    Variant(
        "mri-sr-srgan-nn",
        {"a_to_b": 2_771_777},
        over={**X2, "generator": {"filters": 64, "blocks": 8}},
        label="2x, 64 filters, 8 blocks",
    ),
    Variant("mri-sr-srgan-resize", {"a_to_b": 750_689}, small=SMALL_X4),
    Variant("mri-sr-srgan-resize", {"a_to_b": 529_377}, X2, "2x", SMALL_X2),
)
