"""From a volume to what a network takes, ahead of the network's work."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.networks import Generator
from napari_cyclegan3d.engine.tiling import Pad, Span, read_reflected
from napari_cyclegan3d.engine.volume import Volume

T = TypeVar("T")
Spans = tuple[Span, Span, Span]


@dataclass(eq=False)
class Reader:
    """Reads parts of a volume as a generator takes them.

    Attributes:
        volume: The input; for a 2D generator with the slices first.
        intensity: From its grey values to numbers around zero.
        network: The generator.
        device: Where the generator is.
        pad: What lies beyond the borders of the volume.
    """

    volume: Volume
    intensity: Intensity
    network: Generator
    device: torch.device
    pad: Pad = "reflect"

    def image(self, spans: Spans) -> tuple[Tensor, NDArray[np.bool_] | None]:
        """The network's input, and which voxels of its output have no value.

        Returns:
            float32, (1, inputs, z, y, x), or (slices, inputs, y, x) in 2D; and a mask
            (z, y, x) of the output, None if all voxels are finite numbers.
        """
        grey = read_reflected(self.volume, spans, self.pad)
        finite = np.isfinite(grey)
        missing = None
        if not finite.all():
            missing = _resized(~finite, Fraction(self.network.scale))
        image = torch.from_numpy(self.intensity.apply(grey))
        # a 2D network takes the slices as a batch
        image = image[None, None] if self.network.dims == 3 else image[:, None]
        if self.network.inputs > 1:  # without noise: no tile differs from another
            noise = torch.zeros_like(image)
            image = torch.cat([image, *[noise] * (self.network.inputs - 1)], 1)
        return (image.pin_memory() if self.device.type == "cuda" else image), missing

    def planes(self, parts: Iterable[Spans], holes: "Holes") -> Iterator[Tensor]:
        """Consecutive parts along z, each read while the one before is at work.

        Args:
            parts: Where to read.
            holes: Gets the voxels without a value.

        Yields:
            The network's input on the device, (1, inputs, z, y, x).
        """
        images = (self.image(part) for part in parts)
        for image, missing in _ahead(images):
            holes.add(image.shape[2], missing)
            yield image.to(self.device, non_blocking=True)


@dataclass
class Holes:
    """Voxels without a value, from when they are read until they are written.

    Attributes:
        scale: Planes of the output for one of the input.
        read: Planes of the output for what is read so far.
        written: Planes of the output that have passed.
    """

    scale: Fraction
    read: int = 0
    written: int = 0
    masks: deque[tuple[int, NDArray[np.bool_]]] = field(default_factory=deque)

    def add(self, planes: int, missing: NDArray[np.bool_] | None) -> None:
        """The next planes of the input; a mask of their output, if there are holes."""
        if missing is not None:
            self.masks.append((self.read, missing))
        self.read += int(planes * self.scale)

    def fill(self, planes: NDArray[np.float32]) -> None:
        """NaN where the next planes of the output (z, y, x) have no value."""
        start, stop = self.written, self.written + len(planes)
        self.written = stop
        while self.masks and self.masks[0][0] + len(self.masks[0][1]) <= start:
            self.masks.popleft()
        for first, mask in self.masks:
            low, high = max(first, start), min(first + len(mask), stop)
            if low < high:
                planes[low - start : high - start][mask[low - first : high - first]] = (
                    np.nan
                )


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, each made by another thread while the one before is in use."""
    nothing = object()
    with ThreadPoolExecutor(1, "reader") as reader:
        coming = reader.submit(next, items, nothing)
        while (item := coming.result()) is not nothing:
            coming = reader.submit(next, items, nothing)
            yield item  # type: ignore[misc]


def _resized(mask: NDArray[np.bool_], scale: Fraction) -> NDArray[np.bool_]:
    if scale >= 1:
        factor = int(scale)
        return mask.repeat(factor, 0).repeat(factor, 1).repeat(factor, 2)
    step = scale.denominator
    z, y, x = (n // step for n in mask.shape)
    blocks = mask.reshape(z, step, y, step, x, step)
    return np.asarray(blocks.any(axis=(1, 3, 5)))
