"""Translating whole volumes again, for what only repetitions can tell."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.hallucination.store import new_map
from napari_cyclegan3d.engine.inference import (
    EnhanceDone,
    TileDone,
    enhance,
    enhanced_shape,
    way_back,
)
from napari_cyclegan3d.engine.volume import Region, Volume

# gives the share that is done, then the translated volume
Pass = Generator[float, None, Volume]
Translate = Callable[[Volume], Pass]
Result = TypeVar("Result")
Function = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Networks:
    """What made the enhanced volume, and what can repeat it.

    Attributes:
        forth: From raw to enhanced.
        back: From enhanced to raw, if there is such a network.
        others: Other ways forth, such as earlier checkpoints.
        model: The model behind it, if it is one of this package.
    """

    forth: Translate
    back: Translate | None = None
    others: tuple[Translate, ...] = ()
    model: Model | None = None


def networks_of(
    model: Model, config: EnhanceConfig, others: Sequence[Model] = ()
) -> Networks:
    """A model's networks as the enhancement used them.

    Args:
        model: The model.
        config: How the volume was enhanced; its direction is forth.
        others: Models of the same kind, such as earlier checkpoints.
    """
    back = None
    if model.b_to_a is not None:
        back = translated(model, way_back(model, config))
    return Networks(
        translated(model, config),
        back,
        tuple(translated(other, config) for other in others),
        model,
    )


def translated(model: Model, config: EnhanceConfig) -> Translate:
    """A model as something that translates volumes; results are kept on disk.

    Args:
        model: The model.
        config: Direction, tiles, memory, precision and device.
    """

    def translate(volume: Volume) -> Pass:
        out = new_map(enhanced_shape(volume, model, config), np.float32)
        for event in enhance(volume, model, config, out):
            if isinstance(event, TileDone):
                yield event.done / event.tiles
            elif isinstance(event, EnhanceDone):
                return event.volume
        raise AssertionError("an enhancement ends with its result")

    return translate


def plain(function: Function, scale: int = 1) -> Translate:
    """A function of whole arrays as something that translates volumes.

    Args:
        function: From raw to enhanced voxels, float32.
        scale: Size of the result over that of its input.
    """

    def translate(volume: Volume) -> Pass:
        yield 0.0
        return volume.resampled(function(volume.read().astype(np.float32)), scale)

    return translate


def flipped(volume: Volume, axes: tuple[int, ...]) -> Volume:
    """The volume mirrored along axes, lazily; where it lies is left as it was."""
    return replace(volume, array=_Flipped(volume.array, axes))


@dataclass(frozen=True)
class _Flipped:
    """A mirrored view of an array source, without reading it."""

    source: Any
    axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.source.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        kind: np.dtype[Any] = np.dtype(self.source.dtype)
        return kind

    def __getitem__(self, region: Region) -> NDArray[Any]:
        parts = []
        for axis, (part, size) in enumerate(zip(region, self.shape, strict=True)):
            start, stop, _ = part.indices(size)
            if axis in self.axes:
                start, stop = size - stop, size - start
            parts.append(slice(start, stop))
        return np.flip(np.asarray(self.source[tuple(parts)]), self.axes)


def run_through(steps: Generator[object, None, Result]) -> Result:
    """The result of a generator whose steps nobody watches."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
