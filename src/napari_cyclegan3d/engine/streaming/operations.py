"""What a layer does with planes, and how planes in become planes out.

Every operation knows, in whole numbers and without a tensor, how many planes it can
make from those that have come (`ready`) and the first one that it still reads for a
given result (`first`). That alone decides the order of all work, and the memory.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from napari_cyclegan3d.engine.streaming.planes import (
    Padding,
    Plane,
    Store,
    join,
)

Triple = tuple[int, int, int]


class Operation(Protocol):
    """Planes in, planes out."""

    @property
    def looks_around(self) -> bool:
        """Whether it needs several planes in one piece."""

    @property
    def copies(self) -> int:
        """Sizes of its result that it holds while it works."""

    @property
    def padding(self) -> Padding:
        """What it expects around its input."""

    def ready(self, planes: int, ended: bool) -> int:
        """Planes that can be made once `planes` have come, and whether all have."""

    def first(self, made: int) -> int:
        """The first plane that is read for plane `made`, or a later one."""

    def shape(self, height: int, width: int) -> Plane:
        """Size of a plane of the result."""

    def compute(self, sources: list[Store], start: int, stop: int) -> Tensor:
        """Planes start to stop of the result, (z, y, x, channel), in own memory."""

    def to(self, dtype: torch.dtype, device: torch.device) -> "Operation":
        """The same with its weights in another number format."""


@dataclass(frozen=True)
class MaxPool:
    """The largest of each block of 2 voxels per axis."""

    looks_around = True
    copies = 6
    padding = Padding()

    def ready(self, planes: int, ended: bool) -> int:
        """Whole pairs."""
        return planes // 2

    def first(self, made: int) -> int:
        """The first of the pair."""
        return 2 * made

    def shape(self, height: int, width: int) -> Plane:
        """Half."""
        return height // 2, width // 2

    def compute(self, sources: list[Store], start: int, stop: int) -> Tensor:
        """Pairs along each axis: without the indices that `max_pool3d` would store."""
        (planes,) = sources[0].pieces(2 * start, 2 * stop)
        for axis in (0, 1, 2):
            pairs = planes.narrow(axis, 0, planes.shape[axis] // 2 * 2)
            pairs = pairs.unflatten(axis, (-1, 2))
            planes = torch.maximum(pairs.select(axis + 1, 0), pairs.select(axis + 1, 1))
        return planes

    def to(self, dtype: torch.dtype, device: torch.device) -> "MaxPool":
        """Itself: it has no weights."""
        return self


@dataclass(frozen=True)
class Enlarge:
    """Each voxel becomes a block: its copies, or taken from the channels.

    Attributes:
        factor: Voxels per axis.
        shuffle: Take the block from factor^3 channels, as PixelShuffle does.
    """

    factor: int
    shuffle: bool
    looks_around = False
    copies = 1
    padding = Padding()

    def ready(self, planes: int, ended: bool) -> int:
        """As many for each."""
        return planes * self.factor

    def first(self, made: int) -> int:
        """The plane it is part of."""
        return made // self.factor

    def shape(self, height: int, width: int) -> Plane:
        """Enlarged."""
        return height * self.factor, width * self.factor

    def compute(self, sources: list[Store], start: int, stop: int) -> Tensor:
        """Enlarge whole planes, then cut."""
        low, high = start // self.factor, -(-stop // self.factor)
        planes = join(sources[0].pieces(low, high))
        n = self.factor
        z, y, x, c = planes.shape
        if self.shuffle:
            blocks = planes.view(z, y, x, c // n**3, n, n, n)
            blocks = blocks.permute(0, 4, 1, 5, 2, 6, 3)
        else:
            blocks = planes[:, None, :, None, :, None, :].expand(z, n, y, n, x, n, c)
        result = blocks.reshape(z * n, y * n, x * n, -1)
        return result[start - low * n : stop - low * n]

    def to(self, dtype: torch.dtype, device: torch.device) -> "Enlarge":
        """Itself: it has no weights."""
        return self


@dataclass(frozen=True)
class Join:
    """A copy of one activation, or the channels of several side by side."""

    looks_around = False
    copies = 1
    padding = Padding()

    def ready(self, planes: int, ended: bool) -> int:
        """As many."""
        return planes

    def first(self, made: int) -> int:
        """The same."""
        return made

    def shape(self, height: int, width: int) -> Plane:
        """The same."""
        return height, width

    def compute(self, sources: list[Store], start: int, stop: int) -> Tensor:
        """Copy."""
        parts = [join(source.pieces(start, stop)) for source in sources]
        return parts[0].clone() if len(parts) == 1 else torch.cat(parts, -1)

    def to(self, dtype: torch.dtype, device: torch.device) -> "Join":
        """Itself: it has no weights."""
        return self
