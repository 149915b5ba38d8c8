"""One sweep over both volumes: maps, objects with their tests, and global sums."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_cyclegan3d.engine.hallucination.evidence import Bench, tests_of
from napari_cyclegan3d.engine.hallucination.filters import smooth, wide
from napari_cyclegan3d.engine.hallucination.gathering import (
    Gatherer,
    Objects,
)
from napari_cyclegan3d.engine.hallucination.maps import (
    HALO,
    Constants,
    Sight,
    maps_of,
    measure,
)
from napari_cyclegan3d.engine.hallucination.noise import Noise, fit_noise
from napari_cyclegan3d.engine.hallucination.objects import parted
from napari_cyclegan3d.engine.hallucination.operator import Operator, fit_operator
from napari_cyclegan3d.engine.hallucination.sampling import finite
from napari_cyclegan3d.engine.hallucination.settings import InspectConfig
from napari_cyclegan3d.engine.hallucination.splitting import Split
from napari_cyclegan3d.engine.hallucination.store import (
    Block,
    blocks,
    bounded,
    finer,
    new_map,
)
from napari_cyclegan3d.engine.hallucination.templates import PITCH
from napari_cyclegan3d.engine.volume import Shape, Volume

Map = NDArray[Any]
# a block of both volumes, its raw voxels, and where it is
Look = Callable[[Sight, Map, Block], None]
# deviation of the blur of differences, in raw voxels
SMOOTH = 1.5
THREADS = 2


@dataclass(frozen=True)
class Fitted:
    """How two volumes belong together.

    Attributes:
        operator: What makes the raw volume of the enhanced one.
        noise: Of the raw volume.
        constants: Of the maps.
    """

    operator: Operator
    noise: Noise
    constants: Constants

    @classmethod
    def of(
        cls,
        raw: Volume,
        enhanced: Volume,
        config: InspectConfig,
        random: np.random.Generator,
    ) -> Self:
        """Fit everything on random tiles of the volumes.

        Raises:
            InputError: Nothing can be fitted, as where there is no noise.
        """
        operator = fit_operator(raw, enhanced, config, random)
        noise = fit_noise(raw, enhanced, operator, config, random)
        return cls(operator, noise, measure(raw, enhanced, operator, noise, random))


@dataclass(frozen=True, eq=False)
class Repeated:
    """An enhancement of one part of a split, and what it is tested against.

    Attributes:
        enhanced: Of the split's first part; of a second scan, the inspected volume.
        against: The part whose noise it has never seen.
        noise: Of that part.
        operator: What makes that part of the enhanced volume.
    """

    enhanced: Volume
    against: Volume
    noise: Noise
    operator: Operator

    @classmethod
    def of(cls, split: Split, enhanced: Volume) -> Self:
        """The first part's enhancement against the second part."""
        return cls(enhanced, split.second, split.noise_second, split.operator)


@dataclass
class Sums:
    """Of raw voxels, of what the operator makes of the enhanced ones, and of both."""

    values: NDArray[np.float64] = field(default_factory=lambda: np.zeros(7))

    def add(self, raw: Map, made: Map, deviation: Map) -> None:
        """Count the voxels of a block once."""
        one, other = raw.astype(np.float64), made.astype(np.float64)
        rest = one - other
        self.values += [
            one.size,
            one.sum(),
            other.sum(),
            np.vdot(one, one),
            np.vdot(other, other),
            np.vdot(one, other),
            np.square(rest / deviation).sum(),
        ]

    @property
    def correlation(self) -> float:
        """RSP: Pearson's, of raw and degraded enhanced volume (Culley et al. 2018)."""
        n, x, y, xx, yy, xy, _ = self.values
        spread = (xx - x * x / n) * (yy - y * y / n)
        return float((xy - x * y / n) / np.sqrt(max(spread, 1e-300)))

    @property
    def error(self) -> float:
        """RSE: root mean square of their difference, in raw grey values."""
        n, _, _, xx, yy, xy, _ = self.values
        return float(np.sqrt(max(xx + yy - 2 * xy, 0) / n))

    @property
    def chi2(self) -> float:
        """Mean square of the difference over the variance of the noise."""
        return float(self.values[6] / self.values[0])


@dataclass(frozen=True, eq=False)
class Survey:
    """What a sweep found.

    Attributes:
        maps: By name, on the raw grid.
        objects: Structures of the enhanced volume with their tests.
        sums: Over all voxels.
        fresh: Whether the independent tests are by a second scan.
    """

    maps: dict[str, Map]
    objects: Objects
    sums: Sums
    fresh: bool


def survey(
    raw: Volume,
    enhanced: Volume,
    fitted: Fitted,
    repeated: Sequence[Repeated],
    side: int,
) -> Generator[float, None, Survey]:
    """Sweep over both volumes, block by block.

    Args:
        raw: The raw volume.
        enhanced: The enhanced one.
        fitted: How they belong together.
        repeated: Independent tests of the objects.
        side: Longest side of a block, in raw voxels.

    Yields:
        The share that is done.
    """
    maps: dict[str, Map] = {}
    sums = Sums()

    def look(sight: Sight, low: Map, block: Block) -> None:
        made, inner = sight.parts.mean, block.inner
        found = maps_of(sight)
        found["difference"] = _difference(low, made, sight.operator)
        _keep(maps, found, block, raw.shape)
        sums.add(low[inner], made[inner], sight.parts.deviation[inner])

    objects = yield from objects_of(raw, enhanced, fitted, repeated, side, look)
    fresh = any(one.enhanced is enhanced for one in repeated)
    return Survey(maps, objects, sums, fresh)


def objects_of(
    raw: Volume,
    enhanced: Volume,
    fitted: Fitted,
    repeated: Sequence[Repeated],
    side: int,
    look: Look | None = None,
) -> Generator[float, None, Objects]:
    """Find and test the structures of the enhanced volume, block by block.

    Args:
        raw: The raw volume.
        enhanced: The enhanced one.
        fitted: How they belong together.
        repeated: Independent tests of the objects.
        side: Longest side of a block, in raw voxels.
        look: Meanwhile looks at each block, in another thread.

    Yields:
        The share that is done.
    """
    parts = list(blocks(raw.shape, side, HALO, PITCH))
    scale = fitted.operator.scale
    gatherer = Gatherer(raw.shape, scale, len(repeated))

    # what a block takes is given back before the next one
    def go_through(block: Block) -> None:
        low, sight = _sight(raw, enhanced, fitted, block)
        looked = pool.submit(look, sight, low, block) if look else None
        again = [pool.submit(_again, one, fitted, block) for one in repeated]
        found = parted(sight.contrast, fitted.constants.threshold, scale)
        owned = gatherer.own(found, block)
        tests = tests_of(owned.labels, sight, [one.result() for one in again])
        gatherer.add(owned, tests.own, tests.again)
        if looked is not None:
            looked.result()

    with ThreadPoolExecutor(THREADS) as pool:
        for number, block in enumerate(parts):
            yield number / len(parts)
            go_through(block)
    return gatherer.gathered()


def _sight(
    raw: Volume, enhanced: Volume, fitted: Fitted, block: Block
) -> tuple[Map, Sight]:
    """The raw voxels of a block, and these compared with the enhanced ones."""
    low = finite(raw.read(block.read))[0]
    high = finite(enhanced.read(finer(block.read, fitted.operator.scale)))[0]
    return low, Sight.of(low, high, fitted.operator, fitted.noise, fitted.constants)


def _again(one: Repeated, fitted: Fitted, block: Block) -> Bench:
    """What a repetition tests the objects of a block by."""
    other = Fitted(one.operator, one.noise, fitted.constants)
    return Bench.of(_sight(one.against, one.enhanced, other, block)[1])


def _difference(raw: Map, made: Map, operator: Operator) -> Map:
    """What the raw block has more than the enhanced one, in grey values of the latter.

    Smoothed as far as the raw volume is, so that what one voxel shows is no noise, and
    without what varies slowly.
    """
    rest: Map = (raw - made) / np.float32(operator.fit.gain or 1)
    return smooth(rest - wide(rest), SMOOTH)


def _keep(
    maps: dict[str, Map], found: dict[str, Map], block: Block, shape: Shape
) -> None:
    for name, values in found.items():
        if name not in maps:
            maps[name] = new_map(shape)
        maps[name][block.core] = bounded(values[block.inner])
