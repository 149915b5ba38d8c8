"""How much of every activation is stored, and in what: sizes, without a tensor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from napari_cyclegan3d.engine.streaming.flow import Flow, Work
from napari_cyclegan3d.engine.streaming.planes import Padding, Plane
from napari_cyclegan3d.engine.streaming.reading import CannotStream
from napari_cyclegan3d.engine.streaming.steps import Step

REHEARSAL = 4  # chunks that leave the network in a rehearsal, beyond one stride


def paddings(steps: Sequence[Step]) -> list[Padding | None]:
    """What surrounds each value; None for one that no reader looks around in.

    Raises:
        CannotStream: Readers of one value want zeros and a mirror around it.
    """
    found: list[Padding | None] = [Padding()] + [None] * len(steps)
    for step in steps:
        if step.operation.looks_around:
            for value in step.sources:
                found[value] = _both(found[value] or Padding(), step.operation.padding)
    return found


def _both(one: Padding, other: Padding) -> Padding:
    if one.planes and other.planes and one.reflect != other.reflect:
        raise CannotStream("two paddings of one activation")
    return Padding(
        max(one.planes, other.planes),
        (max(one.rim[0], other.rim[0]), max(one.rim[1], other.rim[1])),
        one.reflect or other.reflect,
    )


@dataclass(frozen=True)
class Layout:
    """Storage for planes of one size that come in chunks of one length.

    Attributes:
        shapes: y, x, channels of each value, without padding.
        paddings: What surrounds each value; None: it waits in pieces.
        limits: Planes that each step makes at once.
    """

    steps: Sequence[Step]
    shapes: list[tuple[int, int, int]]
    paddings: list[Padding | None]
    limits: list[int]
    chunk: int

    def flow(self) -> Flow:
        """A new stream."""
        return Flow(self.steps, self.limits)

    def keep(self, flow: Flow, value: int) -> int:
        """The first plane of a value still needed, if only as a mirror image."""
        padding = self.paddings[value]
        keep = flow.keep(value)
        if padding is None or not padding.reflect:
            return keep
        return min(keep, max(0, flow.planes[value] - 1 - padding.planes))

    def voxels(self, value: int) -> int:
        """Numbers in a stored plane."""
        height, width, channels = self.shapes[value]
        padding = self.paddings[value]
        if padding is not None and padding.reflect:
            height, width = height + 2 * padding.rim[0], width + 2 * padding.rim[1]
        return height * width * channels

    def work(self, index: int, planes: int) -> int:
        """Numbers in the results of a step before they are stored."""
        step = self.steps[index]
        height, width, channels = self.shapes[index + 1]
        made = step.widest * step.operation.copies
        if step.channels != step.widest:
            made += channels
        return planes * height * width * made


def lay_out(steps: Sequence[Step], inputs: int, plane: Plane, chunk: int) -> Layout:
    """Sizes for planes of (y, x) that come `chunk` at a time."""
    shapes = [(*plane, inputs)]
    for step in steps:
        height, width, _ = shapes[step.sources[0]]
        shapes.append((*step.operation.shape(height, width), step.channels))
    area = plane[0] * plane[1]
    limits = [_limit(chunk, area, height * width) for height, width, _ in shapes[1:]]
    return Layout(steps, shapes, paddings(steps), limits, chunk)


def _limit(chunk: int, area: int, enlarged: int) -> int:
    """Fewer planes at once where they are larger, but 2: a window moves less often."""
    return max(min(2, chunk), min(chunk, 2 * chunk * area // enlarged))


@dataclass(frozen=True)
class Forecast:
    """What a stream will hold.

    Attributes:
        capacities: Most planes of each value that are stored at once.
        numbers: Most numbers that are held at once, stored and in work.
        result: Numbers in the largest piece of the result.
    """

    capacities: list[int]
    numbers: int
    result: int


def rehearse(layout: Layout, stride: int) -> Forecast:
    """Go through a stream without tensors, long enough for its rhythm to settle."""
    capacities = _Capacities(layout)
    work, result = 0, 0
    for index, start, stop in capacities.course(stride):
        work = max(work, layout.work(index, stop - start))
        if index == len(layout.steps) - 1:
            result = max(result, (stop - start) * layout.voxels(index + 1))
    stored = sum(
        planes * layout.voxels(value) for value, planes in enumerate(capacities.most)
    )
    return Forecast(capacities.most, stored + work, result)


class _Capacities:
    """Counts the planes that are stored while a stream passes."""

    def __init__(self, layout: Layout) -> None:
        self._layout, self._flow = layout, layout.flow()
        self._pieces: list[list[int]] = [[] for _ in layout.shapes]  # where they end
        self.most = [0] * len(layout.shapes)

    def course(self, stride: int) -> Iterator[Work]:
        """All work of a stream, whose end comes when its rhythm has settled."""
        flow, chunk, chunks = self._flow, self._layout.chunk, 0
        while chunks < REHEARSAL + stride:
            self._window(0, flow.planes[0] + chunk)
            flow.push(chunk)
            yield from self._work()
            chunks += flow.planes[-1] > 0
        flow.close()
        yield from self._work()

    def _work(self) -> Iterator[Work]:
        last = len(self._layout.steps)
        while (work := self._flow.next()) is not None:
            yield work
            index, _, stop = work
            step, result = self._layout.steps[index], index + 1
            for value in step.sources:
                self._padded(value)
            if self._layout.paddings[result] is not None:
                self._window(result, stop)
            elif result != last:
                self._piece(result, stop)
            self._flow.done(work)
            for value in (*step.sources, *step.added):
                keep = self._layout.keep(self._flow, value)
                self._pieces[value] = [end for end in self._pieces[value] if end > keep]

    def _piece(self, value: int, stop: int) -> None:
        self._pieces[value].append(stop)
        planes = len(self._pieces[value]) * self._layout.limits[value - 1]
        self.most[value] = max(self.most[value], planes)

    def _window(self, value: int, stop: int) -> None:
        held = stop - self._layout.keep(self._flow, value)
        self.most[value] = max(self.most[value], held)

    def _padded(self, value: int) -> None:
        """Planes of padding follow when a value is complete."""
        padding = self._layout.paddings[value]
        if padding is not None and self._flow.ended(value):
            self._window(value, self._flow.planes[value] + padding.planes)
