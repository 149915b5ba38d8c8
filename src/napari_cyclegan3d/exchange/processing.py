"""Grey values to numbers and back, in the words of bioimage.io."""

from typing import Any

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.exchange.graph import Outgoing

# bioimage.io wants percentiles of 0 to 100, and takes lower ones for shares
LOWEST_UPPER = 1
Steps = list[dict[str, Any]]


def preprocessing(outgoing: Outgoing) -> Steps:
    """What is done to grey values before the network.

    Fixed numbers are two linear steps: the step of bioimage.io that is made for them
    adds 1e-6 to the deviation in bioimageio.core.

    Raises:
        InputError: bioimage.io has no words for it.
    """
    fit, rule = outgoing.fit_in, outgoing.rule
    if fit is not None:
        return [*_linear(1, -fit.offset), *_linear(1 / fit.gain, 0)]
    # without the batch: each volume is normalised on its own
    axes = ["channel", *outgoing.axes]
    if rule.method == "zscore":
        return [{"id": "zero_mean_unit_variance", "kwargs": {"axes": axes}}]
    low, high = (0, 100) if rule.method == "minmax" else rule.percentiles
    if high <= LOWEST_UPPER:
        raise InputError(
            f"{outgoing.model.name}: bioimage.io takes no upper percentile of {high:g};"
            " give a volume by --volume, whose numbers are written instead"
        )
    limits = {"min_percentile": low, "max_percentile": high, "axes": axes}
    return [{"id": "scale_range", "kwargs": limits}, *_linear(2, -1)]


def postprocessing(outgoing: Outgoing) -> Steps:
    """What is done to the network's result."""
    fit = outgoing.fit_out
    return [] if fit is None else _linear(fit.gain, fit.offset)


def _linear(gain: float, offset: float) -> Steps:
    """A value times gain, plus offset; no step where that changes nothing."""
    if gain == 1 and offset == 0:
        return []
    return [{"id": "scale_linear", "kwargs": {"gain": gain, "offset": offset}}]
