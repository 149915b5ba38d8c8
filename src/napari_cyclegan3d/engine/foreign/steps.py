"""Grey values before and after a graph."""

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.foreign.description import ForeignGraph, Step
from napari_cyclegan3d.engine.intensity import Intensity, check_contrast, fit_intensity
from napari_cyclegan3d.engine.sections.patches import IntensityConfig
from napari_cyclegan3d.engine.volume import Volume

OF_THE_VOLUME = ("moments", "range")


def parted(steps: Sequence[Step]) -> tuple[Sequence[Step], Step | None, Sequence[Step]]:
    """The linear steps at the begin, the one that looks at the volume, and the rest.

    Raises:
        InputError: A step looks at the volume after one that is not linear.
    """
    count = 0
    while count < len(steps) and steps[count].kind == "linear":
        count += 1
    first, rest = steps[:count], steps[count:]
    fitted = rest[0] if rest and rest[0].kind in OF_THE_VOLUME else None
    rest = rest[1:] if fitted else rest
    if any(step.kind in OF_THE_VOLUME for step in rest):
        raise InputError(
            "grey values are measured on the whole volume after they have been changed "
            "by more than a gain and an offset; such models cannot be used here"
        )
    return first, fitted, rest


def check_steps(foreign: ForeignGraph) -> None:
    """Refuse steps after the graph that look at the whole result.

    Raises:
        InputError: There is such a step.
    """
    if any(step.kind in OF_THE_VOLUME for step in foreign.after):
        raise InputError(
            "its results are changed by what is measured on the whole of them, which "
            "is not known while they are written; such models cannot be used here"
        )


def fit_foreign(graph: ForeignGraph, volume: Volume) -> Intensity:
    """The first steps before a graph as one transform, fitted to a volume.

    Raises:
        InputError: The volume shows nothing, or the steps make the same of all values.
    """
    first, fitted, _ = parted(graph.before)
    gain, offset = 1.0, 0.0
    for step in first:
        gain, offset = gain * step.gain, offset * step.gain + step.offset
    if gain == 0:
        raise InputError(f"{graph.title}: a gain of 0 makes all grey values the same")
    if fitted is None:
        check_contrast(volume)
        return Intensity(offset=-offset / gain, gain=1 / gain)
    middle, width = _measured(fitted, volume)
    # what is added to the divisor is in units of the changed grey values
    return Intensity(offset=middle, gain=width + fitted.epsilon / gain)


def _measured(step: Step, volume: Volume) -> tuple[float, float]:
    """What becomes 0, and what becomes 1 above that, in grey values."""
    if step.kind == "moments":
        found = fit_intensity([volume], IntensityConfig(method="zscore"))
        return found.offset, found.gain
    low, high = step.low or 0.0, 100.0 if step.high is None else step.high
    method = IntensityConfig(method="percentile", percentiles=(low, high))
    if (low, high) == (0, 100):
        method = IntensityConfig(method="minmax")
    found = fit_intensity([volume], method)
    return found.offset - found.gain, 2 * found.gain


def changed(image: Tensor, steps: Sequence[Step]) -> Tensor:
    """An image after steps that need not look at a volume."""
    for step in steps:
        if step.kind == "linear":
            image = image * step.gain + step.offset
        elif step.kind == "clip":
            image = torch.clamp(image, step.low, step.high)
        elif step.kind == "sigmoid":
            image = torch.sigmoid(image)
    return image
