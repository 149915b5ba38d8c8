"""The bias field of MRI: N4 of SimpleITK (extra `mri`)."""

import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.extras import needed
from napari_cyclegan3d.engine.volume import Volume
from napari_cyclegan3d.prepare.arrays import Computed, Mask
from napari_cyclegan3d.prepare.events import Applied, Event, Working
from napari_cyclegan3d.prepare.grids import on_grid
from napari_cyclegan3d.prepare.levels import otsu
from napari_cyclegan3d.prepare.options import N4Settings

# a shrunk axis keeps so many voxels at least: the coarsest mesh spans four
SHORTEST = 8
PAUSE = 0.2
FINDING = "finding the bias field of {}"
FLOAT = np.dtype(np.float32)

Floats = NDArray[np.float32]


class _Stopped(Exception):
    pass


def n4(volume: Volume, settings: N4Settings, mask: Volume | None) -> Applied:
    """The volume divided by its bias field, or the field.

    The field is found in a mask, by default what is brighter than Otsu's threshold, on
    fewer voxels; it is smooth, and holds for all.

    Raises:
        InputError: SimpleITK is not installed, or no voxel is above 0 in the mask.
    """
    sitk = needed("SimpleITK", "mri", "N4")
    yield Working(0, f"reading {volume.name}")
    voxels = volume.read().astype(np.float32)
    good = np.isfinite(voxels) & (voxels > 0)
    if good.any():
        good &= _inside(volume, voxels, good, mask)
    if not good.any():
        raise InputError(
            f"{volume.name}: no voxel in the mask is above 0, and N4 works on their "
            "logarithms; add an offset, or choose another mask"
        )
    voxels[~np.isfinite(voxels)] = 0
    field = yield from _field(sitk, volume, voxels, good, settings)
    yield Working(1, FINDING.format(volume.name))
    if settings.result == "field":
        return replace(volume, array=field)
    corrected = Computed((volume.array, field), _divided, FLOAT)
    return replace(volume, array=corrected)


def _inside(volume: Volume, voxels: Floats, good: Mask, mask: Volume | None) -> Mask:
    if mask is not None:
        return np.asarray(on_grid(mask, volume, "nearest").read() != 0)
    values = voxels[good]
    if values.min() == values.max():
        return good
    return np.asarray(voxels > otsu(values.astype(np.float64)))


def _divided(voxels: NDArray[Any], field: Floats) -> NDArray[Any]:
    return np.asarray(voxels.astype(np.float32) / field)


def _field(
    sitk: ModuleType, volume: Volume, voxels: Floats, mask: Mask, settings: N4Settings
) -> Generator[Event, None, Floats]:
    images = [sitk.GetImageFromArray(one) for one in (voxels, mask.astype(np.uint8))]
    shrink = [
        max(1, min(settings.shrink, size // SHORTEST)) for size in volume.shape[::-1]
    ]
    for image in images:
        image.SetSpacing(volume.spacing[::-1])
    work = sitk.N4BiasFieldCorrectionImageFilter()
    work.SetMaximumNumberOfIterations([settings.iterations] * settings.levels)
    work.SetConvergenceThreshold(settings.tolerance)
    small = [sitk.Shrink(image, shrink) for image in images]
    yield from _executed(sitk, work, small, volume.name, settings)
    logarithm = sitk.GetArrayFromImage(work.GetLogBiasFieldAsImage(images[0]))
    field: Floats = np.exp(logarithm).astype(np.float32)
    return field


def _executed(
    sitk: ModuleType, work: Any, images: list[Any], name: str, settings: N4Settings
) -> Iterator[Event]:
    """Run the filter beside this generator, which can be closed meanwhile."""
    done, stopping = [0], threading.Event()
    problems: list[str] = []

    def count() -> None:
        done[0] += 1
        if stopping.is_set():
            raise _Stopped  # what the filter calls Abort ends nothing

    def execute() -> None:
        try:
            work.Execute(*images)
        except RuntimeError as error:
            problems.append(str(error).strip().splitlines()[-1])

    work.AddCommand(sitk.sitkIterationEvent, count)
    thread = threading.Thread(target=execute, daemon=True)
    thread.start()
    most = settings.iterations * settings.levels
    try:
        while thread.is_alive():
            thread.join(PAUSE)
            yield Working(min(1.0, done[0] / most), FINDING.format(name))
    finally:
        stopping.set()
        with _silent_stop():
            thread.join()
    if problems:
        raise InputError(
            f"{name}: N4 could not find a bias field ({problems[0]}); give a mask, or "
            "a smaller shrink"
        )


@contextmanager
def _silent_stop() -> Iterator[None]:
    """SimpleITK shows what its callbacks raise as errors of the program."""
    before = sys.excepthook

    def hook(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not issubclass(kind, _Stopped):
            before(kind, error, trace)

    sys.excepthook = hook
    try:
        yield
    finally:
        sys.excepthook = before
