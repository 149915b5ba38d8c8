"""Frames: the volumes of a file that has more axes than z y x."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.volume import Volume

# beyond it, a list of frames is no list that anybody wants
MOST_FRAMES = 2**16


@dataclass(frozen=True)
class Series:
    """What the frames of a file are.

    Attributes:
        axes: Letters of the axes before z y x, the slowest first: "t", "c", "tc".
        shape: Their lengths; frames are counted along the last one first.
        step: From one frame to the next, in `unit`; 1 where nothing is stated.
        unit: "second" or another name of a unit of time; "pixel" where none is stated.
    """

    axes: str
    shape: tuple[int, ...]
    step: float = 1.0
    unit: str = "pixel"

    @property
    def count(self) -> int:
        """How many frames there are."""
        return math.prod(self.shape)

    @property
    def has_channels(self) -> bool:
        """Whether frames differ in what they show, not only in when."""
        return set(self.axes) != {"t"}


def every(path: Path, count: int, frame: Callable[[int, Path], Volume]) -> list[Volume]:
    """All frames of a file, opened one by one.

    Raises:
        InputError: There are more than anybody wants.
    """
    if count > MOST_FRAMES:
        raise InputError(
            f"{path}: has {count} volumes, more than {MOST_FRAMES}; save a part of it"
        )
    return [frame(number, path) for number in range(count)]


def framed(volume: Volume, number: int, series: Series) -> Volume:
    """A volume that knows which frame of its file it is; alone, it is just a volume."""
    if series.count == 1:
        return volume
    told = {"frame": number, "series": series}
    name = f"{volume.name}::{number}"
    return replace(volume, name=name, metadata={**volume.metadata, **told})


def series_of(frames: Sequence[Volume]) -> Series:
    """What some frames are, by the first one; frames of unknown origin are times."""
    known = frames[0].metadata.get("series")
    if isinstance(known, Series) and known.count == len(frames):
        return known
    return Series("t", (len(frames),))
