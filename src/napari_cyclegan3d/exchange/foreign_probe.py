"""What a graph does, found by running it: how far it sees, and what it needs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.footprint import LiveBytes
from napari_cyclegan3d.engine.foreign import ForeignGenerator, Side

# sides of the images that are tried: along the axis that is looked at, and others
LONG = {2: 512, 3: 256}
SHORT = 32
MOST_VOXELS = 2**25
# a change of less than this share of the largest is rounding
NOTHING = 1e-5
# what convolutions need beside the tensors that they read and write
WORKSPACE = 1.1
# of ONNX only the widest layer is known: so many of its like are there at once
LAYERS, FP32_BYTES = 4, 4


@dataclass(frozen=True)
class Found:
    """See `ForeignGraph`."""

    sides: tuple[Side, ...]
    sees_all: bool
    batch: bool
    bytes_per_voxel: int


@torch.inference_mode()
def probe(network: ForeignGenerator, widest: int) -> Found:
    """Run a graph on noise.

    Args:
        network: The graph, with the sizes that its authors give.
        widest: Channels of its widest layer where its memory cannot be counted; else 0.

    Raises:
        InputError: It fails on an image of the sizes that it should take.
    """
    sides, sees_all = [], False
    for axis, side in enumerate(network.foreign.sides):
        seen, is_cut = _seen(network, axis)
        stride = side.stride
        # an axis with a halo of 0 would be taken for one that is not seen
        halo = max(stride, *(-(-n // stride) * stride for n in (seen, side.halo)))
        sees_all = sees_all or is_cut
        sides.append(side.model_copy(update={"halo": halo}))
    return Found(
        tuple(sides),
        sees_all,
        _takes_several(network),
        _bytes(network) if not widest else LAYERS * FP32_BYTES * widest,
    )


def _seen(network: ForeignGenerator, axis: int) -> tuple[int, bool]:
    """How far a change is felt along an axis, and whether the image was too short."""
    image = _noise(network, axis)
    side, stride = image.shape[2 + axis], network.foreign.sides[axis].stride
    start = side // 2 // stride * stride
    other = image.clone()
    # a whole slab, so that the way along other axes does not matter
    other.narrow(2 + axis, start, min(stride, side - start)).neg_().add_(1)
    change = (network.bare(image) - network.bare(other)).abs()
    along = change.amax([n for n in range(change.ndim) if n != 2 + axis])
    felt = (along > NOTHING * along.max()).nonzero().flatten()
    if not len(felt):
        return 0, False
    first, last = int(felt[0]), int(felt[-1])
    scale = int(network.scale)
    before = start - first // scale
    after = last // scale - (start + stride - 1)
    return max(0, before, after), first == 0 or last == len(along) - 1


def _noise(network: ForeignGenerator, axis: int) -> Tensor:
    """An image that is long along one axis."""
    shape = [side.allowed(SHORT) for side in network.foreign.sides]
    shape[axis] = network.foreign.sides[axis].allowed(LONG[network.dims])
    if torch.Size(shape).numel() > MOST_VOXELS:
        raise InputError(
            f"{network.name}: takes images of no less than {tuple(shape)} voxels, "
            "which is too large to be tried"
        )
    return torch.randn((1, 1, *shape), generator=torch.Generator().manual_seed(axis))


def _takes_several(network: ForeignGenerator) -> bool:
    """Whether two slices at once give what each gives."""
    if network.dims == 3:
        return False
    image = _noise(network, 0)
    both = torch.cat([image, 1 - image])
    try:
        together = network.bare(both)
    except InputError:
        return False
    apart = torch.cat([network.bare(one) for one in both.split(1)])
    return torch.allclose(together, apart, rtol=1e-4, atol=1e-5)


def _bytes(network: ForeignGenerator) -> int:
    image = _noise(network, 0)
    with LiveBytes() as live:
        network.bare(image)
    return max(FP32_BYTES, int(WORKSPACE * live.peak / image.numel()))
