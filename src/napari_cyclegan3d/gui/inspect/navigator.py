"""The way to a finding: slice, camera and contrast."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels

from napari_cyclegan3d.engine.hallucination.findings import Finding, OperatorFit
from napari_cyclegan3d.engine.volume import Region
from napari_cyclegan3d.gui.canvas import camera_of, canvas_of, size_of
from napari_cyclegan3d.gui.layers import finest
from napari_cyclegan3d.gui.worker import Executor, Running

if TYPE_CHECKING:
    from napari.viewer import Viewer

# share of the canvas that a finding takes: within these the user's zoom stays
SMALL, LARGE, FITTING = 0.04, 0.6, 0.4
SMALLEST = 12  # voxels; a smaller one is shown with this much of its surroundings
AROUND, MOST = 12, 64  # voxels whose grey values decide on the contrast
SHOWN = (1.0, 99.7)
Limits = tuple[float, float]


class Navigator:
    """Moves the view to findings.

    Args:
        viewer: What is moved.
    """

    def __init__(self, viewer: "Viewer") -> None:
        self._viewer = viewer

    def go(self, labels: Labels, finding: Finding) -> None:
        """Show the slice of a finding, with it in the middle."""
        dims = self._viewer.dims
        place = np.asarray(labels.data_to_world(finding.centre), dtype=float)
        first = dims.ndim - 3
        dims.set_point(range(first, dims.ndim), list(place))
        camera = camera_of(self._viewer)
        shown = [axis - first for axis in dims.displayed if axis >= first]
        centre = list(camera.center)
        centre[-len(shown) :] = [float(place[axis]) for axis in shown]
        camera.center = tuple(centre)
        zoom = self._zoom(labels, finding, shown)
        if zoom is not None:
            camera.zoom = zoom

    def is_on_slice(self, labels: Labels, finding: Finding) -> bool:
        """Whether the slice that is shown cuts the finding's box."""
        dims = self._viewer.dims
        point = labels.world_to_data(tuple(dims.point)[-3:])
        first = dims.ndim - 3
        across = [axis - first for axis in dims.not_displayed if axis >= first]
        return all(
            finding.box[axis][0] - 0.5 <= point[axis] <= finding.box[axis][1] - 0.5
            for axis in across
        )

    def _zoom(self, labels: Labels, finding: Finding, shown: list[int]) -> float | None:
        """A zoom that suits a finding; None: the present one does."""
        size = np.array([stop - start for start, stop in finding.box])
        extent = (np.maximum(size, SMALLEST) * np.abs(labels.scale[-3:]))[shown].max()
        height, width = size_of(self._viewer)
        cells = (
            2 if canvas_of(self._viewer).grid.enabled else 1
        )  # raw and enhanced beside each other
        room = max(1.0, min(height, width / cells))
        share = extent * camera_of(self._viewer).zoom / room
        return None if SMALL <= share <= LARGE else FITTING * room / extent


class LocalContrast:
    """Gives the raw and the enhanced layer the contrast of what is looked at.

    Args:
        executor: Reads the voxels.
    """

    def __init__(self, executor: Executor) -> None:
        self._running = Running(executor)
        self._next: Iterator[list[tuple[Image, Limits]]] | None = None
        self._before: dict[Image, Limits] = {}
        self._set: dict[Image, Limits] = {}

    @property
    def is_busy(self) -> bool:
        """Whether voxels are being read."""
        return self._running.is_busy

    def show(
        self,
        raw: Image | None,
        enhanced: Image | None,
        finding: Finding,
        fit: OperatorFit,
    ) -> None:
        """Set the contrast to that of a finding's surroundings, now or soon."""
        self._next = _local_limits(raw, enhanced, finding, fit)
        if not self._running.is_busy:
            self._start()

    def end(self) -> None:
        """Give the layers their contrast back, where nobody has changed it since."""
        self._next = None
        self._running.cancel()
        for layer, limits in self._before.items():
            if tuple(layer.contrast_limits) == self._set[layer]:
                layer.contrast_limits = limits
        self._before, self._set = {}, {}

    def _start(self) -> None:
        events, self._next = self._next, None
        if events is not None:
            self._running.start(events, self._apply, self._start)

    def _apply(self, found: list[tuple[Image, Limits]]) -> None:
        if self._next is not None:  # the user is at another one already
            return
        for layer, limits in found:
            low, high = layer.contrast_limits
            self._before.setdefault(layer, (float(low), float(high)))
            layer.contrast_limits = limits
            low, high = layer.contrast_limits
            self._set[layer] = (float(low), float(high))


def _local_limits(
    raw: Image | None, enhanced: Image | None, finding: Finding, fit: OperatorFit
) -> Iterator[list[tuple[Image, Limits]]]:
    """Limits of both layers; with a gain, so that equal grey values look equal."""
    found: list[tuple[Image, Limits]] = []
    limits = None
    if enhanced is not None:
        limits = _limits(finest(enhanced), _around(finding, 1))
        if limits is not None:
            found.append((enhanced, limits))
    if raw is not None:
        if fit.relation == "degraded" and limits is not None:
            ends = sorted(fit.gain * one + fit.offset for one in limits)
            own: Limits | None = (ends[0], ends[1])
        else:
            own = _limits(finest(raw), _around(finding, fit.scale))
        if own is not None and own[0] < own[1]:
            found.append((raw, own))
    yield found


def _around(finding: Finding, scale: int) -> Region:
    """A finding and its surroundings, in voxels of the enhanced or the raw volume."""
    z, y, x = (
        slice(
            max(0, max(start - AROUND, middle - MOST // 2) // scale),
            -(-min(stop + AROUND, middle + MOST // 2) // scale),
        )
        for (start, stop), middle in zip(finding.box, finding.centre, strict=True)
    )
    return z, y, x


def _limits(data: Any, region: Region) -> Limits | None:
    block = np.asarray(data[region], dtype=np.float32)
    block = block[np.isfinite(block)]
    if not block.size:
        return None
    low, high = (float(one) for one in np.percentile(block, SHOWN))
    return (low, high) if low < high else None
