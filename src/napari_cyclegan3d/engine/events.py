"""What trainings and enhancements tell their caller, in order of time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.volume import Region, Shape, Volume


@dataclass(frozen=True)
class Started:
    """Training begins, at `step` of `steps`; it needs so many bytes of `memory`."""

    step: int
    steps: int
    device: str
    memory: int = 0


@dataclass(frozen=True)
class Warned:
    """Something that the user should know; the training goes on."""

    message: str


@dataclass(frozen=True)
class StepDone:
    """One training step.

    `terms` has the parts of the objective by name, the discriminators' truth tables as
    shares of patches taken for real (real_b_seen_real, fake_b_seen_real, …), and
    contrast_a, contrast_b: the correlation of a fake with its resized source.
    """

    step: int
    steps: int
    terms: Mapping[str, float]
    seconds: float = field(compare=False)


@dataclass(frozen=True, eq=False)
class PreviewReady:
    """What the networks make of one fixed pair of patches.

    `images` has real_a, fake_b, cyclic_a, real_b, fake_a and cyclic_b (an enlargement
    alone: real_a, fake_b and real_b), each (z, y, x), or (rows, columns) in 2D, in
    normalised intensities (about −3 to 3).
    """

    step: int
    images: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Validated:
    """Scores on volumes that are not trained on; of "score", higher is better.

    `best`: the model was kept as one of the best.
    """

    step: int
    scores: Mapping[str, float]
    best: bool


@dataclass(frozen=True)
class Balanced:
    """Automatic balancing changed weights or learning rates, or went back to a step.

    `step` is where the training goes on.
    """

    step: int
    reason: str


@dataclass(frozen=True)
class CheckpointSaved:
    """State and model of this step are on disk."""

    step: int
    model: Path


@dataclass(frozen=True)
class TrainingDone:
    """All steps are done and the model is saved."""

    step: int
    model: Path


class Request(Enum):
    """What a training can be asked for between two events, by `send`."""

    SAVE = "save"


TrainEvent = (
    Started
    | Warned
    | StepDone
    | PreviewReady
    | Validated
    | Balanced
    | CheckpointSaved
    | TrainingDone
)


@dataclass(frozen=True)
class EnhanceStarted:
    """The plan: output shape, number and size of tiles, mode, device and format.

    `tile` counts voxels of the input that are done at a time (z, y, x).
    """

    shape: Shape
    tiles: int
    mode: str
    tile: Shape
    device: str


@dataclass(frozen=True)
class TileDone:
    """`done` of `tiles` tiles are computed."""

    done: int
    tiles: int


@dataclass(frozen=True)
class RegionReady:
    """The voxels of this region of the output are final and in the sink."""

    region: Region


@dataclass(frozen=True, eq=False)
class EnhanceDone:
    """All voxels are in the sink; `volume` is the result, lying over its source.

    `seams` is the mean step across tile borders over that beside them: 1 where no tile
    shows, None without borders.
    """

    volume: Volume
    seams: float | None = None


EnhanceEvent = EnhanceStarted | Warned | TileDone | RegionReady | EnhanceDone
