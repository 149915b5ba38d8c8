"""Streams: a network that gets planes and gives planes.

Every layer keeps only the planes that it still reads, so that nothing is computed twice
and memory does not depend on the length of the stream. The idea is that of fused-layer
accelerators (Alwani et al. 2016) and StreamingCNN (Pinckaers et al. 2022,
arXiv:1911.04432), along one axis.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from napari_cyclegan3d.engine.networks.generator import Generator
from napari_cyclegan3d.engine.streaming.flow import Work
from napari_cyclegan3d.engine.streaming.layout import (
    Forecast,
    Layout,
    lay_out,
    paddings,
    rehearse,
)
from napari_cyclegan3d.engine.streaming.planes import Plane, Queue, Store, Window
from napari_cyclegan3d.engine.streaming.reading import CannotStream, read_steps
from napari_cyclegan3d.engine.streaming.steps import Plus, Step

# measured on Linux with glibc as it comes: holes in the heap, and what libraries keep;
# with `tune_allocator` the holes can be larger than this
SLACK = 1.08
BASE = {2: 64 << 20, 4: 144 << 20}  # by bytes per number


def trace(network: Generator) -> "Program | None":
    """The network as a program that streams.

    Its weights are taken as they are now. None: it is 2D, or holds something that does
    not work plane by plane, such as instance norm.
    """
    try:
        steps = read_steps(network, network.inputs)
        paddings(steps)
    except CannotStream:
        return None
    return Program(steps, network.inputs, network.stride)


class Program:
    """A 3D network that streams along z; made by `trace`."""

    def __init__(self, steps: Sequence[Step], inputs: int, stride: int) -> None:
        self._steps, self._inputs, self._stride = steps, inputs, stride
        self._ready: dict[tuple[torch.dtype, torch.device], list[Step]] = {}
        self._forecast = lru_cache(maxsize=64)(self._rehearse)

    @torch.no_grad()
    def run(self, planes: Iterable[Tensor], dtype: torch.dtype) -> Iterator[Tensor]:
        """The network's result for all planes, exactly as if they came at once.

        Args:
            planes: (1, inputs, k, y, x) in float32, in order of z, each k as it comes:
                they are regrouped to pieces of the length of the first. y, x and the
                sum of k are multiples of the network's stride.
            dtype: Number format of weights and activations.

        Yields:
            (1, channels, k', y·scale, x·scale) in float32, in order of z.
        """
        stream: _Stream | None = None
        for piece in planes:
            if stream is None:
                stream = self._start(piece, dtype)
            yield from stream.take(piece)
        if stream is not None:
            yield from stream.end()

    def bytes(self, plane: Plane, chunk: int, dtype: torch.dtype) -> int:
        """Most memory that `run` takes for planes of (y, x), `chunk` at a time.

        All tensors that are alive at once, weights and pieces that come and go with
        them, and what an allocator and libraries were seen to add.
        """
        layout, forecast = self._forecast(plane, chunk)
        numbers = forecast.numbers + sum(
            parameter.numel() for step in self._steps for parameter in step.parameters
        )
        # what comes and goes is float32
        size = dtype.itemsize
        outside = chunk * layout.voxels(0) + forecast.result
        return int(SLACK * (numbers * size + 4 * outside)) + BASE[size]

    def chunk(self, plane: Plane, dtype: torch.dtype, memory: int) -> int:
        """A good number of planes to hand over at once; 0: one is too much memory.

        Args:
            plane: y, x of the input.
            dtype: Number format of weights and activations.
            memory: Bytes that `run` may take.
        """
        # a deep layer needs enough voxels to be worth a call: 8 planes of 192 x 192 did
        best = max(8, self._stride, -(-(8 * 192**2) // (plane[0] * plane[1])))
        best = min(best, 64)
        while best and self.bytes(plane, best, dtype) > memory:
            best //= 2
        return best

    def _start(self, piece: Tensor, dtype: torch.dtype) -> "_Stream":
        key = (dtype, piece.device)
        if key not in self._ready:
            self._ready[key] = [step.to(dtype, piece.device) for step in self._steps]
        plane = (piece.shape[3], piece.shape[4])
        layout, forecast = self._forecast(plane, piece.shape[2])
        like = torch.empty((), dtype=dtype, device=piece.device)
        return _Stream(self._ready[key], layout, forecast, like)

    def _rehearse(self, plane: Plane, chunk: int) -> tuple[Layout, Forecast]:
        layout = lay_out(self._steps, self._inputs, plane, chunk)
        return layout, rehearse(layout, self._stride)


class _Stream:
    """One run: how far it is, and the planes that wait."""

    def __init__(
        self, steps: Sequence[Step], layout: Layout, forecast: Forecast, like: Tensor
    ) -> None:
        self._steps, self._layout, self._flow = steps, layout, layout.flow()
        self._stores: list[Store] = [
            Queue(shape, longest, like)
            if padding is None
            else Window(shape, capacity, padding, like)
            for shape, capacity, padding, longest in zip(
                layout.shapes,
                forecast.capacities,
                layout.paddings,
                (layout.chunk, *layout.limits),
                strict=True,
            )
        ]
        self._pending = 0

    def take(self, piece: Tensor) -> Iterator[Tensor]:
        """More planes of the input, and what can be made with them."""
        planes, chunk = piece[0].permute(1, 2, 3, 0), self._layout.chunk
        while len(planes):
            part = planes[: chunk - self._pending]
            planes = planes[len(part) :]
            self._store(part)
            self._pending += len(part)
            if self._pending == chunk:
                self._pending = 0
                yield from self._work()

    def end(self) -> Iterator[Tensor]:
        """What remains when all planes have come."""
        self._flow.close()
        yield from self._work()

    def _work(self) -> Iterator[Tensor]:
        while (work := self._flow.next()) is not None:
            result = self._do(work)
            if work[0] == len(self._steps) - 1:
                yield result.permute(3, 0, 1, 2)[None].float().contiguous()

    def _do(self, work: Work) -> Tensor:
        index, start, stop = work
        step = self._steps[index]
        sources = [self._stores[value] for value in step.sources]
        planes = step.operation.compute(sources, start, stop)
        if index == len(self._steps) - 1:
            planes = self._finish(step, planes, work, None)
        else:
            store = self._stores[index + 1]
            self._finish(step, planes, work, store.room(stop - start))
            store.fill(stop - start)
        self._flow.done(work)
        for value in (*step.sources, *step.added):
            self._stores[value].drop(self._layout.keep(self._flow, value))
        return planes

    def _store(self, planes: Tensor) -> None:
        """Planes of the input that follow the last ones."""
        self._stores[0].room(len(planes)).copy_(planes)
        self._stores[0].fill(len(planes))
        self._flow.push(len(planes))

    def _finish(
        self, step: Step, planes: Tensor, work: Work, target: Tensor | None
    ) -> Tensor:
        """Do what follows an operation, lastly into the target."""
        _, start, stop = work
        for i, part in enumerate(step.finish, start=1):
            out = target if i == len(step.finish) else None
            if isinstance(part, Plus):
                pieces = self._stores[part.value].pieces(start, stop)
                planes = _add(planes, pieces, planes if out is None else out)
            else:
                planes = part(planes, out)
        if target is not None and not step.finish:
            target.copy_(planes)
        return planes if target is None else target


def _add(planes: Tensor, pieces: list[Tensor], out: Tensor) -> Tensor:
    """Add what lies in pieces."""
    start = 0
    for piece in pieces:
        stop = start + len(piece)
        torch.add(planes[start:stop], piece, out=out[start:stop])
        start = stop
    return out
