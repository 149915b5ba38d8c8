"""Slices along any axis: a volume with its axes in another order, and the way back."""

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.sweeps import ResumableSink, Sink
from napari_cyclegan3d.engine.volume import Region

Axis = Literal["z", "y", "x"]
T = TypeVar("T")


def slice_axes(model: Model, config: EnhanceConfig) -> tuple[Axis, ...]:
    """The axes across whose slices a 2D network runs; a 3D network takes z as it is."""
    if model.header.config.dims == 3:
        if config.slices != "trained":
            raise InputError(
                f"slices {config.slices}: {model.name} is a 3D model, which needs no "
                "slices; leave out this setting"
            )
        return ("z",)
    if config.slices == "all":
        return ("z", "y", "x")
    if config.slices == "trained":
        return (model.header.config.slice_axis,)
    return (config.slices,)


@dataclass(frozen=True)
class Turned:
    """The way back from an order of axes with `axis` first."""

    axis: Axis

    @property
    def place(self) -> int:
        """Number of that axis among z, y and x."""
        return "zyx".index(self.axis)

    def back(self, turned: tuple[T, T, T]) -> tuple[T, T, T]:
        """What is said of the turned axes, in the order z, y, x."""
        first, *others = turned
        others.insert(self.place, first)
        return others[0], others[1], others[2]

    def there(self, sides: tuple[T, T, T]) -> tuple[T, T, T]:
        """What is said of z, y and x, in the order of the turned axes."""
        others = list(sides)
        first = others.pop(self.place)
        return first, others[0], others[1]

    def array(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turned voxels as (z, y, x)."""
        return np.moveaxis(block, 0, self.place)

    def settings(self, config: EnhanceConfig) -> EnhanceConfig:
        """The settings for the turned volume."""
        if config.tile is None:
            return config
        return config.model_copy(update={"tile": self.there(config.tile)})


@dataclass(frozen=True)
class TurnedSink:
    """Takes turned blocks; of several passes, the mean comes out."""

    out: Sink
    turned: Turned
    number: int

    def put(self, region: Region, block: NDArray[np.float32]) -> None:
        """Store the voxels of a turned region."""
        place, voxels = self.turned.back(region), self.turned.array(block)
        if self.number > 1:
            before = np.asarray(self.out[place])
            voxels = before + (voxels - before) / self.number
        self.out[place] = voxels

    def is_done(self, region: Region) -> bool:
        """Whether the voxels of a turned region are there already, and final."""
        return (
            self.number == 1
            and isinstance(self.out, ResumableSink)
            and self.out.is_done(self.turned.back(region))
        )
