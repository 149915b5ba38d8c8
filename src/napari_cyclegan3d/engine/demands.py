"""What a generator, of this package or imported, asks of a volume and a device."""

from fractions import Fraction

import torch

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig
from napari_cyclegan3d.engine.devices import choose_device
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.foreign import ForeignGenerator, fit_foreign
from napari_cyclegan3d.engine.intensity import (
    Intensity,
    check_contrast,
    fit_intensity,
)
from napari_cyclegan3d.engine.networks import Generator, measure_halo
from napari_cyclegan3d.engine.tiling import Pad, Reach, output_shape
from napari_cyclegan3d.engine.volume import Volume

SMALLEST_SIDE = 2


def device_for(network: Generator, name: str) -> tuple[torch.device, str]:
    """Where a network computes, and why there."""
    if isinstance(network, ForeignGenerator) and network.foreign.form == "onnx":
        choose_device(name)  # refuses what there is not
        return torch.device("cpu"), "cpu (graphs in ONNX run there)"
    return choose_device(name)


def pad_of(network: Generator) -> Pad:
    """What lies beyond the borders of a volume."""
    if isinstance(network, ForeignGenerator):
        return network.foreign.pad
    return "reflect"


def reach_of(network: Generator) -> tuple[Reach, Reach, Reach]:
    """How a network sees along z, y and x."""
    if isinstance(network, ForeignGenerator):
        found = [
            Reach(
                side.stride,
                (side.halo, side.halo),
                side.least,
                not side.step,
                side.rim if side.step else 0,
            )
            for side in network.foreign.sides
        ]
        z = found[0] if network.dims == 3 else Reach(1, (0, 0))
        return z, found[-2], found[-1]
    seen = Reach(network.stride, measure_halo(network))
    return (seen if network.dims == 3 else Reach(1, (0, 0))), seen, seen


def intensities_of(
    volume: Volume, model: Model, config: EnhanceConfig
) -> tuple[Intensity, Intensity]:
    """The transforms of the input and of the output."""
    header = model.header
    if header.foreign is not None:
        return fit_foreign(header.foreign, volume), Intensity(offset=0, gain=1)
    fits = header.intensity_a, header.intensity_b
    fit_in, fit_out = fits if config.direction == "a_to_b" else fits[::-1]
    if header.config.intensity.scope != "volume":
        check_contrast(volume)
        return fit_in, fit_out
    fit_in = fit_intensity([volume], header.config.intensity)
    # srgan: the same scan, only finer
    return fit_in, fit_in if header.config.method == "srgan" else fit_out


def check_size(volume: Volume, network: Generator, scale: Fraction) -> None:
    """Refuse a volume that is too small for a network.

    Raises:
        InputError: It is.
    """
    shape = volume.shape
    if min(shape[3 - network.dims :]) < SMALLEST_SIDE:
        kind = "a single slice" if network.dims == 3 else "a single line"
        raise InputError(
            f"{volume.name}: shape {shape} is {kind}; the model is {network.dims}D and "
            f"needs at least {SMALLEST_SIDE} voxels along each axis that it sees"
        )
    if min(output_shape(shape, scale)) < 1:
        raise InputError(
            f"{volume.name}: shape {shape} is too small to be reduced by {1 / scale}"
        )
