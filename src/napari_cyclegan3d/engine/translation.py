"""What is decided before the first tile, and the translation of one tile."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.devices import choose_device
from napari_cyclegan3d.engine.errors import InputError
from napari_cyclegan3d.engine.intensity import fit_intensity
from napari_cyclegan3d.engine.networks import Generator, measure_halo
from napari_cyclegan3d.engine.sections import IntensityConfig
from napari_cyclegan3d.engine.tiling import (
    Reach,
    Tile,
    TilePlan,
    output_shape,
    plan_blend,
    plan_exact,
    read_reflected,
    round_up,
)
from napari_cyclegan3d.engine.volume import Shape, Volume

PROBE_STRIDES = 4
SMALLEST_SIDE = 2


class Translation:
    """One volume, one generator and a plan of tiles.

    A 2D generator translates the slices across the first axis, each on its own.

    Args:
        volume: The input; for a 2D generator with the slices first.
        model: A trained model.
        config: Direction, tiles, memory and device.

    Attributes:
        shape: Voxels of the output (z, y, x).
        mode: "exact" or "blend".
        reason: Device, and why it was chosen.

    Raises:
        InputError: The volume or the settings do not fit the model.
    """

    def __init__(self, volume: Volume, model: Model, config: EnhanceConfig) -> None:
        header, direction = model.header, config.direction
        self.volume, self.scale = volume, model.scale(direction)
        network = model.generator(direction)
        _check(volume, network, self.scale)
        self.shape = output_shape(volume.shape, self.scale)
        self.device, self.reason = choose_device(config.device)
        # a copy would double the memory of large models; generators hold no state
        self.network = network.to(self.device).eval()
        self.fit_in, self.fit_out = (
            (header.intensity_a, header.intensity_b)
            if direction == "a_to_b"
            else (header.intensity_b, header.intensity_a)
        )
        if header.config.intensity.scope == "volume":
            self.fit_in = fit_intensity([volume], header.config.intensity)
            if header.config.method == "srgan":  # the same scan, only finer
                self.fit_out = self.fit_in
        else:  # only refuses volumes that show nothing
            fit_intensity([volume], IntensityConfig(method="minmax"))
        self.mode = config.mode
        if self.mode == "auto":
            self.mode = "blend" if self.network.tile_dependent else "exact"
        seen = Reach(self.network.stride, measure_halo(self.network))
        across = seen if self.network.dims == 3 else Reach(1, (0, 0))
        self.reach = (across, seen, seen)
        self.tile = config.tile or self._usual_tile(header.config, config)
        self.plan = self._plan(config)

    def _plan(self, config: EnhanceConfig) -> TilePlan:
        if self.mode == "blend":
            return plan_blend(self.volume.shape, self.tile, config.overlap, self.reach)
        return plan_exact(self.volume.shape, self.tile, self.reach)

    def _usual_tile(self, trained: TrainConfig, config: EnhanceConfig) -> Shape:
        largest = self._largest_tile(config.memory_gb * 1e9)
        if self.mode == "exact" or not self.network.tile_dependent:
            return largest
        # instance norm is right for as much of an image as it was trained on
        patch = trained.patch if config.direction == "a_to_b" else trained.patch_b
        return (largest[0] if trained.dims == 2 else patch[0], patch[1], patch[2])

    def _largest_tile(self, memory: float) -> Shape:
        """The largest cube whose work fits the memory, cut to the volume.

        Of a 2D network: the largest square, then as many slices as fit.
        """
        voxels = memory / _bytes_per_voxel(self.network)
        _, y, x = (
            self._side(voxels ** (1 / self.network.dims), n) for n in self.volume.shape
        )
        if self.network.dims == 3:
            return self._side(voxels ** (1 / 3), self.volume.shape[0]), y, x
        return max(1, min(self.volume.shape[0], int(voxels / (y * x)))), y, x

    def _side(self, side: float, size: int) -> int:
        """A core's side whose tile measures `side`, cut to `size`."""
        seen = self.reach[1]
        margin = sum(seen.halo) if self.mode == "exact" else 0
        core = (int(side) - margin) // seen.stride * seen.stride
        return min(max(seen.stride, core), round_up(size, seen.stride))

    def compute(self, tile: Tile) -> NDArray[np.float32]:
        """The network's output for what a tile reads, in grey values of the target."""
        grey = read_reflected(self.volume, tile)
        image = torch.from_numpy(self.fit_in.apply(grey)).to(self.device)
        # a 2D network takes the slices as a batch
        image = image[None, None] if self.network.dims == 3 else image[:, None]
        with torch.inference_mode():
            channels = self.network.inputs
            if channels > 1:  # the noise-free translation: noise depends on no tile
                zeros = torch.zeros_like(image).expand(
                    -1, channels - 1, *(-1,) * self.network.dims
                )
                image = torch.cat([image, zeros], 1)
            out: Tensor = self.network(image)
            out = out[0, 0] if self.network.dims == 3 else out[:, 0]
        result = self.fit_out.invert(out.float().cpu().numpy())
        missing = ~np.isfinite(grey)
        if missing.any():
            result[_resized_mask(missing, self.scale)] = np.nan
        return result


def _check(volume: Volume, network: Generator, scale: Fraction) -> None:
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


def _resized_mask(mask: NDArray[np.bool_], scale: Fraction) -> NDArray[np.bool_]:
    if scale >= 1:
        factor = int(scale)
        return mask.repeat(factor, 0).repeat(factor, 1).repeat(factor, 2)
    step = scale.denominator
    z, y, x = (n // step for n in mask.shape)
    blocks = mask.reshape(z, step, y, step, x, step)
    return np.asarray(blocks.any(axis=(1, 3, 5)))


def _bytes_per_voxel(network: Generator) -> float:
    """Memory for one input voxel: everything that the layers give out, in float32.

    All of it is counted at once. The allocator frees some of it earlier, and needs
    scratch space for the convolutions; the two are of one size.
    """
    total = 0

    def count(_: nn.Module, __: Any, output: Tensor) -> None:
        nonlocal total
        total += output.numel() * output.element_size()

    leaves = [m for m in network.modules() if not list(m.children())]
    hooks = [module.register_forward_hook(count) for module in leaves]
    side = PROBE_STRIDES * network.stride
    probe = (1, network.inputs, *(side,) * network.dims)
    try:
        with torch.inference_mode():
            network(torch.zeros(probe, device=next(network.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return total / math.prod(probe[2:])
