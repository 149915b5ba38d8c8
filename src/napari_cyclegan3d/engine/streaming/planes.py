"""Where planes wait between two layers.

Planes are stored channels last, (z, y, x, channel), and numbered from the first of the
stream, however many have passed. A reader gets views, never copies.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Plane = tuple[int, int]


@dataclass(frozen=True)
class Padding:
    """What surrounds an activation, as its most demanding reader wants it.

    Attributes:
        planes: Planes before the first and after the last one.
        rim: Voxels around each plane: (y, x).
        reflect: Mirrored, otherwise zero. Zeros around a plane are left to the
            convolution, which needs no memory for them.
    """

    planes: int = 0
    rim: Plane = (0, 0)
    reflect: bool = False


class Store(Protocol):
    """Planes that have been made and are still needed."""

    def room(self, count: int) -> Tensor:
        """Where the next planes are to be written."""

    def fill(self, count: int) -> None:
        """The last planes have been written."""

    def pieces(self, start: int, stop: int) -> list[Tensor]:
        """Planes start to stop, in one or several pieces."""

    def drop(self, keep: int) -> None:
        """No plane before `keep` will be asked for again."""


class Window(Store):
    """A buffer that moves along the stream, for readers that look at neighbours.

    Args:
        shape: y, x, channels.
        capacity: Planes that fit; it grows if they turn out not to.
        padding: What surrounds the activation.
        like: Gives number format and device.
    """

    def __init__(
        self, shape: tuple[int, int, int], capacity: int, padding: Padding, like: Tensor
    ) -> None:
        height, width, channels = shape
        self._rim = padding.rim if padding.reflect else (0, 0)
        self._padding = padding
        wide = (height + 2 * self._rim[0], width + 2 * self._rim[1], channels)
        self._data = like.new_empty((capacity, *wide))
        self._low, self._high = -padding.planes, 0  # planes that lie in the buffer
        self._end = 0  # real planes so far
        self._keep = self._low
        self._mirrored = not padding.reflect

        if not padding.reflect:
            self._data[: padding.planes].zero_()

    def room(self, count: int) -> Tensor:
        """A view without the rim, for `count` planes that follow the last ones."""
        self._make_room(count)
        start = self._high - self._low
        self._high += count
        self._end = self._high
        return self._inner(self._data[start : start + count])

    def fill(self, count: int) -> None:
        """Mirror the borders of the last planes, which have been written."""
        if self._rim == (0, 0):
            return
        stop = self._high - self._low
        wide = self._data[stop - count : stop]
        for axis, rim in ((2, self._rim[1]), (1, self._rim[0])):
            _mirror(wide, axis, rim)

    def pieces(self, start: int, stop: int) -> list[Tensor]:
        """Planes start to stop without their rim, as one view."""
        return [self._inner(self.view(start, stop))]

    def view(self, start: int, stop: int, rim: Plane | None = None) -> Tensor:
        """Planes start to stop with their rim; beyond both ends they are padding."""
        if start < 0 and not self._mirrored:
            for i in range(1, self._padding.planes + 1):
                self._data[-i - self._low].copy_(self._data[i - self._low])
            self._mirrored = True
        if stop > self._high:
            self._extend(stop)
        planes = self._data[start - self._low : stop - self._low]
        if rim is None or rim == self._rim:
            return planes
        y, x = self._rim[0] - rim[0], self._rim[1] - rim[1]
        return planes[:, y : planes.shape[1] - y, x : planes.shape[2] - x]

    @property
    def last(self) -> int:
        """The last real plane so far."""
        return self._end - 1

    def drop(self, keep: int) -> None:
        """Take note: room is made when it is needed."""
        self._keep = keep

    def _inner(self, planes: Tensor) -> Tensor:
        y, x = self._rim
        return planes[:, y : planes.shape[1] - y, x : planes.shape[2] - x]

    def _extend(self, stop: int) -> None:
        """Padding planes after the last real one, up to `stop`."""
        self._make_room(stop - self._high)
        for plane in range(self._high, stop):
            target = self._data[plane - self._low]
            if self._padding.reflect:
                target.copy_(self._data[2 * (self._end - 1) - plane - self._low])
            else:
                target.zero_()
        self._high = stop

    def _make_room(self, count: int) -> None:
        if self._high - self._low + count <= len(self._data):
            return
        keep = max(self._keep, self._low)
        kept = self._data[keep - self._low : self._high - self._low]
        if len(kept) + count > len(self._data):
            self._data = self._data.new_empty(
                (len(kept) + count, *self._data.shape[1:])
            )
            self._data[: len(kept)].copy_(kept)
        else:
            _move_down(self._data, keep - self._low, len(kept))
        self._low = keep


class Queue(Store):
    """Pieces in the order in which they came, for readers that look at no neighbour.

    Their memory is used again and again: what lives long and what lives short would
    otherwise leave holes between each other.

    Args:
        shape: y, x, channels.
        longest: Planes that come at once, at most.
        like: Gives number format and device.
    """

    def __init__(self, shape: tuple[int, int, int], longest: int, like: Tensor) -> None:
        self._shape, self._like = (longest, *shape), like
        self._pieces: deque[tuple[int, int, Tensor]] = deque()  # from, to, memory
        self._free: list[Tensor] = []
        self._end = 0

    def room(self, count: int) -> Tensor:
        """A piece for the next planes."""
        memory = self._free.pop() if self._free else self._like.new_empty(self._shape)
        self._pieces.append((self._end, self._end + count, memory))
        self._end += count
        return memory[:count]

    def fill(self, count: int) -> None:
        """Nothing is to be done around them."""

    def pieces(self, start: int, stop: int) -> list[Tensor]:
        """Planes start to stop, cut where they came in pieces."""
        found = []
        for first, last, memory in self._pieces:
            low, high = max(start, first), min(stop, last)
            if low < high:
                found.append(memory[low - first : high - first])
        return found

    def drop(self, keep: int) -> None:
        """Use the memory of pieces that end before `keep` for others."""
        while self._pieces and self._pieces[0][1] <= keep:
            self._free.append(self._pieces.popleft()[2])


def _mirror(wide: Tensor, axis: int, rim: int) -> None:
    """Fill the rim of an axis from what lies inside it, without repeating the edge."""
    size = wide.shape[axis]
    for i in range(rim):
        wide.select(axis, i).copy_(wide.select(axis, 2 * rim - i))
        wide.select(axis, size - 1 - i).copy_(wide.select(axis, size - 1 - 2 * rim + i))


def _move_down(data: Tensor, start: int, count: int) -> None:
    """Move planes to the beginning, in steps that do not overlap themselves."""
    for done in range(0, count, start):
        step = min(start, count - done)
        data[done : done + step].copy_(data[start + done : start + done + step])


def channels_first(planes: Tensor) -> Tensor:
    """(z, y, x, c) → (1, c, z, y, x), recognised as channels last without a copy."""
    return planes[None].permute(0, 4, 1, 2, 3)


def channels_last(image: Tensor) -> Tensor:
    """(1, c, z, y, x) → (z, y, x, c); copies only what was not stored like that."""
    return image[0].permute(1, 2, 3, 0).contiguous()


def join(pieces: list[Tensor]) -> Tensor:
    """One tensor of pieces; the piece itself where there is only one."""
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)
