"""One generator at work: from what is read of a volume to grey values of the result."""

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cyclegan3d.engine.intensity import Intensity
from napari_cyclegan3d.engine.reading import Holes, Reader, Spans
from napari_cyclegan3d.engine.streaming import Program


@dataclass(frozen=True, eq=False)
class Work:
    """A generator, its input and its number format.

    Attributes:
        reader: Reads the volume, for the generator.
        program: The generator as a stream of planes, if it can be.
        dtype: Number format of its weights and of the work.
        intensity: To the grey values of the result.
    """

    reader: Reader
    program: Program | None
    dtype: torch.dtype
    intensity: Intensity

    def tile(self, spans: Spans) -> NDArray[np.float32]:
        """All of the network's output for what is read there (z, y, x)."""
        image, missing = self.reader.image(spans)
        with torch.inference_mode(), self._arithmetic():
            out = self.reader.network(image.to(self.reader.device, self.dtype))
        result = self._grey(out)
        if missing is not None:
            result[missing] = np.nan
        return result

    def planes(self, spans: Spans, count: int) -> Iterator[NDArray[np.float32]]:
        """The same, some planes at a time, from a stream.

        Args:
            spans: What to read along z, y and x.
            count: How many planes are read at a time.
        """
        assert self.program is not None
        (start, stop), y, x = spans
        edges = [*range(start, stop, count), stop]
        parts = ((part, y, x) for part in itertools.pairwise(edges))
        holes = Holes(Fraction(self.reader.network.scale))
        stream = self.program.run(self.reader.planes(parts, holes), self.dtype)
        while True:
            with torch.inference_mode(), self._arithmetic():
                out = next(stream, None)
            if out is None:
                return
            planes = self._grey(out)
            holes.fill(planes)
            yield planes

    def _grey(self, out: Tensor) -> NDArray[np.float32]:
        planes = out[0, 0] if self.reader.network.dims == 3 else out[:, 0]
        return self.intensity.invert(planes.float().cpu().numpy())

    def _arithmetic(self) -> AbstractContextManager[object]:
        """On CUDA, fp32 means fp32: by default convolutions round to 10 bits."""
        if self.reader.device.type != "cuda":
            return nullcontext()
        return torch.backends.cudnn.flags(
            enabled=True, benchmark=True, allow_tf32=self.dtype != torch.float32
        )
