"""What is decided before the first tile, and the exact translation of a region."""

import itertools
import math
from collections import deque
from collections.abc import Iterator
from typing import Literal

import torch

from napari_cyclegan3d.engine.checkpoint import Model
from napari_cyclegan3d.engine.config import EnhanceConfig, TrainConfig
from napari_cyclegan3d.engine.demands import (
    check_size,
    device_for,
    intensities_of,
    pad_of,
    reach_of,
)
from napari_cyclegan3d.engine.devices import is_memory_shortage
from napari_cyclegan3d.engine.errors import MemoryShortageError
from napari_cyclegan3d.engine.foreign import ForeignGenerator
from napari_cyclegan3d.engine.intensity import (
    Intensity,
)
from napari_cyclegan3d.engine.networks import Generator, freeze_norms
from napari_cyclegan3d.engine.planning import Sizes
from napari_cyclegan3d.engine.precision import converted, fastest_precision
from napari_cyclegan3d.engine.reading import Reader
from napari_cyclegan3d.engine.statistics import sample_patches
from napari_cyclegan3d.engine.streaming import trace
from napari_cyclegan3d.engine.tiling import (
    AxisTile,
    Joiner,
    Part,
    Span,
    Tile,
    cores,
    output_shape,
    round_up,
    whole_side,
)
from napari_cyclegan3d.engine.volume import Region, Shape, Volume
from napari_cyclegan3d.engine.work import Work

# patches of a volume on which instance norms are measured
SAMPLE = 32


class Translation:
    """One volume, one generator, and how the one goes through the other.

    A 2D generator translates the slices across the first axis, each on its own. A 3D
    one that can be traced gets its input plane by plane, see `streaming`; any other
    network gets tiles with halos.

    Args:
        volume: The input; for a 2D generator with the slices first.
        model: A trained model.
        config: Direction, tiles, memory, precision and device.
        chunks: Blocks of the output (z, y, x) that are written as a whole, if there are
            any: no piece ends inside one.

    Attributes:
        shape: Voxels of the output (z, y, x).
        mode: "exact" or "blend".
        remarks: What the user should know.
        reason: Device and number format, and why the device was chosen.
        work: Computes.
        sizes: Tiles and memory.
        period: Voxels of the output after which the network's strides repeat.
        unit_depth: Planes of the output at whose multiples pieces begin and end.

    Raises:
        InputError: The volume or the settings do not fit the model.
        MemoryShortageError: Not even the smallest tile fits the memory.
    """

    def __init__(
        self,
        volume: Volume,
        model: Model,
        config: EnhanceConfig,
        chunks: Shape | None = None,
    ) -> None:
        self.volume, self.scale = volume, model.scale(config.direction)
        network = model.generator(config.direction)
        check_size(volume, network, self.scale)
        self.shape = output_shape(volume.shape, self.scale)
        device, why = device_for(network, config.device)
        fit_in, fit_out = intensities_of(volume, model, config)
        network = network.to(device).eval()
        self.mode: Literal["exact", "blend"] = config.mode
        self.overlap = config.overlap
        patch = self._patch(model.header.config, config)
        self.remarks: list[str] = []
        is_foreign = isinstance(network, ForeignGenerator)
        if network.tile_dependent and self.mode == "exact" and not is_foreign:
            network = self._frozen(network, fit_in, patch, device)
        dtype = fastest_precision(config.precision, network, device)
        self.device = device
        self.reason = f"{why}; {'bf16' if dtype == torch.bfloat16 else 'fp32'}"
        streams = self.mode == "exact" and network.dims == 3 and not is_foreign
        self.program = trace(network) if streams else None
        self.network = converted(network, dtype)
        reader = Reader(volume, fit_in, self.network, device, pad_of(network))
        self.work = Work(reader, self.program, dtype, fit_out)
        chunks = chunks or (1, 1, 1)
        # blended tiles overlap anyway; their planes are joined to whole chunks
        whole = chunks if self.mode == "exact" else (1, 1, 1)
        self.sizes = self._sizes(whole, int(config.memory * 1e9))
        if is_foreign and self.mode == "exact":
            self._blend_if_needed(network, int(config.memory * 1e9))
        self.period = max(1, int(network.stride * self.scale))
        self.unit_depth = max(chunks[0], int(self.sizes.units[0] * self.scale))
        if config.tile is not None:
            self.sizes.take(config.tile)
        elif network.tile_dependent and not is_foreign:
            self.sizes.take(
                (volume.shape[0] if network.dims == 2 else patch[0], *patch[1:])
            )
        else:
            self.sizes.choose()

    def blocks(self, region: Region) -> Iterator[Part]:
        """The translation of a region of the output, piece by piece, without seams.

        The pieces of a tile follow each other along z. If the device runs out of
        memory, tiles become smaller, and what is finished stays so.

        Args:
            region: Three slices; each starts at a multiple of the chunks, and of the
                network's stride times `scale`.

        Raises:
            MemoryShortageError: Not even the smallest tile fits the device.
        """
        waiting = deque(self._tiles(region))
        while waiting:
            tile = waiting.popleft()
            z, y, x = self._output(tile)
            try:
                joiner = Joiner(self.unit_depth, z.stop)
                for piece in self._translated(tile):
                    for part in joiner.add(piece):
                        yield part
                        z = slice(part[0][0].stop, z.stop)
                continue
            except (RuntimeError, MemoryError) as error:
                if not is_memory_shortage(error):
                    raise
            # leaving the error has let go of what it held on the device
            self._shrink(tile)
            waiting.extendleft(reversed(self._tiles((z, y, x))))

    def steps(self, region: Region) -> list[int]:
        """Voxels of the output of which `blocks` gives about so many at a time."""
        steps = []
        for tile in self._tiles(region):
            z, y, x = self._output(tile)
            plane = (y.stop - y.start) * (x.stop - x.start)
            planes = z.stop - z.start
            most = planes
            if self.program is not None:
                most = max(1, int(self.sizes.planes * self.scale))
            if plane > 0 and planes > 0:
                steps += [plane * min(most, planes - n) for n in range(0, planes, most)]
        return steps

    def columns(self) -> list[Region]:
        """The output in columns along z, one for each tile across."""
        z, y, x = self.shape
        columns: dict[tuple[int, int], Region] = {}
        for tile in self._tiles((slice(0, z), slice(0, y), slice(0, x))):
            _, rows, cells = self._output(tile)
            columns[rows.start, cells.start] = slice(0, z), rows, cells
        return list(columns.values())

    def cuts(self) -> tuple[set[int], set[int], set[int]]:
        """Where tiles meet in the output, along z, y and x."""
        z, y, x = (slice(0, n) for n in self.shape)
        tiles = [self._output(tile) for tile in self._tiles((z, y, x))]
        at_z, at_y, at_x = ({tile[a].start for tile in tiles} - {0} for a in range(3))
        return at_z, at_y, at_x

    @property
    def tile(self) -> Shape:
        """Voxels of the input that are done at a time (z, y, x)."""
        z, y, x = self.sizes.core
        depth, height, width = self.volume.shape
        planes = self.sizes.planes if self.program else z
        return min(planes, depth), min(y, height), min(x, width)

    def _sizes(self, chunks: Shape, budget: int) -> Sizes:
        reach = reach_of(self.network)
        z, y, x = (
            math.lcm(one.stride, max(1, round(side / self.scale)))
            for one, side in zip(reach, chunks, strict=True)
        )
        return Sizes(self.volume, self.network, self.program, reach, (z, y, x), budget)

    def _blend_if_needed(self, network: Generator, budget: int) -> None:
        """An imported graph may not be one whose tiles can be cut exactly."""
        if self.sizes.is_one_tile:
            return
        if network.tile_dependent:
            why = "its results depend on the whole of a tile"
        elif self.sizes.must_blend:
            why = "it takes images of one size only"
        else:
            return
        self.mode = "blend"
        self.sizes = self._sizes((1, 1, 1), budget)
        self.remarks.append(
            f"{network.name}: {why}, so overlapping tiles are averaged (mode blend)"
        )

    def _patch(self, trained: TrainConfig, config: EnhanceConfig) -> Shape:
        """What the generator saw in training, in voxels of its input.

        Instance norm is right for as much of an image as it was trained on.
        """
        return trained.patch if config.direction == "a_to_b" else trained.patch_b

    def _frozen(
        self, network: Generator, fit_in: Intensity, patch: Shape, device: torch.device
    ) -> Generator:
        """The network with statistics of this volume in place of each tile's own."""
        self.remarks.append(
            f"{network.config.kind} with norm {network.config.norm}: the model was not "
            f"trained to its end, where its statistics are frozen; those of {SAMPLE} "
            f"patches of {self.volume.name} are used (mode blend takes each tile's own)"
        )
        inputs, dims = network.inputs, network.dims
        sample = sample_patches(self.volume, fit_in, patch, SAMPLE, dims, inputs)
        return freeze_norms(network, (image.to(device) for image in sample))

    def _translated(self, tile: Tile) -> Iterator[Part]:
        region = self._output(tile)
        if any(part.stop <= part.start for part in region):
            return  # at 1/2 and 1/4, what is left over at the end gives no voxel
        z, y, x = (axis.read for axis in tile.axes)
        if self.program is not None:
            z = self._in_step(z)
        first, inner_y, inner_x = (
            slice(part.start - start, part.stop - start)
            for part, start in zip(
                region, (int(read[0] * self.scale) for read in (z, y, x)), strict=True
            )
        )
        if self.program is None:
            yield region, self.work.tile((z, y, x))[first, inner_y, inner_x]
            return
        # planes flow through the network; what leaves it is cut to the core
        start = region[0].start - first.start
        for planes in self.work.planes((z, y, x), self.sizes.planes):
            stop = start + len(planes)
            inside = slice(max(start, region[0].start), min(stop, region[0].stop))
            if inside.start < inside.stop:
                kept = planes[inside.start - start : inside.stop - start]
                yield (inside, *region[1:]), kept[:, inner_y, inner_x]
            start = stop
            if start >= region[0].stop:
                return

    def _in_step(self, read: Span) -> Span:
        """The planes to read so that a stream works on the same groups of them always.

        Those that one takes that begins with the volume: so the last bits of a voxel do
        not depend on where a stream was begun. What else it yields is left out.
        """
        planes = self.sizes.planes
        whole = whole_side(self.volume.shape[0], self.sizes.reach[0])
        start = max(0, (read[0] // planes - 1) * planes)
        return start, min(whole, round_up(read[1], planes) + planes)

    def _output(self, tile: Tile) -> Region:
        """Where a tile's core lies in the output."""
        z, y, x = (
            slice(
                int(axis.keep[0] * self.scale), min(n, int(axis.keep[1] * self.scale))
            )
            for axis, n in zip(tile.axes, self.shape, strict=True)
        )
        return z, y, x

    def _tiles(self, region: Region) -> list[Tile]:
        """Tiles whose cores cover a region of the output."""
        axes: list[tuple[AxisTile, ...]] = []
        for part, n, size, reach, side in zip(
            region,
            self.shape,
            self.volume.shape,
            self.sizes.reach,
            self.sizes.core,
            strict=True,
        ):
            start, stop = int(part.start / self.scale), int(part.stop / self.scale)
            if part.stop == n:
                stop = size
            stop = round_up(stop, reach.stride)
            if self.program is not None and not axes:
                side = stop - start  # z flows
            axes.append(cores((start, stop), side, size, reach))
        z, y, x = axes
        return [Tile(one) for one in itertools.product(z, y, x)]

    def _shrink(self, tile: Tile) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        z, y, x = (axis.keep[1] - axis.keep[0] for axis in tile.axes)
        if not self.sizes.halve((z, y, x)):
            raise MemoryShortageError(
                f"{self.device} has too little memory even for the smallest tile; "
                "close other programs or use --device cpu"
            )
