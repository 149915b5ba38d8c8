"""How far a generator sees."""

from fractions import Fraction

import torch
from torch import nn

from napari_cyclegan3d.engine.networks.generator import Generator

NARROW = 2


def measure_halo(generator: Generator) -> tuple[int, int]:
    """Voxels before and after a stride-aligned core on which its output depends.

    Measured, not derived: with all weights positive and pooling by mean, the gradient
    of one core's output is positive exactly where the input can matter. The extents
    are rounded up to multiples of the stride, and hold for each axis. Normalisation,
    which depends on the whole tile or on no neighbour at all, is left out.
    """
    probe = _probe(generator)
    stride, margin = probe.stride, 4
    before = after = margin * stride
    while before == margin * stride or after == margin * stride:  # no rim of zeros
        margin *= 2
        before, after = _extent(probe, margin)
    return (-(-before // stride) * stride, -(-after // stride) * stride)


def _probe(generator: Generator) -> Generator:
    """The same network along one axis and few channels wide: kernels are cubes."""
    config = generator.config
    narrow = config.model_copy(
        update={
            "filters": NARROW,
            "encoder": (NARROW,) * len(config.encoder),
            "decoder": (NARROW,) * len(config.decoder),
            "norm": "none",
            "output": "linear",
        }
    )
    with torch.device("meta"):  # draws no random numbers
        probe = Generator(generator.scale, narrow, noise=False, dims=1)
    probe.to_empty(device="cpu").double()
    for parameter in probe.parameters():
        # small enough for sums over kernels to stay far from overflow
        nn.init.constant_(parameter, 0.01)
    for name, module in list(probe.body.named_children()):
        if isinstance(module, nn.MaxPool1d):
            setattr(probe.body, name, nn.AvgPool1d(2))
    return probe


def _extent(probe: Generator, margin: int) -> tuple[int, int]:
    """Voxels touched on both sides of a core with `margin` strides on each."""
    stride, scale = probe.stride, Fraction(probe.scale)
    size = (2 * margin + 1) * stride
    image = torch.ones((1, 1, size), dtype=torch.float64, requires_grad=True)
    core = slice(int(margin * stride * scale), int((margin + 1) * stride * scale))
    (gradient,) = torch.autograd.grad(probe(image)[..., core].sum(), image)
    touched = gradient[0, 0].nonzero()
    before = margin * stride - int(touched.min())
    return before, int(touched.max()) - ((margin + 1) * stride - 1)
