"""What is asked of the worker, and what it tells while it works."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.hallucination.events import Inspected, Working
from napari_cyclegan3d.engine.inference import EnhanceEvent
from napari_cyclegan3d.engine.volume import Region, Volume
from napari_cyclegan3d.gui.enhance.output import Output
from napari_cyclegan3d.gui.inspect.provenance import Maker
from napari_cyclegan3d.gui.source import Source

SHOWN = (0.2, 99.8)
SAMPLE = 100_000


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be done with one source.

    Attributes:
        source: A layer, a file or a folder.
        model: The model.
        config: Direction, tiles, memory, precision and device.
        output: Where the results go.
        cycle: Translate the result back, too.
        frames: Which frames of a series; None: all.
        maker: Model and settings, as the result's layer remembers them.
        inspect: Inspect the result at once, in quick mode.
        written: Files that are complete.
    """

    source: Source
    model: Model
    config: EnhanceConfig
    output: Output = field(default_factory=Output)
    cycle: bool = False
    frames: range | None = None
    maker: Maker | None = None
    inspect: bool = False
    written: list[Path] = field(default_factory=list)


@dataclass(eq=False)
class Result:
    """A volume, or a series, that is being made.

    Attributes:
        kind: "enhanced" or "cyclic".
        layer: The source, if it is a layer.
        source: The volume that was translated first; its place in the world.
        scale: Size of the result over that of the source.
        start: Voxel of the layer where the result begins, for each of its axes.
        data: Its voxels, NaN where they are not known yet; None: they go to files.
        paths: Those files.
        limits: Grey values to show, from what is known so far.
        seams: See `EnhanceDone`.
        maker: What it is made by; None: a translation back, or not known.
        inspected: What was invented, if that was asked for.
        remark: Why it was not inspected although that was asked for.
    """

    kind: str
    layer: Image | None
    source: Volume
    scale: Fraction
    start: tuple[int, ...]
    data: NDArray[np.float32] | None = None
    paths: list[Path] = field(default_factory=list)
    limits: tuple[float, float] | None = None
    seams: float | None = None
    maker: Maker | None = None
    inspected: Inspected | None = None
    remark: str = ""

    def note(self, block: NDArray[np.float32]) -> None:
        """Widen the limits to some new voxels."""
        found = limits_of(block)
        if found is None:
            return
        low, high = self.limits or found
        self.limits = min(low, found[0]), max(high, found[1])


@dataclass(frozen=True)
class Stage:
    """The next of `count` volumes to compute begins, `number` from 0."""

    number: int
    count: int
    name: str


@dataclass(frozen=True, eq=False)
class Grew:
    """More voxels of a result that has `data` are final."""

    result: Result


@dataclass(frozen=True, eq=False)
class Finished:
    """A result is complete."""

    result: Result


@dataclass(frozen=True, eq=False)
class Glimpsed:
    """A glimpse of a layer.

    Attributes:
        volume: The result of a part of the source.
        region: That part, in voxels of the source.
        frame: Which volume of a series.
        scale: Size of the result over that of its part.
        limits: Grey values to show.
    """

    volume: Volume
    region: Region
    frame: int | None
    scale: Fraction
    limits: tuple[float, float] | None


TaskEvent = Stage | Grew | Finished | Working | EnhanceEvent


def limits_of(block: NDArray[np.float32]) -> tuple[float, float] | None:
    """Grey values that show a block; None if none of its voxels has a value."""
    step = max(1, round((block.size / SAMPLE) ** (1 / 3)))
    sample = block[::step, ::step, ::step]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return None
    low, high = np.percentile(sample, SHOWN)
    return float(low), float(high)
